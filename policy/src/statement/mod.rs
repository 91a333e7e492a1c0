//! What a statement is to the gate: the permissions it needs, the columns it shows, the columns it uses and what it
//! does to the session. The same for every SQL dialect; `postgres` (and later `mysql`) make it from text.
//! Knows no grants and no masks: facts only. "Cannot tell" is a [`Refusal`], never a guess.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalog::{ColumnRef, QualifiedName};

mod dialect;
pub mod inband;
mod literal;
pub mod mysql;
pub mod postgres;
mod shape;
mod truth;

pub use dialect::{Bracket, Dialect, Form};
pub use shape::Shape;

/// One permission of `[roles.NAME] allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// EXPLAIN without ANALYZE.
    Explain,
    /// Reading rows.
    Select,
    /// INSERT, and the insert arm of MERGE.
    Insert,
    /// UPDATE, ON CONFLICT DO UPDATE, and the update arm of MERGE.
    Update,
    /// DELETE, and the delete arm of MERGE.
    Delete,
    /// TRUNCATE.
    Truncate,
    /// CREATE, ALTER, DROP, COMMENT, REINDEX of what the role's tables cover.
    Ddl,
    /// CALL of a procedure that the role lists under `functions`.
    Call,
    /// COPY … FROM STDIN, LOAD DATA LOCAL.
    CopyIn,
    /// LOCK, SELECT … FOR UPDATE or SHARE, advisory locks.
    Lock,
    /// VACUUM, ANALYZE, CLUSTER, REFRESH MATERIALIZED VIEW, CHECKPOINT.
    Maintain,
    /// Everything else: roles, privileges, schemas, extensions, functions' bodies, dynamic SQL, other sessions.
    Admin,
}

impl Action {
    /// All actions, in the contract's order.
    pub const ALL: [Self; 12] = [
        Self::Explain,
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::Ddl,
        Self::Call,
        Self::CopyIn,
        Self::Lock,
        Self::Maintain,
        Self::Admin,
    ];

    /// The name as in `proxy.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Explain => "explain",
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Ddl => "ddl",
            Self::Call => "call",
            Self::CopyIn => "copy_in",
            Self::Lock => "lock",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// Whether the action can change stored rows, names or other sessions: what the read-only fence must not stop.
    pub fn writes(self) -> bool {
        match self {
            Self::Explain | Self::Select => false,
            Self::Insert
            | Self::Update
            | Self::Delete
            | Self::Truncate
            | Self::Ddl
            | Self::Call
            | Self::CopyIn
            | Self::Lock
            | Self::Maintain
            | Self::Admin => true,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Object {
    /// A table, view or sequence of the user's; matched against `tables` and `except`.
    Relation(QualifiedName),
    /// A relation of the system catalogs that clients read for names and types. Baseline, always.
    Catalog(QualifiedName),
    /// The names of what is in a schema, as `information_schema` lists them; `None`: in any schema. MySQL's.
    Listing(Option<Arc<str>>),
    /// A function, procedure, operator or cast that is not known to compute only; matched against `functions`.
    Function(QualifiedName),
    /// The session or the database as a whole; the text says what, for the denial: `role alice`, `schema shop`.
    Session(Arc<str>),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(name) | Self::Catalog(name) => name.fmt(f),
            Self::Listing(Some(schema)) => write!(f, "the names in schema {schema}"),
            Self::Listing(None) => f.write_str("the names in all schemas"),
            Self::Function(name) => write!(f, "function {name}"),
            Self::Session(what) => f.write_str(what),
        }
    }
}

/// One permission that a statement needs. All of a statement's needs must be met by one grant (or the baseline).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Need {
    /// What is done.
    pub action: Action,
    /// To what.
    pub object: Object,
}

/// How a column's value got to where it is. Ordered: the worst step of a path counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Via {
    /// Unchanged: aliases, CTEs, subqueries, UNION ALL, RETURNING, views that pass it on.
    Copy,
    /// Through functions and operators that never fail whatever the value: lower(), ||, count(DISTINCT …), coalesce().
    Total,
    /// Through something whose success or failure can tell about the value (casts, arithmetic, functions with a
    /// narrow domain), or that we know nothing about.
    Partial,
}

/// Which stored columns feed a value, and how. Base columns only: views, CTEs and generated columns are expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// Each feeding column with the worst step on its way. Empty: constants and parameters only.
    #[serde(serialize_with = "lineage_as_list")]
    pub columns: BTreeMap<ColumnRef, Via>,
    /// Whether some of the values may be none of these columns': a constant of another arm of a UNION, what a
    /// function made. Such a value compared with a stored one is a guess of the statement's own.
    #[serde(skip)]
    pub mixed: bool,
}

fn lineage_as_list<S: serde::Serializer>(map: &BTreeMap<ColumnRef, Via>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(map.iter().map(|(column, via)| (column.to_string(), via)))
}

impl Lineage {
    /// No stored column.
    pub fn constant() -> Self {
        Self::default()
    }

    /// The stored value of `column` itself.
    pub fn copy_of(column: ColumnRef) -> Self {
        Self { columns: BTreeMap::from([(column, Via::Copy)]), mixed: false }
    }

    /// Whether every value is one that is stored, as it is stored.
    pub fn is_stored(&self) -> bool {
        !self.mixed && !self.columns.is_empty() && self.columns.values().all(|via| *via == Via::Copy)
    }

    /// The value is of the one or of the other: arms of a UNION, rows of VALUES, sides of a join by names.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        let one_is_made = self.columns.is_empty() != other.columns.is_empty();
        self.merge(other);
        self.mixed |= one_is_made;
        self
    }

    /// Adds all of `other`, the worse step winning.
    pub fn merge(&mut self, other: &Self) {
        self.mixed |= other.mixed;
        for (column, via) in &other.columns {
            let worst = self.columns.entry(column.clone()).or_insert(*via);
            *worst = (*worst).max(*via);
        }
    }

    /// The same columns after one more step.
    #[must_use]
    pub fn through(mut self, step: Via) -> Self {
        for via in self.columns.values_mut() {
            *via = (*via).max(step);
        }
        self
    }
}

/// One result column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The name that the client will see.
    pub name: Arc<str>,
    /// What feeds it.
    pub lineage: Lineage,
}

/// What rows a statement returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outputs {
    /// No rows.
    None,
    /// Exactly these columns.
    Columns(Vec<Output>),
    /// Rows of the server's own making that hold no stored values, however many columns: EXPLAIN, SHOW.
    Server,
    /// The rows of the SQL-level or protocol-level prepared statement of that name (EXECUTE).
    OfPrepared(Arc<str>),
    /// The rows of the cursor or portal of that name (FETCH).
    OfCursor(Arc<str>),
}

/// What a statement does with a column besides showing it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Usage {
    /// Compared by `=`, `<>`, IN, IS DISTINCT FROM, as the bare column, with constants or parameters (or with another
    /// bare column).
    Equality,
    /// Any other part in a condition: WHERE, ON, HAVING, CASE, FILTER, LIMIT, a subquery's EXISTS; ordering, grouping,
    /// DISTINCT, PARTITION BY, UNION without ALL.
    Inference,
    /// Copied, changed or not, to where a mask does not follow: another column, a new table, a setting, a
    /// notification, a file. Holds the place for the denial: `shop.orders.note`.
    Travel(Arc<str>),
    /// DDL that takes the column out from under its mask: rename, change of type by expression, move to another schema.
    Reshape,
}

/// One use of one stored column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ColumnUse {
    /// The base column (views and CTEs expanded).
    pub column: ColumnRef,
    /// What is done with it.
    pub usage: Usage,
}

/// How much of its rows an UPDATE or DELETE reaches, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reach {
    /// Not an UPDATE or DELETE, or one with a condition that may be false.
    Some,
    /// An UPDATE of every row: no WHERE, or one that is always true.
    EveryUpdate,
    /// A DELETE of every row: no WHERE, or one that is always true.
    EveryDelete,
}

/// What a statement looks like, for review rules and row bounds: facts of its text that no permission depends on.
/// The default is what is known of nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Features {
    /// INSERT, UPDATE, DELETE and MERGE inside WITH, whose rows the server does not count.
    pub inner_writes: usize,
    /// Tables that a query reads as a whole: no WHERE that may be false and no LIMIT stands over them.
    pub whole: BTreeSet<QualifiedName>,
    /// Two tables of one FROM that no condition connects, as they are called there.
    pub unconnected: Option<(Arc<str>, Arc<str>)>,
    /// Whether an expression assigns to a variable of the session's: `@v := 1`. MySQL's.
    pub assigns: bool,
    /// Columns that values are computed from which nobody is shown, by what never fails but may warn. MySQL's.
    pub computed: BTreeSet<ColumnRef>,
    /// Whether it tells how many warnings the statement before it had: `@@warning_count`. MySQL's.
    pub counts_warnings: bool,
    /// Why the server writes a table anew: `changes the type of shop.orders.total`.
    pub rewrite: Option<Arc<str>>,
}

/// A setting's new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Setting {
    /// `SET name = …`; list elements joined as the server would.
    To(Arc<str>),
    /// `RESET name`, `SET name TO DEFAULT`.
    Default,
}

/// What a statement does to the session, which the proxy has to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// Nothing that has to be followed.
    None,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT, RELEASE.
    Savepoint,
    /// ROLLBACK TO SAVEPOINT: settings made since then are gone.
    RollbackTo,
    /// SET, SET LOCAL, RESET of one parameter that the gate allows; also `SELECT set_config('…','…',…)` of constants.
    Set {
        /// The parameter, in lower case.
        name: Arc<str>,
        /// Its new value.
        value: Setting,
        /// SET LOCAL.
        local: bool,
    },
    /// MySQL's SET of several variables in one statement, in their order. A value that begins with `@` stands for what
    /// a user variable (`@@`: another server variable) holds: the session asks the server before it lets SET through.
    SetAll(Vec<(Arc<str>, Setting)>),
    /// RESET ALL.
    ResetAll,
    /// PREPARE name AS …
    Prepare {
        /// Its name.
        name: Arc<str>,
        /// What it will run.
        statement: Box<Statement>,
    },
    /// EXECUTE name: the needs are those of what was prepared.
    Execute {
        /// Its name.
        name: Arc<str>,
    },
    /// DEALLOCATE name, or ALL.
    Deallocate(Option<Arc<str>>),
    /// DECLARE cursor … FOR …
    Declare {
        /// Its name.
        name: Arc<str>,
        /// What its rows come from.
        statement: Box<Statement>,
    },
    /// FETCH, MOVE: the needs are those of what was declared.
    Fetch {
        /// The cursor or portal.
        name: Arc<str>,
    },
    /// CLOSE name, or ALL.
    CloseCursor(Option<Arc<str>>),
    /// DISCARD ALL: settings, prepared statements, cursors, LISTENs.
    DiscardAll,
    /// COPY … TO STDOUT.
    CopyOut,
    /// COPY … FROM STDIN.
    CopyIn,
    /// Something that changes names: the catalog must be fetched again.
    ChangesCatalog,
    /// MySQL's temporary tables of these names come or go: what this session alone means by them has to be asked.
    ChangesTemporary(Box<[QualifiedName]>),
    /// MySQL's KILL: of a session of the same user the proxy does it itself, by the number that it gave out.
    Kill {
        /// The connection's number.
        connection: u64,
        /// How much of it is ended.
        what: Kill,
    },
    /// A question to the proxy itself, which upstream never sees.
    Inband(Box<inband::Inband>),
}

/// What KILL ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kill {
    /// The statement that runs.
    Query,
    /// The connection.
    Connection,
}

/// What the statement is called in a command tag, a denial and the audit.
pub type Verb = &'static str;

/// One statement, understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// `SELECT`, `UPDATE`, `CREATE TABLE`, …
    pub verb: Verb,
    /// Every permission it needs, without repeats. Empty: harmless, allowed to everybody (BEGIN, SET of a harmless
    /// parameter, SHOW, SELECT 1).
    pub needs: Vec<Need>,
    /// What rows come back.
    pub outputs: Outputs,
    /// What it does with columns besides showing them.
    pub uses: Vec<ColumnUse>,
    /// Every relation whose rows take part, views expanded to what is behind them, besides the needs' own: decides
    /// whether errors are scrubbed.
    pub touches: Vec<QualifiedName>,
    /// What it does to the session.
    pub effect: Effect,
    /// Whether it reaches every row.
    pub reach: Reach,
    /// EXPLAIN: nothing runs, yet estimates tell about values.
    pub explain: bool,
    /// A bulk read that `export` guards: COPY … TO STDOUT.
    pub export: bool,
    /// What it looks like.
    pub features: Features,
    /// Parameters, by their number, that an equality with this column takes for texts. MySQL's, which compares numbers
    /// and dates otherwise; who binds them says what they are.
    pub compared: Vec<(usize, ColumnRef)>,
    /// SHA-256 of the parse tree without positions and comments: what a statement grant pins.
    pub identity: [u8; 32],
}

/// The statement that `statement` prepares or declares a cursor for.
pub fn inner(statement: &Statement) -> Option<&Statement> {
    if let Effect::Prepare { statement, .. } | Effect::Declare { statement, .. } = &statement.effect {
        Some(statement)
    } else {
        None
    }
}

/// Why a text is not understood. A refusal is an answer to the client: it says what, why and what to type next.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which error the client gets.
    pub kind: RefusalKind,
    /// Lower case, no period: `syntax error at or near "SELEC"`.
    pub message: String,
    /// Why, in a sentence.
    pub detail: Option<String>,
    /// What to do or type instead.
    pub hint: Option<String>,
    /// Where in the text a syntax error is, in characters from 1: only there the server would say the very same.
    pub position: Option<usize>,
}

/// Which error a refusal becomes; the SQLSTATE in parentheses is Postgres'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The text does not parse (42601).
    Unparsed,
    /// It parses, but holds something that the gate does not follow (0A000).
    Unsupported,
    /// A relation that the catalog does not know (42P01).
    UnknownRelation,
    /// A column that the catalog does not know (42703).
    UnknownColumn,
    /// A function that the catalog does not know (42883).
    UnknownFunction,
    /// A type that the catalog does not know (42704).
    UnknownType,
    /// A name that may mean two things (42702).
    Ambiguous,
    /// Forbidden to everybody, whatever the grant (42501).
    Forbidden,
    /// Too long or nested too deep (54001).
    TooComplex,
    /// A character set that the gate cannot read, or nobody (22021).
    UnknownCharset,
    /// A statement that MySQL's protocol cannot prepare (0A000): clients send it as text then.
    NotPreparable,
}

impl Refusal {
    /// A refusal without detail and hint.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None, position: None }
    }

    /// Adds the reason.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what to do instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One text a client sent, understood: all of its statements.
#[derive(Clone, Debug)]
pub struct Understood {
    /// The statements in order. Empty for an empty query.
    pub statements: Vec<Statement>,
    /// The statement's shape without its literals, in hexadecimal: for searching the audit.
    pub fingerprint: Arc<str>,
    /// The literals whose values decide nothing of this but each statement's `identity`, by their places in the text: a
    /// text of the same [`Shape`] that has others there means the same. Empty where that is not known.
    pub free: Box<[Range<usize>]>,
}

impl Understood {
    /// The same for all texts of its shape that have the same bound literals: what pins the one text is taken out, so
    /// that it fits no statement grant.
    #[must_use]
    pub fn shared(mut self) -> Self {
        for statement in &mut self.statements {
            statement.identity = [0; 32];
        }
        self
    }
}

/// The session settings that give a text its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    /// The search_path in force, as SHOW search_path prints it: `"$user", public`.
    pub search_path: Arc<str>,
}
