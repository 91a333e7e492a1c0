//! LOAD DATA: only with LOCAL, only under `copy_in`, and the bytes are the client's.

use std::collections::BTreeMap;

use hallpass_tests::{
    shop::MySqlShop,
    wire::mysql::{Client, Rows, packet},
};

const LOAD: &str = "LOAD DATA LOCAL INFILE 'given' INTO TABLE shop.orders (id, note)";

fn with_file(mut client: Client, content: &[u8]) -> Client {
    client.files = BTreeMap::from([("given".to_owned(), content.to_vec())]);
    client
}

#[test]
fn a_file_comes_from_the_client() {
    let shop = MySqlShop::new("load");
    let mut alice = with_file(shop.alice_as("exporter"), b"901\tfirst\n902\tsecond\n");
    let reply = alice.query(LOAD).ok();
    assert_eq!((reply.files.as_slice(), reply.affected()), (&["given".to_owned()][..], vec![2]));
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 902"), "second");
    alice.files.insert("given".to_owned(), Vec::new());
    assert_eq!(alice.query(LOAD).ok().affected(), [0], "an empty file");
    assert_eq!(alice.query("SELECT 1").value(), "1");
    let (attempt, outcome) = shop.proxy.audit().wait_for_outcome(LOAD);
    assert_eq!((attempt.decision.as_deref(), outcome.error_code), (Some("allow"), None));
}

#[test]
fn an_error_in_mid_file_is_the_servers() {
    let shop = MySqlShop::new("load_error");
    let mut alice = with_file(shop.alice_as("exporter"), b"911\tfirst\n1\n912\tsecond\n");
    let load = LOAD.replace("INTO TABLE", "REPLACE INTO TABLE");
    let unknown = LOAD.replace("note)", "nothing)");
    assert_eq!(alice.query(&unknown).error().code, 1054);
    drop(alice.query(&load));
    let strict = "LOAD DATA LOCAL INFILE 'given' INTO TABLE shop.orders (id, total)";
    alice.files.insert("given".to_owned(), b"x\ty\n".repeat(20_000));
    let reply = alice.query(strict);
    assert!(reply.errors.len() + reply.done.len() == 1, "{reply:?}");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn a_file_over_16_megabytes_in_packets_of_any_size() {
    let shop = MySqlShop::after("CREATE TABLE shop.lines (id int, filler varchar(2000))", "load_long", |_| {});
    let mut alice = shop.alice_as("exporter");
    let line = format!("1\t{}\n", "x".repeat(1000));
    let content = line.repeat(17_500).into_bytes();
    assert!(content.len() > packet::LONGEST);
    let load = "LOAD DATA LOCAL INFILE 'given' INTO TABLE shop.lines";
    alice.files.insert("given".to_owned(), content.clone());
    assert_eq!(alice.query(load).ok().affected(), [17_500]);
    // One payload of exactly the longest packet's length: the empty packet behind it is not the end.
    alice.start(load.as_bytes());
    assert_eq!(alice.next(std::time::Duration::from_secs(30)).expect("it asks")[0], 0xFB);
    alice.send_payloads(&[&content[..packet::LONGEST], &content[packet::LONGEST..], &[]]);
    assert_eq!(alice.reply(Rows::Text).ok().affected(), [17_500]);
    assert_eq!(alice.query("SELECT count(*) FROM shop.lines").value(), "35000");
}

#[test]
fn a_client_that_leaves_in_mid_file_leaves_nothing() {
    let shop = MySqlShop::new("load_gone");
    let mut alice = shop.alice_as("exporter");
    alice.start(LOAD.as_bytes());
    assert_eq!(alice.next(std::time::Duration::from_secs(30)).expect("it asks")[0], 0xFB);
    alice.send_payload(b"921\thalf\n922\tha");
    drop(alice);
    hallpass_tests::process::wait_for("the server's session ends", std::time::Duration::from_secs(30), || {
        (!shop.database.is_running("LOAD DATA")).then_some(())
    });
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE id > 900"), "0");
}

#[test]
fn a_denied_one_asks_for_no_file() {
    let shop = MySqlShop::new("load_denied");
    let mut alice = with_file(shop.alice_as("reader"), b"931\tx\n");
    shop.database.log_statements();
    let reply = alice.query(LOAD);
    assert_eq!((reply.shape.as_str(), reply.error().code), ("E", 1142));
    let reply = alice.query(&format!("SELECT 1; {LOAD}"));
    assert_eq!((reply.shape.as_str(), reply.files.len()), ("E", 0));
    assert!(alice.prepare(LOAD).is_err());
    shop.grant("exporter");
    for sql in [
        "LOAD DATA INFILE '/etc/hostname' INTO TABLE shop.orders (note)",
        "LOAD DATA LOCAL INFILE 'given' INTO TABLE mysql.user",
        "LOAD XML INFILE '/etc/hostname' INTO TABLE shop.orders",
        "SELECT id FROM shop.orders INTO OUTFILE '/tmp/hallpass-must-not-be'",
        "SELECT id INTO OUTFILE '/tmp/hallpass-must-not-be' FROM shop.orders",
        "SELECT 'x' INTO DUMPFILE '/tmp/hallpass-must-not-be'",
        "SELECT LOAD_FILE('/etc/hostname')",
        "INSERT INTO shop.orders (id, note) SELECT 999, LOAD_FILE('/etc/hostname')",
    ] {
        let reply = alice.query(sql);
        assert_eq!((reply.shape.as_str(), reply.errors.len()), ("E", 1), "{sql}");
    }
    let log = shop.database.statement_log();
    assert!(log.iter().all(|text| !text.contains("FILE")), "{log:?}");
    assert_eq!(alice.query(LOAD).ok().affected(), [1]);
}

#[test]
fn a_revoked_grant_stops_it() {
    let shop = MySqlShop::new("load_revoked");
    let grant = shop.grant("exporter");
    let mut alice = shop.alice();
    alice.start(LOAD.as_bytes());
    assert_eq!(alice.next(std::time::Duration::from_secs(30)).expect("it asks")[0], 0xFB);
    alice.send_payload(b"941\tearly\n");
    shop.proxy.revoke(grant);
    std::thread::sleep(std::time::Duration::from_millis(500));
    for id in 942..960 {
        alice.send_payload(format!("{id}\tlate\n").as_bytes());
    }
    alice.send_payload(&[]);
    let reply = alice.reply(Rows::Text);
    assert_eq!(reply.errors.len(), 1, "{reply:?}");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE id > 941"), "0");
    assert!(alice.query("SELECT note FROM shop.orders").errors.len() == 1);
}
