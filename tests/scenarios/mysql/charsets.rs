//! Character sets of clients: followed where the gate can read them, refused in clear words where not; masks hold in each.

use hallpass_tests::{mysql::clients, wire::mysql::Client};

use super::clients::shop;

#[test]
fn mysql_clients_of_other_character_sets_are_understood() {
    let shop = shop("charsets");
    // latin1: an umlaut in a literal, in an alias, and in a result.
    let mut latin1 = shop.alice_login();
    latin1.charset = 8;
    let mut client = Client::connect(&latin1).expect("latin1 is followed");
    let reply = client.query_bytes(b"SELECT note AS gr\xfcn FROM shop.t WHERE name = '\xfcber'").ok();
    assert_eq!((reply.value().as_str(), reply.rows.len()), ("eins", 1));
    assert!(client.received_after_login().windows(4).any(|part| part == b"gr\xfcn"));
    let text = client
        .query_bytes(b"SELECT HEX(t.name), email FROM shop.t, shop.customers WHERE t.id = 1 AND customers.id = 1");
    assert_eq!(text.ok().rows[0], [Some("C3BC626572".to_owned()), Some("m****@****.test".to_owned())]);
    // The audit has it in UTF-8.
    shop.proxy.audit().wait_for("attempt", "SELECT note AS grün FROM shop.t WHERE name = 'über'");
    for (set, ask) in [
        ("utf8mb3", "SELECT note FROM t WHERE name = 'über'"),
        ("binary", "SELECT note FROM t WHERE name = 'über'"),
        ("ascii", "SELECT note FROM t WHERE id = 1"),
    ] {
        let told = clients::mariadb_run(
            &shop.alice_login(),
            &[&format!("--default-character-set={set}"), "-N", "-e", ask],
            "",
        );
        assert_eq!(told.ok(), "eins\n", "{set}");
    }
}

#[test]
fn set_names_of_mysql_is_followed_in_mid_session() {
    let shop = shop("set_names");
    let mut client = Client::connect(&shop.alice_login()).expect("alice may connect");
    for (names, umlaut) in [
        ("latin1", &b"\xfc"[..]),
        ("utf8mb4", "ü".as_bytes()),
        ("latin1 COLLATE latin1_german2_ci", b"\xfc"),
        ("utf8mb3", "ü".as_bytes()),
    ] {
        client.query(&format!("SET NAMES {names}")).ok();
        let ask = [b"SELECT note FROM shop.t WHERE name = '", umlaut, b"ber'"].concat();
        assert_eq!(client.query_bytes(&ask).ok().value(), "eins", "{names}");
        let hidden = client.query("SELECT email FROM shop.customers WHERE id = 1").value();
        assert_eq!(hidden, "m****@****.test", "{names}");
    }
    client.query("SET NAMES utf8mb4").ok();
    for refused in [
        "SET NAMES gbk",
        "SET NAMES sjis",
        "SET CHARACTER SET gbk",
        "SET character_set_client = big5",
        "SET NAMES utf16",
    ] {
        let told = client.query(refused);
        let error = told.errors.first().expect("it is refused");
        assert!(error.code == 1115 && error.message.contains("is not supported"), "{refused}: {error:?}");
        assert_eq!(client.query("SELECT @@character_set_client").value(), "utf8mb4");
    }
}

#[test]
fn a_mysql_login_in_a_set_that_is_not_followed_is_refused() {
    let shop = shop("refused_sets");
    // gbk, sjis, big5, latin2.
    for collation in [28, 13, 1, 9] {
        let mut login = shop.alice_login();
        login.charset = collation;
        let error = Client::connect(&login).expect_err("it cannot be followed").error.expect("it is told why");
        assert!(error.message.contains("is not supported") && error.message.contains("utf8mb4"), "{error:?}");
    }
    let told = clients::mariadb_run(&shop.alice_login(), &["--default-character-set=gbk", "-e", "SELECT 1"], "");
    assert!(told.code != 0 && told.stderr.contains("is not supported"), "{told:?}");
}
