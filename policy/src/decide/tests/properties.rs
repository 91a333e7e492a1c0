//! What holds for any roles, grants and statements.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn any_action() -> impl Strategy<Value = Action> {
    proptest::sample::select(&Action::ALL[..])
}

fn any_role() -> impl Strategy<Value = Role> {
    let globs = || {
        proptest::collection::vec(proptest::sample::select(&["shop.*", "shop.orders", "*.*", "shop.people"][..]), 0..2)
    };
    (
        proptest::collection::btree_set(any_action(), 0..8),
        proptest::option::of(globs()),
        globs(),
        globs(),
        any::<bool>(),
    )
        .prop_map(|(allow, tables, except, functions, export)| {
            let globs = |texts: Vec<&str>| texts.into_iter().map(glob).collect::<Vec<_>>();
            let mut role = role("r", &[]);
            (role.allow, role.tables, role.except) = (allow, tables.map(globs), globs(except));
            (role.functions, role.export) = (globs(functions), export);
            role
        })
}

fn any_statement() -> impl Strategy<Value = Statement> {
    let relation =
        proptest::sample::select(&["shop.orders", "shop.people", "shop.customers", "shop.employees", "hr.x"][..]);
    let object = (relation, 0..4).prop_map(|(text, kind)| match kind {
        0 => Object::Function(name(text)),
        1 => Object::Session(Arc::from(text)),
        2 => Object::Catalog(name(text)),
        _ => Object::Relation(name(text)),
    });
    let need = (any_action(), object);
    let verb = proptest::sample::select(&["SELECT", "CALL", "UPDATE"][..]);
    let usage = proptest::sample::select(vec![
        Usage::Equality,
        Usage::Inference,
        Usage::Reshape,
        Usage::Travel(Arc::from("x")),
    ]);
    let uses = proptest::option::of((proptest::sample::select(&["email", "ssn", "id"][..]), usage));
    (verb, proptest::collection::vec(need, 0..3), uses, any::<bool>(), 0_u8..3).prop_map(
        |(verb, needs, uses, export, identity)| {
            let mut statement = with_identity(statement(verb), identity);
            for (action, object) in needs {
                statement = statement.needing_object(action, object);
            }
            if let Some((column, usage)) = uses {
                statement = statement.using(&format!("shop.customers.{column}"), usage);
            }
            statement.export = export;
            statement
        },
    )
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let role =
        proptest::sample::select(&["a", "b", "c", "gone"][..]).prop_map(|name| GrantKind::Role(RoleName::new(name)));
    let bound = proptest::option::of(1_u64..5);
    let one = (0_u8..3, any::<bool>(), any::<bool>(), bound).prop_map(|(identity, export, unmask, bound)| {
        let identity = [identity; 32];
        GrantKind::Statement(ApprovedStatement {
            text: Arc::from("x"),
            identity,
            export,
            unmask,
            max_rows_affected: bound,
        })
    });
    (0_i64..9, prop_oneof![3 => role, 1 => one], -2_i64..4).prop_map(|(id, kind, end)| {
        let mut grant = grant(id, kind);
        grant.ends = Timestamp(NOON.0 + end);
        grant
    })
}

/// Statement grants that were drawn for `statement`, pinned to it.
fn pinned(mut grants: Vec<Grant>, statement: &Statement) -> Vec<Grant> {
    for grant in &mut grants {
        if let GrantKind::Statement(approved) = &mut grant.kind
            && approved.identity == statement.identity
        {
            approved.identity = pin(statement);
        }
    }
    grants
}

proptest! {
    #[test]
    fn taking_a_grant_or_an_action_away_allows_nothing_more(
        roles in proptest::collection::vec(any_role(), 3), grants in proptest::collection::vec(any_grant(), 0..5),
        statement in any_statement(), gone in any_action(),
    ) {
        let mut world = world();
        world.policy.roles = ["a", "b", "c"].into_iter().zip(roles).map(|(name, mut role)| {
            role.name = RoleName::new(name);
            (role.name.clone(), role)
        }).collect();
        let grants = pinned(grants, &statement);
        world.policy.statement_writes = Some(2);
        if let Decision::Deny(denial) = world.decide(&statement, &grants) {
            prop_assert!(!denial.message.is_empty() && !denial.detail.is_empty() && !denial.hint.is_empty());
            for at in 0..grants.len() {
                let mut fewer = grants.clone();
                fewer.remove(at);
                prop_assert!(matches!(world.decide(&statement, &fewer), Decision::Deny(_)));
            }
            for role in world.policy.roles.values_mut() {
                role.allow.remove(&gone);
            }
            world.policy.baseline.clear();
            world.policy.statement_writes = None;
            prop_assert!(matches!(world.decide(&statement, &grants), Decision::Deny(_)));
        }
    }

    #[test]
    fn what_is_allowed_is_within_its_authority(
        roles in proptest::collection::vec(any_role(), 3), grants in proptest::collection::vec(any_grant(), 0..5),
        statement in any_statement(),
    ) {
        let mut world = world();
        world.policy.roles = ["a", "b", "c"].into_iter().zip(roles).map(|(name, mut role)| {
            role.name = RoleName::new(name);
            (role.name.clone(), role)
        }).collect();
        let grants = pinned(grants, &statement);
        world.policy.statement_writes = Some(2);
        if let Decision::Allow(allowance) = world.decide(&statement, &grants) {
            let actions: BTreeSet<Action> = statement.needs.iter()
                .filter(|need| !matches!(need.object, Object::Function(_)))
                .map(|need| need.action).collect();
            prop_assert!(!allowance.fence.read_only || actions.iter().all(|action| !action.writes()));
            if let Some(until) = allowance.until {
                prop_assert!(until > NOON);
            }
            let by_statement = grants.iter().any(|grant| {
                allowance.authority == Authority::Grant(grant.id) && matches!(grant.kind, GrantKind::Statement(_))
            });
            let by_role = grants.iter().any(|grant| {
                allowance.authority == Authority::Grant(grant.id) && matches!(grant.kind, GrantKind::Role(_))
            });
            if by_statement && !by_role && !allowance.fence.read_only {
                prop_assert!(allowance.limits.max_rows_affected.is_some_and(|bound| bound <= 2));
            }
            prop_assert!(!statement.uses.iter().any(|used| used.usage == Usage::Reshape && &*used.column.column != "id"));
        }
    }
}
