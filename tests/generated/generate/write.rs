//! Statements that write: INSERT, UPDATE, DELETE, MERGE, alone and inside WITH, with what they return.

use super::{Column, Generator, Relation, Scope, Use, from::columns_of, select::Selected};
use crate::schema::{Dialect, TABLES, Ty};

impl Generator {
    /// A whole statement that writes.
    pub(super) fn write(&mut self) -> Selected {
        self.writes = true;
        self.target = Some("sink");
        let mut written = match self.random.below(if self.is_postgres() { 10 } else { 8 }) {
            0..3 => self.insert(),
            3..6 => self.update(),
            6..8 => self.delete(),
            _ => self.merge_into(),
        };
        if self.is_postgres()
            && !written.sql.starts_with("MERGE")
            && self.random.chance(25)
            && !written.columns.is_empty()
        {
            let name = self.alias();
            let columns = std::mem::take(&mut written.columns);
            let inner = written.sql;
            self.with.push(Relation { alias: name.clone(), columns });
            let outer = self.select(None, None, Use::Show, 1);
            return Selected { sql: format!("WITH {name} AS ({inner}) {}", outer.sql), ..outer };
        }
        written
    }

    /// RETURNING of the rows of `relation`.
    fn returning(&mut self, sql: String, relation: &Relation) -> Selected {
        let mut selected = Selected { sql, columns: Vec::new(), ordered: false, single: false, limited: true };
        if self.random.chance(35) {
            return selected;
        }
        if self.random.chance(40) {
            selected.sql.push_str(" RETURNING *");
            selected.columns = self.show_all(&relation.columns);
            return selected;
        }
        let scope = Scope { relations: std::slice::from_ref(relation), outer: None };
        let items: Vec<String> = ["r1", "r2"]
            .map(|name| {
                let ty = self.any_type();
                let value = self.value(ty, scope, Use::Show, 1);
                selected.columns.push(Column { name: name.to_owned(), ty, fed: value.fed });
                format!("{} AS {name}", value.sql)
            })
            .to_vec();
        selected.sql.push_str(&format!(" RETURNING {}", items.join(", ")));
        selected
    }

    fn sink(&self, alias: &str) -> Relation {
        let table = TABLES.iter().find(|table| table.name == "sink").expect("there is a sink");
        Relation { alias: alias.to_owned(), columns: columns_of(self.dialect, table.name, table.columns) }
    }

    fn insert(&mut self) -> Selected {
        let from = self.from(None, 1);
        let scope = Scope { relations: &from.relations, outer: None };
        let [a, b, n] = [Ty::Text, Ty::Text, Ty::Int].map(|ty| self.value(ty, scope, Use::Work, 1));
        self.worked |= a.fed | b.fed | n.fed;
        let rows = if self.random.chance(75) {
            let id = if self.is_postgres() {
                "100 + row_number() OVER ()".to_owned()
            } else {
                let id = self.column(Ty::Int, scope, Use::Work).map_or_else(|| "1".to_owned(), |id| id.sql);
                format!("100 + {id}")
            };
            format!("SELECT {id}, {}, {}, {} FROM {}", a.sql, b.sql, n.sql, from.sql)
        } else {
            format!("VALUES (3, 'x', {}, 5), (200, NULL, 'y', 6)", self.constant(Ty::Text))
        };
        self.worked |= self.touched;
        let (words, behind) = match (self.dialect, self.random.below(4)) {
            (Dialect::Postgres, 0) => ("INSERT INTO", " ON CONFLICT DO NOTHING"),
            (Dialect::Postgres, 1) => ("INSERT INTO", " ON CONFLICT (id) DO UPDATE SET a = excluded.b, n = sink.n + 1"),
            (Dialect::Postgres, _) => ("INSERT INTO", ""),
            // Of several rows with one key either may stay.
            (_, 0) => {
                self.unsettled = true;
                ("INSERT IGNORE INTO", "")
            }
            (_, 1) => {
                self.unsettled = true;
                ("REPLACE INTO", "")
            }
            (_, 2) if rows.starts_with("VALUES") => {
                ("INSERT INTO", " ON DUPLICATE KEY UPDATE a = VALUES(b), n = n + 1")
            }
            (..) => ("INSERT INTO", ""),
        };
        let sql = format!("{words} sink (id, a, b, n) {rows}{behind}");
        let sink = self.sink("sink");
        match self.dialect {
            Dialect::MySql => Selected { sql, columns: Vec::new(), ordered: false, single: false, limited: true },
            Dialect::MariaDb if self.random.chance(50) => self.returning(sql, &sink),
            Dialect::MariaDb => Selected { sql, columns: Vec::new(), ordered: false, single: false, limited: true },
            Dialect::Postgres => self.returning(sql, &sink),
        }
    }

    /// The table that is written, under an alias.
    fn written(&mut self) -> (String, Relation) {
        let names = ["sink", "orders", "items", "customers", "events", "people"];
        let name = *self.random.pick(&names);
        let table = TABLES.iter().find(|table| table.name == name).expect("there is such a table");
        self.target = Some(name);
        (name.to_owned(), Relation { alias: self.alias(), columns: columns_of(self.dialect, name, table.columns) })
    }

    fn update(&mut self) -> Selected {
        let (table, target) = self.written();
        let postgres = self.is_postgres();
        let other = self.random.chance(35).then(|| self.from(None, 0));
        let mut relations = vec![target.clone()];
        relations.extend(other.iter().flat_map(|from| from.relations.clone()));
        let scope = Scope { relations: &relations, outer: None };
        let texts: Vec<&Column> = target
            .columns
            .iter()
            .filter(|column| column.ty == Ty::Text && column.name != "slug" && column.name != "label")
            .collect();
        let column = texts[self.random.below(texts.len())].clone();
        let value = if self.random.chance(50) {
            self.constant(Ty::Text)
        } else {
            let value = self.value(Ty::Text, scope, Use::Work, 1);
            self.worked |= value.fed;
            value.sql
        };
        // What is written over takes part, whatever it was.
        self.touched |= column.fed;
        let filter = self.value(Ty::Bool, scope, Use::Work, 2);
        self.worked |= filter.fed;
        let sql = match (&other, postgres) {
            (None, true) => {
                format!("UPDATE {table} AS {} SET {} = {value} WHERE {}", target.alias, column.name, filter.sql)
            }
            (Some(from), true) => format!(
                "UPDATE {table} AS {} SET {} = {value} FROM {} WHERE {}",
                target.alias, column.name, from.sql, filter.sql
            ),
            (None, false) => {
                let set = format!("{}.{} = {value}", target.alias, column.name);
                format!("UPDATE {table} AS {} SET {set} WHERE {}", target.alias, filter.sql)
            }
            (Some(from), false) => {
                let set = format!("{}.{} = {value}", target.alias, column.name);
                format!("UPDATE {table} AS {} CROSS JOIN {} SET {set} WHERE {}", target.alias, from.sql, filter.sql)
            }
        };
        self.returned(sql, &relations, &target)
    }

    fn delete(&mut self) -> Selected {
        let (table, target) = self.written();
        let scope = Scope { relations: std::slice::from_ref(&target), outer: None };
        let filter = self.value(Ty::Bool, scope, Use::Work, 2);
        self.worked |= filter.fed;
        let alias = &target.alias;
        let sql = match self.dialect {
            Dialect::Postgres => format!("DELETE FROM {table} AS {alias} WHERE {}", filter.sql),
            Dialect::MySql => format!("DELETE FROM {table} AS {alias} WHERE {}", filter.sql),
            Dialect::MariaDb => format!("DELETE {alias} FROM {table} AS {alias} WHERE {}", filter.sql),
        };
        self.returned(sql, std::slice::from_ref(&target), &target)
    }

    /// RETURNING where there is one; with more than one relation, of the written one alone.
    fn returned(&mut self, sql: String, relations: &[Relation], target: &Relation) -> Selected {
        let mut none = Selected { sql, columns: Vec::new(), ordered: false, single: false, limited: true };
        if !self.is_postgres() {
            return none;
        }
        if relations.len() == 1 {
            return self.returning(none.sql, target);
        }
        if self.random.chance(50) {
            none.sql.push_str(&format!(" RETURNING {}.*", target.alias));
            none.columns = self.show_all(&target.columns);
        }
        none
    }

    fn merge_into(&mut self) -> Selected {
        let source = self.select(None, Some(&[Ty::Int, Ty::Text]), Use::Work, 1);
        let fed = super::fed_of(&source.columns);
        self.worked |= fed;
        let [key, text] = [0, 1].map(|at: usize| source.columns[at].name.clone());
        let matched = *self.random.pick(&["UPDATE SET a = s.TEXT", "DELETE", "DO NOTHING"]);
        let matched = matched.replace("TEXT", &text);
        let sql = format!(
            "MERGE INTO sink AS k USING ({}) AS s ON k.id = s.{key} WHEN MATCHED THEN {matched} \
             WHEN NOT MATCHED AND s.{key} > 100 THEN INSERT (id, a) VALUES (s.{key}, s.{text})",
            source.sql
        );
        Selected { sql, columns: Vec::new(), ordered: false, single: false, limited: true }
    }
}
