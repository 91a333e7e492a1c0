//! The views: their columns, and whose rows each user sees.

use hallpass_tests::{
    both,
    protocol::{Client as _, Protocol},
    shop::Shop,
};

use super::{NO_COLUMN, NO_VIEW, SENSELESS, UNSUPPORTED, call, number, refused, request};

both!(
    each_view_has_its_columns,
    requests_and_grants_are_shown_to_those_they_concern,
    roles_masks_and_the_session_say_what_holds_here,
    conditions_orders_and_limits_keep_what_they_say,
    what_is_not_answered_is_refused_in_words,
);

fn each_view_has_its_columns<P: Protocol>() {
    let shop = Shop::<P>::new("inband_columns");
    let mut alice = shop.alice();
    let columns = [
        (
            "roles",
            "role may_request allow tables excluded max_duration break_glass export max_rows max_rows_affected \
                   statement_timeout",
        ),
        (
            "grants",
            "id state user_name role statement targets starts ends export unmask request_id review note \
                    max_rows_affected",
        ),
        (
            "requests",
            "id state user_name role statement targets duration reason export unmask created waiting_for \
                      grant_id note max_rows_affected",
        ),
        ("masks", "column_glob mask in_predicates"),
        (
            "session",
            "user_name user_groups target session_id listener protocol client application active_grants version",
        ),
    ];
    for (view, expected) in columns {
        for answer in alice.every_way(&format!("SELECT * FROM hallpass.{view}")) {
            assert_eq!(answer.ok().columns.join(" "), expected, "{view}");
        }
    }
}

fn requests_and_grants_are_shown_to_those_they_concern<P: Protocol>() {
    let shop = Shop::<P>::new("inband_shown");
    shop.proxy.user("carol", &["oncall"]);
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|user| shop.connect(user));
    let (first, second) = (request(&mut alice), request(&mut alice));
    let grant = number(&call(&mut bob, &format!("approve({first})")), 2);
    let requests = "SELECT id, state, user_name, role, targets, duration, reason, waiting_for, grant_id \
                    FROM hallpass.requests ORDER BY id";
    let lines = [
        format!("{first}|approved|alice|reader|shop|1h|INC-1234 stuck order||{grant}"),
        format!("{second}|pending|alice|reader|shop|1h|INC-1234 stuck order|group:security|"),
    ];
    let shown = alice.query(requests).ok();
    assert_eq!(shown.lines()[0], lines[0]);
    assert!(shown.lines()[1].contains("group:security"), "{shown:?}");
    assert_eq!(bob.query(requests).ok().lines(), shown.lines(), "the approver sees what he decides");
    assert!(carol.query(requests).ok().rows.is_empty(), "nobody else does");
    let grants = "SELECT id, state, user_name, role, targets, request_id, review, note FROM hallpass.grants";
    let line = format!("{grant}|active|alice|reader|shop|{first}||");
    assert_eq!(alice.query(grants).ok().lines(), std::slice::from_ref(&line));
    assert_eq!(bob.query(grants).ok().lines(), [line]);
    assert!(carol.query(grants).ok().rows.is_empty());
    for what in [format!("wait({second})"), format!("approve({second})"), format!("cancel({second})")] {
        let told = carol.query(&format!("CALL hallpass.{what}"));
        refused::<P>(&told, super::NOTHING, &[&format!("no request {second}")]);
    }
    for what in [format!("revoke({grant})"), format!("extend({grant}, '1 h')"), format!("review({grant}, 'x')")] {
        let told = carol.query(&format!("CALL hallpass.{what}"));
        refused::<P>(&told, super::NOTHING, &[&format!("no grant {grant}")]);
    }
    call(&mut bob, &format!("revoke({grant}, 'enough')"));
    let note = alice.query("SELECT state, note FROM hallpass.grants").ok();
    assert_eq!(note.lines(), ["revoked|revoked by bob: enough"]);
}

fn roles_masks_and_the_session_say_what_holds_here<P: Protocol>() {
    let shop = Shop::<P>::new("inband_here");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let (yes, no) = P::pick(("t", "f"), ("1", "0"));
    let fixer = "SELECT role, may_request, allow, tables, max_rows_affected FROM hallpass.roles WHERE role = 'fixer'";
    let line = |may: &str| format!("fixer|{may}|select, insert, update, delete|shop.orders|5");
    assert_eq!(alice.query(fixer).ok().lines(), [line(yes)]);
    assert_eq!(bob.query(fixer).ok().lines(), [line(no)]);
    let reader = "SELECT excluded, max_duration, export, max_rows FROM hallpass.roles WHERE role = 'reader'";
    assert_eq!(alice.query(reader).ok().lines(), [format!("shop.vault|8h|{no}|")]);
    let masks = "SELECT * FROM hallpass.masks ORDER BY column_glob";
    let lines = alice.query(masks).ok().lines();
    assert!(
        lines.iter().any(|line| line.starts_with("shop.customers.email|") && line.ends_with("|equality")),
        "{lines:?}"
    );
    let session = "SELECT user_name, user_groups, target, protocol, active_grants FROM hallpass.session";
    let line = |grants: u8| [format!("alice|oncall|shop|{}|{grants}", P::NAME)];
    assert_eq!(alice.query(session).ok().lines(), line(0));
    shop.grant("reader");
    assert_eq!(alice.query(session).ok().lines(), line(1));
    let id = alice.query("SELECT session_id FROM hallpass.session").ok().value();
    let sessions = shop.proxy.cli(&["sessions"]).ok();
    assert!(sessions.contains(&id), "{id} in {sessions}");
}

fn conditions_orders_and_limits_keep_what_they_say<P: Protocol>() {
    let shop = Shop::<P>::new("inband_where");
    let mut alice = shop.alice();
    let roles = |alice: &mut P::Client, rest: &str| {
        alice.query(&format!("SELECT role FROM hallpass.roles {rest}")).ok().lines()
    };
    let all = ["bytes", "exporter", "fixer", "owner", "reader", "small"];
    assert_eq!(roles(&mut alice, "ORDER BY role"), all);
    assert_eq!(roles(&mut alice, "ORDER BY 1 DESC LIMIT 2"), ["small", "reader"]);
    assert_eq!(roles(&mut alice, "ORDER BY role LIMIT 2 OFFSET 1"), ["exporter", "fixer"]);
    assert_eq!(roles(&mut alice, "WHERE role IN ('fixer', 'small') ORDER BY role"), ["fixer", "small"]);
    assert_eq!(roles(&mut alice, "WHERE max_rows IS NOT NULL"), ["small"]);
    assert_eq!(roles(&mut alice, "WHERE max_rows >= 10 AND NOT export"), ["small"]);
    assert_eq!(roles(&mut alice, "WHERE 10 > max_rows"), [""; 0]);
    assert_eq!(roles(&mut alice, "r WHERE r.export"), ["exporter"]);
    assert_eq!(roles(&mut alice, "WHERE export = TRUE OR role = 'fixer' ORDER BY role"), ["exporter", "fixer"]);
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.roles WHERE role <> 'owner'").ok().value(), "5");
    let named = alice.query("SELECT role AS who, max_rows FROM hallpass.roles WHERE role = 'small'").ok();
    assert_eq!(
        (named.columns, named.rows[0][1].as_deref()),
        (vec!["who".to_owned(), "max_rows".to_owned()], Some("10"))
    );
    let one =
        format!("SELECT role FROM hallpass.roles WHERE role = {} AND max_rows = {}", P::parameter(1), P::parameter(2));
    assert_eq!(alice.prepared(&one, &["small", "10"]).ok().lines(), ["small"]);
    let since = format!("SELECT id FROM hallpass.requests WHERE created > {}", P::parameter(1));
    let id = request(&mut alice).to_string();
    assert_eq!(alice.prepared(&since, &["2020-01-01 00:00:00"]).ok().lines(), [id]);
    assert!(alice.prepared(&since, &["2999-01-01 00:00:00"]).ok().rows.is_empty());
}

fn what_is_not_answered_is_refused_in_words<P: Protocol>() {
    let shop = Shop::<P>::new("inband_words");
    let mut alice = shop.alice();
    let cases = [
        ("SELECT * FROM hallpass.grant_list", NO_VIEW, "there are: roles, grants, requests, masks, session"),
        ("SELECT nothing FROM hallpass.grants", NO_COLUMN, "there are: id, state"),
        ("SELECT * FROM hallpass.grants WHERE nothing = 1", NO_COLUMN, "\"nothing\""),
        ("SELECT upper(role) FROM hallpass.grants", UNSUPPORTED, "SELECT … FROM hallpass.grants"),
        ("SELECT role, count(*) FROM hallpass.grants GROUP BY role", UNSUPPORTED, "not supported"),
        ("SELECT * FROM hallpass.grants LIMIT -1", SENSELESS, "LIMIT"),
        ("SELECT * FROM hallpass.grants WHERE id = 'x'", SENSELESS, "does not fit its column"),
        ("SELECT * FROM hallpass.grants WHERE ends > 'soon'", SENSELESS, "does not fit its column"),
        ("SELECT id FROM hallpass.grants UNION SELECT 1", ("42P01", "1235/42000"), "hallpass.grants"),
        ("DELETE FROM hallpass.grants", NO_VIEW, "CALL hallpass.request"),
        ("SELECT * FROM shop.orders WHERE id IN (SELECT id FROM hallpass.grants)", NO_VIEW, "simple queries"),
    ];
    for (sql, codes, words) in cases {
        let answer = alice.query(sql);
        assert_eq!(answer.errors.len(), 1, "{sql}: {answer:?}");
        // In the grammar of MySQL some of these fail a step earlier.
        let error = answer.error();
        let fits = error.code == P::pick(codes.0, codes.1) && error.says(&[words]);
        assert!(fits, "{sql}: {error:?}");
    }
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
}
