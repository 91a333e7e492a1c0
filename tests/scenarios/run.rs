//! `hallpass run`: a grant that lives as long as a command does, whatever ends it.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Kind, Protocol},
    shop::Shop,
    task::Task,
};
use serde_json::Value;

both!(
    a_command_runs_with_its_grant_and_ends_it,
    a_failed_command_fails_as_it_did,
    what_is_not_granted_runs_nothing,
    a_killed_holder_leaves_no_request,
    a_killed_holder_leaves_no_grant,
    a_signal_reaches_the_command,
    an_interrupt_cancels_the_request,
    a_restarted_proxy_finds_the_holder_again,
    a_holder_that_does_not_come_back_is_gone,
    a_revoked_grant_is_told_while_the_command_runs,
);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

/// A shell command that runs SQL with a real client, by nothing but the environment.
fn client<P: Protocol>(sql: &str) -> String {
    P::pick(
        format!("PGSSLMODE=disable psql -XAtq -v ON_ERROR_STOP=1 -c '{sql}'"),
        format!("mariadb --no-defaults --user=\"$MYSQL_USER\" -BN \"$MYSQL_DATABASE\" -e '{sql}'"),
    )
}

/// `hallpass run` of alice's with this shell script.
fn run<P: Protocol>(shop: &Shop<P>, token: &str, script: &str) -> Task {
    run_as(shop, token, "reader", &["sh", "-c", script])
}

fn run_as<P: Protocol>(shop: &Shop<P>, token: &str, role: &str, words: &[&str]) -> Task {
    let fixed = ["run", "--role", role, "--database", "shop", "--for", "15m", "--reason", "job 7", "--"];
    let words: Vec<&str> = fixed.iter().chain(words).copied().collect();
    let mut command = shop.proxy.command(&words);
    command.env("HALLPASS_TOKEN", token);
    Task::start(command)
}

/// The only request.
fn request<P: Protocol>(shop: &Shop<P>) -> Value {
    shop.proxy.json(&["requests"])[0].clone()
}

/// The only grant, ended or not.
fn grant<P: Protocol>(shop: &Shop<P>) -> Value {
    shop.proxy.json(&["grants", "--all"])[0].clone()
}

/// Approves the request when it is there.
fn approve<P: Protocol>(shop: &Shop<P>, task: &Task) {
    task.says("waits for group:security");
    shop.proxy.cli(&["approve", "1"]).ok();
}

fn is_over<P: Protocol>(shop: &Shop<P>, note: &str) {
    wait_for("the grant is over", Duration::from_secs(30), || (grant(shop)["state"] == "revoked").then_some(()));
    assert_eq!(grant(shop)["note"], note);
    shop.alice().query(READ).fails(Kind::Denied);
}

fn a_command_runs_with_its_grant_and_ends_it<P: Protocol>() {
    let shop = Shop::<P>::new("run");
    let token = shop.proxy.token("alice");
    let script = format!("echo \"$DATABASE_URL\"; {}", client::<P>(READ));
    let task = run(&shop, &token, &script);
    task.says("to approve it: hallpass approve 1");
    assert_eq!(task.out(), "");
    shop.proxy.cli(&["approve", "1"]).ok();
    let told = task.end();
    assert_eq!(told.code, 0, "{told:?}");
    let url = format!("{}://alice:{token}@127.0.0.1:{}/shop", P::NAME, shop.proxy.port_of("shop"));
    assert_eq!(told.stdout, format!("{url}\nnote 1\n"), "{told:?}");
    assert_eq!(grant(&shop)["state"], "revoked");
    is_over(&shop, "the command ended");
    assert_eq!(grant(&shop)["revoked_by"], "alice");
}

fn a_failed_command_fails_as_it_did<P: Protocol>() {
    let shop = Shop::<P>::new("run_fails");
    let token = shop.proxy.token("alice");
    let task = run(&shop, &token, "exit 3");
    approve(&shop, &task);
    assert_eq!(task.end().code, 3);
    is_over(&shop, "the command ended");

    let task = run(&shop, &token, "kill -TERM $$");
    task.says("waits for group:security");
    shop.proxy.cli(&["approve", "2"]).ok();
    assert_eq!(task.end().code, 128 + 15);

    let task = run_as(&shop, &token, "reader", &["/no/such"]);
    task.says("waits for group:security");
    shop.proxy.cli(&["approve", "3"]).ok();
    let told = task.end();
    assert_eq!(told.code, 127, "{told:?}");
    assert_eq!(grant(&shop)["state"], "revoked");
}

fn what_is_not_granted_runs_nothing<P: Protocol>() {
    let shop = Shop::<P>::new("run_rejected");
    let token = shop.proxy.token("alice");
    let task = run(&shop, &token, "echo ran");
    task.says("waits for");
    shop.proxy.cli(&["reject", "1", "--reason", "not today"]).ok();
    let told = task.end();
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
    assert!(told.stderr.contains("not today") && told.stderr.contains("rejected"), "{told:?}");

    shop.proxy.reconfigure(|settings| settings.server = "request_timeout = \"2s\"".to_owned());
    shop.proxy.signal("HUP");
    wait_for("it is reloaded", Duration::from_secs(30), || shop.proxy.log().contains("reloaded").then_some(()));
    let told = run(&shop, &token, "echo ran").end();
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
    assert!(told.stderr.contains("lapsed"), "{told:?}");

    // Nothing is asked for that cannot be had.
    let told = run_as(&shop, &token, "nobody", &["echo", "ran"]).end();
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
    assert!(told.stderr.contains("role `nobody`"), "{told:?}");
}

fn a_killed_holder_leaves_no_request<P: Protocol>() {
    let shop = Shop::<P>::new("run_killed_early");
    let task = run(&shop, &shop.proxy.token("alice"), "true");
    task.says("waits for");
    task.signal("KILL");
    wait_for("the request is cancelled", Duration::from_secs(30), || {
        (request(&shop)["state"] == "cancelled").then_some(())
    });
    assert_eq!(request(&shop)["note"], "its holder went away");
    shop.proxy.cli(&["approve", "1"]).failed();
}

fn a_killed_holder_leaves_no_grant<P: Protocol>() {
    let shop = Shop::<P>::new("run_killed");
    let task = run(&shop, &shop.proxy.token("alice"), "echo begun; exec sleep 60");
    approve(&shop, &task);
    task.prints("begun");
    assert_eq!(shop.alice().query(READ).ok().value(), "note 1");
    task.signal("KILL");
    is_over(&shop, "its holder went away");
}

fn a_signal_reaches_the_command<P: Protocol>() {
    let shop = Shop::<P>::new("run_signal");
    let token = shop.proxy.token("alice");
    for (number, signal) in [(1, "TERM"), (2, "INT")] {
        let script = format!("trap 'echo caught; exit 5' {signal}; echo begun; while :; do sleep 0.05; done");
        let task = run(&shop, &token, &script);
        task.says("waits for");
        shop.proxy.cli(&["approve", &number.to_string()]).ok();
        task.prints("begun");
        task.signal(signal);
        let told = task.end();
        assert_eq!((told.code, told.stdout.as_str()), (5, "begun\ncaught\n"), "{told:?}");
    }
}

fn an_interrupt_cancels_the_request<P: Protocol>() {
    let shop = Shop::<P>::new("run_interrupted");
    let task = run(&shop, &shop.proxy.token("alice"), "echo ran");
    task.says("waits for");
    task.signal("INT");
    let told = task.end();
    assert_eq!((told.code, told.stdout.as_str()), (130, ""), "{told:?}");
    assert_eq!(request(&shop)["state"], "cancelled");
}

fn a_restarted_proxy_finds_the_holder_again<P: Protocol>() {
    let shop = Shop::<P>::new("run_restart");
    let token = shop.proxy.token("alice");
    let waiting = run(&shop, &token, "true");
    waiting.says("request 1 waits for");
    let go = shop.proxy.path("go");
    let script = format!("echo begun; while [ ! -e {} ]; do sleep 0.05; done; {}", go.display(), client::<P>(READ));
    let task = run(&shop, &token, &script);
    task.says("request 2 waits for");
    shop.proxy.cli(&["approve", "2"]).ok();
    task.prints("begun");
    shop.proxy.kill_9();
    shop.proxy.serve();
    std::thread::sleep(Duration::from_secs(2));
    // In order, too: whoever stops the proxy does not end what is held.
    shop.proxy.stop();
    shop.proxy.serve();
    // Both come back by themselves; the one that waits hears of its approval.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(grant(&shop)["state"], "active");
    shop.proxy.cli(&["approve", "1"]).ok();
    assert_eq!(waiting.end().code, 0);
    std::fs::write(go, "").expect("the folder is ours");
    let told = task.end();
    assert_eq!((told.code, told.stdout.as_str()), (0, "begun\nnote 1\n"), "{told:?}");
    let states: Vec<_> = shop.proxy.json(&["grants", "--all"]).as_array().expect("a list").clone();
    assert!(states.iter().all(|grant| grant["note"] == "the command ended"), "{states:?}");
}

fn a_holder_that_does_not_come_back_is_gone<P: Protocol>() {
    let shop = Shop::<P>::new("run_lost");
    let task = run(&shop, &shop.proxy.token("alice"), "echo begun; exec sleep 60");
    approve(&shop, &task);
    task.prints("begun");
    shop.proxy.kill_9();
    task.signal("KILL");
    shop.proxy.serve();
    assert_eq!(grant(&shop)["state"], "active", "its holder may come back");
    wait_for("nobody comes back", Duration::from_secs(40), || (grant(&shop)["state"] == "revoked").then_some(()));
    is_over(&shop, "its holder went away");
}

fn a_revoked_grant_is_told_while_the_command_runs<P: Protocol>() {
    let shop = Shop::<P>::new("run_revoked");
    let go = shop.proxy.path("go");
    let sql = client::<P>(READ);
    let script = format!("{sql}; while [ ! -e {} ]; do sleep 0.05; done; {sql} || exit 9", go.display());
    let task = run(&shop, &shop.proxy.token("alice"), &script);
    approve(&shop, &task);
    task.prints("note 1");
    shop.proxy.cli(&["revoke", "1", "--reason", "wrong day"]).ok();
    task.says("wrong day");
    std::fs::write(go, "").expect("the folder is ours");
    let told = task.end();
    assert_eq!((told.code, told.stdout.as_str()), (9, "note 1\n"), "{told:?}");
    assert!(told.stderr.contains("statements of the command are refused"), "{told:?}");
}
