//! What every walk over a parse tree shares: the names in force, and what has been found so far.
//! Decides nothing about grants or masks.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::scope::Field;
use crate::{
    catalog::{Catalog, ColumnRef, QualifiedName, Relation, TEMPORARY},
    statement::{Action, ColumnUse, Features, Lineage, Need, Object, Reach, Refusal, RefusalKind, Usage, Via},
};

/// Nodes one statement may visit, views and the rounds of recursive queries counted: far above honest SQL (thousands),
/// far below what would be felt.
const MOST_STEPS: u32 = 400_000;
/// Levels of queries, views in views counted. The parse bounds the text, this bounds what the catalog adds to it.
const MOST_LEVELS: u32 = 128;

/// One statement's walk: facts flow in here from all files of this folder.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The target's names.
    pub(super) catalog: &'a Catalog,
    /// The session's search_path, split and with `"$user"` replaced; `pg_catalog` is put first where it is implied.
    pub(super) search_path: &'a [Arc<str>],
    /// Where an unqualified CREATE goes: the first schema of the setting; `None`: nowhere.
    pub(super) creation: Option<Arc<str>>,
    /// Whether an earlier statement of the text may have made types that the catalog cannot know.
    pub(super) new_types: bool,
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
    /// Nodes visited so far.
    pub(super) steps: u32,
    /// How often a column of an INSERT's, UPDATE's, DELETE's or MERGE's target was read: a WHERE that reads none
    /// reaches every row or none.
    pub(super) target_reads: u32,
    /// The widest reach of the UPDATEs and DELETEs found so far, those in WITH among them.
    pub(super) reach: Reach,
    /// What the statement looks like, as far as it was found.
    pub(super) features: Features,
    /// Above zero inside a query with a LIMIT.
    pub(super) limited: u32,
    /// Number of the next WITH item: each gets its own, for names may repeat.
    pub(super) next_with: u32,
    /// The WITH item whose columns were asked for before they were known: its WITH RECURSIVE list tries again later.
    pub(super) blocked: Option<u32>,
    /// The first column of each scalar subquery walked, by the address of its node: it names an output.
    pub(super) scalar_names: HashMap<usize, Arc<str>>,
    /// Above zero inside the definition of a view.
    pub(super) views: u32,
    /// Columns of relations expanded so far.
    pub(super) shapes: HashMap<(QualifiedName, super::relation::Rows), Arc<[Field]>>,
}

impl<'a> Walk<'a> {
    /// A walk that has found nothing.
    pub(super) fn new(catalog: &'a Catalog, search_path: &'a [Arc<str>]) -> Self {
        Self {
            catalog,
            search_path,
            creation: None,
            new_types: false,
            needs: BTreeSet::new(),
            uses: BTreeSet::new(),
            touches: BTreeSet::new(),
            trusted: 0,
            depth: 0,
            steps: 0,
            target_reads: 0,
            reach: Reach::Some,
            features: Features::default(),
            limited: 0,
            next_with: 0,
            blocked: None,
            scalar_names: HashMap::new(),
            views: 0,
            shapes: HashMap::new(),
        }
    }

    /// Where relations and types are looked up, in order. Temporary ones come first whatever search_path says; functions
    /// and operators are never looked up there.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(TEMPORARY).chain(self.search_path.iter().map(|schema| &**schema))
    }

    /// The relation that `name` means without a schema, indexes among them.
    pub(super) fn relation(&self, name: &str) -> Option<&'a Arc<Relation>> {
        self.schemas().find_map(|schema| self.catalog.relation(schema, name))
    }

    /// Counts one node.
    ///
    /// # Errors
    /// When the statement, with all views and rounds of recursion, is too much.
    pub(super) fn step(&mut self) -> Result<(), Refusal> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MOST_STEPS {
            return Err(too_complex());
        }
        Ok(())
    }

    /// Runs `inside` one level deeper.
    ///
    /// # Errors
    /// Those of `inside`, and when the nesting is too deep.
    pub(super) fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.step()?;
        if self.depth >= MOST_LEVELS {
            return Err(too_complex());
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    /// Runs `inside` as the work of the catalog's author: nothing is added to `needs`, and names mean what they mean
    /// under an empty search_path, which is how the server prints definitions.
    ///
    /// # Errors
    /// Those of `inside`, and when the nesting is too deep.
    pub(super) fn authored<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let session = std::mem::replace(&mut self.search_path, super::relation::definition_path());
        self.trusted += 1;
        let result = self.nested(inside);
        self.trusted -= 1;
        self.search_path = session;
        result
    }

    /// `action` on `object` is needed, even inside a view.
    pub(super) fn need_of_view(&mut self, action: Action, object: Object) {
        if self.trusted == 0 || self.views > 0 {
            self.needs.insert(Need { action, object });
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
            self.note_use(ColumnUse { column: column.clone(), usage: usage.clone() });
        }
    }

    /// The columns of `lineage` are compared by equality: as bare columns that is [`Usage::Equality`], else inference.
    pub(super) fn compared(&mut self, lineage: &Lineage) {
        for (column, via) in &lineage.columns {
            let usage = if *via == Via::Copy { Usage::Equality } else { Usage::Inference };
            self.note_use(ColumnUse { column: column.clone(), usage });
        }
    }

    /// Values are compared by equality with each other. Stored ones among themselves are one look-up; what the statement
    /// makes row by row is a guess for each row, and with many of them it is no look-up any more.
    pub(super) fn matched(&mut self, sides: [&Lineage; 2]) {
        for lineage in sides {
            if sides.iter().all(|side| side.is_stored()) {
                self.compared(lineage);
            } else {
                self.used(lineage, &Usage::Inference);
            }
        }
    }

    /// A value of `lineage` is computed where nobody sees it: only its success or failure could tell about it, and that
    /// is inference. What a view's author computes is not in the client's hand.
    pub(super) fn computed(&mut self, lineage: &Lineage) {
        if self.trusted > 0 {
            return;
        }
        for (column, via) in &lineage.columns {
            if *via == Via::Partial {
                self.note_use(ColumnUse { column: column.clone(), usage: Usage::Inference });
            }
        }
    }

    /// An UPDATE or DELETE reaches that much.
    pub(super) fn reaches(&mut self, reach: Reach) {
        match (self.reach, reach) {
            (Reach::Some | Reach::EveryUpdate, Reach::EveryUpdate | Reach::EveryDelete) => self.reach = reach,
            (Reach::EveryDelete, _) | (_, Reach::Some) => {}
        }
    }

    /// A use counts unless it stands in a definition: what that compares and orders by its author chose.
    fn note_use(&mut self, column_use: ColumnUse) {
        if self.trusted == 0 {
            self.uses.insert(column_use);
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

pub(super) fn too_complex() -> Refusal {
    Refusal::new(RefusalKind::TooComplex, "statement is too complex")
        .detail("what it nests, and the views and recursive queries it names, are more than the gate follows")
        .hint("split the statement into smaller ones")
}
