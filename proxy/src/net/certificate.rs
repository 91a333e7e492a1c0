//! What a certificate says that logins need: its hash for channel binding, and its holder's common name.
//! Trusts nothing and verifies nothing; rustls has done so before.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_parser::{
    certificate::X509Certificate, prelude::FromDer, signature_algorithm::SignatureAlgorithm, x509::AlgorithmIdentifier,
};

/// The `tls-server-end-point` binding of a certificate in DER (RFC 5929 section 4.1): its hash by the hash function of
/// its own signature, SHA-256 in place of MD5 and SHA-1. `None` when the signature has no single hash function
/// (Ed25519): then there is no such binding, and SCRAM-SHA-256-PLUS is not to be offered.
pub fn end_point(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let hash = hash_of(&certificate.signature_algorithm)?;
    Some(hash.digest(der))
}

/// The common name of a certificate's subject; `None` unless there is exactly one and it is text without NUL.
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    (names.next().is_none() && !name.contains('\0')).then(|| name.to_owned())
}

#[derive(Clone, Copy)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// The hash of an algorithm's OID: RSA with PKCS#1 v1.5, ECDSA, or a bare hash function.
    fn of(oid: &str) -> Option<Self> {
        match oid {
            // md5WithRSA, sha1WithRSA, ecdsa-with-SHA1, SHA-1: RFC 5929 says SHA-256.
            "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.26" => {
                Some(Self::Sha256)
            }
            "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" | "2.16.840.1.101.3.4.2.4" => Some(Self::Sha224),
            "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => Some(Self::Sha256),
            "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => Some(Self::Sha384),
            "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => Some(Self::Sha512),
            _ => None,
        }
    }
}

fn hash_of(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => Hash::of(&parameters.hash_algorithm_oid().to_id_string()),
        _ => Hash::of(&algorithm.algorithm.to_id_string()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::*;

    fn made(name: &str, key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["db.example".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.self_signed(key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let p256 = made("a", &KeyPair::generate().unwrap());
        assert_eq!(end_point(&p256).unwrap(), Sha256::digest(&p256).to_vec());
        let p384 = made("a", &KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
        assert_eq!(end_point(&p384).unwrap(), Sha384::digest(&p384).to_vec());
        let ed25519 = made("a", &KeyPair::generate_for(&PKCS_ED25519).unwrap());
        assert_eq!(end_point(&ed25519), None);
        assert_eq!(end_point(b"not a certificate"), None);
    }

    #[test]
    fn rsa_in_its_old_and_new_forms_has_a_hash() {
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let pss = read(include_str!("testdata/rsa-pss-sha384.pem"));
        assert_eq!(end_point(&pss).unwrap(), Sha384::digest(&pss).to_vec());
        let sha1 = read(include_str!("testdata/rsa-sha1.pem"));
        assert_eq!(end_point(&sha1).unwrap(), Sha256::digest(&sha1).to_vec(), "RFC 5929: SHA-256 in place of SHA-1");
    }

    #[test]
    fn a_common_name_is_taken_whole() {
        let key = KeyPair::generate().unwrap();
        assert_eq!(common_name(&made("alice", &key)).as_deref(), Some("alice"));
        assert_eq!(common_name(&made("alice\0.evil", &key)), None);
    }
}
