//! The harness itself, without a proxy: servers start and stop, every login works, the wire client and the other
//! clients do what scenarios rely on. When these fail, nothing else is worth reading.

use std::time::Duration;

use hallpass_tests::{
    postgres::{Auth, Options, Server},
    process::wait_for,
    protocol::Direct as _,
    psql::Psql,
    python,
    shop::POSTGRES_SCHEMA,
    tls::{self, Authority},
    wire::postgres::{Client, frame},
};

#[test]
fn a_server_ends_with_its_handle() {
    let server = Server::start(&Options::default());
    let (pid, port) = (server.process().pid(), server.port());
    assert!(server.process().alive() && server.process().peak_memory() > 0);
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!hallpass_tests::process::listens(port));
}

#[test]
fn every_login_of_the_wire_client_works() {
    for auth in [Auth::Trust, Auth::Password, Auth::Md5, Auth::Scram] {
        let server: &'static Server = Box::leak(Box::new(Server::start(&Options { auth, ..Options::default() })));
        let database = server.database("login");
        let mut client = Client::connect(&database.as_owner()).expect("the right password");
        assert_eq!(client.query("SELECT 1").value(), "1", "{auth:?}");
        let mut wrong = database.as_owner();
        wrong.password = "wrong".to_owned();
        let refused = Client::connect(&wrong).err().map(|refused| refused.error.expect("an error").code().to_owned());
        assert_eq!(refused.as_deref(), (auth != Auth::Trust).then_some("28P01"), "{auth:?}");
        server.process().signal("INT");
    }
}

#[test]
fn tls_servers_are_verified_by_psql() {
    let authority = Authority::new("root");
    let options = Options { tls: Some(authority.clone()), ..Options::default() };
    let server: &'static Server = Box::leak(Box::new(Server::start(&options)));
    let database = server.database("tls");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = tls::write(folder.path(), "ca.pem", authority.pem());
    let psql = Psql::new(&database.as_owner()).with("PGSSLMODE", "verify-full");
    let psql = psql.with("PGSSLROOTCERT", &root.display().to_string()).with("PGCHANNELBINDING", "require");
    assert_eq!(psql.sql("SELECT 1").ok().trim(), "1");
    database.psql(&["-c", "SELECT 1"], "").failed();
    server.process().signal("INT");
}

#[test]
fn the_statement_log_is_byte_for_byte() {
    let database = Server::shared().database("log");
    database.log_statements();
    let mut client = Client::connect(&database.as_owner()).expect("the owner may connect");
    let texts = ["SELECT 1 -- ü\n, 'it''s'", "  select 2 ; SELECT 3 "];
    for text in texts {
        client.query(text).ok();
    }
    client.extended("SELECT $1::text", &["x"], 0).ok();
    wait_for("the log is written", Duration::from_secs(30), || {
        let log = database.statement_log();
        let all = texts.into_iter().chain(["SELECT $1::text"]);
        all.into_iter().all(|text| log.iter().any(|logged| logged == text)).then_some(())
    });
}

#[test]
fn the_wire_client_speaks_both_protocols() {
    let database = Server::shared().database("wire");
    database.owner_sql(POSTGRES_SCHEMA);
    let mut client = Client::connect(&database.as_owner()).expect("the owner may connect");
    assert_eq!(client.query("SELECT count(*) FROM shop.customers").value(), "50");
    assert_eq!(client.extended("SELECT $1::int + 1", &["41"], 0).value(), "42");
    let mut frames = frame::parse("", b"SELECT id FROM shop.orders ORDER BY id", &[]);
    frames.extend([frame::bind("", "", &[], &[], 0), frame::execute("", 2), frame::sync()].concat());
    client.send(&frames);
    assert_eq!(client.reply().shape, "12DDsZ");
    client.send(
        &[frame::query(b"COPY shop.orders (id) FROM STDIN"), frame::copy_data(b"900\n"), frame::copy_done()].concat(),
    );
    assert_eq!(client.reply().tags, ["COPY 1"]);
    client.query("LISTEN x").ok();
    database.sql("NOTIFY x, 'payload'");
    assert_eq!(client.drain(Duration::from_millis(500)).notifications, [("x".to_owned(), "payload".to_owned())]);
    client.send(&frame::query(b"SELECT count(*) FROM generate_series(1, 3000000000)"));
    wait_for("it runs", Duration::from_secs(30), || database.is_running("generate_series").then_some(()));
    client.cancel(client.key_data());
    assert_eq!(client.reply().error().code(), "57014");
    client.terminate();
}

#[test]
fn psycopg_is_there() {
    let database = Server::shared().database("python");
    let script = "import psycopg\nwith psycopg.connect('') as c: print(c.execute('SELECT 1').fetchone())";
    assert_eq!(python::script(script, &database.as_owner()).ok().trim(), "(1,)");
}
