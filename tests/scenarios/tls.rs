//! TLS towards the client: modes, channel binding with the proxy's own certificate, client certificates, direct TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use hallpass_tests::{
    psql::Psql,
    shop::PostgresShop as Shop,
    tls::{self, Authority},
    wire::postgres::{Client, frame},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::pem::PemObject};

/// A shop whose listener has a certificate of `authority`.
fn shop(name: &str, authority: &Authority, mode: &str, client_ca: Option<&Authority>) -> (Shop, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let identity = authority.server(&["localhost", "127.0.0.1"]);
    let certificate = tls::write(folder.path(), "server.pem", &identity.certificate_pem);
    let key = tls::write(folder.path(), "server.key", &identity.key_pem);
    tls::write(folder.path(), "ca.pem", authority.pem());
    let client_ca = client_ca.map_or(String::new(), |ca| {
        format!(", client_ca = \"{}\"", tls::write(folder.path(), "clients.pem", ca.pem()).display())
    });
    let listener = format!(
        "tls = {{ mode = \"{mode}\", certificate = \"{}\", key = \"{}\"{client_ca} }}",
        certificate.display(),
        key.display()
    );
    (Shop::with(name, |settings| settings.listener = listener), folder)
}

fn verifying(psql: Psql, folder: &Path) -> Psql {
    psql.with("PGSSLMODE", "verify-full").with("PGSSLROOTCERT", &folder.join("ca.pem").display().to_string())
}

#[test]
fn psql_verifies_and_binds_the_channel() {
    let authority = Authority::new("root");
    let (shop, folder) = shop("tls", &authority, "prefer", None);
    let psql = verifying(shop.psql(), folder.path());
    assert_eq!(psql.sql("SELECT 1").ok().trim(), "1");
    assert_eq!(psql.with("PGCHANNELBINDING", "require").sql("SELECT 2").ok().trim(), "2");
    assert_eq!(shop.psql().sql("SELECT 3").ok().trim(), "3", "plain text is still allowed");
    tls::write(folder.path(), "ca.pem", Authority::new("other").pem());
    verifying(shop.psql(), folder.path()).sql("SELECT 4").failed();
}

#[test]
fn plain_text_is_refused_when_tls_is_required() {
    let authority = Authority::new("root");
    let (shop, _folder) = shop("tls_required", &authority, "require", None);
    let refused = Client::connect(&shop.alice_login()).expect_err("no plain text");
    let error = refused.error.expect("an error is sent");
    assert_eq!((error.get('S'), error.code()), ("FATAL", "28000"));
    assert!(error.hint().contains("sslmode=require"), "{error:?}");
    assert_eq!(shop.psql().with("PGSSLMODE", "require").sql("SELECT 1").ok().trim(), "1");
}

#[test]
fn a_client_certificate_must_name_the_user() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let (shop, folder) = shop("tls_client", &authority, "require", Some(&clients));
    let with = |who: &str, signer: &Authority| {
        let identity = signer.client(who);
        let certificate = tls::write(folder.path(), "client.pem", &identity.certificate_pem);
        let key = tls::write(folder.path(), "client.key", &identity.key_pem);
        let psql = shop.psql().with("PGSSLMODE", "require");
        psql.with("PGSSLCERT", &certificate.display().to_string()).with("PGSSLKEY", &key.display().to_string())
    };
    assert_eq!(with("alice", &clients).sql("SELECT 1").ok().trim(), "1");
    with("bob", &clients).sql("SELECT 1").failed();
    with("alice", &Authority::new("stranger")).sql("SELECT 1").failed();
    shop.psql().with("PGSSLMODE", "require").sql("SELECT 1").failed();
}

/// `prefer` asks for less than a certificate does: nobody gets in without one.
#[test]
fn client_certificates_with_prefer_leave_no_way_around_them() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let (shop, folder) = shop("tls_client_prefer", &authority, "prefer", Some(&clients));
    let refused = Client::connect(&shop.alice_login()).expect_err("no plain text");
    assert_eq!(refused.error.expect("an error is sent").code(), "28000");
    let identity = clients.client("alice");
    let certificate = tls::write(folder.path(), "client.pem", &identity.certificate_pem);
    let key = tls::write(folder.path(), "client.key", &identity.key_pem);
    let psql = shop.psql().with("PGSSLMODE", "require");
    let psql = psql.with("PGSSLCERT", &certificate.display().to_string()).with("PGSSLKEY", &key.display().to_string());
    assert_eq!(psql.sql("SELECT 1").ok().trim(), "1");
    shop.psql().with("PGSSLMODE", "require").sql("SELECT 1").failed();
    let checked = shop.proxy.cli(&["check"]);
    assert!(checked.code == 0 && checked.stderr.contains("nobody gets in without TLS"), "{checked:?}");
}

#[test]
fn direct_tls_with_alpn_needs_no_request() {
    let authority = Authority::new("root");
    let (shop, _folder) = shop("tls_direct", &authority, "prefer", None);
    let mut roots = RootCertStore::empty();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
    roots.add(der).expect("a root");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a configuration");
    let socket = TcpStream::connect(("127.0.0.1", shop.proxy.port())).expect("the proxy listens");
    let mut stream = StreamOwned::new(connection, socket);
    let startup = frame::startup(0x0003_0000, &[("user".into(), "alice".into()), ("database".into(), "shop".into())]);
    stream.write_all(&startup).expect("the handshake succeeds");
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!((answer[0], &answer[5..9]), (b'R', &[0, 0, 0, 10][..]), "SASL is asked for");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"postgresql"[..]));
}
