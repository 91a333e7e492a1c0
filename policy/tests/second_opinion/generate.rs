//! Random statements over the tables of the test, with the names of the tables that they read or write.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::TABLES;

/// One statement, and the tables in it.
pub(crate) struct Generated {
    /// Its text.
    pub(crate) sql: String,
    /// The truth.
    pub(crate) tables: BTreeSet<String>,
}

/// Makes statements from a seed.
pub(crate) struct Generator {
    state: u64,
    aliases: usize,
    tables: BTreeSet<String>,
}

impl Generator {
    /// Statement number `at` of a run.
    pub(crate) fn statement(seed: u64, at: u64) -> Generated {
        let state = seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut generator = Self { state, aliases: 0, tables: BTreeSet::new() };
        let sql = generator.any();
        Generated { sql, tables: generator.tables }
    }

    fn pick(&mut self, n: u64) -> u64 {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn table(&mut self) -> &'static str {
        let at = usize::try_from(self.pick(TABLES.len() as u64)).expect("small");
        self.tables.insert(TABLES[at].to_owned());
        TABLES[at]
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("x{}", self.aliases)
    }

    fn any(&mut self) -> String {
        match self.pick(10) {
            0 => {
                let table = self.table();
                let source = self.query(2);
                let conflict = match self.pick(3) {
                    0 => String::new(),
                    1 => " ON CONFLICT DO NOTHING".to_owned(),
                    _ => format!(" ON CONFLICT (a) DO UPDATE SET b = {}", self.value("excluded", 2)),
                };
                format!("INSERT INTO {table} (a, b) {source}{conflict} RETURNING {}", self.value(table, 2))
            }
            1 => {
                let (table, from) = (self.table(), self.source(2));
                let (value, filter) = (self.value(&from.0, 2), self.filter("t", 2));
                format!("UPDATE {table} AS t SET b = {value} FROM {} WHERE {filter} RETURNING t.a", from.1)
            }
            2 => {
                let (table, using) = (self.table(), self.source(2));
                format!("DELETE FROM {table} AS t USING {} WHERE {}", using.1, self.filter(&using.0, 2))
            }
            3 => {
                let (item, value) = (self.query(2), self.query(1));
                let alias = self.alias();
                let outer = self.source(1);
                format!(
                    "WITH w AS ({item}), v (a, b) AS ({value}) SELECT w.a, {alias}.b FROM w, v AS {alias}, {} WHERE w.a = {}.a",
                    outer.1, outer.0
                )
            }
            4 => format!("EXPLAIN {}", self.query(2)),
            5 => format!("CREATE VIEW fresh AS {}", self.query(2)),
            6 => format!("VALUES (({}), '1')", self.scalar(2)),
            _ => self.query(3),
        }
    }

    /// A query of two columns, `a` and `b`.
    fn query(&mut self, depth: u64) -> String {
        let mut sql = self.select(depth);
        while self.pick(5) == 0 && depth > 0 {
            let word = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT"][usize::try_from(self.pick(4)).expect("small")];
            let other = self.select(depth - 1);
            let _ = write!(sql, " {word} {other}");
        }
        sql
    }

    fn select(&mut self, depth: u64) -> String {
        let (name, from) = self.source(depth);
        let (one, other) = (self.value(&name, depth), self.value(&name, depth));
        let mut sql = format!("SELECT {one} AS a, {other} AS b FROM {from}");
        if self.pick(2) == 0 {
            let _ = write!(sql, " WHERE {}", self.filter(&name, depth));
        }
        if self.pick(6) == 0 {
            sql = format!("SELECT max(q.a) AS a, q.b FROM ({sql}) q GROUP BY q.b HAVING {}", self.filter("q", depth));
        }
        sql
    }

    /// A FROM item: a name in it that has `a` and `b`, and its text.
    fn source(&mut self, depth: u64) -> (String, String) {
        let alias = self.alias();
        let item = if depth == 0 || self.pick(3) > 0 {
            format!("{} AS {alias}", self.table())
        } else {
            format!("({}) AS {alias}", self.query(depth - 1))
        };
        if depth == 0 || self.pick(3) > 0 {
            return (alias, item);
        }
        if self.pick(5) == 0 {
            let (inner, table) = (self.alias(), self.table());
            let lateral = format!("LATERAL (SELECT {inner}.a, {alias}.b FROM {table} AS {inner}) AS {}", self.alias());
            return (alias, format!("{item} CROSS JOIN {lateral}"));
        }
        let (other, joined) = self.source(depth - 1);
        let joined = if joined.contains("JOIN") && !joined.starts_with('(') { format!("({joined})") } else { joined };
        let text = match self.pick(4) {
            0 => format!("{item} RIGHT JOIN {joined} ON {alias}.b = {other}.a"),
            1 => format!("{item} LEFT JOIN {joined} ON {alias}.a = {other}.a"),
            2 => format!("{item} CROSS JOIN {joined}"),
            _ => format!("{item} JOIN {joined} ON {}", self.filter(&other, depth - 1)),
        };
        (alias, text)
    }

    fn scalar(&mut self, depth: u64) -> String {
        let (name, from) = self.source(depth.saturating_sub(1));
        format!("SELECT max({name}.a) FROM {from}")
    }

    fn value(&mut self, name: &str, depth: u64) -> String {
        if depth == 0 {
            return format!("{name}.b");
        }
        match self.pick(9) {
            0 => format!("({})", self.scalar(depth - 1)),
            1 => format!(
                "CASE WHEN {} THEN {name}.a ELSE {} END",
                self.filter(name, depth - 1),
                self.value(name, depth - 1)
            ),
            2 => format!("coalesce({name}.a, {})", self.value(name, depth - 1)),
            3 => format!("lower({})", self.value(name, depth - 1)),
            4 => format!("CAST({} AS text)", self.value(name, depth - 1)),
            _ => format!("{name}.a"),
        }
    }

    fn filter(&mut self, name: &str, depth: u64) -> String {
        if depth == 0 {
            return format!("{name}.a = '1'");
        }
        match self.pick(7) {
            0 => format!("{name}.a IN ({})", self.scalar(depth - 1)),
            1 => format!("EXISTS ({})", self.query(depth - 1)),
            2 => format!("{name}.b = ANY ({})", self.scalar(depth - 1)),
            3 => format!("{} AND NOT {}", self.filter(name, depth - 1), self.filter(name, depth - 1)),
            4 => format!("{} BETWEEN {name}.a AND ({})", self.value(name, depth - 1), self.scalar(depth - 1)),
            5 => format!("{name}.a IS NOT NULL"),
            _ => format!("{} = {name}.b", self.value(name, depth - 1)),
        }
    }
}
