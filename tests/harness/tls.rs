//! A certificate authority for one test: certificates for servers and for clients, as PEM files.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A certificate authority; clones share its key.
#[derive(Clone, Debug)]
pub struct Authority {
    name: String,
    certificate: String,
    key: String,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = root(name).self_signed(&key).expect("a certificate");
        Self { name: name.to_owned(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The root, PEM.
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    /// A server's certificate for these names and addresses.
    pub fn server(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(CertificateParams::new(names).expect("valid names"))
    }

    /// A client's certificate with this CN.
    pub fn client(&self, user: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, user);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let own_key = KeyPair::from_pem(&self.key).expect("our own key");
        let root = root(&self.name);
        let issuer = Issuer::from_params(&root, own_key);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

fn root(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Writes PEM text into a folder, readable for the owner only (libpq insists on that for keys).
pub fn write(folder: &std::path::Path, name: &str, pem: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    fs::write(&path, pem).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    path
}
