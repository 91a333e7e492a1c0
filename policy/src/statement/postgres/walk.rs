//! What every walk over a parse tree shares: the names in force, and what has been found so far.
//! Decides nothing about grants or masks.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    catalog::{Catalog, ColumnRef, QualifiedName},
    statement::{Action, ColumnUse, Lineage, Need, Object, Usage, Via},
};

/// One statement's walk: facts flow in here from all files of this folder.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The target's names.
    pub(super) catalog: &'a Catalog,
    /// The session's search_path, split and with `"$user"` replaced; `pg_catalog` is put first where it is implied.
    pub(super) search_path: &'a [Arc<str>],
    /// Where an unqualified CREATE goes: the first schema of the setting; `None`: nowhere.
    pub(super) creation: Option<Arc<str>>,
    /// Permissions found so far.
    pub(super) needs: BTreeSet<Need>,
    /// Uses found so far.
    pub(super) uses: BTreeSet<ColumnUse>,
    /// Relations found so far, views expanded.
    pub(super) touches: BTreeSet<QualifiedName>,
    /// Above zero inside the definition of a view or a generated column: its author answers for what it calls and
    /// reads, so nothing is added to `needs`; lineage, uses and touches still count.
    pub(super) trusted: u32,
    /// Nesting so far; the parse has bounded it, this guards view expansion.
    pub(super) depth: u32,
}

impl<'a> Walk<'a> {
    /// A walk that has found nothing.
    pub(super) fn new(catalog: &'a Catalog, search_path: &'a [Arc<str>]) -> Self {
        Self {
            catalog,
            search_path,
            creation: None,
            needs: BTreeSet::new(),
            uses: BTreeSet::new(),
            touches: BTreeSet::new(),
            trusted: 0,
            depth: 0,
        }
    }

    /// `action` on `object` is needed, unless a view's author answers for it.
    pub(super) fn need(&mut self, action: Action, object: Object) {
        if self.trusted == 0 {
            self.needs.insert(Need { action, object });
        }
    }

    /// Every column of `lineage` is used so.
    pub(super) fn used(&mut self, lineage: &Lineage, usage: &Usage) {
        for column in lineage.columns.keys() {
            self.uses.insert(ColumnUse { column: column.clone(), usage: usage.clone() });
        }
    }

    /// The columns of `lineage` are compared by equality: as bare columns that is [`Usage::Equality`], else inference.
    pub(super) fn compared(&mut self, lineage: &Lineage) {
        for (column, via) in &lineage.columns {
            let usage = if *via == Via::Copy { Usage::Equality } else { Usage::Inference };
            self.uses.insert(ColumnUse { column: column.clone(), usage });
        }
    }

    /// `relation`'s rows take part.
    pub(super) fn touch(&mut self, relation: &QualifiedName) {
        self.touches.insert(relation.clone());
    }
}

/// A stored column of `relation`.
pub(super) fn column_ref(relation: &QualifiedName, column: &Arc<str>) -> ColumnRef {
    ColumnRef { relation: relation.clone(), column: Arc::clone(column) }
}
