//! What time does to a session's gate, by a clock that the test moves: ends to the microsecond, reminders, a clock that is
//! set back.

use hallpass_policy::{
    catalog::{Catalog, Column, QualifiedName, Relation, RelationKind},
    grant::pin,
    ids::RequestId,
};

use super::*;
use crate::session::testing;

const CONFIG: &str = r#"
[server]
remind_before = ["5m", "1m"]
[databases.shop]
protocol = "postgres"
host = "127.0.0.1"
user = "owner"
[roles.reader]
allow = ["select"]
"#;

const READ: &str = "SELECT id FROM public.orders";
const MINUTE: i64 = 60_000_000;
/// What the clock shows at first.
const START: i64 = 1_000_000;

struct World {
    gate: Gate,
    _folder: tempfile::TempDir,
}

impl World {
    /// A session of alice, who holds nothing yet.
    fn new() -> Self {
        let mut catalog = Catalog { schemas: vec!["public".into()], ..Catalog::default() };
        catalog.add_relation(Relation {
            oid: 1,
            name: QualifiedName::new("public", "orders"),
            kind: RelationKind::Table,
            columns: vec![Column { name: "id".into(), number: 1, type_oid: 23, local: true, generated: None }],
            definition: None,
            revision: None,
            triggered: false,
            ruled: false,
            parents: Vec::new(),
            children: Vec::new(),
        });
        let names = Dialect::Postgres(Names { search_path: "public".into() });
        let (gate, folder) = testing::gate(CONFIG, catalog, names, false);
        Self { gate, _folder: folder }
    }

    fn set(&self, at: i64) {
        self.gate.shared.clock.set(Timestamp(at));
    }

    fn publish(&self, kind: GrantKind, ends: i64, revoked: Option<hallpass_policy::grant::GrantEnd>) {
        let grant = Grant {
            id: GrantId(1),
            request: RequestId(1),
            user: "alice".into(),
            kind,
            targets: vec!["shop".into()],
            starts: Timestamp(START),
            ends: Timestamp(ends),
            revoked,
        };
        self.gate.shared.grants.publish([("alice".into(), Arc::from([grant]))].into());
    }

    fn role(&self, ends: i64) {
        self.publish(GrantKind::Role("reader".into()), ends, None);
    }

    fn read(&mut self) -> Result<Arc<Allowance>, ClientError> {
        let of = self.gate.understand(READ.as_bytes()).unwrap();
        self.gate.decide(&of, 0, &of.understood.statements[0])
    }

    /// The reminders that are due at a moment.
    fn reminders(&mut self, at: i64) -> usize {
        self.set(at);
        self.gate.reminders().len()
    }
}

#[test]
fn a_grant_allows_until_the_microsecond_before_its_end() {
    let mut world = World::new();
    assert!(world.read().is_err());
    let end = START + MINUTE;
    world.role(end);
    world.set(START - 1);
    assert!(world.read().is_err(), "not before it begins");
    for at in [START, end - 1] {
        world.set(at);
        let allowance = world.read().unwrap();
        world.gate.still_granted(&allowance).unwrap();
    }
    // Decided before the end, and asked about at it: nothing that was remembered counts.
    let allowance = world.read().unwrap();
    world.set(end);
    let ended = world.gate.still_granted(&allowance).unwrap_err();
    assert!(ended.to_string().starts_with("grant 1 (role reader) expired at"), "{ended}");
    assert!(world.read().is_err());
    assert_eq!(world.gate.next_change(), None);
}

#[test]
fn a_statement_grant_that_nobody_used_ends_by_time() {
    let mut world = World::new();
    let of = world.gate.understand(READ.as_bytes()).unwrap();
    let statement = hallpass_policy::grant::ApprovedStatement {
        text: READ.into(),
        identity: pin(&of.understood.statements[0]),
        export: false,
        unmask: false,
        max_rows_affected: None,
    };
    let end = START + MINUTE;
    world.publish(GrantKind::Statement(statement), end, None);
    world.set(end);
    assert!(world.read().is_err());
    world.set(end - 1);
    assert!(world.read().is_ok(), "and would have worked until then");
}

#[test]
fn texts_that_differ_in_literals_alone_share_their_meaning_and_keep_their_words() {
    let mut world = World::new();
    world.role(START + MINUTE);
    world.set(START);
    let [five, six] = [5, 6].map(|id| format!("SELECT id FROM public.orders WHERE id = {id}"));
    let of = [&five, &six].map(|text| world.gate.understand(text.as_bytes()).unwrap());
    assert!(Arc::ptr_eq(of[0].meaning(), of[1].meaning()) && of[0].is_shared());
    assert_eq!([&*of[0].text, &*of[1].text], [&*five, &*six]);
    for of in &of {
        world.gate.decide(of, 0, &of.understood.statements[0]).unwrap();
    }
    // What decides something is not shared: this one reaches every row.
    let every = world.gate.understand(b"SELECT id FROM public.orders WHERE 1 = 1").unwrap();
    let none = world.gate.understand(b"SELECT id FROM public.orders WHERE 1 = 2").unwrap();
    assert!(!Arc::ptr_eq(every.meaning(), none.meaning()));
    assert_ne!(every.understood.statements[0].features, none.understood.statements[0].features);
}

#[test]
fn a_statement_grant_pins_the_literals_of_a_text_whose_meaning_is_shared() {
    let mut world = World::new();
    let [five, six] = [5, 6].map(|id| format!("SELECT id FROM public.orders WHERE id = {id}"));
    // Met before the grant, one by the other's meaning.
    let of = [&six, &five].map(|text| world.gate.understand(text.as_bytes()).unwrap());
    assert!(of.iter().all(|of| of.is_shared()));
    let known = world.gate.known();
    let exact = world.gate.target.understand(&five, &known, world.gate.dialect()).unwrap();
    let approved = hallpass_policy::grant::ApprovedStatement {
        text: five.as_str().into(),
        identity: pin(&exact.understood.statements[0]),
        export: false,
        unmask: false,
        max_rows_affected: None,
    };
    world.publish(GrantKind::Statement(approved), START + MINUTE, None);
    world.set(START);
    let [six, five] = of.map(|of| world.gate.decide(&of, 0, &of.understood.statements[0]));
    assert!(six.is_err(), "another literal");
    assert_eq!(five.unwrap().authority, Authority::Grant(GrantId(1)));
    // Nor does what it decided of the one text hold for the other once the grant is over.
    world.publish(GrantKind::Role("writer".into()), START + MINUTE, None);
    let again = world.gate.understand(b"SELECT id FROM public.orders WHERE id = 5").unwrap();
    assert!(world.gate.decide(&again, 0, &again.understood.statements[0]).is_err());
}

#[test]
fn each_reminder_comes_once_and_again_before_a_later_end() {
    let mut world = World::new();
    let end = START + 30 * MINUTE;
    world.role(end);
    world.set(START);
    assert_eq!(world.gate.next_change(), Some(Timestamp(end - 5 * MINUTE)));
    assert_eq!(world.reminders(end - 5 * MINUTE - 1), 0);
    assert_eq!(world.reminders(end - 5 * MINUTE), 1);
    assert_eq!(world.reminders(end - 5 * MINUTE), 0);
    assert_eq!(world.reminders(end - 2 * MINUTE), 0);
    assert_eq!(world.gate.next_change(), Some(Timestamp(end - MINUTE)));
    assert_eq!(world.reminders(end - MINUTE), 1);
    assert_eq!(world.reminders(end - 1), 0);

    let later = end + 20 * MINUTE;
    world.role(later);
    assert_eq!(world.reminders(end - 1), 0);
    assert_eq!(world.reminders(later - 5 * MINUTE), 1);
    assert_eq!(world.reminders(later - 30_000_000), 1);
    assert_eq!(world.reminders(later - 1), 0);
    assert_eq!(world.reminders(later), 0, "what is over needs none");

    // Who connects late hears the nearest alone.
    let mut late = World::new();
    late.role(end);
    assert_eq!(late.reminders(end - 1), 1);
    // A grant that is shorter than a point never comes to it.
    let mut short = World::new();
    short.role(START + 3 * MINUTE);
    assert_eq!(short.reminders(START), 0);
    assert_eq!(short.reminders(START + 2 * MINUTE), 1);
}

#[test]
fn a_clock_that_is_set_back_brings_nothing_back() {
    use hallpass_policy::grant::GrantEnd;

    let mut world = World::new();
    let end = START + MINUTE;
    for over in [GrantEnd::Expired, GrantEnd::Revoked { by: "bob".into(), reason: None }] {
        world.set(end);
        world.publish(GrantKind::Role("reader".into()), end, Some(over));
        world.set(START + 1);
        assert!(world.read().is_err());
        assert_eq!((world.reminders(end - MINUTE / 2), world.gate.next_change()), (0, None));
    }
    // To before a grant began: it does not count until then, but is not lost either.
    world.role(end);
    world.set(START);
    assert!(world.read().is_ok());
    world.set(0);
    let of = world.gate.understand(READ.as_bytes()).unwrap();
    world.gate.decisions = Decisions::default();
    assert!(world.gate.decide(&of, 0, &of.understood.statements[0]).is_err());
    world.set(START);
    assert!(world.read().is_ok());
}
