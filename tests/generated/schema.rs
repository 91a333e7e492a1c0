//! The database that queries are made for: its tables, views and cells. Every cell holds a value that nothing else holds,
//! in two versions: one to one, but of another order, length and form. Knows no queries and no masks.

use std::fmt::Write as _;

use crate::random::mix;

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Postgres.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// Oracle's MySQL.
    MySql,
}

impl Dialect {
    /// A name, quoted if it has to be.
    pub fn quote(self, name: &str) -> String {
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        match self {
            _ if plain && name != "select" => name.to_owned(),
            Self::Postgres => format!("\"{name}\""),
            Self::MariaDb | Self::MySql => format!("`{name}`"),
        }
    }

    /// Whether it is Postgres.
    pub fn is_postgres(self) -> bool {
        self == Self::Postgres
    }
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ty {
    /// bigint.
    Int,
    /// numeric(16,2).
    Num,
    /// text, varchar(60).
    Text,
    /// boolean.
    Bool,
    /// date.
    Date,
    /// timestamp, datetime.
    Stamp,
    /// jsonb, json.
    Json,
    /// text[]; Postgres only.
    Array,
    /// bytea, varbinary(60).
    Bytes,
}

/// How a column is filled.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// The row's number, from 1: the primary key. Never masked.
    Key,
    /// A number from 1 to [`ROWS`]. Never masked.
    Link,
    /// True or false. Never masked.
    Flag,
    /// A value of its own.
    Own,
    /// The value that the column of the first table has in the row that this row's `customer_id` names.
    Like(&'static str),
    /// Computed by the server from another column of the table: on Postgres, on MySQL.
    From(&'static str, &'static str, &'static str),
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
    /// How it is filled.
    pub fill: Fill,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [Stored],
}

/// Rows of each table.
pub const ROWS: u64 = 6;

const fn stored(name: &'static str, ty: Ty, fill: Fill) -> Stored {
    Stored { name, ty, fill }
}

/// All tables. The set of a query's columns has a bit for each column, in this order.
pub const TABLES: &[Table] = &[
    Table {
        name: "customers",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("name", Ty::Text, Fill::Own),
            stored("email", Ty::Text, Fill::Own),
            stored("phone", Ty::Text, Fill::Own),
            stored("city", Ty::Text, Fill::Own),
            stored("salary", Ty::Int, Fill::Own),
            stored("credit", Ty::Num, Fill::Own),
            stored("born", Ty::Date, Fill::Own),
            stored("profile", Ty::Json, Fill::Own),
            stored("tags", Ty::Array, Fill::Own),
            stored("boss", Ty::Int, Fill::Link),
            stored("active", Ty::Bool, Fill::Flag),
        ],
    },
    Table {
        name: "orders",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("customer_id", Ty::Int, Fill::Link),
            stored("contact", Ty::Text, Fill::Like("email")),
            stored("total", Ty::Num, Fill::Own),
            stored("placed", Ty::Stamp, Fill::Own),
            stored("note", Ty::Text, Fill::Own),
            stored("qty", Ty::Int, Fill::Own),
            stored("paid", Ty::Bool, Fill::Flag),
        ],
    },
    Table {
        name: "items",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("order_id", Ty::Int, Fill::Link),
            stored("sku", Ty::Text, Fill::Own),
            stored("price", Ty::Num, Fill::Own),
            stored("label", Ty::Text, Fill::Own),
            stored("seal", Ty::Bytes, Fill::Own),
            stored("slug", Ty::Text, Fill::From("sku", "lower(sku) || '-x'", "CONCAT(LOWER(sku), '-x')")),
            stored("cents", Ty::Num, Fill::From("price", "price * 100", "price * 100")),
        ],
    },
    Table {
        name: "events",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("customer_id", Ty::Int, Fill::Link),
            stored("kind", Ty::Text, Fill::Own),
            stored("payload", Ty::Json, Fill::Own),
            stored("at", Ty::Stamp, Fill::Own),
        ],
    },
    Table {
        name: "people",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("name", Ty::Text, Fill::Own),
            stored("alias", Ty::Text, Fill::Own),
            stored("joined", Ty::Date, Fill::Own),
        ],
    },
    Table {
        name: "Odd Table",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("select", Ty::Text, Fill::Own),
            stored("Mixed Case", Ty::Text, Fill::Own),
            stored("nähe", Ty::Int, Fill::Own),
        ],
    },
    Table {
        name: "sink",
        columns: &[
            stored("id", Ty::Int, Fill::Key),
            stored("a", Ty::Text, Fill::Own),
            stored("b", Ty::Text, Fill::Own),
            stored("n", Ty::Int, Fill::Own),
        ],
    },
];

/// A view: name, definition on both, and its columns with the stored columns that feed them.
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// `CREATE …` on Postgres.
    pub postgres: &'static str,
    /// `CREATE …` on MySQL.
    pub mysql: &'static str,
    /// Columns: name, type, what feeds it.
    pub columns: &'static [(&'static str, Ty, &'static [&'static str])],
}

const CONTACTS: &str = "VIEW contacts AS SELECT id, name, email AS address, city FROM customers";
const DEEP: &str =
    "VIEW deep AS SELECT c.id, c.address, o.note, o.total FROM contacts c JOIN orders o ON o.customer_id = c.id";
const COUNTED: &str =
    "VIEW counted AS SELECT customer_id, count(*) AS many, max(placed) AS latest FROM orders GROUP BY customer_id";

/// All views, each after those that it reads.
pub const VIEWS: &[View] = &[
    View {
        name: "contacts",
        postgres: CONTACTS,
        mysql: CONTACTS,
        columns: &[
            ("id", Ty::Int, &["customers.id"]),
            ("name", Ty::Text, &["customers.name"]),
            ("address", Ty::Text, &["customers.email"]),
            ("city", Ty::Text, &["customers.city"]),
        ],
    },
    View {
        name: "deep",
        postgres: DEEP,
        mysql: DEEP,
        columns: &[
            ("id", Ty::Int, &["customers.id"]),
            ("address", Ty::Text, &["customers.email"]),
            ("note", Ty::Text, &["orders.note"]),
            ("total", Ty::Num, &["orders.total"]),
        ],
    },
    View {
        name: "counted",
        postgres: COUNTED,
        mysql: COUNTED,
        columns: &[
            ("customer_id", Ty::Int, &["orders.customer_id"]),
            ("many", Ty::Int, &[]),
            ("latest", Ty::Stamp, &["orders.placed"]),
        ],
    },
    View {
        name: "frozen",
        postgres: "MATERIALIZED VIEW frozen AS SELECT id, upper(phone) AS phone, salary FROM customers",
        mysql: "VIEW frozen AS SELECT id, UPPER(phone) AS phone, salary FROM customers",
        columns: &[
            ("id", Ty::Int, &["customers.id"]),
            ("phone", Ty::Text, &["customers.phone"]),
            ("salary", Ty::Int, &["customers.salary"]),
        ],
    },
];

/// A set of stored columns.
pub type Columns = u128;

/// The number of a column, its table and itself, in the order of [`TABLES`].
pub fn all_columns() -> impl Iterator<Item = (usize, &'static Table, &'static Stored)> {
    TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
        .enumerate()
        .map(|(number, (table, column))| (number, table, column))
}

/// The set that holds `table.column` and what it is computed from; panics when there is none.
pub fn column_set(table: &str, column: &str) -> Columns {
    let find = |name: &str| {
        let found = all_columns().find(|(_, of, stored)| of.name == table && stored.name == name);
        found.unwrap_or_else(|| panic!("there is a column {table}.{name}"))
    };
    let (number, _, stored) = find(column);
    let own = 1 << number;
    match stored.fill {
        Fill::From(source, ..) => own | 1 << find(source).0,
        _ => own,
    }
}

/// Whether a column may be masked: keys, links and flags may not, as constants would equal them.
pub fn may_be_masked(column: &Stored) -> bool {
    matches!(column.fill, Fill::Own | Fill::Like(_))
}

/// Which of two values a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The first.
    One,
    /// The other.
    Two,
}

/// A cell's value as a literal, and the texts that betray it.
#[derive(Clone, Debug)]
pub struct Cell {
    /// SQL.
    pub literal: String,
    /// What is recognisable of it.
    pub canaries: Vec<String>,
}

fn letters(seed: u64, count: u32) -> String {
    // No vowels: nothing that anybody would say.
    let alphabet = b"bcdfghjklmnpqrstvwxz";
    let mut bits = mix(seed);
    let letter = |_| {
        let letter = alphabet[usize::try_from(bits % 20).expect("below 20")];
        bits = mix(bits);
        char::from(letter)
    };
    (0..count).map(letter).collect()
}

/// The value of a row's cell, from 1; `None`: NULL.
pub fn cell(dialect: Dialect, number: usize, row: u64, version: Version) -> Option<Cell> {
    let (_, table, column) = all_columns().nth(number).expect("a column of that number");
    let seed = mix(number as u64 * 64 + row);
    let plain = |literal: String| Some(Cell { literal, canaries: Vec::new() });
    match column.fill {
        Fill::Key => return plain(row.to_string()),
        Fill::Link => return plain((seed % ROWS + 1).to_string()),
        Fill::Flag => return plain(if seed.is_multiple_of(2) { "true" } else { "false" }.to_owned()),
        Fill::From(..) => return None,
        Fill::Like(name) => {
            let link = table.columns.iter().position(|other| other.name == "customer_id").expect("a link");
            let own = table.columns.iter().position(|other| std::ptr::eq(other, column)).expect("its own column");
            let link = cell(dialect, number - own + link, row, version)?.literal.parse().expect("a number");
            let (source, ..) = all_columns()
                .find(|(_, of, stored)| of.name == TABLES[0].name && stored.name == name)
                .expect("a column of the first table");
            return cell(dialect, source, link, version);
        }
        Fill::Own => {}
    }
    if seed.is_multiple_of(11) {
        return None;
    }
    Some(own_value(dialect, column.ty, number as u64 * 16 + row, seed, version))
}

fn own_value(dialect: Dialect, ty: Ty, unique: u64, seed: u64, version: Version) -> Cell {
    let one = version == Version::One;
    // Small in the second version, and of another order; 12007 is a prime, so no two are equal.
    let small = 20_011 + unique * 7919 % 12_007;
    let sign = if !one && seed.is_multiple_of(3) { "-" } else { "" };
    let number = if one { 100_000_000 + seed % 800_000_000 } else { small };
    let text = match seed % 4 {
        _ if one => format!("q{}", letters(seed, 9)),
        0 => format!("7{:011}", seed % 99_999_999_999),
        1 => letters(seed ^ 1, 7),
        2 => format!("{} {}", letters(seed ^ 2, 15), letters(seed ^ 3, 8)),
        _ => format!("a{}%{}", letters(seed ^ 4, 9), unique),
    };
    let quoted = |text: &str| Cell { literal: format!("'{text}'"), canaries: vec![text.to_owned()] };
    match ty {
        Ty::Int => {
            Cell { literal: format!("{sign}{number}"), canaries: if one { vec![number.to_string()] } else { vec![] } }
        }
        Ty::Num => {
            let literal = format!("{sign}{number}.{:02}", seed % 100);
            Cell { canaries: if one { vec![number.to_string()] } else { vec![] }, literal }
        }
        Ty::Text => quoted(&text),
        Ty::Date | Ty::Stamp => {
            let year = if one { 1940 } else { 2101 } + unique * 7 % 47;
            let month = 1 + seed % 12;
            let day = 1 + unique * 5 % 28;
            let time = if ty == Ty::Stamp { format!(" {:02}:{:02}:00", seed % 23, seed % 59) } else { String::new() };
            quoted(&format!("{year}-{month:02}-{day:02}{time}"))
        }
        Ty::Json if one => Cell { literal: format!("'{{\"k\": \"{text}\", \"n\": {number}}}'"), canaries: vec![text] },
        Ty::Json => Cell { literal: format!("'{{\"k\": [\"{text}\", 1], \"m\": null}}'"), canaries: vec![text] },
        Ty::Array if one => {
            let other = letters(seed ^ 5, 10);
            Cell { literal: format!("ARRAY['{text}', '{other}']"), canaries: vec![text, other] }
        }
        Ty::Array => Cell { literal: format!("ARRAY['{text}']"), canaries: vec![text] },
        Ty::Bytes => {
            let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let literal = if dialect.is_postgres() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") };
            Cell { literal, canaries: vec![text, hex] }
        }
        Ty::Bool => panic!("flags have no values of their own"),
    }
}
