//! Values: columns, constants, and templates filled with values.

use super::{Column, Generator, Scope, Use, Value, templates};
use crate::schema::{Dialect, Ty};

impl Generator {
    /// A value of this type.
    pub(super) fn value(&mut self, ty: Ty, scope: Scope<'_>, wanted: Use, depth: usize) -> Value {
        let plain = depth == 0 || self.random.chance(if wanted == Use::Show { 62 } else { 45 });
        if plain && !(ty == Ty::Bool && wanted == Use::Work && depth > 0) {
            return self.leaf(ty, scope, wanted);
        }
        let fitting: Vec<&str> = templates::of(self.dialect, ty);
        if fitting.is_empty() {
            return self.leaf(ty, scope, wanted);
        }
        let template = *self.random.pick(&fitting);
        self.fill(template, scope, wanted.max(Use::Compute), depth)
    }

    /// A column or a constant.
    fn leaf(&mut self, ty: Ty, scope: Scope<'_>, wanted: Use) -> Value {
        let column = if self.random.chance(84) { self.column(ty, scope, wanted) } else { None };
        column.unwrap_or_else(|| Value { sql: self.constant(ty), fed: 0 })
    }

    /// A column of this type, if there is one that may be used so.
    pub(super) fn column(&mut self, ty: Ty, scope: Scope<'_>, wanted: Use) -> Option<Value> {
        let scope = match scope.outer {
            Some(outer) if self.random.chance(18) => *outer,
            _ => scope,
        };
        let inner = scope.relations;
        // Computing on a masked column shows a mask, mostly; some of it has to be tried.
        let wanted = if wanted == Use::Compute && self.random.chance(22) { Use::Show } else { wanted };
        let rash = self.random.chance(3);
        let fitting: Vec<(&str, &Column)> = inner
            .iter()
            .flat_map(|relation| relation.columns.iter().map(move |column| (relation.alias.as_str(), column)))
            .filter(|(_, column)| column.ty == ty && (rash || self.is_wise(column.fed, wanted)))
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let (alias, column) = fitting[self.random.below(fitting.len())];
        let fed = column.fed;
        self.touched |= fed;
        Some(Value { sql: format!("{alias}.{}", column.name), fed })
    }

    /// A constant that no cell holds.
    pub(super) fn constant(&mut self, ty: Ty) -> String {
        let postgres = self.is_postgres();
        match ty {
            Ty::Int => self.random.between(1, 12).to_string(),
            Ty::Num => format!("{}.5", self.random.between(1, 40)),
            Ty::Text => (*self.random.pick(&["'k'", "''", "'a b'", "'%'", "'É'", "'it''s'", "'12'"])).to_owned(),
            Ty::Bool => (*self.random.pick(&["true", "false", "(1 = 1)"])).to_owned(),
            Ty::Date => (*self.random.pick(&["DATE '2024-02-29'", "DATE '1999-12-31'"])).to_owned(),
            Ty::Stamp => "TIMESTAMP '2020-05-05 10:00:00'".to_owned(),
            Ty::Json if postgres => "'{\"k\": 1}'::jsonb".to_owned(),
            Ty::Json => "JSON_OBJECT('k', 1)".to_owned(),
            Ty::Array => "ARRAY['x', 'y']".to_owned(),
            Ty::Bytes if postgres => "'\\x01ff'::bytea".to_owned(),
            Ty::Bytes => "x'01ff'".to_owned(),
        }
    }

    /// A template with its holes filled. A small letter stands for a value of a type, a capital for one that is compared
    /// for equality, `q` before it for a query in parentheses; `{*}` is any value, `{Q}` any query, `{w}` a window, `{r}` a
    /// whole row.
    pub(super) fn fill(&mut self, template: &str, scope: Scope<'_>, wanted: Use, depth: usize) -> Value {
        let mut sql = String::new();
        let mut fed = 0;
        let mut rest = template;
        self.unsettled |= !self.is_postgres() && templates::is_unsettled(template);
        while let Some((before, hole)) = rest.split_once('{') {
            let (name, after) = hole.split_once('}').expect("a hole is closed");
            rest = after;
            sql.push_str(before);
            let many = ["IN (", "ANY (", "ALL (", "ARRAY("].iter().any(|before| sql.ends_with(before));
            match self.hole(name, many, scope, wanted, depth.saturating_sub(1)) {
                Some(value) => {
                    sql.push_str(&value.sql);
                    fed |= value.fed;
                }
                // Braces of SQL's own.
                None => sql.push_str(&format!("{{{name}}}")),
            }
        }
        sql.push_str(rest);
        if wanted != Use::Show {
            self.worked |= fed;
        }
        Value { sql, fed }
    }

    fn hole(&mut self, name: &str, many: bool, scope: Scope<'_>, wanted: Use, depth: usize) -> Option<Value> {
        Some(match name {
            "*" => {
                let ty = self.any_type();
                self.leaf(ty, scope, wanted)
            }
            "=" => {
                let ty = self.any_type();
                self.leaf(ty, scope, Use::Same)
            }
            "w" => self.window(scope),
            "r" => self.row(scope, wanted),
            "Q" => self.query_in(scope, None, true, Use::Show, depth),
            _ => match name.strip_prefix('q') {
                Some(letter) => {
                    let (ty, wanted) = typed(letter, wanted)?;
                    self.query_in(scope, Some(ty), many, wanted, depth)
                }
                None => {
                    let (ty, wanted) = typed(name, wanted)?;
                    let wanted = if ty == Ty::Bool && wanted == Use::Compute { Use::Work } else { wanted };
                    self.value(ty, scope, wanted, depth)
                }
            },
        })
    }

    /// A query inside an expression, of one row unless `many` may come. What it looks at takes part in the value, whatever
    /// it shows.
    fn query_in(&mut self, scope: Scope<'_>, ty: Option<Ty>, many: bool, wanted: Use, depth: usize) -> Value {
        let before = std::mem::take(&mut self.touched);
        let may_limit = !many || self.is_postgres();
        let limits = std::mem::replace(&mut self.limits, may_limit);
        let types = ty.map(|ty| [ty]);
        let selected = self.select(Some(&scope), types.as_ref().map(<[Ty; 1]>::as_slice), wanted, depth);
        self.limits = limits;
        let fed = std::mem::replace(&mut self.touched, before);
        self.touched |= fed;
        self.unsettled |= self.sorts || (selected.limited && !selected.ordered && !self.is_postgres());
        let sql = match (many || selected.single || self.random.chance(4), selected.limited) {
            (true, _) => selected.sql,
            (false, false) => format!("{} LIMIT 1", selected.sql),
            (false, true) => format!("SELECT * FROM ({}) AS one LIMIT 1", selected.sql),
        };
        Value { sql, fed }
    }

    pub(super) fn any_type(&mut self) -> Ty {
        let types =
            [Ty::Int, Ty::Text, Ty::Text, Ty::Num, Ty::Date, Ty::Stamp, Ty::Bool, Ty::Json, Ty::Bytes, Ty::Array];
        let ty = *self.random.pick(&types);
        if ty == Ty::Array && self.dialect != Dialect::Postgres { Ty::Text } else { ty }
    }

    /// What stands between the parentheses of OVER.
    fn window(&mut self, scope: Scope<'_>) -> Value {
        let (mut sql, mut fed) = (String::new(), 0);
        if self.random.chance(50) {
            let ty = self.any_type();
            let ty = if ty == Ty::Json { Ty::Int } else { ty };
            let value = self.leaf(ty, scope, Use::Work);
            // A bare number is no place here, whatever it means.
            sql.push_str(&format!("PARTITION BY {}", in_list(&value)));
            fed |= value.fed;
        }
        let key = self.column(Ty::Int, scope, Use::Work);
        if let Some(key) = key.filter(|_| self.random.chance(80)) {
            sql.push_str(&format!(" ORDER BY {}{}", key.sql, if self.random.chance(30) { " DESC" } else { "" }));
            fed |= key.fed;
            if self.random.chance(35) {
                let frames = [
                    " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                    " ROWS UNBOUNDED PRECEDING",
                    " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                    " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                ];
                let frame = *self.random.pick(&frames);
                sql.push_str(frame);
                self.unsettled |= !self.is_postgres();
            }
        }
        self.worked |= fed;
        self.sorts |= !self.is_postgres();
        Value { sql, fed }
    }

    /// A relation of the scope as one value.
    fn row(&mut self, scope: Scope<'_>, wanted: Use) -> Value {
        let rash = self.random.chance(30);
        let fitting: Vec<_> =
            scope.relations.iter().filter(|relation| rash || self.is_wise(relation.fed(), wanted)).collect();
        if fitting.is_empty() {
            return Value { sql: "ROW(1, 'x')".to_owned(), fed: 0 };
        }
        let relation = fitting[self.random.below(fitting.len())];
        let fed = relation.fed();
        self.touched |= fed;
        Value { sql: relation.alias.clone(), fed }
    }

    /// A value of any type as it stands in the select list or GROUP BY.
    pub(super) fn key(&mut self, scope: Scope<'_>, depth: usize) -> (Ty, Value) {
        let ty = *self.random.pick(&[Ty::Int, Ty::Text, Ty::Text, Ty::Date, Ty::Bool, Ty::Num]);
        let value = self.value(ty, scope, Use::Work, depth);
        self.worked |= value.fed;
        (ty, value)
    }
}

/// A bare number would be a place.
pub(super) fn in_list(value: &Value) -> String {
    if value.sql.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') || value.sql.starts_with('\'') {
        return format!("({} || '')", value.sql);
    }
    value.sql.clone()
}

fn typed(letter: &str, wanted: Use) -> Option<(Ty, Use)> {
    let ty = match letter.to_ascii_lowercase().as_str() {
        "i" => Ty::Int,
        "n" => Ty::Num,
        "t" => Ty::Text,
        "b" => Ty::Bool,
        "d" => Ty::Date,
        "s" => Ty::Stamp,
        "j" => Ty::Json,
        "a" => Ty::Array,
        "y" => Ty::Bytes,
        _ => return None,
    };
    let same = letter.starts_with(|letter: char| letter.is_ascii_uppercase());
    Some((ty, if same { Use::Same } else { wanted }))
}
