//! What names mean in one target: relations, columns, view definitions, functions, operators, casts.
//! Data only. The proxy fetches it and replaces it as a whole; nothing here asks a database anything.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::Serialize;

/// A schema-qualified name, both parts as the server stores them (folded already).
/// On MySQL `schema` is the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct QualifiedName {
    /// Schema, or MySQL database.
    pub schema: Arc<str>,
    /// Relation, function, operator or type.
    pub name: Arc<str>,
}

/// The schema of a Postgres session's own temporary relations, as the session may call it. The server looks there before
/// anywhere else, `pg_catalog` included, but never for functions and operators.
pub const TEMPORARY: &str = "pg_temp";

impl QualifiedName {
    /// Joins two names that are folded already.
    pub fn new(schema: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self { schema: Arc::from(schema.as_ref()), name: Arc::from(name.as_ref()) }
    }

    /// Whether it names something that only its session has, and only while that lasts: on Postgres, what lies in the
    /// temporary schema.
    pub fn is_temporary(&self) -> bool {
        &*self.schema == TEMPORARY
    }
}

/// `schema.name`, unquoted: for people and for globs, never for SQL.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// One column of one relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ColumnRef {
    /// The relation that owns the column.
    pub relation: QualifiedName,
    /// The column's name.
    pub column: Arc<str>,
}

/// `schema.table.column`, unquoted.
impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, self.column)
    }
}

/// What a relation is, as `pg_class.relkind` and `information_schema.tables` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RelationKind {
    /// An ordinary or partitioned table.
    Table,
    /// A view: its columns are those of its definition.
    View,
    /// A materialized view: a stale copy of its definition.
    MaterializedView,
    /// A foreign table: its rows live elsewhere, so nothing is known about them.
    ForeignTable,
    /// A sequence.
    Sequence,
    /// A composite type, an index, a TOAST table: cannot be granted.
    Other,
}

/// One column of a relation.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// `pg_attribute.attnum`, from 1; ordinal position on MySQL.
    pub number: i16,
    /// `pg_type.oid` of the column; on MySQL the kind of its type, as [`crate::statement::mysql::kind`] has it.
    pub type_oid: u32,
    /// Whether the relation keeps it when its parents lose theirs of that name; true where there are no parents.
    pub local: bool,
    /// The expression of a stored or virtual generated column, as the server prints it with an empty `search_path`.
    pub generated: Option<Arc<str>>,
}

/// One relation.
#[derive(Clone, Debug, Serialize)]
pub struct Relation {
    /// `pg_class.oid`; 0 on MySQL.
    pub oid: u32,
    /// Its qualified name.
    pub name: QualifiedName,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns in order; dropped ones are left out. System columns (`ctid`, `xmin`, `tableoid`…) are not listed.
    pub columns: Vec<Column>,
    /// The query of a view or materialized view, as the server prints it with an empty `search_path`.
    pub definition: Option<Arc<str>>,
    /// Changes whenever the definition of a view does (the row version of its rule); `None` for what has none.
    pub revision: Option<Arc<str>>,
    /// Whether a write to it runs code that somebody wrote: triggers, and functions in CHECK, indexes, generated columns.
    pub triggered: bool,
    /// Whether rules that somebody wrote turn a write to it into something else.
    pub ruled: bool,
    /// Direct parents (inheritance and partitioning).
    pub parents: Vec<QualifiedName>,
    /// Direct children (inheritance and partitioning).
    pub children: Vec<QualifiedName>,
}

impl Relation {
    /// The column called `name`, if there is one.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| &*c.name == name)
    }
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FunctionKind {
    /// A plain function.
    Function,
    /// An aggregate.
    Aggregate,
    /// A window function.
    Window,
    /// A procedure, for CALL.
    Procedure,
}

/// One function, procedure, aggregate or window function that is not built in (or a built-in one of `pg_catalog`).
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Its qualified name.
    pub name: QualifiedName,
    /// What it is.
    pub kind: FunctionKind,
    /// Fewest arguments a call may have (defaults counted off).
    pub min_args: u16,
    /// Most arguments a call may have; `None` for a variadic one.
    pub max_args: Option<u16>,
    /// The extension that owns it.
    pub extension: Option<Arc<str>>,
}

/// One operator outside `pg_catalog`.
#[derive(Clone, Debug, Serialize)]
pub struct Operator {
    /// Its qualified name.
    pub name: QualifiedName,
    /// The function behind it.
    pub function: QualifiedName,
    /// The extension that owns it.
    pub extension: Option<Arc<str>>,
}

/// When code behind a type runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Runs {
    /// When a value is made of something else, or becomes something else, is compared or ordered: casts, the functions
    /// of a base type, the operator classes of ranges and other types.
    Converting,
    /// When a value is made: what a domain checks.
    Making,
}

/// One cast whose function is outside `pg_catalog`; or one type with code outside it: source and target are the same.
#[derive(Clone, Debug, Serialize)]
pub struct Cast {
    /// Source type.
    pub source: QualifiedName,
    /// Target type.
    pub target: QualifiedName,
    /// The function behind it.
    pub function: QualifiedName,
    /// The extension that owns it.
    pub extension: Option<Arc<str>>,
    /// When it runs.
    pub runs: Runs,
    /// `pg_type.oid` of every type whose values hold one of the source type: itself, its arrays, domains, ranges, and
    /// composite types with a field of it. A value of one comes from a column, from a parameter that is declared so, or
    /// from where a statement names the type.
    pub holders: Vec<u32>,
}

/// A type outside `pg_catalog`: enum, domain, composite, range, base type.
#[derive(Clone, Debug, Serialize)]
pub struct UserType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// Its qualified name.
    pub name: QualifiedName,
    /// What it is made of.
    pub kind: UserTypeKind,
    /// The extension that owns it.
    pub extension: Option<Arc<str>>,
}

/// What a user-defined type is.
#[derive(Clone, Debug, Serialize)]
pub enum UserTypeKind {
    /// An enum.
    Enum,
    /// A domain.
    Domain {
        /// `pg_type.oid` of what it is over.
        base: u32,
    },
    /// A composite or the row type of a relation.
    Composite,
    /// A range, multirange, or base type.
    Other,
}

/// The default of a column.
#[derive(Clone, Debug)]
pub struct ColumnDefault {
    /// The column's name.
    pub column: Arc<str>,
    /// The expression, as the server prints it with an empty `search_path`.
    pub expression: Arc<str>,
}

/// Where code of somebody's runs beside a statement that does not name it, and what the server then says may hold
/// anything. Postgres' only, but for what [`Relation::triggered`] says.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Foreign keys that write to the second relation when the first is written to: ON DELETE CASCADE, SET NULL and so on.
    pub cascades: Vec<(QualifiedName, QualifiedName)>,
    /// Relations whose row security calls functions or reads other relations.
    pub policed: HashSet<QualifiedName>,
    /// Whether event triggers run with DDL.
    pub event_triggers: bool,
}

/// Everything the gate knows about one target's names at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Grows with every change that was seen; part of every cache key.
    pub version: u64,
    /// The database's own name (`current_database()`).
    pub database: String,
    /// The role the proxy connects as: what `"$user"` in a search_path means.
    pub login: String,
    /// The search_path a new session starts with, as the server prints it.
    pub default_search_path: String,
    /// All schemas.
    pub schemas: Vec<Arc<str>>,
    /// Relations by qualified name, the system catalogs among them.
    pub relations: HashMap<QualifiedName, Arc<Relation>>,
    /// Relations by OID.
    pub by_oid: HashMap<u32, Arc<Relation>>,
    /// About how many rows a table has, where the server has counted; for review rules only, and as old as the catalog.
    pub rows: HashMap<QualifiedName, u64>,
    /// Tables whose writes no ROLLBACK takes back: those of MySQL's engines without transactions.
    pub lasting: HashSet<QualifiedName>,
    /// MySQL's temporary tables of the session that this catalog is of. Those that are not among `relations` hide a table
    /// that has come into being since: what is meant by the name is not the same everywhere, so it means nothing.
    pub temporary: HashSet<QualifiedName>,
    /// Functions by bare name, built-in ones among them.
    pub functions: HashMap<Arc<str>, Vec<Function>>,
    /// Operators outside `pg_catalog` by symbol.
    pub operators: HashMap<Arc<str>, Vec<Operator>>,
    /// Casts with a function outside `pg_catalog`, and types with code outside it.
    pub casts: Vec<Cast>,
    /// Defaults that call functions outside `pg_catalog`, by relation.
    pub defaults: HashMap<QualifiedName, Vec<ColumnDefault>>,
    /// Code that runs beside statements.
    pub beside: Beside,
    /// Types outside `pg_catalog`.
    pub types: HashMap<QualifiedName, UserType>,
}

impl Catalog {
    /// The relation called `schema.name`.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.relations.get(&QualifiedName::new(schema, name))
    }

    /// Adds a relation under both of its keys.
    pub fn add_relation(&mut self, relation: Relation) {
        let relation = Arc::new(relation);
        if relation.oid != 0 {
            self.by_oid.insert(relation.oid, Arc::clone(&relation));
        }
        self.relations.insert(relation.name.clone(), relation);
    }

    /// The columns whose type is the domain called `name`, or a domain over it.
    pub fn columns_of_domain(&self, name: &QualifiedName) -> impl Iterator<Item = (&Arc<Relation>, &Column)> {
        let mut domains: HashSet<u32> = self.types.get(name).map(|domain| domain.oid).into_iter().collect();
        loop {
            let over = self
                .types
                .values()
                .filter(|other| matches!(other.kind, UserTypeKind::Domain { base } if domains.contains(&base)));
            let over: Vec<u32> = over.map(|other| other.oid).filter(|oid| !domains.contains(oid)).collect();
            if over.is_empty() {
                break;
            }
            domains.extend(over);
        }
        let columns = self.relations.values().flat_map(|r| r.columns.iter().map(move |column| (r, column)));
        columns.filter(move |(_, column)| domains.contains(&column.type_oid))
    }

    /// Adds a function under its bare name.
    pub fn add_function(&mut self, function: Function) {
        self.functions.entry(Arc::clone(&function.name.name)).or_default().push(function);
    }
}
