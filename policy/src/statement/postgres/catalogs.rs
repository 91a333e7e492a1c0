//! Stand-in: reading a relation of the system catalogs.

use super::walk::Walk;
use crate::{
    catalog::Relation,
    statement::{Action, Object, Refusal},
};

/// The statement reads `relation`, one of `pg_catalog` or `information_schema`.
pub(super) fn read(walk: &mut Walk<'_>, relation: &Relation) -> Result<(), Refusal> {
    walk.need(Action::Select, Object::Catalog(relation.name.clone()));
    Ok(())
}
