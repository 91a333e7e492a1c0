//! Real clients log in: psql in every TLS mode, tokio-postgres with direct TLS, raw bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    net::SocketAddr,
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{Authority, Identity};
use hallpass::{
    clock::Clock,
    config::{ListenerTls, ServerIdentity},
    error::ClientError,
    net::tls::Security,
    session::{
        login::{
            Doorway, LoginEnd,
            postgres::{LoggedIn, Login, login, turn_away},
        },
        throttle::Throttle,
    },
    store::{
        LoginLookup, LookupFuture,
        credentials::{CredentialKey, CredentialKind, Credentials, ITERATIONS, derive},
    },
    wire::{
        mysql::hashes::MysqlSecret,
        postgres::{
            backend::{Field, TransactionStatus},
            codec::{Format, MAX_FRAME, frame},
            encode,
            frontend::tag,
        },
    },
};
use hallpass_policy::ids::UserName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One user, `ann`, with the password `pw` and the token `hp_token`.
struct Users;

impl LoginLookup for Users {
    fn login_lookup<'a>(&'a self, user: &'a str) -> LookupFuture<'a> {
        Box::pin(async move {
            if user != "ann" {
                return Ok(Credentials::unknown(user, &[7; 32]));
            }
            let salt = [1; 16];
            let key = |id, kind, secret| CredentialKey {
                id,
                kind,
                keys: derive(secret, &salt, ITERATIONS),
                mysql: MysqlSecret::default(),
                sealed_native: None,
                expires: None,
            };
            let keys = vec![key(1, CredentialKind::Password, "pw"), key(2, CredentialKind::Token, "hp_token")];
            Ok(Credentials {
                user: UserName::new(user),
                salt: Arc::from(salt),
                iterations: ITERATIONS,
                keys,
                disabled: false,
                expires: None,
                groups: vec!["oncall".into()],
            })
        })
    }
}

/// A server that logs clients in, answers every query with the credential's number, and notes how logins ended.
struct Server {
    address: SocketAddr,
    ends: Arc<Mutex<Vec<String>>>,
    logins: Arc<Mutex<Vec<Login>>>,
}

impl Server {
    async fn start(tls: ListenerTls) -> Self {
        let security = Arc::new(Security::load(&tls).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = Self { address, ends: Arc::default(), logins: Arc::default() };
        let (ends, logins, throttle) = (this.ends.clone(), this.logins.clone(), Arc::new(Throttle::new()));
        tokio::spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                let (ends, logins) = (ends.clone(), logins.clone());
                let (security, throttle) = (security.clone(), throttle.clone());
                tokio::spawn(async move {
                    let clock = Clock::system();
                    let timeout = Duration::from_secs(2);
                    let door =
                        Doorway { security: &security, lookup: &Users, throttle: &throttle, clock: &clock, timeout };
                    match login(socket, peer.ip(), &door).await {
                        Ok(logged_in) => {
                            logins.lock().unwrap().push(logged_in.login.clone());
                            serve(logged_in).await;
                        }
                        Err(LoginEnd::Refused { user, error, .. }) => {
                            ends.lock().unwrap().push(format!("{}: {error}", user.unwrap_or_default()));
                        }
                        Err(end) => ends.lock().unwrap().push(end.to_string()),
                    }
                });
            }
        });
        this
    }

    async fn psql(&self, options: &str, environment: &[(&str, &str)]) -> Output {
        let port = self.address.port();
        let mut command = Command::new("psql");
        command
            .env("PGPASSWORD", "pw")
            .env("PGUSER", "ann")
            .env("PGDATABASE", "shop")
            .envs(environment.iter().copied());
        command.args(["-XAtc", "SELECT 1", &format!("host=localhost hostaddr=127.0.0.1 port={port} {options}")]);
        tokio::task::spawn_blocking(move || command.output().expect("psql runs")).await.unwrap()
    }

    async fn works(&self, options: &str) {
        let done = self.psql(options, &[]).await;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!((out.as_ref(), err.as_ref()), ("1\n", ""), "{options}");
    }

    async fn fails(&self, options: &str, environment: &[(&str, &str)]) -> String {
        let done = self.psql(options, environment).await;
        assert!(!done.status.success(), "{options}");
        String::from_utf8(done.stderr).unwrap()
    }

    /// What comes back for raw bytes, up to the end.
    async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        answer
    }
}

async fn serve(logged_in: LoggedIn) {
    let LoggedIn { login, mut stream, leftover: mut input } = logged_in;
    let mut out = Vec::new();
    encode::authentication_ok(&mut out);
    for (name, value) in
        [("server_version", "15.0"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")]
    {
        encode::parameter_status(&mut out, name, value).unwrap();
    }
    encode::backend_key_data(&mut out, 1, &vec![1; login.cancel_secret_length()]).unwrap();
    encode::ready_for_query(&mut out, TransactionStatus::Idle);
    let field =
        Field { name: b"key", table: 0, attribute: 0, type_oid: 25, type_size: -1, modifier: -1, format: Format::Text };
    loop {
        stream.write_all(&out).await.unwrap();
        stream.flush().await.unwrap();
        out.clear();
        while let Some(message) = frame(&input, MAX_FRAME).unwrap() {
            let row = [Some(login.credential.to_string())];
            match message.tag {
                tag::QUERY => {
                    encode::row_description(&mut out, &[field]).unwrap();
                    encode::data_row(&mut out, &row).unwrap();
                    encode::command_complete(&mut out, "SELECT 1").unwrap();
                    encode::ready_for_query(&mut out, TransactionStatus::Idle);
                }
                tag::TERMINATE => return,
                _ => {}
            }
            let length = message.raw.len();
            input.drain(..length);
        }
        if out.is_empty() && stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn identity(identity: &Identity, client_ca: Option<&Authority>) -> ServerIdentity {
    ServerIdentity {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        client_ca: client_ca.map(Authority::path),
    }
}

#[tokio::test]
async fn psql_logs_in_in_plain_text() {
    let server = Server::start(ListenerTls::Off).await;
    for options in ["sslmode=disable", "sslmode=prefer", "sslmode=prefer gssencmode=prefer", "application_name=x"] {
        server.works(options).await;
    }
    let refused = server.fails("sslmode=require", &[]).await;
    assert!(refused.contains("server does not support SSL"), "{refused}");
    let options = "options='-c search_path=shop -c statement_timeout=5s'";
    server.works(options).await;
    let login = server.logins.lock().unwrap().last().unwrap().clone();
    assert_eq!(login.startup.setting("search_path"), Some("shop"));
    assert_eq!((login.startup.user.as_str(), login.startup.database.as_str()), ("ann", "shop"));
    assert_eq!(login.principal.groups, ["oncall".into()]);
    let token = server.psql("", &[("PGPASSWORD", "hp_token")]).await;
    assert_eq!(token.stdout, b"2\n");
}

#[tokio::test]
async fn failures_of_users_sound_the_same() {
    let server = Server::start(ListenerTls::Off).await;
    let wrong = server.fails("", &[("PGPASSWORD", "no")]).await;
    let unknown = server.fails("", &[("PGUSER", "bob")]).await;
    assert!(wrong.contains("FATAL:  password authentication failed for user \"ann\""), "{wrong}");
    assert_eq!(wrong.replace("\"ann\"", "\"bob\""), unknown);
    assert_eq!(server.ends.lock().unwrap()[0], "ann: authentication failed for user `ann`");
}

#[tokio::test]
async fn settings_that_weaken_the_gate_are_refused_before_the_password() {
    let server = Server::start(ListenerTls::Off).await;
    let refused = server.fails("options='-c role=postgres'", &[("PGPASSWORD", "no")]).await;
    assert!(refused.contains("FATAL:  parameter \"role\" cannot be set at connection start"), "{refused}");
    assert!(refused.contains("HINT:  connect without it"), "{refused}");
    let refused = server.fails("replication=database", &[]).await;
    assert!(refused.contains("replication connections are not supported"), "{refused}");
}

#[tokio::test]
async fn psql_logs_in_under_tls() {
    let (ours, other) = (Authority::new(), Authority::new());
    let own = ours.issue("localhost", "server");
    let server = Server::start(ListenerTls::Prefer(identity(&own, None))).await;
    let (ca, wrong) = (ours.path(), other.path());
    let full = format!("sslmode=verify-full sslrootcert={}", ca.display());
    for options in [
        "sslmode=disable",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require channel_binding=require",
        "sslmode=require channel_binding=disable",
        "sslmode=require ssl_min_protocol_version=TLSv1.2 ssl_max_protocol_version=TLSv1.2 channel_binding=require",
        full.as_str(),
    ] {
        server.works(options).await;
    }
    let refused = server.fails(&format!("sslmode=verify-full sslrootcert={}", wrong.display()), &[]).await;
    assert!(refused.contains("certificate verify failed"), "{refused}");

    let server = Server::start(ListenerTls::Require(identity(&own, None))).await;
    server.works("sslmode=prefer").await;
    let refused = server.fails("sslmode=disable", &[]).await;
    assert!(refused.contains("this port takes encrypted connections only"), "{refused}");
    assert!(refused.contains("HINT:  connect with sslmode=require"), "{refused}");
}

#[tokio::test]
async fn client_certificates_must_name_the_user() {
    let ours = Authority::new();
    let own = ours.issue("localhost", "server");
    let server = Server::start(ListenerTls::Prefer(identity(&own, Some(&ours)))).await;
    let with = |identity: &Identity| {
        format!("sslmode=require sslcert={} sslkey={}", identity.certificate.display(), identity.key.display())
    };
    server.works(&with(&ours.issue("ann.example", "ann"))).await;
    let others = server.fails(&with(&ours.issue("bob.example", "bob")), &[]).await;
    assert!(others.contains("password authentication failed for user \"ann\""), "{others}");
    for options in ["sslmode=require", "sslmode=disable"] {
        let none = server.fails(options, &[]).await;
        assert!(none.contains("connection requires a valid client certificate"), "{none}");
    }
    let strange = Authority::new().issue("ann.example", "ann");
    server.fails(&with(&strange), &[]).await;
}

#[tokio::test]
async fn tokio_postgres_starts_tls_directly() {
    let ours = Authority::new();
    let own = ours.issue("localhost", "server");
    let server = Server::start(ListenerTls::Require(identity(&own, None))).await;
    let tls = |alpn: &[&[u8]]| {
        let ca = rustls_pki_types::pem::PemObject::from_pem_file(ours.path()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        tokio_postgres_rustls::MakeRustlsConnect::new(config)
    };
    let port = server.address.port();
    let text =
        format!("host=localhost hostaddr=127.0.0.1 port={port} user=ann dbname=shop password=pw sslmode=require");
    for negotiation in ["postgres", "direct"] {
        let text = format!("{text} sslnegotiation={negotiation}");
        let (client, connection) = tokio_postgres::connect(&text, tls(&[b"postgresql"])).await.unwrap();
        let talk = tokio::spawn(connection);
        let rows = client.simple_query("SELECT 1").await.unwrap();
        assert_eq!(rows.len(), 3, "{negotiation}");
        drop(client);
        talk.await.unwrap().unwrap();
    }
    let direct = format!("{text} sslnegotiation=direct");
    let Err(error) = tokio_postgres::connect(&direct, tls(&[])).await else { panic!("no ALPN, and yet let in") };
    assert_eq!(error.code().map(|code| code.code()), Some("08P01"));
    assert!(tokio_postgres::connect(&direct, tls(&[b"http/1.1"])).await.is_err());
}

#[tokio::test]
async fn raw_bytes_get_what_the_manual_says() {
    let ours = Authority::new();
    let own = ours.issue("localhost", "server");
    let server = Server::start(ListenerTls::Prefer(identity(&own, None))).await;
    let ssl = b"\0\0\0\x08\x04\xd2\x16\x2f";
    let start = |minor: u8| [&[0, 0, 0, 18, 0, 3, 0, minor], &b"user\0ann\0\0"[..]].concat();
    // Behind an SSLRequest nothing may come in plain text (CVE-2021-23222).
    let answer = server.raw(&[&ssl[..], &start(0)].concat()).await;
    assert_eq!(answer.first(), Some(&b'E'));
    assert!(String::from_utf8_lossy(&answer).contains("unencrypted data after SSL request"));
    // A newer minor version is negotiated once, then SASL is offered; without an answer the login times out.
    let started = Instant::now();
    let answer = server.raw(&start(9)).await;
    let offer = b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    assert_eq!(answer, offer, "{}", String::from_utf8_lossy(&answer));
    assert!(started.elapsed() < Duration::from_secs(5));
    // A cancel request gets no answer at all.
    assert_eq!(server.raw(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01abcd").await, b"");
    // A browser, a query before login, a huge packet.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"Q\0\0\0\x0dSELECT 1\0", b"\x7f\xff\xff\xff"] {
        assert!(String::from_utf8_lossy(&server.raw(bytes).await).contains("invalid length of startup packet"));
    }
    let mut early = start(0);
    early.extend_from_slice(b"Q\0\0\0\x0dSELECT 1\0");
    let answer = server.raw(&early).await;
    assert!(String::from_utf8_lossy(&answer).contains("expected a SASL response, got message type \"Q\""));
    let ends = server.ends.lock().unwrap().join("\n");
    assert!(ends.contains("a cancel request") && ends.contains("the login took too long"), "{ends}");
}

#[tokio::test]
async fn a_full_house_says_so_and_still_cancels() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (security, throttle, clock) = (Security::Off, Throttle::new(), Clock::system());
    let timeout = Duration::from_secs(2);
    let door = Doorway { security: &security, lookup: &Users, throttle: &throttle, clock: &clock, timeout };
    let psql = tokio::task::spawn_blocking(move || {
        let text = format!("host=127.0.0.1 port={port} user=ann");
        Command::new("psql").args(["-XAtc", "SELECT 1", &text]).output().unwrap()
    });
    let (socket, _) = listener.accept().await.unwrap();
    let end = turn_away(socket, &door, ClientError::TooManyConnections).await;
    assert!(matches!(end, LoginEnd::Refused { user: Some(user), .. } if user == "ann"));
    let told = String::from_utf8(psql.await.unwrap().stderr).unwrap();
    assert!(told.contains("FATAL:  too many connections"), "{told}");

    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01abcd").await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let end = turn_away(socket, &door, ClientError::TooManyConnections).await;
    assert!(matches!(end, LoginEnd::Cancel(key) if key.process == 1 && key.secret == b"abcd"));
}

#[tokio::test]
async fn guessing_becomes_slow() {
    let server = Server::start(ListenerTls::Off).await;
    let started = Instant::now();
    for _ in 0..7 {
        server.fails("", &[("PGPASSWORD", "guess")]).await;
    }
    // Five are free, the sixth costs 200 ms, the seventh 400 ms; a right password waits as long as a wrong one.
    assert!(started.elapsed() > Duration::from_millis(600));
    let started = Instant::now();
    server.works("").await;
    assert!(started.elapsed() > Duration::from_millis(700));
}
