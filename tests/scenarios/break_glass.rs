//! Break-glass: a role at once, capped, recorded as such, and none more before somebody else has looked at it.

use std::time::Duration;

use hallpass_tests::{
    both,
    protocol::{Client as _, Kind, Protocol},
    shop::Shop,
};
use serde_json::Value;

both!(
    the_glass_breaks_at_once_on_the_open_connection,
    it_ends_by_itself_however_long_was_asked,
    none_more_before_somebody_else_has_reviewed,
    who_reviews_reads_what_was_done_and_no_more,
    only_the_named_groups_break_it,
);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

/// A shop where oncall may take the role `owner` in an emergency.
fn shop<P: Protocol>(name: &str, longest: &str) -> Shop<P> {
    Shop::with(name, |settings| {
        let glass = format!(
            "[roles.owner]\nbreak_glass = {{ max_duration = \"{longest}\", groups = [\"oncall\"], review_within = \"24h\" }}"
        );
        settings.rules = settings.rules.replace("[roles.owner]", &glass);
    })
}

const BREAK: &[&str] = &["break-glass", "--role", "owner", "--database", "shop", "--reason", "prod down, INC-1235"];

/// Breaks the glass; the grant's number.
fn broken<P: Protocol>(shop: &Shop<P>, token: &str) -> String {
    let told = shop.proxy.cli_as(token, &[BREAK, &["--json"]].concat()).ok();
    let made: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("no JSON: {error}: {told}"));
    assert_eq!((&made["state"], &made["break_glass"]), (&"approved".into(), &true.into()), "{made}");
    assert_eq!((&made["grant"]["user"], &made["grant"]["review"]), (&"alice".into(), &"due".into()), "{made}");
    made["grant"]["id"].to_string()
}

fn the_glass_breaks_at_once_on_the_open_connection<P: Protocol>() {
    let shop = shop::<P>("glass", "30m");
    let token = shop.proxy.token("alice");
    let mut alice = shop.alice();
    alice.query(READ).fails(Kind::Denied);
    let grant = broken(&shop, &token);
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    let event = shop
        .proxy
        .audit()
        .wait("the break-glass", |events| events.iter().find(|event| event.kind == "break_glass").cloned());
    assert_eq!(event.user.as_deref(), Some("alice"));
    assert!(event.reason.as_deref().is_some_and(|why| why.contains("prod down, INC-1235")), "{event:?}");
    let (attempt, _) = shop.proxy.audit().wait_for_outcome(READ);
    assert_eq!(attempt.grant_id.map(|id| id.to_string()), Some(grant));
}

fn it_ends_by_itself_however_long_was_asked<P: Protocol>() {
    let shop = shop::<P>("glass_cap", "3s");
    let token = shop.proxy.token("alice");
    let longer = shop.proxy.cli_as(&token, &[BREAK, &["--for", "1h"]].concat()).failed();
    assert!(longer.contains("at most 3s") && longer.contains("--for 3s"), "{longer}");
    let mut alice = shop.alice();
    alice.query(READ).fails(Kind::Denied);
    let grant = broken(&shop, &token);
    std::thread::sleep(Duration::from_millis(3200));
    alice.query(READ).fails(Kind::Denied);
    let listed = shop.proxy.cli(&["grants"]);
    assert!(listed.stdout.contains("expired") && listed.stdout.contains("due"), "over, and not reviewed: {listed:?}");
    assert!(listed.stderr.contains(&format!("hallpass review {grant} --comment")), "{listed:?}");
}

fn none_more_before_somebody_else_has_reviewed<P: Protocol>() {
    let shop = shop::<P>("glass_review", "30m");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    let grant = broken(&shop, &alice);
    shop.proxy.cli_as(&alice, &["revoke", &grant]).ok();
    let again = shop.proxy.cli_as(&alice, BREAK);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains(&format!("grant {grant} was a break-glass")), "{again:?}");
    assert!(again.stderr.contains(&format!("hallpass review {grant} --comment")), "{again:?}");

    let review = ["review", &grant, "--comment", "looked at the statements"];
    let own = shop.proxy.cli_as(&alice, &review).failed();
    assert!(own.contains("nobody may review their own break-glass"), "{own}");
    shop.proxy.cli_as(&alice, BREAK).failed();
    let due = shop.proxy.cli_as(&bob, &["grants", "--unreviewed"]).ok();
    assert!(due.contains("alice") && due.contains("owner"), "{due}");
    assert_eq!(shop.proxy.cli_as(&bob, &["review", &grant]).code, 2, "a review says what was seen");
    shop.proxy.cli_as(&bob, &review).ok();
    assert!(!shop.proxy.cli_as(&bob, &["grants", "--unreviewed"]).ok().contains("alice"));
    shop.proxy.cli_as(&bob, &review).failed();
    shop.proxy.audit().wait("the review", |events| {
        let reviews: Vec<_> = events.iter().filter(|event| event.kind == "review").collect();
        let tried = reviews.iter().map(|event| (event.user.as_deref(), event.decision.as_deref()));
        let (alice, bob) = ((Some("alice"), Some("deny")), (Some("bob"), Some("review")));
        tried.eq([alice, bob, (Some("bob"), Some("deny"))]).then_some(())
    });

    let mut session = shop.alice();
    session.query(READ).fails(Kind::Denied);
    broken(&shop, &alice);
    assert_eq!(session.query(READ).ok().value(), "note 1");
}

fn who_reviews_reads_what_was_done_and_no_more<P: Protocol>() {
    let shop = shop::<P>("glass_read", "30m");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    shop.proxy.user("mallory", &[]);
    let mallory = shop.proxy.token("mallory");
    let before = "SELECT note FROM shop.orders WHERE id = 2";
    shop.ask(before).fails(Kind::Denied);
    let grant = broken(&shop, &alice);
    shop.ask(READ).ok();
    shop.proxy.audit().wait_for_outcome(READ);

    let story = shop.proxy.cli_as(&bob, &["audit", "search", "--grant", &grant]).ok();
    for told in [READ, "break_glass", "prod down, INC-1235", "grant_start", "outcome"] {
        assert!(story.contains(told), "{told}: {story}");
    }
    assert!(!story.contains(before), "only of that grant: {story}");
    assert!(!shop.proxy.cli_as(&mallory, &["audit", "search", "--grant", &grant]).ok().contains(READ));
    shop.proxy.cli_as(&bob, &["audit", "search", "--user", "alice"]).failed();
    assert!(!shop.proxy.cli_as(&bob, &["audit", "tail"]).ok().contains(READ));
}

fn only_the_named_groups_break_it<P: Protocol>() {
    let shop = shop::<P>("glass_groups", "30m");
    let bob = shop.proxy.token("bob");
    let refused = shop.proxy.cli_as(&bob, BREAK).failed();
    assert!(refused.contains("`bob` may not break the glass"), "{refused}");
    assert!(refused.contains("hallpass request --role owner --database shop"), "{refused}");
    let for_alice = shop.proxy.cli_as(&bob, &[BREAK, &["--user", "alice"]].concat()).failed();
    assert!(for_alice.contains("only an admin"), "{for_alice}");
    let alice = shop.proxy.token("alice");
    let other = ["break-glass", "--role", "reader", "--database", "shop", "--reason", "x"];
    assert!(shop.proxy.cli_as(&alice, &other).failed().contains("has no break-glass"));
    shop.connect("bob").query(READ).fails(Kind::Denied);
    shop.alice().query(READ).fails(Kind::Denied);
}
