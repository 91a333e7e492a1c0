//! SELECT and what stands around it: WITH, set operations, select lists, grouping, DISTINCT, ORDER BY, LIMIT.

use super::{Column, Generator, Relation, Scope, Use, Value, fed_of, from::From, templates, value::in_list};
use crate::schema::{Columns, Dialect, Ty};

/// A query, and what comes out of it.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
    /// Every row has its place.
    pub(super) ordered: bool,
    /// One row comes, or none.
    pub(super) single: bool,
    /// Nothing may be written behind it.
    pub(super) limited: bool,
}

/// A select list with what stands behind FROM and WHERE.
struct Body {
    list: String,
    columns: Vec<Column>,
    behind: String,
    distinct: bool,
    grouped: bool,
    single: bool,
}

/// Names of columns that stored ones have, too: those of their type, for USING.
fn names_of(ty: Ty) -> &'static [&'static str] {
    match ty {
        Ty::Int => &["id", "n", "many", "customer_id", "qty"],
        Ty::Text => &["name", "email", "city", "note", "v1"],
        Ty::Num => &["total", "credit"],
        Ty::Date => &["born", "joined"],
        Ty::Bool | Ty::Stamp | Ty::Json | Ty::Array | Ty::Bytes => &["v2", "v3"],
    }
}

impl Generator {
    /// A whole statement that reads.
    pub(super) fn statement(&mut self) -> Selected {
        let depth = self.random.between(1, 3);
        let with = if self.random.chance(24) { self.with_items(depth) } else { String::new() };
        let mut selected = match self.random.below(100) {
            0..2 if self.is_postgres() => self.table(),
            2..4 if self.is_postgres() => self.values_statement(depth),
            _ => self.select(None, None, Use::Show, depth),
        };
        if with.is_empty() && !selected.limited && !selected.single && self.random.chance(6) {
            let locks: &[&str] =
                if self.is_postgres() { &[" FOR UPDATE", " FOR SHARE", " FOR KEY SHARE"] } else { &[" FOR UPDATE"] };
            let lock = *self.random.pick(locks);
            selected.sql.push_str(lock);
            self.writes = true;
        }
        selected.sql.insert_str(0, &with);
        if self.explains && self.random.chance(4) {
            selected.sql.insert_str(0, "EXPLAIN (VERBOSE) ");
            selected.columns = vec![Column { name: "plan".to_owned(), ty: Ty::Text, fed: 0 }];
        }
        selected
    }

    fn table(&mut self) -> Selected {
        let columns = super::from::columns_of(self.dialect, "orders", crate::schema::TABLES[1].columns);
        let columns = self.show_all(&columns);
        Selected { sql: "TABLE {S}.orders".to_owned(), columns, ordered: false, single: false, limited: false }
    }

    fn values_statement(&mut self, depth: usize) -> Selected {
        let nothing = Scope { relations: &[], outer: None };
        let value = self.fill("({qt})", nothing, Use::Show, depth);
        let sql = format!("VALUES (1, {}), (2, 'x')", value.sql);
        let column = |name: &str, ty, fed| Column { name: name.to_owned(), ty, fed };
        let columns = vec![column("column1", Ty::Int, 0), column("column2", Ty::Text, value.fed)];
        Selected { sql, columns, ordered: false, single: false, limited: false }
    }

    /// `WITH …`, whose items are in sight from here on.
    fn with_items(&mut self, depth: usize) -> String {
        let mut items = Vec::new();
        let recursive = self.random.chance(30);
        for _ in 0..self.random.between(1, 2) {
            let shadow = !recursive && self.random.chance(25);
            let name = if shadow { (*self.random.pick(&["orders", "contacts"])).to_owned() } else { self.alias() };
            if self.with.iter().any(|item| item.alias == name) || self.bare.contains(&name) {
                continue;
            }
            if recursive {
                items.push(self.recursive(&name));
                continue;
            }
            let selected = self.select(None, None, Use::Show, depth.saturating_sub(1));
            let how = match (self.is_postgres(), self.random.below(4)) {
                (true, 0) => "MATERIALIZED ",
                (true, 1) => "NOT MATERIALIZED ",
                _ => "",
            };
            items.push(format!("{name} AS {how}({})", selected.sql));
            self.with.push(Relation { alias: name, columns: selected.columns });
        }
        match (items.is_empty(), recursive) {
            (true, _) => String::new(),
            (false, true) => format!("WITH RECURSIVE {} ", items.join(", ")),
            (false, false) => format!("WITH {} ", items.join(", ")),
        }
    }

    fn recursive(&mut self, name: &str) -> String {
        let from = self.from(None, 0);
        let scope = Scope { relations: &from.relations, outer: None };
        let [n, v] = [Ty::Int, Ty::Text].map(|ty| self.value(ty, scope, Use::Show, 1));
        let (seed_n, more) = match n.fed & self.avoid[0] {
            0 => (n, Value { sql: "n + 1".to_owned(), fed: 0 }),
            _ => (Value { sql: "1".to_owned(), fed: 0 }, Value { sql: "n + 1".to_owned(), fed: 0 }),
        };
        self.worked |= seed_n.fed | more.fed;
        let cast = if self.is_postgres() { "::text" } else { "" };
        let whole = if self.is_postgres() { "::bigint" } else { "" };
        let column = |name: &str, ty, fed| Column { name: name.to_owned(), ty, fed };
        self.with.push(Relation {
            alias: name.to_owned(),
            columns: vec![column("n", Ty::Int, seed_n.fed), column("v", Ty::Text, v.fed)],
        });
        self.worked |= if cast.is_empty() { 0 } else { v.fed };
        format!(
            "{name} (n, v) AS (SELECT ({}){whole}, ({}){cast} FROM {} UNION ALL SELECT {}, v FROM {name} WHERE n < 4)",
            seed_n.sql, v.sql, from.sql, more.sql
        )
    }

    /// A query of these types, or of any.
    pub(super) fn select(
        &mut self,
        outer: Option<&Scope<'_>>,
        wanted: Option<&[Ty]>,
        usage: Use,
        depth: usize,
    ) -> Selected {
        let rich = depth > 0 && self.budget > 0;
        if rich {
            self.budget -= 1;
            if self.random.chance(14) {
                return self.combined(outer, wanted, usage, depth - 1);
            }
        }
        let depth = if rich { depth } else { 0 };
        let (from, mut sql, body) = self.body(outer, wanted, usage, depth);
        sql = format!("SELECT {}{} FROM {}{sql}{}", "", body.list, from.sql, body.behind);
        let mut selected =
            Selected { sql, columns: body.columns.clone(), ordered: false, single: body.single, limited: false };
        let scope = Scope { relations: &from.relations, outer };
        self.order(&mut selected, &body, scope, outer.is_none());
        selected
    }

    /// FROM, WHERE and the select list.
    fn body(
        &mut self,
        outer: Option<&Scope<'_>>,
        wanted: Option<&[Ty]>,
        usage: Use,
        depth: usize,
    ) -> (From, String, Body) {
        let from = self.from(outer, depth);
        let scope = Scope { relations: &from.relations, outer };
        let mut filter = String::new();
        if self.random.chance(55) {
            let value = self.value(Ty::Bool, scope, Use::Work, depth.clamp(1, 2));
            self.worked |= value.fed;
            filter = format!(" WHERE {}", value.sql);
        }
        let body = if self.random.chance(20) {
            self.grouped(scope, wanted, depth)
        } else {
            self.listed(&from, scope, wanted, usage, depth)
        };
        (from, filter, body)
    }

    /// A plain select list.
    fn listed(&mut self, from: &From, scope: Scope<'_>, wanted: Option<&[Ty]>, usage: Use, depth: usize) -> Body {
        let (mut items, mut columns) = (Vec::new(), Vec::<Column>::new());
        if wanted.is_none() && self.random.chance(26) {
            let (star, all) = self.star(from, scope);
            items.push(star);
            columns.extend(all);
        }
        let types: Vec<Ty> = match wanted {
            Some(types) => types.to_vec(),
            None => (0..self.random.between(usize::from(items.is_empty()), 4)).map(|_| self.any_type()).collect(),
        };
        for ty in types {
            let windows = templates::windows(self.dialect, ty);
            let value = if !windows.is_empty() && self.random.chance(9) {
                let template = *self.random.pick(&windows);
                self.fill(template, scope, usage.max(Use::Compute), 1)
            } else {
                self.value(ty, scope, usage, depth.min(2))
            };
            let wide = if self.is_postgres() && ty == Ty::Text && value.sql.starts_with('\'') { "::text" } else { "" };
            let name = self.name(&columns, ty);
            items.push(format!("{}{wide} AS {name}", value.sql));
            columns.push(Column { name, ty, fed: value.fed });
        }
        let fed = fed_of(&columns);
        let mut distinct = self.random.chance(10) && self.is_wise(fed, Use::Work);
        let mut head = String::new();
        let mut behind = String::new();
        if distinct && self.is_postgres() && self.random.chance(30) {
            let (_, key) = self.key(scope, 0);
            head = format!("DISTINCT ON ({}) ", key.sql);
            behind = format!(" ORDER BY {}", in_list(&key));
            distinct = false;
        } else if distinct {
            head = "DISTINCT ".to_owned();
            self.worked |= fed;
        }
        Body { list: format!("{head}{}", items.join(", ")), columns, behind, distinct, grouped: false, single: false }
    }

    /// `*`, `t.*`, a whole row.
    fn star(&mut self, from: &From, scope: Scope<'_>) -> (String, Vec<Column>) {
        let relation = scope.relations[self.random.below(scope.relations.len())].clone();
        let names = |columns: &[Column]| {
            let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            names.sort_unstable();
            names.windows(2).all(|pair| pair[0] != pair[1])
        };
        match self.random.below(5) {
            0 | 1 if names(&from.star) => ("*".to_owned(), self.show_all(&from.star)),
            2 if self.is_postgres() => {
                let fed = relation.fed();
                self.touched |= fed;
                self.worked |= fed;
                let name = self.name(&[], Ty::Bytes);
                // Its type is nothing that a template takes.
                (format!("{} AS {name}", relation.alias), vec![Column { name, ty: Ty::Bytes, fed }])
            }
            3 if self.is_postgres() => (format!("({}).*", relation.alias), self.show_all(&relation.columns)),
            _ => (format!("{}.*", relation.alias), self.show_all(&relation.columns)),
        }
    }

    /// A name that none of these has.
    fn name(&mut self, taken: &[Column], ty: Ty) -> String {
        let name = *self.random.pick(names_of(ty));
        if taken.iter().any(|column| column.name == name) {
            self.names += 1;
            return format!("c{}", self.names);
        }
        name.to_owned()
    }

    /// Groups and aggregates.
    fn grouped(&mut self, scope: Scope<'_>, wanted: Option<&[Ty]>, depth: usize) -> Body {
        let keys: Vec<(Ty, Value)> = (0..self.random.below(3)).map(|_| self.key(scope, depth.min(1))).collect();
        let (mut items, mut columns) = (Vec::new(), Vec::<Column>::new());
        let types: Vec<Ty> = match wanted {
            Some(types) => types.to_vec(),
            None => {
                let more = (0..self.random.between(1, 3)).map(|_| *self.random.pick(&[Ty::Int, Ty::Num, Ty::Text]));
                let more: Vec<Ty> = more.collect();
                keys.iter().map(|(ty, _)| *ty).chain(more).collect()
            }
        };
        for (at, ty) in types.into_iter().enumerate() {
            let key = keys.iter().enumerate().find(|(number, key)| key.0 == ty && (wanted.is_some() || *number == at));
            let value = match key {
                Some((_, (_, key))) => Value { sql: in_list(key), fed: key.fed },
                None => self.aggregate(ty, scope),
            };
            let name = self.name(&columns, ty);
            items.push(format!("{} AS {name}", value.sql));
            columns.push(Column { name, ty, fed: value.fed });
        }
        let list: Vec<String> = keys.iter().map(|(_, key)| in_list(key)).collect();
        let list = list.join(", ");
        let mut behind = String::new();
        if !keys.is_empty() {
            behind = match (self.is_postgres(), self.random.below(8)) {
                (true, 0) => format!(" GROUP BY ROLLUP ({list})"),
                (true, 1) => format!(" GROUP BY CUBE ({list})"),
                (true, 2) => format!(" GROUP BY GROUPING SETS (({list}), ())"),
                (false, 0) => format!(" GROUP BY {list} WITH ROLLUP"),
                _ => format!(" GROUP BY {list}"),
            };
        }
        if self.random.chance(25) {
            let value = self.aggregate(Ty::Int, scope);
            self.worked |= value.fed;
            behind.push_str(&format!(" HAVING {} > {}", value.sql, self.random.below(4)));
        }
        Body { list: items.join(", "), columns, behind, distinct: false, grouped: true, single: keys.is_empty() }
    }

    fn aggregate(&mut self, ty: Ty, scope: Scope<'_>) -> Value {
        let fitting = templates::aggregates(self.dialect, ty);
        if fitting.is_empty() {
            return Value { sql: format!("max({})", self.constant(if ty == Ty::Bool { Ty::Int } else { ty })), fed: 0 };
        }
        let template = *self.random.pick(&fitting);
        self.fill(template, scope, Use::Compute, 1)
    }

    /// UNION, INTERSECT, EXCEPT.
    fn combined(&mut self, outer: Option<&Scope<'_>>, wanted: Option<&[Ty]>, usage: Use, depth: usize) -> Selected {
        let types: Vec<Ty> = match wanted {
            Some(types) => types.to_vec(),
            None => (0..self.random.between(1, 3)).map(|_| *self.random.pick(&[Ty::Int, Ty::Text, Ty::Date])).collect(),
        };
        let mut sides = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for _ in 0..2 {
            let (from, filter, body) = self.body(outer, Some(&types), usage, depth);
            let behind = if body.behind.contains("ORDER BY") { String::new() } else { body.behind };
            sides.push(format!("SELECT {} FROM {}{filter}{behind}", body.list, from.sql));
            if columns.is_empty() {
                columns = body.columns;
            } else {
                columns.iter_mut().zip(body.columns).for_each(|(column, other)| column.fed |= other.fed);
            }
        }
        let fed = fed_of(&columns);
        let mut operators = vec!["UNION ALL"];
        if self.is_wise(fed, Use::Work) || self.random.chance(5) {
            operators.extend(["UNION", "INTERSECT", "EXCEPT"]);
            if self.is_postgres() {
                operators.extend(["INTERSECT ALL", "EXCEPT ALL"]);
            }
        }
        let operator = *self.random.pick(&operators);
        if operator != "UNION ALL" {
            self.worked |= fed;
        }
        let sql = sides.join(&format!(" {operator} "));
        // A later side of EXCEPT is not shown, but decides.
        let mut selected = Selected { sql, columns, ordered: false, single: false, limited: false };
        if self.random.chance(30) {
            self.by_place(&mut selected, outer.is_none());
        }
        selected
    }

    /// ORDER BY and LIMIT.
    fn order(&mut self, selected: &mut Selected, body: &Body, scope: Scope<'_>, top: bool) {
        let fixed = body.behind.contains("ORDER BY");
        if !fixed && self.random.chance(if top { 45 } else { 22 }) {
            if self.random.chance(50) || body.distinct || body.grouped {
                self.by_place(selected, top);
                return;
            }
            let ty = *self.random.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Num, Ty::Bool]);
            let value = self.value(ty, scope, Use::Work, 1);
            self.worked |= value.fed;
            let direction = *self.random.pick(&["", " DESC", " ASC"]);
            let nulls = if self.is_postgres() && self.random.chance(20) { " NULLS FIRST" } else { "" };
            selected.sql.push_str(&format!(" ORDER BY {}{direction}{nulls}", in_list(&value)));
            selected.limited = true;
        }
        self.limit(selected, top);
    }

    /// ORDER BY of places: of all, if the masks let us.
    fn by_place(&mut self, selected: &mut Selected, top: bool) {
        let wise: Vec<(usize, Columns)> = (1..)
            .zip(&selected.columns)
            .filter(|(_, column)| self.is_wise(column.fed, Use::Work))
            .map(|(place, column)| (place, column.fed))
            .collect();
        if !wise.is_empty() {
            let all = wise.len() == selected.columns.len() && self.random.chance(70);
            let count = if all { wise.len() } else { 1 };
            let places: Vec<String> = wise.iter().take(count).map(|(place, _)| place.to_string()).collect();
            self.worked |= wise.iter().take(count).fold(0, |all, (_, fed)| all | fed);
            selected.sql.push_str(&format!(" ORDER BY {}", places.join(", ")));
            selected.ordered = all;
            selected.limited = true;
        }
        self.limit(selected, top);
    }

    fn limit(&mut self, selected: &mut Selected, top: bool) {
        if !self.limits || !self.random.chance(if top { 25 } else { 12 }) {
            return;
        }
        self.unsettled |= self.sorts || (selected.limited && !selected.ordered && !self.is_postgres());
        let count = self.random.between(1, 4);
        let limit = match (self.is_postgres(), self.random.below(6)) {
            (true, 0) => format!(" FETCH FIRST {count} ROWS ONLY"),
            (true, 1) => format!(" OFFSET {count} LIMIT (SELECT {count})"),
            (_, 2) => format!(" LIMIT {count} OFFSET 1"),
            _ => format!(" LIMIT {count}"),
        };
        selected.sql.push_str(&limit);
        selected.limited = true;
        if self.dialect == Dialect::MariaDb && selected.ordered {
            // Rows that are equal to a collation are not the same.
            selected.ordered = false;
        }
    }
}
