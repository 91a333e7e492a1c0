//! A changed file takes effect on open sessions from their next statement; a bad one changes nothing.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Kind, Protocol},
    shop::Shop,
};

both!(a_new_mask_holds_on_open_sessions, a_bad_file_changes_nothing_and_says_why, a_role_that_is_gone_gives_nothing);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

fn a_new_mask_holds_on_open_sessions<P: Protocol>() {
    let shop = Shop::<P>::new("reload");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    shop.proxy.reconfigure(|settings| {
        settings.rules.push_str("\n[[masks]]\ncolumns = [\"*/shop.orders.note\"]\nwith = { constant = \"hidden\" }\n");
    });
    shop.proxy.signal("HUP");
    wait_for("the mask holds", Duration::from_secs(30), || (alice.query(READ).ok().value() == "hidden").then_some(()));
}

fn a_bad_file_changes_nothing_and_says_why<P: Protocol>() {
    let shop = Shop::<P>::new("bad_reload");
    let mut alice = shop.alice_as("reader");
    shop.proxy.reconfigure(|settings| settings.rules.push_str("\n[roles.x]\nalow = []\n"));
    shop.proxy.signal("HUP");
    wait_for("the log says why", Duration::from_secs(30), || shop.proxy.log().contains("alow").then_some(()));
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    assert_eq!(shop.alice().query(READ).ok().value(), "note 1");
}

fn a_role_that_is_gone_gives_nothing<P: Protocol>() {
    let shop = Shop::<P>::new("gone_role");
    let mut alice = shop.alice_as("small");
    alice.query(READ).ok();
    shop.proxy.reconfigure(|settings| {
        settings.rules = settings.rules.replace("[roles.small]", "[roles.tiny]");
    });
    shop.proxy.signal("HUP");
    wait_for("the role is gone", Duration::from_secs(30), || {
        alice.query(READ).errors.first().is_some_and(|error| error.is(Kind::Denied)).then_some(())
    });
}
