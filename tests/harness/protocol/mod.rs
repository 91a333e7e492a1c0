//! What scenarios say once and mean for both protocols: a database, a client, an answer, a failure by its kind. Where the
//! protocols differ, a scenario says so by [`Protocol::pick`], or talks to the wire client of its own protocol.

mod mysql;
mod postgres;

use std::time::Duration;

pub use mysql::MySql;
pub use postgres::Postgres;

use crate::config::Target;

/// Makes of each scenario `fn NAME<P: Protocol>()` two tests, `NAME::postgres` and `NAME::mysql`. Stands at the head of a file
/// of scenarios; one that is not listed is unused code, which the compiler tells.
#[macro_export]
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[test]
            fn postgres() {
                super::$name::<hallpass_tests::protocol::Postgres>();
            }

            #[test]
            fn mysql() {
                super::$name::<hallpass_tests::protocol::MySql>();
            }
        })+
    };
}

/// One of the two protocols, with its servers and its client.
pub trait Protocol: std::fmt::Debug + 'static {
    /// As in `proxy.toml`.
    const NAME: &'static str;
    /// Objects and rows of the shop.
    const SCHEMA: &'static str;
    /// A statement that a reader may run and that takes a minute or more.
    const SLOW: &'static str;
    /// Its wire client.
    type Client: Client;
    /// A database of one scenario.
    type Database: Direct<Client = Self::Client>;

    /// A database for the scenario `name`.
    fn database(name: &str) -> Self::Database;

    /// That database as a target of the proxy.
    fn target(name: &str, database: &Self::Database) -> Target;

    /// Logs in on 127.0.0.1.
    ///
    /// # Errors
    /// What was said; `None` when the connection just ended.
    fn connect(port: u16, user: &str, password: &str, database: &str) -> Result<Self::Client, Refused>;

    /// The codes that stand for `kind`: SQLSTATE, for MySQL `NUMBER/SQLSTATE`.
    fn codes(kind: Kind) -> &'static [&'static str];

    /// The placeholder of the first, second, … parameter.
    fn parameter(number: usize) -> String;

    /// The one that is meant for this protocol.
    fn pick<T>(postgres: T, mysql: T) -> T;
}

/// A scenario's database, without a proxy.
pub trait Direct {
    /// Its wire client.
    type Client;

    /// Runs SQL as the superuser; panics on an error.
    fn run(&self, sql: &str);

    /// Runs SQL as the owner; panics on an error. Several statements may stand in it.
    fn run_as_owner(&self, sql: &str);

    /// The one value that a query returns.
    fn value(&self, sql: &str) -> String;

    /// The login of the owner, as the proxy has it.
    fn owner(&self) -> String;

    /// How many connections to the database there are, beside the one that asks.
    fn connections(&self) -> usize;

    /// A connection of the owner.
    fn client(&self) -> Self::Client;

    /// Every statement that reaches the database from now on is logged.
    fn log_statements(&self);

    /// The statements that the server itself logged, byte for byte, but for the superuser's on MySQL.
    fn statement_log(&self) -> Vec<String>;

    /// A statement as the server's log shows it.
    fn as_logged<'a>(&self, sql: &'a str) -> &'a str;

    /// Whether a statement with this text in it runs now.
    fn is_running(&self, part: &str) -> bool;

    /// Ends the server session that runs a statement with this text in it.
    fn end_session(&self, part: &str);

    /// Whether some transaction holds changed rows of this table.
    fn is_locked(&self, table: &str) -> bool;
}

/// What both wire clients do.
pub trait Client: std::fmt::Debug + Send {
    /// A statement prepared in the protocol, not by SQL.
    type Held;

    /// One text by the simple protocol, COM_QUERY.
    fn query(&mut self, sql: &str) -> Answer;

    /// One statement by the extended protocol, COM_STMT_*; parameters as text.
    fn prepared(&mut self, sql: &str, params: &[&str]) -> Answer;

    /// One statement in every way that rows can take: as text, prepared, binary, and on MySQL by a cursor.
    fn every_way(&mut self, sql: &str) -> Vec<Answer>;

    /// Runs a statement, which has to work, and says what the client was warned of: by notices, by SHOW WARNINGS.
    fn warned(&mut self, sql: &str) -> Vec<String>;

    /// Prepares and keeps.
    fn hold(&mut self, sql: &str) -> Self::Held;

    /// Runs what was prepared.
    fn run_held(&mut self, held: &Self::Held) -> Answer;

    /// Sends a query; its answer is to be read.
    fn start(&mut self, sql: &str);

    /// The answer to a query that was sent.
    fn answer(&mut self) -> Answer;

    /// What comes until the other side closes or is silent for so long.
    fn listen(&mut self, wait: Duration) -> Answer;

    /// Every byte received so far.
    fn received(&self) -> &[u8];

    /// Whether the other side closed the connection.
    fn is_closed(&self) -> bool;

    /// Runs a query and counts its rows and their bytes, keeping nothing; panics on an error.
    fn count_rows(&mut self, sql: &str) -> (usize, usize);

    /// Whether these bytes were received.
    fn has_received(&self, needle: &str) -> bool {
        self.received().windows(needle.len()).any(|window| window == needle.as_bytes())
    }
}

/// What an error means, whatever its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No grant allows it.
    Denied,
    /// Rows, bytes or affected rows beyond a role's limit.
    LimitPassed,
    /// It took too long, or was cancelled.
    Stopped,
    /// Unknown user, wrong password.
    LoginFailed,
    /// No such target.
    NoTarget,
    /// No SQL.
    Unparsed,
    /// Understood, and not done.
    Unsupported,
    /// There is no such table.
    NoTable,
    /// The audit cannot be written.
    AuditDown,
    /// The server cannot be reached.
    UpstreamDown,
    /// The client broke the protocol.
    ProtocolBroken,
    /// Too many connections.
    TooMany,
    /// An administrator ended the session.
    Killed,
    /// The proxy stops.
    Draining,
    /// The transaction is read-only.
    ReadOnly,
    /// A unique key is violated.
    Duplicate,
}

/// Why a login failed: what was said, or `None` when the connection just ended.
pub type Refused = Option<Box<Failure>>;

/// An error that a client was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// SQLSTATE, for MySQL `NUMBER/SQLSTATE`.
    pub code: String,
    /// `ERROR` or `FATAL`; MySQL has no such word.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// Why.
    pub detail: String,
    /// What to type next.
    pub hint: String,
    protocol: &'static str,
}

impl Failure {
    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        let codes = if self.protocol == MySql::NAME { MySql::codes(kind) } else { Postgres::codes(kind) };
        codes.contains(&self.code.as_str())
    }

    /// Whether all of these words are in it.
    pub fn says(&self, words: &[&str]) -> bool {
        let all = self.words();
        words.iter().all(|word| all.contains(word))
    }

    /// Message, detail and hint.
    pub fn words(&self) -> String {
        [self.message.as_str(), &self.detail, &self.hint].join("\n")
    }
}

/// An answer, as far as both protocols have it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Names of the last result's columns.
    pub columns: Vec<String>,
    /// All rows, values as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// Of each statement that changed rows, how many.
    pub affected: Vec<u64>,
    /// Errors.
    pub errors: Vec<Failure>,
    /// Whether a transaction is open now.
    pub in_transaction: bool,
    /// The connection closed before the answer was whole.
    pub closed: bool,
}

impl Answer {
    /// The first row's first value; panics when there is none.
    #[track_caller]
    pub fn value(&self) -> String {
        let first = self.rows.first().and_then(|row| row.first()).cloned().flatten();
        first.unwrap_or_else(|| panic!("no value: {self:?}"))
    }

    /// Rows, columns joined by a bar, NULL as nothing.
    pub fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| crate::wire::joined(row)).collect()
    }

    /// The only error; panics when there is none or more.
    #[track_caller]
    pub fn error(&self) -> &Failure {
        assert_eq!(self.errors.len(), 1, "one error is expected: {self:?}");
        &self.errors[0]
    }

    /// The only error, which is of this kind; panics when it is not.
    #[track_caller]
    pub fn fails(&self, kind: Kind) -> &Failure {
        let error = self.error();
        assert!(error.is(kind), "{kind:?} is expected: {error:?}");
        error
    }

    /// Itself when there was no error.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.errors.is_empty() && !self.closed, "should have worked: {self:?}");
        self
    }
}
