//! Who gets in, and what those hear who do not: the same words for every reason.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Failure, Kind, Protocol, Refused},
    proxy::PASSWORD,
    shop::{PostgresShop, Shop},
    wire::postgres,
};

both!(
    every_failure_has_the_same_words,
    a_disabled_user_comes_back_when_enabled_and_not_when_removed,
    a_contractor_expires,
    a_new_password_replaces_the_old_one,
    a_token_is_a_password,
    a_failed_login_is_recorded,
    an_unknown_target_is_refused_after_the_password,
    the_password_shows_nowhere_in_the_log,
);

#[track_caller]
fn error<C: std::fmt::Debug>(refused: Result<C, Refused>, kind: Kind) -> Failure {
    let failure = refused.expect_err("the login must fail").expect("an error is sent");
    assert!(failure.is(kind), "{kind:?} is expected: {failure:?}");
    *failure
}

fn every_failure_has_the_same_words<P: Protocol>() {
    let shop = Shop::<P>::new("login");
    let proxy = &shop.proxy;
    proxy.user("carol", &[]);
    proxy.cli(&["user", "disable", "carol"]).ok();
    let try_as = |user: &str, password: &str| {
        let mut error = error(shop.log_in(user, password, "shop"), Kind::LoginFailed);
        error.message = error.message.replace(user, "USER");
        error
    };
    let wrong = try_as("alice", "not her password");
    assert_eq!(wrong.severity, P::pick("FATAL", ""));
    assert_eq!(try_as("nobody", PASSWORD), wrong, "an unknown user");
    assert_eq!(try_as("carol", PASSWORD), wrong, "a disabled user");
    let mut empty = try_as("alice", "");
    // MySQL's own words tell whether a password came at all.
    empty.message = empty.message.replace("using password: NO", "using password: YES");
    assert_eq!(empty, wrong, "an empty password");
}

fn a_disabled_user_comes_back_when_enabled_and_not_when_removed<P: Protocol>() {
    let shop = Shop::<P>::new("enable");
    shop.proxy.cli(&["user", "disable", "alice"]).ok();
    error(shop.log_in("alice", PASSWORD, "shop"), Kind::LoginFailed);
    shop.proxy.cli(&["user", "enable", "alice"]).ok();
    assert_eq!(shop.alice().query("SELECT 1").value(), "1");
    shop.proxy.cli(&["user", "remove", "alice"]).ok();
    error(shop.log_in("alice", PASSWORD, "shop"), Kind::LoginFailed);
}

fn a_contractor_expires<P: Protocol>() {
    let shop = Shop::<P>::new("contractor");
    let add = ["user", "add", "dora", "--password-stdin", "--expires", "12s"];
    shop.proxy.cli_with_input(&add, &format!("{PASSWORD}\n")).ok();
    let mut dora = shop.connect("dora");
    assert_eq!(dora.query("SELECT 1").ok().value(), "1");
    shop.proxy.audit().wait("when the account ends", |events| {
        let added = |reason: &str| reason.contains("user dora added") && reason.contains("expires 20");
        events.iter().any(|event| event.reason.as_deref().is_some_and(added)).then_some(())
    });
    wait_for("the account has ended", Duration::from_secs(60), || {
        let users = shop.proxy.cli(&["user", "list"]).ok();
        users.lines().any(|line| line.starts_with("dora") && line.contains("expired")).then_some(())
    });
    error(shop.log_in("dora", PASSWORD, "shop"), Kind::LoginFailed);
    let answer = dora.query("SELECT 1");
    assert!(!answer.errors.is_empty() || answer.closed, "an expired user's session ends: {answer:?}");
}

fn a_new_password_replaces_the_old_one<P: Protocol>() {
    let shop = Shop::<P>::new("passwd");
    shop.proxy.cli_with_input(&["user", "passwd", "alice", "--password-stdin"], "another one\n").ok();
    error(shop.log_in("alice", PASSWORD, "shop"), Kind::LoginFailed);
    let mut alice = shop.log_in("alice", "another one", "shop").expect("the new password");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn a_token_is_a_password<P: Protocol>() {
    let shop = Shop::<P>::new("token");
    let printed = shop.proxy.json(&["user", "token", "alice"]);
    let token = printed["token"].as_str().expect("the token is printed once");
    assert_eq!(shop.log_in("alice", token, "shop").expect("the token").query("SELECT 1").value(), "1");
    assert_eq!(shop.alice().query("SELECT 1").value(), "1", "the password is still good");
}

fn a_failed_login_is_recorded<P: Protocol>() {
    let shop = Shop::<P>::new("login_audit");
    error(shop.log_in("alice", "wrong", "shop"), Kind::LoginFailed);
    shop.proxy.audit().wait("the failed login", |events| {
        events.iter().find(|event| event.kind == "login_failed" && event.user.as_deref() == Some("alice")).cloned()
    });
}

fn an_unknown_target_is_refused_after_the_password<P: Protocol>() {
    let shop = Shop::<P>::new("target");
    error(shop.log_in("alice", PASSWORD, "no_such_target"), Kind::NoTarget);
    // Targets are not told to strangers.
    error(shop.log_in("alice", "wrong", "no_such_target"), Kind::LoginFailed);
}

#[test]
fn a_refused_login_is_fatal_in_postgres() {
    let shop = PostgresShop::new("fatal");
    for (user, target) in [("nobody", "shop"), ("alice", "no_such_target")] {
        let refused = postgres::Client::connect(&shop.proxy.startup(user, target)).expect_err("no login");
        assert_eq!(refused.error.expect("an error is sent").get('S'), "FATAL");
    }
}

fn the_password_shows_nowhere_in_the_log<P: Protocol>() {
    let shop = Shop::<P>::new("secrets");
    shop.alice().query("SELECT 1").ok();
    let log = shop.proxy.log();
    assert!(!log.contains(PASSWORD) && !log.contains("app-secret"), "{log}");
}
