//! Real clients log in on MySQL's protocol: the mariadb client in every TLS mode and under compression, with each
//! plugin; raw bytes; COM_CHANGE_USER.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    collections::HashMap,
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
            mysql::{Desk, Keyring, LoggedIn, Login, Welcome, login, offer, relogin, turn_away},
        },
        throttle::Throttle,
    },
    store::{
        LoginLookup, LookupFuture,
        credentials::{CredentialKey, CredentialKind, Credentials, ITERATIONS, derive},
    },
    wire::mysql::{
        auth::Native,
        backend::{ErrPacket, Status},
        capability::{Capabilities, Compression, Listener, announced},
        codec::{MAX_MESSAGE, Order, Sequence, message, put_message},
        encode,
        hashes::{MysqlSecret, native_answer, sha2_answer},
        reader::RowFormat,
        resultset::{self, Kind, OwnColumn, OwnValue},
        startup::{Greeting, Scramble},
    },
};
use hallpass_policy::ids::{Timestamp, UserName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// `ann` with the password `pw` and the token `hp_token`, `zoe` who is disabled, `eve` who has expired, `old` whose
/// password has no native hash; remembers what logins prove.
#[derive(Default)]
struct Users(Mutex<HashMap<i64, [u8; 32]>>);

impl LoginLookup for Users {
    fn login_lookup<'a>(&'a self, user: &'a str) -> LookupFuture<'a> {
        Box::pin(async move {
            if !["ann", "zoe", "eve", "old"].contains(&user) {
                return Ok(Credentials::unknown(user, &[7; 32]));
            }
            let salt = [1; 16];
            let key = |id, kind, secret, mysql| CredentialKey {
                id,
                kind,
                keys: derive(secret, &salt, ITERATIONS),
                mysql,
                sealed_native: None,
                expires: None,
            };
            let native = MysqlSecret::derive(b"pw").native.filter(|_| user != "old");
            let password = MysqlSecret { sha2: self.0.lock().unwrap().get(&1).copied(), native };
            let keys = vec![
                key(1, CredentialKind::Password, "pw", password),
                key(2, CredentialKind::Token, "hp_token", MysqlSecret::derive(b"hp_token")),
            ];
            Ok(Credentials {
                user: UserName::new(user),
                salt: Arc::from(salt),
                iterations: ITERATIONS,
                keys,
                disabled: user == "zoe",
                expires: (user == "eve").then_some(Timestamp(1)),
                groups: vec!["oncall".into()],
            })
        })
    }

    fn remember(&self, _user: &UserName, key: &CredentialKey, sha2: [u8; 32]) {
        self.0.lock().unwrap().insert(key.id, sha2);
    }
}

/// What MariaDB 10.11 and MySQL 9 offer.
const MARIADB: Capabilities = Capabilities(0x1d_81ff_f7fe);
const MYSQL: Capabilities = Capabilities(0xdfff_f7ff);

/// What a server shares with its connections.
struct Shared {
    security: Security,
    users: Users,
    throttle: Throttle,
    keyring: Keyring,
    native: Native,
    capabilities: Capabilities,
    ends: Mutex<Vec<String>>,
    logins: Mutex<Vec<Login>>,
}

/// A server that logs clients in, answers every query with the credential's number and a filler, and notes how logins
/// ended.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    async fn start(tls: ListenerTls) -> Self {
        Self::with(tls, Native::Accepted, MARIADB).await
    }

    async fn with(tls: ListenerTls, native: Native, capabilities: Capabilities) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            security: Security::load(&tls).unwrap(),
            users: Users::default(),
            throttle: Throttle::new(),
            keyring: Keyring::default(),
            native,
            capabilities,
            ends: Mutex::default(),
            logins: Mutex::default(),
        });
        let server = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                tokio::spawn(connection(socket, peer, Arc::clone(&shared)));
            }
        });
        server
    }

    /// The mariadb client as `ann` with `pw`, or as `options` say; it reads no configuration.
    async fn mariadb(&self, options: &[&str]) -> Output {
        let port = format!("--port={}", self.address.port());
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port, "--user=ann", "--password=pw"]);
        command.args(options).args(["--batch", "--skip-column-names", "--execute=SELECT 1"]);
        tokio::task::spawn_blocking(move || command.output().expect("mariadb runs")).await.unwrap()
    }

    async fn works(&self, options: &[&str]) -> String {
        let done = self.mariadb(options).await;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && err.is_empty(), "{options:?}: {err}");
        out.split('\t').next().unwrap().to_owned()
    }

    async fn fails(&self, options: &[&str]) -> String {
        let done = self.mariadb(options).await;
        assert!(!done.status.success(), "{options:?}");
        String::from_utf8(done.stderr).unwrap()
    }

    fn last(&self) -> Login {
        self.shared.logins.lock().unwrap().last().unwrap().clone()
    }
}

/// One connection, over all its logins.
async fn connection(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let clock = Clock::system();
    let timeout = Duration::from_secs(3);
    let door = Doorway {
        security: &shared.security,
        lookup: &shared.users,
        throttle: &shared.throttle,
        clock: &clock,
        timeout,
    };
    let desk = Desk { keyring: &shared.keyring, native: shared.native };
    let listener = Listener { tls: offer(&shared.security), compression: Compression::Offered };
    let welcome = Welcome {
        connection: 17,
        version: Arc::from("10.11.6-test"),
        capabilities: announced(shared.capabilities, listener),
        collation: 45,
    };
    let mut entered = login(socket, peer.ip(), &welcome, &door, desk).await;
    loop {
        match entered {
            Ok(logged_in) => {
                shared.logins.lock().unwrap().push(logged_in.login.clone());
                let startup = logged_in.login.startup.clone();
                let Some((client, leftover)) = serve(logged_in).await else { return };
                entered = relogin(client, leftover, peer.ip(), &startup, &door, desk).await;
            }
            Err(end) => {
                let end = match end {
                    LoginEnd::Refused { user, error, .. } => format!("{}: {error}", user.unwrap_or_default()),
                    end => end.to_string(),
                };
                return shared.ends.lock().unwrap().push(end);
            }
        }
    }
}

/// Serves until the client goes, or wants to be somebody else.
async fn serve(logged_in: LoggedIn) -> Option<(hallpass::net::stream::Stream, Vec<u8>)> {
    let LoggedIn { login, mut stream, leftover: mut input, mut sequence } = logged_in;
    let held = login.startup.capabilities;
    let mut out = Vec::new();
    let ok = encode::Ok { status: Status::AUTOCOMMIT, ..encode::Ok::default() };
    encode::ok(&mut out, &mut sequence, ok, held);
    stream.write_all(&out).await.unwrap();
    stream.flush().await.unwrap();
    let compression = held.compression(login.startup.zstd_level).filter(|_| !stream.is_compressed());
    if let Some(algorithm) = compression {
        stream = stream.compressed(std::mem::take(&mut input), algorithm);
    }
    let order = if stream.is_compressed() { Order::Loose } else { Order::Checked };
    loop {
        let mut sequence = Sequence::start(order);
        let Some(found) = message(&input, &mut sequence, MAX_MESSAGE).unwrap() else {
            if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
                return None;
            }
            continue;
        };
        let (command, length) = (found.payload[0], found.raw.len());
        out.clear();
        match command {
            1 => return None,
            3 => {
                let column = |name, kind| OwnColumn { schema: "", table: "", name, kind };
                let columns = [column("key", Kind::Integer), column("filler", Kind::Text)];
                resultset::begin(&mut out, &mut sequence, &columns, Status::AUTOCOMMIT, held);
                let filler = "filler ".repeat(20_000);
                let values = [OwnValue::Integer(login.credential), OwnValue::Text(&filler)];
                resultset::row(&mut out, &mut sequence, &values, RowFormat::Text);
                encode::end(&mut out, &mut sequence, Status::AUTOCOMMIT, 0, held);
            }
            17 => return Some((stream, input)),
            _ => encode::ok(&mut out, &mut sequence, ok, held),
        }
        input.drain(..length);
        stream.write_all(&out).await.unwrap();
        stream.flush().await.unwrap();
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
async fn the_mariadb_client_logs_in_in_plain_text() {
    let server = Server::start(ListenerTls::Off).await;
    // The first login is a full one, by RSA; the second one fast.
    for options in [&["--skip-ssl"][..], &["--skip-ssl"], &[]] {
        assert_eq!(server.works(options).await, "1");
    }
    assert!(server.shared.users.0.lock().unwrap().contains_key(&1), "the fast hash is remembered");
    // Without the option it would have liked TLS, and sends the password as it is: from this machine that is taken.
    server.shared.users.0.lock().unwrap().clear();
    assert_eq!(server.works(&[]).await, "1");
    assert_eq!(server.works(&["--password=hp_token"]).await, "2");
    assert_eq!(server.works(&["--default-auth=mysql_native_password"]).await, "1");
    assert_eq!(server.works(&["--default-auth=mysql_native_password", "--password=hp_token"]).await, "2");
    server.works(&["--database=shop", "--default-character-set=latin1"]).await;
    let login = server.last();
    assert_eq!(login.startup.database.as_deref(), Some("shop"));
    assert_eq!((login.startup.collation, login.startup.application()), (8, Some("mysql")));
    assert_eq!(login.principal.groups, ["oncall".into()]);
    server.works(&["--default-character-set=utf8mb4"]).await;
    assert_eq!((server.last().startup.collation, server.last().startup.database), (45, None));
    let refused = server.fails(&["--default-character-set=gbk"]).await;
    assert!(refused.contains("ERROR 1115 (42000)") && refused.contains("utf8mb4"), "{refused}");
    let refused = server.fails(&["--ssl-verify-server-cert"]).await;
    assert!(refused.contains("server does not support"), "{refused}");
}

#[tokio::test]
async fn failures_of_users_sound_the_same() {
    let server = Server::start(ListenerTls::Off).await;
    for plugin in ["caching_sha2_password", "mysql_native_password"] {
        let plugin = format!("--default-auth={plugin}");
        let told = |user: &'static str, password: &'static str| {
            let (server, plugin) = (&server, plugin.as_str());
            async move {
                let (user_option, password) = (format!("--user={user}"), format!("--password={password}"));
                server.fails(&[plugin, &user_option, &password]).await.replace(user, "USER")
            }
        };
        let wrong = told("ann", "no").await;
        assert_eq!(wrong, "ERROR 1045 (28000): Access denied for user 'USER' (using password: YES)\n");
        for (user, password) in [("bob", "pw"), ("zoe", "pw"), ("eve", "pw"), ("zoe", "hp_token")] {
            assert_eq!(told(user, password).await, wrong, "{user} {plugin}");
        }
        assert!(told("ann", "").await.contains("(using password: NO)"));
        // The throttle has heard enough.
        server.shared.throttle.succeeded("127.0.0.1".parse().unwrap());
    }
    assert_eq!(server.shared.ends.lock().unwrap()[0], "ann: authentication failed for user `ann`");
}

#[tokio::test]
async fn without_native_hashes_clients_switch_or_are_told() {
    let server = Server::with(ListenerTls::Off, Native::TokensOnly, MARIADB).await;
    let native = "--default-auth=mysql_native_password";
    assert_eq!(server.works(&[native, "--user=old"]).await, "1", "it switches to caching_sha2_password");
    let mut client = Raw::connect(&server).await;
    let answer = native_answer(b"hp_token", &client.scramble);
    client.respond(OLD, "old", &answer, None).await;
    assert_eq!(client.read().await[0], 0, "a token has such a hash");
    for user in ["old", "bob"] {
        let mut client = Raw::connect(&server).await;
        let answer = native_answer(b"pw", &client.scramble);
        client.respond(OLD, user, &answer, None).await;
        let told = client.read().await;
        let told = ErrPacket::decode(&told).unwrap();
        assert_eq!((told.code, &told.sqlstate), (1251, b"08004"));
        assert!(String::from_utf8_lossy(told.message).contains("caching_sha2_password, or a token"));
    }
}

#[tokio::test]
async fn the_mariadb_client_logs_in_under_tls() {
    let (ours, other) = (Authority::new(), Authority::new());
    let own = ours.issue("127.0.0.1", "server");
    let server = Server::start(ListenerTls::Prefer(identity(&own, None))).await;
    let (ca, wrong) = (format!("--ssl-ca={}", ours.path().display()), format!("--ssl-ca={}", other.path().display()));
    server.works(&["--skip-ssl"]).await;
    for options in [&["--ssl"][..], &["--ssl", "--tls-version=TLSv1.2"], &["--ssl-verify-server-cert", &ca]] {
        server.shared.users.0.lock().unwrap().clear();
        for _ in 0..2 {
            assert_eq!(server.works(options).await, "1");
        }
    }
    server.works(&["--ssl", "--default-auth=mysql_clear_password"]).await;
    let refused = server.fails(&["--ssl-verify-server-cert", &wrong]).await;
    assert!(refused.contains("certificate"), "{refused}");

    let server = Server::start(ListenerTls::Require(identity(&own, None))).await;
    server.works(&["--ssl"]).await;
    let refused = server.fails(&["--skip-ssl"]).await;
    assert!(refused.contains("ERROR 3159 (HY000)") && refused.contains("--ssl-mode=REQUIRED"), "{refused}");
}

#[tokio::test]
async fn client_certificates_must_name_the_user() {
    let ours = Authority::new();
    let own = ours.issue("127.0.0.1", "server");
    let server = Server::start(ListenerTls::Require(identity(&own, Some(&ours)))).await;
    let with = |identity: &Identity| {
        [format!("--ssl-cert={}", identity.certificate.display()), format!("--ssl-key={}", identity.key.display())]
    };
    let [certificate, key] = with(&ours.issue("ann.example", "ann"));
    server.works(&[&certificate, &key]).await;
    let [certificate, key] = with(&ours.issue("bob.example", "bob"));
    let others = server.fails(&[&certificate, &key]).await;
    assert!(others.contains("Access denied for user 'ann'"), "{others}");
    let none = server.fails(&["--ssl"]).await;
    assert!(none.contains("valid client certificate"), "{none}");
}

#[tokio::test]
async fn the_mariadb_client_compresses() {
    let ours = Authority::new();
    let own = ours.issue("127.0.0.1", "server");
    for capabilities in [MARIADB, MYSQL] {
        let tls = ListenerTls::Prefer(identity(&own, None));
        let server = Server::with(tls, Native::Accepted, capabilities).await;
        for tls in ["--skip-ssl", "--ssl"] {
            assert_eq!(server.works(&["--compress", tls]).await, "1");
            assert!(server.last().startup.capabilities.has(Capabilities::COMPRESS));
        }
    }
}

/// Flags of a client of today, and of one without plugins.
const NEW: Capabilities = Capabilities(
    Capabilities::LOGIN.0 - Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CLIENT_MYSQL.0
        | Capabilities::DEPRECATE_EOF.0,
);
const OLD: Capabilities =
    Capabilities(Capabilities::PROTOCOL_41.0 | Capabilities::SECURE_CONNECTION.0 | Capabilities::CLIENT_MYSQL.0);

/// A client that says what the test says.
struct Raw {
    socket: TcpStream,
    scramble: Scramble,
    sequence: Sequence,
    input: Vec<u8>,
}

impl Raw {
    async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (sequence, input) = (Sequence::start(Order::Checked), Vec::new());
        let mut this = Self { socket, scramble: Scramble::new([1; 20]), sequence, input };
        let greeting = Greeting::decode(&this.read().await).unwrap();
        assert_eq!((greeting.connection, greeting.status), (17, 2));
        this.scramble = greeting.scramble;
        this
    }

    /// The next packet's payload; empty at the end.
    async fn read(&mut self) -> Vec<u8> {
        loop {
            if let Some(found) = message(&self.input, &mut self.sequence, MAX_MESSAGE).unwrap() {
                let (payload, length) = (found.payload.to_vec(), found.raw.len());
                self.input.drain(..length);
                return payload;
            }
            if self.socket.read_buf(&mut self.input).await.unwrap() == 0 {
                return Vec::new();
            }
        }
    }

    async fn send(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        put_message(&mut out, &mut self.sequence, payload);
        self.socket.write_all(&out).await.unwrap();
    }

    async fn respond(&mut self, flags: Capabilities, user: &str, auth: &[u8], plugin: Option<&str>) {
        let mut payload = flags.basic().to_le_bytes().to_vec();
        payload.extend_from_slice(&[0, 0, 0, 1, 45]);
        payload.extend_from_slice(&[0; 23]);
        payload.extend_from_slice(user.as_bytes());
        payload.extend_from_slice(&[0, auth.len() as u8]);
        payload.extend_from_slice(auth);
        if let Some(plugin) = plugin {
            payload.extend_from_slice(plugin.as_bytes());
            payload.push(0);
        }
        self.send(&payload).await;
    }

    /// COM_CHANGE_USER; the payload of what comes back.
    async fn change_user(&mut self, user: &str, database: &str, plugin: &str) -> Vec<u8> {
        self.sequence = Sequence::start(Order::Checked);
        let mut payload = vec![17];
        payload.extend_from_slice(user.as_bytes());
        payload.extend_from_slice(b"\0\0");
        payload.extend_from_slice(database.as_bytes());
        payload.extend_from_slice(b"\0\x08\0");
        payload.extend_from_slice(plugin.as_bytes());
        payload.extend_from_slice(b"\0\x12\x0cprogram_name\x04test");
        self.send(&payload).await;
        self.read().await
    }
}

#[tokio::test]
async fn a_client_becomes_somebody_else_on_its_connection() {
    let server = Server::with(ListenerTls::Off, Native::Accepted, MYSQL).await;
    let mut client = Raw::connect(&server).await;
    let answer = sha2_answer(b"hp_token", &client.scramble);
    client.respond(NEW, "ann", &answer, Some("caching_sha2_password")).await;
    assert_eq!(client.read().await, [1, 3], "fast");
    assert_eq!(client.read().await[0], 0, "OK");
    for (plugin, id) in [("caching_sha2_password", 2), ("mysql_native_password", 2)] {
        let asked = client.change_user("old", "shop", plugin).await;
        assert!(asked.starts_with(&[&[0xfe], plugin.as_bytes(), &[0]].concat()), "{asked:?}");
        let fresh: [u8; 20] = asked[plugin.len() + 2..][..20].try_into().unwrap();
        let fresh = Scramble::received(fresh);
        assert_ne!(fresh, client.scramble);
        if plugin == "caching_sha2_password" {
            client.send(&sha2_answer(b"hp_token", &fresh)).await;
            assert_eq!(client.read().await, [1, 3]);
        } else {
            client.send(&native_answer(b"hp_token", &fresh)).await;
        }
        assert_eq!(client.read().await[0], 0);
        assert_eq!(client.sequence.next(), if id == 2 && plugin == "caching_sha2_password" { 5 } else { 4 });
        let login = server.last();
        assert_eq!((login.principal.user.as_str(), login.credential), ("old", id));
        assert_eq!((login.startup.collation, login.startup.database.as_deref()), (8, Some("shop")));
        assert_eq!(login.startup.application(), Some("test"));
    }
    // A wrong password ends the connection, as on both servers.
    client.change_user("ann", "", "mysql_native_password").await;
    client.send(&[3; 20]).await;
    let told = client.read().await;
    assert_eq!(ErrPacket::decode(&told).unwrap().code, 1045);
    assert!(client.read().await.is_empty());
}

#[tokio::test]
async fn raw_bytes_get_what_servers_say() {
    let ours = Authority::new();
    let own = ours.issue("127.0.0.1", "server");
    let server = Server::start(ListenerTls::Prefer(identity(&own, None))).await;
    let request = {
        let mut payload = (NEW | Capabilities::SSL).basic().to_le_bytes().to_vec();
        payload.extend_from_slice(&[0; 28]);
        payload
    };
    // Behind an SSLRequest nothing in plain text is believed: it is no TLS record.
    let mut client = Raw::connect(&server).await;
    let answer = sha2_answer(b"hp_token", &client.scramble);
    client.send(&request).await;
    client.respond(NEW, "ann", &answer, Some("caching_sha2_password")).await;
    let mut rest = Vec::new();
    let _ = client.socket.read_to_end(&mut rest).await;
    assert!(!rest.windows(2).any(|pair| pair == [1, 3]), "{rest:?}");
    assert!(server.shared.logins.lock().unwrap().is_empty());
    // Packets out of order, no protocol 4.1, a huge packet, a password in plain text, a name that is too long.
    let told = |client: &mut Raw| client.sequence = Sequence::at(2, Order::Checked);
    let mut client = Raw::connect(&server).await;
    client.sequence = Sequence::at(3, Order::Checked);
    client.respond(NEW, "ann", &answer, Some("caching_sha2_password")).await;
    assert_eq!(ErrPacket::decode(&client.read().await).unwrap().code, 1047);
    for bytes in [&[4, 0, 0, 1, 0, 0, 0, 0][..], &[0xff, 0xff, 0x10, 1]] {
        let mut client = Raw::connect(&server).await;
        client.socket.write_all(bytes).await.unwrap();
        told(&mut client);
        assert_eq!(ErrPacket::decode(&client.read().await).unwrap().code, 1047);
    }
    let mut client = Raw::connect(&server).await;
    client.respond(NEW, "ann", b"pw\0", Some("mysql_clear_password")).await;
    let answer = client.read().await;
    let refused = ErrPacket::decode(&answer).unwrap();
    assert!(String::from_utf8_lossy(refused.message).contains("without TLS"));
    let mut client = Raw::connect(&server).await;
    client.respond(NEW, &"a".repeat(257), b"", Some("caching_sha2_password")).await;
    assert_eq!(ErrPacket::decode(&client.read().await).unwrap().code, 1047);
    // Who says nothing is not waited for.
    let started = Instant::now();
    assert!(Raw::connect(&server).await.read().await.is_empty());
    assert!(started.elapsed() < Duration::from_secs(6));
    assert!(server.shared.ends.lock().unwrap().iter().any(|end| end == "the login took too long"));
}

#[tokio::test]
async fn who_is_not_even_greeted_is_told_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = format!("--port={}", listener.local_addr().unwrap().port());
    let client = tokio::task::spawn_blocking(move || {
        Command::new("mariadb").args(["--no-defaults", "--host=127.0.0.1", &port]).output().unwrap()
    });
    let (socket, _) = listener.accept().await.unwrap();
    let error = ClientError::UpstreamUnavailable { target: "shop".into(), reason: "connection refused".into() };
    turn_away(socket, &error).await;
    let told = String::from_utf8(client.await.unwrap().stderr).unwrap();
    assert!(told.contains("1105") && told.contains("database `shop` is not available; connection refused"), "{told}");
}

#[tokio::test]
async fn guessing_becomes_slow() {
    let server = Server::start(ListenerTls::Off).await;
    let started = Instant::now();
    for _ in 0..7 {
        server.fails(&["--password=guess"]).await;
    }
    // Five are free, the sixth costs 200 ms, the seventh 400 ms; a right password waits as long as a wrong one.
    assert!(started.elapsed() > Duration::from_millis(600));
    let started = Instant::now();
    server.works(&[]).await;
    assert!(started.elapsed() > Duration::from_millis(700));
}
