//! FROM: stored relations under many names, queries, VALUES, functions, and joins of all kinds.

use std::collections::HashSet;

use super::{Column, Generator, Relation, Scope, Use, fed_of};
use crate::schema::{Columns, Dialect, Stored, TABLES, Ty, VIEWS, column_set};

/// A FROM clause.
#[derive(Debug, Default)]
pub(super) struct From {
    /// What stands behind FROM.
    pub(super) sql: String,
    /// What may be named in the query.
    pub(super) relations: Vec<Relation>,
    /// What `*` stands for, in order.
    pub(super) star: Vec<Column>,
    /// A comma separates some: what stands before it is out of the sight of a later ON.
    commas: bool,
}

/// The columns of a stored table as a dialect has them.
pub(super) fn columns_of(dialect: Dialect, table: &str, stored: &'static [Stored]) -> Vec<Column> {
    let visible = stored.iter().filter(|column| dialect.is_postgres() || column.ty != Ty::Array);
    visible
        .map(|column| Column { name: dialect.quote(column.name), ty: column.ty, fed: column_set(table, column.name) })
        .collect()
}

impl Generator {
    /// A FROM clause of one to three relations.
    pub(super) fn from(&mut self, outer: Option<&Scope<'_>>, depth: usize) -> From {
        let (sql, first) = self.item(outer, &[], depth, false);
        let mut from = From { sql, star: first.columns.clone(), relations: vec![first], commas: false };
        let more = if depth == 0 { self.random.below(2) } else { [0, 1, 1, 2][self.random.below(4)] };
        for _ in 0..more {
            self.join(&mut from, outer, depth);
        }
        from
    }

    fn join(&mut self, from: &mut From, outer: Option<&Scope<'_>>, depth: usize) {
        let lateral = self.dialect != Dialect::MariaDb && self.random.chance(15);
        let (item, relation) = self.item(outer, &from.relations, depth.saturating_sub(1), lateral);
        let postgres = self.is_postgres();
        let kinds: &[&str] = match (lateral, postgres) {
            (true, _) => &["JOIN", "LEFT JOIN"],
            (false, true) => &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "INNER JOIN"],
            (false, false) => &["JOIN", "LEFT JOIN", "RIGHT JOIN", "STRAIGHT_JOIN"],
        };
        let kind = *self.random.pick(kinds);
        let common = common_names(&from.star, &relation.columns);
        let by_name = !common.is_empty() && kind != "STRAIGHT_JOIN" && self.random.chance(22);
        if by_name && self.random.chance(30) && unique(&from.star) && unique(&relation.columns) {
            let fed = self.named(&common, from, &relation);
            if self.is_wise(fed, Use::Same) {
                self.merge(from, &relation, &common, kind);
                from.sql = format!("{} NATURAL {kind} {item}", from.sql);
                from.relations.push(relation);
                return;
            }
        }
        let ids = vec!["id".to_owned()];
        if by_name && common.iter().any(|name| name == "id") {
            self.merge(from, &relation, &ids, kind);
            from.sql = format!("{} {kind} {item} USING (id)", from.sql);
            from.relations.push(relation);
            return;
        }
        let left_columns = relation.columns.clone();
        if self.random.chance(18) {
            let between = if self.random.chance(50) && !lateral { ", " } else { " CROSS JOIN " };
            from.commas |= between == ", ";
            from.sql = format!("{}{between}{item}", from.sql);
            from.relations.push(relation);
            from.star.extend(left_columns);
            return;
        }
        let ty = if self.random.chance(85) { Ty::Int } else { Ty::Text };
        let near = from.relations.len() - 1;
        let seen = &from.relations[if from.commas { near } else { 0 }..];
        let (left, one) = self.equal_side(ty, seen);
        let (right, other) = self.equal_side(ty, std::slice::from_ref(&relation));
        // Rows without a partner may come by the hash of what is compared.
        self.unsettled |= kind.contains(' ') && (one | other) & self.masked != 0;
        from.relations.push(relation);
        from.star.extend(left_columns);
        let mut on = format!("{left} = {right}");
        if kind != "FULL JOIN" && self.random.chance(25) {
            let both: Vec<Relation> = from.relations[from.relations.len() - 2..].to_vec();
            let scope = Scope { relations: &both, outer };
            let more = self.value(Ty::Bool, scope, Use::Work, depth.min(1));
            on = format!("{on} AND {}", more.sql);
        }
        from.sql = format!("{} {kind} {item} ON {on}", from.sql);
    }

    /// One side of an ON.
    fn equal_side(&mut self, ty: Ty, relations: &[Relation]) -> (String, Columns) {
        match self.column(ty, Scope { relations, outer: None }, Use::Same) {
            Some(value) => {
                self.worked |= value.fed;
                (value.sql, value.fed)
            }
            None => (self.constant(ty), 0),
        }
    }

    fn named(&self, names: &[String], from: &From, relation: &Relation) -> Columns {
        let all = from.star.iter().chain(&relation.columns);
        all.filter(|column| names.contains(&column.name)).fold(0, |all, column| all | column.fed)
    }

    /// `*` of a join by columns of the same name: those first, once.
    fn merge(&mut self, from: &mut From, relation: &Relation, names: &[String], kind: &str) {
        let fed = self.named(names, from, relation);
        self.touched |= fed;
        self.worked |= fed;
        self.unsettled |= fed & self.masked != 0;
        let right_first = kind == "RIGHT JOIN" && !self.is_postgres();
        let (left, right) = (from.star.clone(), relation.columns.clone());
        let (first, second) = if right_first { (right, left) } else { (left, right) };
        let merged = first.iter().filter(|column| names.contains(&column.name)).map(|column| {
            let other = second.iter().find(|other| other.name == column.name).map_or(0, |other| other.fed);
            Column { fed: column.fed | other, ..column.clone() }
        });
        let mut star: Vec<Column> = merged.collect();
        star.extend(first.iter().chain(&second).filter(|column| !names.contains(&column.name)).cloned());
        from.star = star;
    }

    /// One relation of a FROM.
    fn item(
        &mut self,
        outer: Option<&Scope<'_>>,
        before: &[Relation],
        depth: usize,
        lateral: bool,
    ) -> (String, Relation) {
        let deep = depth > 0 && self.budget > 0;
        if lateral {
            return self.lateral(outer, before, depth);
        }
        match self.random.below(100) {
            0..14 if deep => self.derived(outer, depth),
            14..19 => self.values(),
            19..26 if self.is_postgres() || !before.is_empty() => self.function(before),
            26..45 if !self.with.is_empty() => {
                let item = self.random.pick(&self.with.clone()).clone();
                let alias = self.alias();
                (format!("{} AS {alias}", item.alias), Relation { alias, columns: item.columns })
            }
            _ => self.stored(),
        }
    }

    /// A table or view.
    fn stored(&mut self) -> (String, Relation) {
        let dialect = self.dialect;
        let mut known: Vec<(String, Vec<Column>)> = TABLES
            .iter()
            .map(|table| (table.name.to_owned(), columns_of(dialect, table.name, table.columns)))
            .collect();
        for view in VIEWS {
            let columns = view.columns.iter().map(|(name, ty, sources)| Column {
                name: dialect.quote(name),
                ty: *ty,
                fed: sources
                    .iter()
                    .filter_map(|source| source.split_once('.'))
                    .fold(0, |all, (table, column)| all | column_set(table, column)),
            });
            known.push((view.name.to_owned(), columns.collect()));
        }
        let at = self.random.below(known.len() + 2);
        let (name, columns) = match known.get(at) {
            Some(found) => found.clone(),
            None => known[3 + at - known.len()].clone(),
        };
        let mut written = dialect.quote(&name);
        let hidden = self.with.iter().any(|item| item.alias == written);
        if hidden || self.random.chance(30) {
            written = format!("{{S}}.{written}");
        }
        let mut columns = columns;
        match (name.as_str(), dialect.is_postgres(), self.random.below(3)) {
            ("events", true, 0) => written = "{S}.events_early".to_owned(),
            ("events", true, 1) => written = "{S}.events_late".to_owned(),
            ("events", false, 0) => written.push_str(" PARTITION (early)"),
            ("people", true, 0) => written = format!("ONLY {written}"),
            ("people", true, 1) => {
                written = "{S}.staff".to_owned();
                columns.push(Column { name: "wage".to_owned(), ty: Ty::Int, fed: 0 });
            }
            _ => {}
        }
        if !written.contains(' ') && !written.contains('"') && !written.contains('`') && self.random.chance(8) {
            // Under its own name, once: a second one would be ambiguous.
            let alias = written.rsplit('.').next().unwrap_or_default().to_owned();
            if !self.bare.contains(&alias) && !hidden {
                self.bare.insert(alias.clone());
                return (written, Relation { alias, columns });
            }
        }
        let mut alias = self.alias();
        if self.is_postgres() && self.random.chance(10) {
            alias = format!("\"{} a\"", alias);
        }
        let word = if self.random.chance(60) { "AS " } else { "" };
        if self.is_postgres() && self.random.chance(8) {
            // Other names for the first columns: those of others among them.
            let names = ["city", "email", "n"];
            for (column, name) in columns.iter_mut().zip(names) {
                name.clone_into(&mut column.name);
            }
            let taken: HashSet<&str> = names.into_iter().collect();
            let kept = columns.len();
            let columns: Vec<Column> = columns
                .into_iter()
                .enumerate()
                .filter(|(at, column)| *at < 3 || !taken.contains(column.name.as_str()))
                .map(|(_, column)| column)
                .collect();
            if columns.len() == kept {
                return (format!("{written} {word}{alias} ({})", names.join(", ")), Relation { alias, columns });
            }
            return self.stored();
        }
        (format!("{written} {word}{alias}"), Relation { alias, columns })
    }

    /// `(SELECT …) AS x`.
    fn derived(&mut self, outer: Option<&Scope<'_>>, depth: usize) -> (String, Relation) {
        // Without LATERAL it does not see its neighbours, but what is around all of them.
        let outer = if self.dialect == Dialect::MariaDb { None } else { outer };
        let selected = self.select(outer, None, Use::Show, depth - 1);
        let alias = self.alias();
        (format!("({}) AS {alias}", selected.sql), Relation { alias, columns: selected.columns })
    }

    /// `LATERAL (SELECT …) AS x`.
    fn lateral(&mut self, outer: Option<&Scope<'_>>, before: &[Relation], depth: usize) -> (String, Relation) {
        let scope = Scope { relations: before, outer };
        let selected = self.select(Some(&scope), None, Use::Show, depth.min(1));
        let alias = self.alias();
        (format!("LATERAL ({}) AS {alias}", selected.sql), Relation { alias, columns: selected.columns })
    }

    /// Rows without a table.
    fn values(&mut self) -> (String, Relation) {
        let alias = self.alias();
        let column = |name: &str, ty| Column { name: name.to_owned(), ty, fed: 0 };
        let columns = vec![column("id", Ty::Int), column("email", Ty::Text)];
        let [one, other] = [0, 1].map(|_| self.constant(Ty::Text));
        let sql = match self.dialect {
            Dialect::Postgres => format!("(VALUES (1, {one}), (3, {other})) AS {alias} (id, email)"),
            Dialect::MySql if self.random.chance(50) => {
                format!("(VALUES ROW(1, {one}), ROW(3, {other})) AS {alias} (id, email)")
            }
            Dialect::MySql | Dialect::MariaDb => {
                format!("(SELECT 1 AS id, {one} AS email UNION ALL SELECT 3, {other}) AS {alias}")
            }
        };
        (sql, Relation { alias, columns })
    }

    /// A function in FROM, of what stands before it.
    fn function(&mut self, before: &[Relation]) -> (String, Relation) {
        let alias = self.alias();
        let scope = Scope { relations: before, outer: None };
        let mut columns = Vec::new();
        let mut add = |name: &str, ty, fed| columns.push(Column { name: name.to_owned(), ty, fed });
        if !self.is_postgres() {
            let json = self.column(Ty::Json, scope, Use::Work);
            let (json, fed) = json.map_or_else(|| ("'[1, 2]'".to_owned(), 0), |json| (json.sql, json.fed));
            self.worked |= fed;
            add("k", Ty::Text, fed);
            add("nr", Ty::Int, 0);
            let table = "COLUMNS (nr FOR ORDINALITY, k VARCHAR(40) PATH '$.k')";
            let sql = format!("JSON_TABLE({json}, '$' {table}) AS {alias}");
            columns.rotate_left(1);
            return (sql, Relation { alias, columns });
        }
        let array = self.column(Ty::Array, scope, Use::Work);
        let json = self.column(Ty::Json, scope, Use::Work);
        let sql = match (self.random.below(5), array, json) {
            (0, Some(array), _) => {
                self.worked |= array.fed;
                add("tag", Ty::Text, array.fed);
                add("nr", Ty::Int, 0);
                format!("unnest({}) WITH ORDINALITY AS {alias} (tag, nr)", array.sql)
            }
            (1, Some(array), _) => {
                self.worked |= array.fed;
                add("tag", Ty::Text, array.fed);
                format!("unnest({}) AS {alias} (tag)", array.sql)
            }
            (2, _, Some(json)) => {
                self.worked |= json.fed;
                add("key", Ty::Text, json.fed);
                add("value", Ty::Text, json.fed);
                format!("jsonb_each_text({}) AS {alias}", json.sql)
            }
            (3, _, Some(json)) => {
                self.worked |= json.fed;
                add("k", Ty::Text, json.fed);
                add("n", Ty::Int, json.fed);
                format!("jsonb_to_record({}) AS {alias} (k text, n bigint)", json.sql)
            }
            _ => {
                add("n", Ty::Int, 0);
                format!("generate_series(1, 3) AS {alias} (n)")
            }
        };
        (sql, Relation { alias, columns })
    }

    /// The fed of `t.*`, touched.
    pub(super) fn show_all(&mut self, columns: &[Column]) -> Vec<Column> {
        self.touched |= fed_of(columns);
        columns.to_vec()
    }
}

fn unique(columns: &[Column]) -> bool {
    let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.len() == columns.len()
}

fn common_names(left: &[Column], right: &[Column]) -> Vec<String> {
    let once = |list: &[Column], name: &str| list.iter().filter(|column| column.name == name).count() == 1;
    let names = left.iter().map(|column| column.name.clone());
    names.filter(|name| once(left, name) && once(right, name)).collect()
}
