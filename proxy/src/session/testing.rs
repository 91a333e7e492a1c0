//! What the machines' own tests share: alice, her gate and her grant.

use std::{path::Path, sync::Arc};

use hallpass_audit::{
    event::Origin,
    journal::{Durability, Journal},
};
use hallpass_policy::{
    catalog::Catalog,
    grant::{Grant, GrantKind},
    ids::{GrantId, Principal, RequestId, RoleName, TargetName, Timestamp, UserName},
    mask::apply::HashKey,
    statement::Dialect,
};
use tempfile::TempDir;

use super::{
    gate::{Gate, Standing},
    recorder::Recorder,
    registry::Running,
};
use crate::{clock::Clock, config::Config, shared::Shared};

/// The gate of alice's session on the target `shop` of `config`, who holds the role reader if `granted`; its journal
/// lies in the folder.
pub(super) fn gate(config: &str, catalog: Catalog, dialect: Dialect, granted: bool) -> (Gate, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = Config::parse(Path::new("proxy.toml"), config).unwrap();
    let journal = Journal::open(folder.path(), Durability::Process).unwrap();
    let shared = Arc::new(Shared::new(config, journal, Clock::fixed(Timestamp(1_000_000)), HashKey::new(&[0; 32])));
    let alice = UserName::new("alice");
    if granted {
        let grant = Grant {
            id: GrantId(1),
            request: RequestId(1),
            user: alice.clone(),
            kind: GrantKind::Role(RoleName::new("reader")),
            targets: vec![TargetName::new("shop")],
            starts: Timestamp(0),
            ends: Timestamp(i64::MAX),
            revoked: None,
        };
        shared.grants.publish([(alice.clone(), Arc::from([grant]))].into());
    }
    let target = shared.targets.get(&TargetName::new("shop")).unwrap();
    target.learn(catalog, dialect.clone(), &shared.config.load().policy);
    let standing = Standing {
        recorder: Recorder::new(shared.journal.clone()),
        shared,
        target,
        principal: Principal { user: alice, groups: Vec::new() },
        scope: None,
        origin: Arc::new(Origin::default()),
        running: Arc::new(Running::default()),
    };
    (Gate::new(standing, dialect), folder)
}
