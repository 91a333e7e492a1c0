//! Secrets and TLS files: `{ env = "…" }`, `{ file = "…" }`, PEM. Reads them, so that a missing one is a fault of the
//! configuration and not of the first login.

use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::config::{
    Secret, ServerIdentity,
    reader::{Node, Table},
};

/// A secret, read.
pub(super) fn secret(node: &Node<'_>) -> Option<Secret> {
    if node.is_text() {
        let text = node.text()?;
        if !node.source.inline_secrets {
            node.fault(
                "a secret does not belong in this file",
                "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`, or set `allow_inline_secrets = true` under [server]",
            );
            return None;
        }
        return Some(Secret::new(text.to_owned()));
    }
    let table = node.table()?;
    let (env, file) = (table.get("env"), table.get("file"));
    table.finish();
    match (env, file) {
        (Some(env), None) => from_environment(&env),
        (None, Some(file)) => from_file(&file),
        (Some(_), Some(_)) | (None, None) => {
            node.fault("names no single source", "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`");
            None
        }
    }
}

fn from_environment(node: &Node<'_>) -> Option<Secret> {
    let name = node.text()?;
    let found = std::env::var(name).ok();
    if found.is_none() {
        node.fault(
            format!("the environment has no variable `{name}`"),
            format!("set it before the proxy starts: `export {name}=…`"),
        );
    }
    found.map(Secret::new)
}

/// One line end at the file's end is the editor's, not the secret's.
fn from_file(node: &Node<'_>) -> Option<Secret> {
    let path = node.source.resolve(node.text()?);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let secret = text.strip_suffix('\n').unwrap_or(&text);
            Some(Secret::new(secret.strip_suffix('\r').unwrap_or(secret).to_owned()))
        }
        Err(error) => {
            node.fault(format!("`{}` cannot be read: {error}", path.display()), "name a file that the proxy may read");
            None
        }
    }
}

/// `certificate`, `key`, `client_ca` of a listener, read once to see that they fit.
pub(super) fn identity(tls: &Table<'_>) -> Option<ServerIdentity> {
    let certificate = tls.required("certificate", "\"server.crt\"");
    let key = tls.required("key", "\"server.key\"");
    let client_ca = tls.get("client_ca").and_then(|node| roots(&node));
    let (certificate, key) = (certificate?, key?);
    let (certificate_path, chain) = certificates(&certificate)?;
    let key_path = key.source.resolve(key.text()?);
    let private = match PrivateKeyDer::from_pem_file(&key_path) {
        Ok(private) => private,
        Err(error) => {
            key.fault(format!("`{}` holds no PEM key: {error}", key_path.display()), "name a PEM key file");
            return None;
        }
    };
    let provider = rustls::crypto::ring::default_provider();
    let fits = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    if let Err(error) = fits {
        key.fault(format!("key and certificate do not work together: {error}"), "name the key of this certificate");
        return None;
    }
    Some(ServerIdentity { certificate: certificate_path, key: key_path, client_ca })
}

/// A file of trusted roots.
pub(super) fn roots(node: &Node<'_>) -> Option<PathBuf> {
    certificates(node).map(|(path, _)| path)
}

fn certificates(node: &Node<'_>) -> Option<(PathBuf, Vec<CertificateDer<'static>>)> {
    let path = node.source.resolve(node.text()?);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    match found {
        Ok(chain) if !chain.is_empty() => Some((path, chain)),
        Ok(_) => {
            node.fault(format!("`{}` holds no certificate", path.display()), "name a PEM file of certificates");
            None
        }
        Err(error) => {
            node.fault(
                format!("`{}` holds no PEM certificate: {error}", path.display()),
                "name a PEM certificate file",
            );
            None
        }
    }
}
