//! From mask rules and a catalog to the masked columns of one target. Reads names and lineages, never a database.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    apply::MaskWith,
    plan::{ColumnGlob, ColumnMask, InPredicates, MaskRule, Masks, Scope, join},
};
use crate::{
    catalog::{Catalog, ColumnRef, QualifiedName, Relation, RelationKind},
    ids::TargetName,
    role::{glob, is_system_schema},
    statement::{Lineage, Via},
};

/// The first OID that is not the system's own (`FirstNormalObjectId`).
pub(super) const FIRST_USER_OID: u32 = 16_384;

/// Columns of the system catalogs that hold copies of stored values: masked in full wherever anything is.
const SAMPLES: [(&str, &[&str]); 5] = [
    ("pg_statistic", &["stavalues1", "stavalues2", "stavalues3", "stavalues4", "stavalues5"]),
    ("pg_stats", &["most_common_vals", "histogram_bounds", "most_common_elems", "range_bounds_histogram"]),
    ("pg_statistic_ext_data", &["stxdmcv", "stxdexpr"]),
    ("pg_stats_ext", &["most_common_vals"]),
    ("pg_stats_ext_exprs", &["most_common_vals", "histogram_bounds", "most_common_elems"]),
];

/// What came of the rules.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The target's masks.
    pub masks: Masks,
    /// Globs that speak of this target and name no column of it: worth a warning of `hallpass check`.
    pub unused: Vec<ColumnGlob>,
}

impl Masks {
    /// The masks that `rules` make for `target`.
    ///
    /// `lineage_of` tells what feeds each column of a view, a materialized view or a table with generated columns, in
    /// the order of [`Relation::columns`]; an ordinary column of a table is fed by itself. `None` when it cannot tell:
    /// then all such columns are masked in full, if anything is masked at all.
    ///
    /// The first rule that names a column wins. A rule on a view's or generated column masks what feeds it, too. A
    /// parent shows its children's rows and a child inherits its parent's mask, by column name; where that brings
    /// different masks together the column is masked in full.
    pub fn compile(
        rules: &[MaskRule],
        target: &TargetName,
        catalog: &Catalog,
        mut lineage_of: impl FnMut(&Relation) -> Option<Vec<Lineage>>,
    ) -> Compiled {
        let globs: Vec<(&ColumnGlob, Arc<ColumnMask>)> = rules
            .iter()
            .flat_map(|rule| {
                let mask = Arc::new(ColumnMask { with: rule.with.clone(), in_predicates: rule.in_predicates });
                rule.columns.iter().map(move |glob| (glob, Arc::clone(&mask)))
            })
            .filter(|(column, _)| glob(&column.target, target.as_str()))
            .collect();
        if globs.is_empty() {
            return Compiled::default();
        }
        let mut masks = Masks { scope: Scope::Governed, ..Masks::default() };
        let used = masks.match_rules(&globs, catalog);
        let unused = globs.iter().filter(|(g, _)| !used.contains(&std::ptr::from_ref(*g))).map(|(g, _)| (*g).clone());
        let unused = unused.collect();
        if !masks.columns.is_empty() {
            let named: HashSet<ColumnRef> = masks.columns.keys().cloned().collect();
            let derived: Vec<Derived> =
                catalog.relations.values().flat_map(|relation| Derived::of_all(relation, &mut lineage_of)).collect();
            masks.close(catalog, &named, &derived);
            masks.mask_samples(catalog);
        }
        masks.index(catalog);
        masks.find_code(catalog);
        Compiled { masks, unused }
    }

    /// What runs beside statements: a write runs the triggers of the relation, of its children, of what its foreign keys
    /// cascade to, and of whatever a view writes to; and a cascade to a masked relation may fail there.
    fn find_code(&mut self, catalog: &Catalog) {
        let runs = |relation: &&Arc<Relation>| {
            relation.triggered || relation.kind == RelationKind::View || self.relations.contains(&relation.name)
        };
        let mut reached: HashSet<QualifiedName> =
            catalog.relations.values().filter(runs).map(|relation| relation.name.clone()).collect();
        let inherits = catalog.relations.values().flat_map(|child| child.parents.iter().map(move |p| (p, &child.name)));
        let cascades = catalog.beside.cascades.iter().map(|(parent, child)| (parent, child));
        let mut above: HashMap<&QualifiedName, Vec<&QualifiedName>> = HashMap::new();
        for (parent, child) in inherits.chain(cascades) {
            above.entry(child).or_default().push(parent);
        }
        let mut next: Vec<QualifiedName> = reached.iter().cloned().collect();
        while let Some(child) = next.pop() {
            for parent in above.get(&child).into_iter().flatten() {
                if reached.insert((*parent).clone()) {
                    next.push((*parent).clone());
                }
            }
        }
        self.triggered = reached;
        self.policed.clone_from(&catalog.beside.policed);
        self.ddl_runs_code = catalog.beside.event_triggers;
    }

    /// Masks what the rules name; the globs that named something.
    fn match_rules(
        &mut self,
        globs: &[(&ColumnGlob, Arc<ColumnMask>)],
        catalog: &Catalog,
    ) -> HashSet<*const ColumnGlob> {
        let mut used = HashSet::new();
        for relation in catalog.relations.values() {
            let system = is_system_schema(&relation.name.schema);
            for column in &relation.columns {
                for (glob, mask) in globs {
                    // `*` means everybody's schemas, not the server's own.
                    if (system && glob.schema.contains('*')) || !glob.matches(&relation.name, &column.name) {
                        continue;
                    }
                    used.insert(std::ptr::from_ref(*glob));
                    self.columns.entry(column_of(relation, &column.name)).or_insert_with(|| Arc::clone(mask));
                }
            }
        }
        used
    }

    /// Closes the masks over inheritance, views and generated columns. Every step only adds a mask or makes one full,
    /// so the end is reached, and it is the same whatever the order.
    fn close(&mut self, catalog: &Catalog, named: &HashSet<ColumnRef>, derived: &[Derived]) {
        let full = Arc::new(ColumnMask { with: MaskWith::Full, in_predicates: InPredicates::None });
        for column in derived.iter().filter(|derived| derived.lineage.is_none()).map(|derived| &derived.column) {
            self.raise(column, &full);
        }
        loop {
            let mut changed = false;
            for (column, mask) in self.columns.clone() {
                let Some(relation) = catalog.relations.get(&column.relation) else { continue };
                let kin = |names: &[QualifiedName]| -> Vec<ColumnRef> {
                    let relations = names.iter().filter_map(|name| catalog.relations.get(name));
                    relations
                        .filter(|r| r.column(&column.column).is_some())
                        .map(|r| column_of(r, &column.column))
                        .collect()
                };
                for child in kin(&relation.children) {
                    changed |= !named.contains(&child) && self.raise(&child, &mask);
                }
                for parent in kin(&relation.parents) {
                    changed |= self.raise(&parent, &mask);
                }
            }
            for Derived { column, lineage } in derived {
                let Some(lineage) = lineage else { continue };
                if let Some(mask) = self.mask_for(lineage) {
                    changed |= self.raise(column, &mask);
                }
                if named.contains(column) {
                    changed |= self.raise_sources(column, lineage, named);
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// What feeds a column that a rule names is as sensitive as the column, unless a rule of its own says how much.
    fn raise_sources(&mut self, column: &ColumnRef, lineage: &Lineage, named: &HashSet<ColumnRef>) -> bool {
        let Some(mask) = self.columns.get(column).cloned() else { return false };
        let mut changed = false;
        for (source, via) in lineage.columns.iter().filter(|(source, _)| !named.contains(*source)) {
            let with = if *via == Via::Copy { mask.with.clone() } else { MaskWith::Full };
            changed |= self.raise(source, &Arc::new(ColumnMask { with, in_predicates: mask.in_predicates }));
        }
        changed
    }

    /// Masks `column` at least as `mask` does; whether that changed anything.
    fn raise(&mut self, column: &ColumnRef, mask: &Arc<ColumnMask>) -> bool {
        match self.columns.get_mut(column) {
            None => {
                self.columns.insert(column.clone(), Arc::clone(mask));
                true
            }
            Some(held) => {
                let joined = join(held, mask);
                let changed = joined != *held;
                *held = joined;
                changed
            }
        }
    }

    fn mask_samples(&mut self, catalog: &Catalog) {
        let full = Arc::new(ColumnMask { with: MaskWith::Full, in_predicates: InPredicates::None });
        for (relation, columns) in SAMPLES {
            let Some(relation) = catalog.relation("pg_catalog", relation) else { continue };
            for column in columns.iter().filter_map(|name| relation.column(name)) {
                self.raise(&column_of(relation, &column.name), &full);
            }
        }
    }

    fn index(&mut self, catalog: &Catalog) {
        for relation in catalog.relations.values() {
            for column in &relation.columns {
                let name = column_of(relation, &column.name);
                let origin = (relation.oid, column.number);
                if let Some(mask) = self.columns.get(&name) {
                    self.relations.insert(relation.name.clone());
                    if relation.oid != 0 {
                        self.origins.insert(origin, Arc::clone(mask));
                        self.rows.insert(relation.oid);
                    }
                }
                if relation.oid >= FIRST_USER_OID || self.columns.contains_key(&name) {
                    self.known.insert(origin, name);
                }
            }
        }
    }
}

/// A column whose value comes from others, and what is known about that.
struct Derived {
    column: ColumnRef,
    lineage: Option<Lineage>,
}

impl Derived {
    fn of_all(relation: &Relation, lineage_of: &mut impl FnMut(&Relation) -> Option<Vec<Lineage>>) -> Vec<Self> {
        let whole = match relation.kind {
            RelationKind::View | RelationKind::MaterializedView => true,
            RelationKind::Table | RelationKind::ForeignTable => false,
            RelationKind::Sequence | RelationKind::Other => return Vec::new(),
        };
        let derives = |generated: bool| whole || generated;
        if is_system_schema(&relation.name.schema) || !relation.columns.iter().any(|c| derives(c.generated.is_some())) {
            return Vec::new();
        }
        let lineages = lineage_of(relation).filter(|lineages| lineages.len() == relation.columns.len());
        let columns = relation.columns.iter().enumerate().filter(|(_, column)| derives(column.generated.is_some()));
        columns
            .map(|(at, column)| Self {
                column: column_of(relation, &column.name),
                lineage: lineages.as_ref().and_then(|lineages| lineages.get(at).cloned()),
            })
            .collect()
    }
}

fn column_of(relation: &Relation, column: &Arc<str>) -> ColumnRef {
    ColumnRef { relation: relation.name.clone(), column: Arc::clone(column) }
}
