//! Startup parameters: what is passed on, what is refused, and what the client is told.

use hallpass_tests::{
    postgres::Server,
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

#[test]
fn harmless_parameters_reach_the_server() {
    let shop = Shop::new("params");
    let startup = shop
        .alice_login()
        .with("application_name", "my report")
        .with("TimeZone", "Asia/Tokyo")
        .with("extra_float_digits", "2")
        .with("options", "-c DateStyle=German -c statement_timeout=4s");
    let mut client = Client::connect(&startup).expect("harmless parameters");
    assert_eq!(client.query("SHOW application_name").value(), "my report");
    assert_eq!(client.query("SHOW timezone").value(), "Asia/Tokyo");
    assert_eq!(client.query("SHOW extra_float_digits").value(), "2");
    assert_eq!(client.query("SHOW datestyle").value(), "German, DMY");
    assert_eq!(client.query("SHOW statement_timeout").value(), "4s");
}

#[test]
fn replication_is_refused() {
    let shop = Shop::new("replication");
    for value in ["database", "true", "on", "1"] {
        let refused = Client::connect(&shop.alice_login().with("replication", value)).expect_err("no replication");
        let error = refused.error.expect("an error is sent");
        assert_eq!((error.get('S'), error.code()), ("FATAL", "0A000"), "replication={value}");
    }
}

#[test]
fn options_that_would_weaken_the_gate_are_refused() {
    let shop = Shop::new("options");
    let settings = ["role=postgres", "session_authorization=postgres", "default_transaction_read_only=off"];
    for setting in settings.iter().map(|setting| format!("-c {setting}")) {
        let refused = Client::connect(&shop.alice_login().with("options", &setting));
        let error = refused.expect_err(&setting).error.expect("an error is sent");
        assert_eq!(error.get('S'), "FATAL", "{setting}");
        assert!(!error.message().is_empty() && !error.hint().is_empty(), "{setting}: {error:?}");
    }
}

#[test]
fn parameter_status_is_the_servers() {
    let shop = Shop::new("status");
    let direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let through = shop.alice();
    for (name, value) in direct.parameters() {
        assert_eq!(through.parameters().get(name), Some(value), "{name}");
    }
    let major = Server::shared().major();
    assert!(through.parameters()["server_version"].starts_with(&major.to_string()));
}

#[test]
fn a_later_set_is_reported() {
    let shop = Shop::new("set");
    let mut client = shop.alice();
    client.query("SET application_name = 'later'").ok();
    assert_eq!(client.parameters()["application_name"], "later");
}

#[test]
fn newer_minor_versions_are_negotiated_once() {
    let shop = Shop::new("minor");
    let mut startup = shop.alice_login().with("_pq_.unknown", "1");
    startup.version = 0x0003_270F;
    let client = Client::connect(&startup).expect("the version is negotiated");
    let negotiations = tags(client.received()).iter().filter(|tag| **tag == b'v').count();
    assert_eq!(negotiations, 1);
}

#[test]
fn encryption_requests_get_one_byte() {
    let shop = Shop::new("requests");
    let mut client = Client::open(shop.proxy.port()).expect("the proxy listens");
    client.send(&frame::gss_request());
    assert_eq!(client.next_byte(), Ok(b'N'));
    client.send(&frame::ssl_request());
    assert_eq!(client.next_byte(), Ok(b'N'), "this listener has no TLS");
    client.log_in(&shop.alice_login()).expect("and goes on in plain text");
    assert_eq!(client.query("SELECT 1").value(), "1");
}

#[test]
fn nonsense_before_the_login_ends_the_connection() {
    let shop = Shop::new("nonsense");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 3], &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0], &[0; 64]] {
        let mut client = Client::open(shop.proxy.port()).expect("the proxy listens");
        client.send(bytes);
        client.drain(std::time::Duration::from_secs(5));
        assert!(client.is_closed(), "{bytes:?}");
    }
    assert_eq!(shop.alice().query("SELECT 1").value(), "1", "the proxy lives on");
}

fn tags(mut stream: &[u8]) -> Vec<u8> {
    let mut tags = Vec::new();
    while let [tag, a, b, c, d, ..] = stream {
        tags.push(*tag);
        stream = &stream[u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1..];
    }
    tags
}
