//! What every walk over a statement shares: the names in force, and what has been found so far.
//! Decides nothing about grants or masks.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{names::MysqlNames, scope::Field, survey::Items};
use crate::{
    catalog::{Catalog, ColumnRef, QualifiedName},
    statement::{Action, ColumnUse, Features, Lineage, Need, Object, Reach, Refusal, RefusalKind, Usage, Via},
};

/// Nodes one statement may visit, views and the rounds of recursive queries counted.
const MOST_STEPS: u32 = 4_000_000;
/// Levels of queries, views in views counted. The parse bounds the text, this bounds what the catalog adds to it.
const MOST_LEVELS: u32 = 128;

/// What is printed of a statement that is explained. A column of a row that is found by its key is printed as its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Printed {
    /// Names of tables and keys, and numbers.
    #[default]
    Nothing,
    /// Expressions, but for the lists of what is selected.
    Expressions,
    /// The whole statement.
    Everything,
}

impl Printed {
    /// What is printed of a subquery within an expression.
    pub(super) fn within(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Expressions | Self::Everything => Self::Everything,
        }
    }
}

/// One statement's walk: facts flow in here from all files of this folder.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The target's names.
    pub(super) catalog: &'a Catalog,
    /// The session's settings.
    pub(super) names: &'a MysqlNames,
    /// Permissions found so far.
    pub(super) needs: BTreeSet<Need>,
    /// Uses found so far.
    pub(super) uses: BTreeSet<ColumnUse>,
    /// Relations found so far, views expanded.
    pub(super) touches: BTreeSet<QualifiedName>,
    /// Above zero inside the definition of a view or a generated column: its author answers for what it calls and
    /// reads, so nothing is added to `needs`; lineage, uses and touches still count.
    pub(super) trusted: u32,
    /// Nesting so far.
    pub(super) depth: u32,
    /// Nodes visited so far.
    pub(super) steps: u32,
    /// How often a column of an UPDATE's or DELETE's target was read: a WHERE that reads none reaches every row or none.
    pub(super) target_reads: u32,
    /// Whether the tables being named are those of an UPDATE or DELETE, read only where a column of them is.
    pub(super) writing: bool,
    /// How many rows of its target the statement reaches.
    pub(super) reach: Reach,
    /// What the statement looks like, as far as it was walked.
    pub(super) features: Features,
    /// Above zero inside a query with a LIMIT.
    pub(super) limited: u32,
    /// The FROM items so far, and which of them conditions connect.
    pub(super) items: Items,
    /// Whether user variables are assigned to within expressions: every column named in one may get into them.
    pub(super) assigns: bool,
    /// What an explanation of the statement prints.
    pub(super) printed: Printed,
    /// Parameters, by their place in the text, that are taken for texts where they are compared with these columns.
    pub(super) compared: BTreeSet<(usize, ColumnRef)>,
    /// Columns of relations expanded so far.
    pub(super) shapes: HashMap<QualifiedName, Arc<[Field]>>,
}

impl<'a> Walk<'a> {
    /// A walk that has found nothing.
    pub(super) fn new(catalog: &'a Catalog, names: &'a MysqlNames) -> Self {
        Self {
            catalog,
            names,
            needs: BTreeSet::new(),
            uses: BTreeSet::new(),
            touches: BTreeSet::new(),
            trusted: 0,
            depth: 0,
            steps: 0,
            target_reads: 0,
            writing: false,
            reach: Reach::Some,
            features: Features::default(),
            limited: 0,
            items: Items::default(),
            assigns: false,
            printed: Printed::Nothing,
            compared: BTreeSet::new(),
            shapes: HashMap::new(),
        }
    }

    /// Counts one node.
    ///
    /// # Errors
    /// When the statement, with all views and rounds of recursion, is too much.
    pub(super) fn step(&mut self) -> Result<(), Refusal> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MOST_STEPS { Err(too_complex()) } else { Ok(()) }
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

    /// Runs `inside` as the work of the catalog's author: nothing is added to `needs`.
    ///
    /// # Errors
    /// Those of `inside`, and when the nesting is too deep.
    pub(super) fn authored<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.trusted += 1;
        let result = self.nested(inside);
        self.trusted -= 1;
        result
    }

    /// `action` on `object` is needed, unless a view's author answers for it.
    pub(super) fn need(&mut self, action: Action, object: Object) {
        if self.trusted == 0 {
            self.needs.insert(Need { action, object });
        }
    }

    /// `admin` is needed, for `what`.
    pub(super) fn admin(&mut self, what: &str) {
        self.need(Action::Admin, Object::Session(what.into()));
    }

    /// Every column of `lineage` is used so.
    pub(super) fn used(&mut self, lineage: &Lineage, usage: &Usage) {
        for column in lineage.columns.keys() {
            self.uses.insert(ColumnUse { column: column.clone(), usage: usage.clone() });
        }
    }

    /// The columns of `lineage` are compared by equality: as bare columns that is [`Usage::Equality`], else inference.
    pub(super) fn equal(&mut self, lineage: &Lineage) {
        for (column, via) in &lineage.columns {
            let usage = if *via == Via::Copy { Usage::Equality } else { Usage::Inference };
            self.uses.insert(ColumnUse { column: column.clone(), usage });
        }
    }

    /// A value of `lineage` is written: the server tells how many rows that changed, and which of them repeat others, so
    /// anything but a stored value itself tells about it: `SET email = REPLACE(email, 'a', '')`.
    pub(super) fn computed(&mut self, lineage: &Lineage) {
        if self.trusted > 0 {
            return;
        }
        for (column, via) in &lineage.columns {
            if *via != Via::Copy {
                self.uses.insert(ColumnUse { column: column.clone(), usage: Usage::Inference });
            }
        }
    }

    /// A value of `lineage` is computed and shown to nobody: whether that fails, or warns, tells about it.
    pub(super) fn fails(&mut self, lineage: &Lineage) {
        if self.trusted > 0 {
            return;
        }
        for (column, via) in &lineage.columns {
            match via {
                Via::Copy => {}
                Via::Total => drop(self.features.computed.insert(column.clone())),
                Via::Partial => {
                    self.uses.insert(ColumnUse { column: column.clone(), usage: Usage::Inference });
                }
            }
        }
    }

    /// A column of `lineage` is named: where an explanation prints it, its value may stand in its place.
    pub(super) fn named(&mut self, lineage: &Lineage) {
        if self.printed != Printed::Nothing {
            self.used(lineage, &Usage::Inference);
        }
    }

    /// An UPDATE or DELETE reaches that much.
    pub(super) fn reaches(&mut self, reach: Reach) {
        match (self.reach, reach) {
            (Reach::Some | Reach::EveryUpdate, Reach::EveryUpdate | Reach::EveryDelete) => self.reach = reach,
            (Reach::EveryDelete, _) | (_, Reach::Some) => {}
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

#[cfg(test)]
mod tests {
    use super::super::testing::{one, uses};

    #[test]
    fn what_is_computed_for_nobody_may_warn() {
        let computed = |text: &str| {
            let statement = one(text);
            let columns: Vec<String> = statement.features.computed.iter().map(ToString::to_string).collect();
            (columns.join(", "), uses(&statement).contains("email Inference"))
        };
        let column = || "shop.customers.email".to_owned();
        for (text, expected) in [
            ("SELECT 1 FROM (SELECT LOWER(email) FROM customers) q", (column(), false)),
            ("SELECT EXISTS (SELECT LOWER(email) FROM customers)", (column(), false)),
            ("SELECT 1 FROM (SELECT email FROM customers) q", (String::new(), false)),
            ("SELECT c FROM v_contacts", (String::new(), false)),
            // The server says how many warnings a write had.
            ("UPDATE orders SET id = 1 WHERE EXISTS (SELECT LOWER(email) FROM customers)", (String::new(), true)),
        ] {
            assert_eq!(computed(text), expected, "{text}");
        }
    }
}
