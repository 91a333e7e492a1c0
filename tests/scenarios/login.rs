//! Who gets in, and what those hear who do not: the same words for every reason.

use hallpass_tests::{
    proxy::PASSWORD,
    shop::PostgresShop as Shop,
    wire::postgres::{Client, Fields, Refused},
};

fn error(refused: Result<Client, Refused>) -> Fields {
    refused.expect_err("the login must fail").error.expect("an error is sent")
}

#[test]
fn every_failure_has_the_same_words() {
    let shop = Shop::new("login");
    let proxy = &shop.proxy;
    proxy.user("carol", &[]);
    proxy.cli(&["user", "disable", "carol"]).ok();
    let try_as = |user: &str, password: &str| {
        let mut startup = proxy.startup(user, "shop");
        password.clone_into(&mut startup.password);
        let error = error(Client::connect(&startup));
        (error.get('S').to_owned(), error.code().to_owned(), error.message().replace(user, "USER"))
    };
    let wrong = try_as("alice", "not her password");
    assert_eq!(wrong.0, "FATAL");
    assert_eq!(wrong.1, "28P01");
    assert_eq!(try_as("nobody", PASSWORD), wrong, "an unknown user");
    assert_eq!(try_as("carol", PASSWORD), wrong, "a disabled user");
    assert_eq!(try_as("alice", ""), wrong, "an empty password");
}

#[test]
fn a_disabled_user_comes_back_when_enabled_and_not_when_removed() {
    let shop = Shop::new("enable");
    shop.proxy.cli(&["user", "disable", "alice"]).ok();
    assert_eq!(error(shop.proxy.try_connect("alice", "shop")).code(), "28P01");
    shop.proxy.cli(&["user", "enable", "alice"]).ok();
    assert_eq!(shop.alice().query("SELECT 1").value(), "1");
    shop.proxy.cli(&["user", "remove", "alice"]).ok();
    assert_eq!(error(shop.proxy.try_connect("alice", "shop")).code(), "28P01");
}

#[test]
fn a_contractor_expires() {
    let shop = Shop::new("contractor");
    let add = ["user", "add", "dora", "--password-stdin", "--expires", "3s"];
    shop.proxy.cli_with_input(&add, &format!("{PASSWORD}\n")).ok();
    let mut dora = shop.proxy.connect("dora", "shop");
    assert_eq!(dora.query("SELECT 1").ok().value(), "1");
    std::thread::sleep(std::time::Duration::from_millis(3200));
    assert_eq!(error(shop.proxy.try_connect("dora", "shop")).code(), "28P01");
    let reply = dora.query("SELECT 1");
    assert!(!reply.errors.is_empty() || reply.status == '-', "an expired user's session ends: {reply:?}");
}

#[test]
fn a_new_password_replaces_the_old_one() {
    let shop = Shop::new("passwd");
    shop.proxy.cli_with_input(&["user", "passwd", "alice", "--password-stdin"], "another one\n").ok();
    assert_eq!(error(shop.proxy.try_connect("alice", "shop")).code(), "28P01");
    let mut startup = shop.alice_login();
    "another one".clone_into(&mut startup.password);
    assert_eq!(Client::connect(&startup).expect("the new password").query("SELECT 1").value(), "1");
}

#[test]
fn a_token_is_a_password() {
    let shop = Shop::new("token");
    let printed = shop.proxy.json(&["user", "token", "alice"]);
    let token = printed["token"].as_str().expect("the token is printed once");
    let mut startup = shop.alice_login();
    token.clone_into(&mut startup.password);
    assert_eq!(Client::connect(&startup).expect("the token").query("SELECT 1").value(), "1");
    assert_eq!(shop.alice().query("SELECT 1").value(), "1", "the password is still good");
}

#[test]
fn a_failed_login_is_recorded() {
    let shop = Shop::new("login_audit");
    let mut startup = shop.alice_login();
    "wrong".clone_into(&mut startup.password);
    error(Client::connect(&startup));
    shop.proxy.audit().wait("the failed login", |events| {
        events.iter().find(|event| event.kind == "login_failed" && event.user.as_deref() == Some("alice")).cloned()
    });
}

#[test]
fn an_unknown_target_is_refused_after_the_password() {
    let shop = Shop::new("target");
    let unknown = error(shop.proxy.try_connect("alice", "no_such_target"));
    assert_eq!((unknown.get('S'), unknown.code()), ("FATAL", "3D000"));
    let mut startup = shop.proxy.startup("alice", "no_such_target");
    "wrong".clone_into(&mut startup.password);
    assert_eq!(error(Client::connect(&startup)).code(), "28P01", "targets are not told to strangers");
}

#[test]
fn the_password_shows_nowhere_in_the_log() {
    let shop = Shop::new("secrets");
    shop.alice().query("SELECT 1").ok();
    let log = shop.proxy.log();
    assert!(!log.contains(PASSWORD) && !log.contains("app-secret"), "{log}");
}
