//! Makes random queries, and knows of each which stored columns feed every column of its result and which it works with.
//! A query is made for a database and, mostly, with an eye on the masks: blind ones are nearly all refused.

mod from;
mod select;
mod templates;
mod value;
mod write;

use std::collections::HashSet;

use crate::{
    masks::Masks,
    random::Random,
    schema::{Columns, Dialect, Ty},
};

/// How a query is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a text, answered in text.
    Simple,
    /// Prepared; on Postgres with results in text.
    Prepared,
    /// Prepared, results in binary.
    Binary,
    /// Prepared and executed by SQL.
    Named,
    /// By a cursor; Postgres only.
    Cursor,
}

/// A query and what is known of it. `{S}` in its text stands for the schema.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose SQL.
    pub dialect: Dialect,
    /// SQL.
    pub sql: String,
    /// What feeds each column of its result.
    pub outputs: Vec<Columns>,
    /// Every stored column that takes part.
    pub touched: Columns,
    /// Those that are not only shown as they are stored.
    pub worked: Columns,
    /// Whether ORDER BY says where each row stands.
    pub ordered: bool,
    /// Whether the server may choose among rows: what it chooses differs from copy to copy.
    pub unsettled: bool,
    /// Whether it changes or locks rows: it runs in a transaction that is rolled back.
    pub writes: bool,
    /// The table that it writes, if it does not only lock.
    pub target: Option<&'static str>,
    /// How it is sent.
    pub way: Way,
    /// Whether MySQL is asked for its warnings afterwards.
    pub warned: bool,
}

impl Query {
    /// The texts to send, and which of them gives the answer.
    pub fn texts(&self, schema: &str) -> (Vec<String>, usize) {
        let sql = self.sql.replace("{S}", schema);
        let (mut texts, mut at) = match self.way {
            Way::Simple | Way::Prepared | Way::Binary => (vec![sql], 0),
            Way::Named if self.dialect.is_postgres() => {
                (vec![format!("PREPARE p AS {sql}"), "EXECUTE p".to_owned()], 1)
            }
            Way::Named => {
                let quoted = sql.replace('\\', "\\\\").replace('\'', "''");
                (vec![format!("PREPARE p FROM '{quoted}'"), "EXECUTE p".to_owned()], 1)
            }
            Way::Cursor => (vec![format!("DECLARE c CURSOR FOR {sql}"), "FETCH ALL FROM c".to_owned()], 1),
        };
        if self.writes || self.way == Way::Cursor {
            texts.insert(0, if self.dialect.is_postgres() { "BEGIN" } else { "START TRANSACTION" }.to_owned());
            texts.push("ROLLBACK".to_owned());
            at += 1;
        }
        if self.way == Way::Named {
            // Not before the rollback: in a transaction that failed it would fail, too.
            texts.push("DEALLOCATE PREPARE p".to_owned());
        }
        (texts, at)
    }
}

/// What a value is wanted for. Ordered: a later one lets less through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// To be shown as it is stored.
    Show,
    /// To be compared for equality.
    Same,
    /// To be computed on, and shown.
    Compute,
    /// Anything else.
    Work,
}

/// A column that a query sees.
#[derive(Clone, Debug)]
struct Column {
    /// As it is written.
    name: String,
    ty: Ty,
    fed: Columns,
}

/// A relation that a query sees.
#[derive(Clone, Debug)]
struct Relation {
    alias: String,
    columns: Vec<Column>,
}

impl Relation {
    fn fed(&self) -> Columns {
        self.columns.iter().fold(0, |all, column| all | column.fed)
    }
}

/// The relations of one FROM, and those around it.
#[derive(Clone, Copy, Debug)]
struct Scope<'a> {
    relations: &'a [Relation],
    outer: Option<&'a Scope<'a>>,
}

/// A piece of SQL with a value.
#[derive(Clone, Debug)]
struct Value {
    sql: String,
    fed: Columns,
}

/// Makes one query.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    dialect: Dialect,
    /// Masked columns that it keeps out of what would be refused: of everything but equality, and of equality.
    avoid: [Columns; 2],
    touched: Columns,
    worked: Columns,
    /// Numbers of aliases.
    names: usize,
    /// SELECTs that may still be opened.
    budget: usize,
    /// WITH items in sight.
    with: Vec<Relation>,
    /// Tables that stand somewhere under their own name.
    bare: HashSet<String>,
    /// Whether LIMIT may stand here.
    limits: bool,
    /// All masked columns.
    masked: Columns,
    unsettled: bool,
    /// MySQL and MariaDB sort for a window; LIMIT behind it picks among rows that are equal to that sort.
    sorts: bool,
    /// Whether EXPLAIN may stand before the statement.
    explains: bool,
    writes: bool,
    target: Option<&'static str>,
}

impl Generator {
    /// For the query number `at` of a seed.
    pub fn new(seed: u64, at: u64, dialect: Dialect, masks: &Masks) -> Self {
        let mut random = Random::new(seed, at);
        let avoid = if random.chance(80) { [masks.closed, masks.never] } else { [0, 0] };
        let budget = random.between(2, 6);
        Self {
            random,
            dialect,
            avoid,
            touched: 0,
            worked: 0,
            names: 0,
            budget,
            with: Vec::new(),
            bare: HashSet::new(),
            limits: true,
            masked: masks.closed,
            unsettled: false,
            sorts: false,
            explains: dialect.is_postgres(),
            writes: false,
            target: None,
        }
    }

    /// The query.
    pub fn query(mut self) -> Query {
        let way = match self.random.below(10) {
            0 | 1 => Way::Prepared,
            2 => Way::Binary,
            3 if self.random.chance(50) => Way::Named,
            4 if self.is_postgres() && self.random.chance(50) => Way::Cursor,
            _ => Way::Simple,
        };
        self.explains &= matches!(way, Way::Simple | Way::Prepared | Way::Binary);
        let warned = self.random.chance(30);
        let selected = if way != Way::Cursor && self.random.chance(14) { self.write() } else { self.statement() };
        Query {
            dialect: self.dialect,
            outputs: selected.columns.iter().map(|column| column.fed).collect(),
            sql: selected.sql,
            touched: self.touched,
            worked: self.worked,
            ordered: selected.ordered,
            unsettled: self.unsettled,
            writes: self.writes,
            target: self.target,
            way,
            warned,
        }
    }

    fn alias(&mut self) -> String {
        self.names += 1;
        format!("{}{}", ["t", "u", "rel", "customers_", "x"][self.random.below(5)], self.names)
    }

    /// Whether a value of these columns may be used so, for all that the masks say.
    fn is_wise(&self, fed: Columns, wanted: Use) -> bool {
        match wanted {
            Use::Show => true,
            Use::Same => fed & self.avoid[1] == 0,
            Use::Compute | Use::Work => fed & self.avoid[0] == 0,
        }
    }

    fn is_postgres(&self) -> bool {
        self.dialect.is_postgres()
    }
}

/// The union of what feeds these.
fn fed_of(columns: &[Column]) -> Columns {
    columns.iter().fold(0, |all, column| all | column.fed)
}
