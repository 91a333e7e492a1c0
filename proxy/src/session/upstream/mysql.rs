//! Opens sessions on a MySQL or MariaDB server and cancels what runs on one. Forwards no client's statement.
//! What goes wrong is told to the log in full and to the client without hosts, users and credentials.
//!
//! **What a new session is asked, and why.** Statements can be understood only if the session is in a state that the
//! proxy knows. The login fixes little of that: `init_connect` runs on the server whatever an administrator wrote,
//! global variables are the defaults of every session, and a server told `skip-character-set-client-handshake` does
//! not heed the login's collation. So right behind the login one query, [`SETUP`], asks what holds, in one round trip:
//!
//! - `sql_mode`: how quotes, backslashes and `||` are read. A mode that changes the grammar (`ORACLE` of MariaDB and
//!   its kind) ends the login, as [`SqlMode::read`] refuses it.
//! - the default database: bare names lie in it. `init_connect` may have chosen another than was asked for.
//! - the character sets of client, connection and results: one in which an ASCII byte may be half a character (gbk,
//!   sjis, big5) ends the login, because texts and rows could not be read byte by byte.
//! - `lower_case_table_names`: only servers that tell `a` from `A` are followed.
//!
//! Nothing is pinned: what was asked is followed, and a session is as the server and the client made it. Time zone,
//! collation, isolation level, `autocommit` (the status of every answer tells it), `sql_select_limit`,
//! `explicit_defaults_for_timestamp`, `optimizer_switch` and their like stay the server's: they change what a
//! statement does, not what it says. Temporary tables that `init_connect` makes would hide others of their name; an
//! administrator who does that does it to every client.
//!
//! COM_RESET_CONNECTION sets all of it back to the global values without running `init_connect`: [`SETUP`] has to be
//! asked again after it, and [`Facts::read`] takes the row.

use std::{io, sync::Arc};

use hallpass_policy::statement::mysql::{SqlMode, is_followed_charset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connector::{Connector, UpstreamError, insisted};
use crate::{
    error::ClientError,
    net::stream::Stream,
    session::machine::Upstream,
    wire::mysql::{
        backend::Status,
        body::Body,
        capability::{Capabilities, Flavour},
        codec::{MAX_LOGIN_PACKET, MAX_MESSAGE, Order, Sequence, message, put_message},
        encode,
        frontend::command,
        reader::{ReadError, Reply, Request, ResultReader, Then},
        startup::Greeting,
        upstream_login::{Account, Action, LoginFailure, Opened, Security, UpstreamLogin},
    },
};

/// The socket's file where a target's `host` is a folder: what Debian's and Red Hat's servers call it in `/run/mysqld`
/// and `/var/lib/mysql` differs; a target names another by its whole path.
const SOCKET: &str = "mysqld.sock";

/// Asks for everything in [`Facts`]. Means the same under every sql_mode, so that it can be asked before that is known.
pub const SETUP: &str = "SELECT @@session.sql_mode, DATABASE(), @@session.character_set_client, \
                         @@session.character_set_connection, @@session.character_set_results, \
                         @@session.collation_connection, @@lower_case_table_names";

/// What the client of a session was promised and asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What was agreed on with the client; only what is relayed counts.
    pub capabilities: Capabilities,
    /// The collation's number; the protocol has room for its low byte.
    pub collation: u16,
    /// The schema to start in.
    pub database: Option<Arc<str>>,
    /// Connection attributes: `program_name` and such, shown in `performance_schema`.
    pub attributes: Vec<(String, String)>,
}

/// The character sets of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charsets {
    /// In which statements come.
    pub client: Arc<str>,
    /// Into which the server turns them.
    pub connection: Arc<str>,
    /// In which results go; `None`: as they are stored.
    pub results: Option<Arc<str>>,
    /// How constants compare.
    pub collation: Arc<str>,
}

/// The state of a session that gives statements their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its sql_mode.
    pub sql_mode: SqlMode,
    /// Its default database.
    pub database: Option<Arc<str>>,
    /// Its character sets.
    pub charsets: Charsets,
}

impl Facts {
    /// Reads the one row of [`SETUP`], a text row's payload.
    ///
    /// # Errors
    /// [`UpstreamError::Unfit`] when the proxy cannot follow such a session; the words say what an administrator has
    /// to change.
    pub fn read(payload: &[u8]) -> Result<Self, UpstreamError> {
        let row = text_row(payload)?;
        let [sql_mode, database, client, connection, results, collation, lower_case] = row.as_slice() else {
            return Err(ReadError::Unexpected.into());
        };
        let shared = |value: &Option<String>| value.as_deref().map(Arc::from);
        let needed = |value: &Option<String>| shared(value).ok_or(ReadError::Unexpected);
        let mode = sql_mode.as_deref().unwrap_or_default();
        let sql_mode = SqlMode::read(mode).map_err(|_| {
            UpstreamError::Unfit(format!("sessions start with the sql_mode `{mode}`, which is not followed"))
        })?;
        let charsets = Charsets {
            client: needed(client)?,
            connection: needed(connection)?,
            results: shared(results),
            collation: needed(collation)?,
        };
        for charset in [&charsets.client, &charsets.connection].into_iter().chain(&charsets.results) {
            if !is_followed_charset(charset) {
                let why = format!("sessions start with the character set `{charset}`, which is not followed");
                return Err(UpstreamError::Unfit(why));
            }
        }
        follows_case(lower_case.as_deref().unwrap_or_default())?;
        Ok(Self { sql_mode, database: shared(database), charsets })
    }
}

/// Whether the server tells `a` from `A` in the names of tables, by its `lower_case_table_names`.
///
/// # Errors
/// [`UpstreamError::Unfit`] when not.
pub(in crate::session) fn follows_case(lower_case_table_names: &str) -> Result<(), UpstreamError> {
    if lower_case_table_names == "0" {
        return Ok(());
    }
    let setting = format!("lower_case_table_names = {lower_case_table_names}");
    Err(UpstreamError::Unfit(format!("its server folds the names of tables ({setting}), which is not followed")))
}

/// An open upstream session, idle.
#[derive(Debug)]
pub struct Connection {
    /// The connection.
    pub stream: Stream,
    /// Bytes read behind the last answer: usually none.
    pub leftover: Vec<u8>,
    /// Its number on the server, for KILL.
    pub thread_id: u32,
    /// What holds on this connection.
    pub capabilities: Capabilities,
    /// What the server said first.
    pub greeting: Greeting,
    /// What gives its statements their meaning.
    pub facts: Facts,
    /// The state the last answer told: transaction, autocommit.
    pub status: Status,
}

impl Upstream for Connection {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn take_leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.leftover)
    }

    fn cancel(&self, connector: Arc<Connector>) -> impl Future<Output = Result<(), UpstreamError>> + Send + 'static {
        let thread_id = self.thread_id;
        async move { insisted(|| cancel(&connector, thread_id)).await }
    }

    fn goodbye(&self) -> Vec<u8> {
        goodbye()
    }
}

fn goodbye() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::bare(&mut bytes, &mut Sequence::start(Order::Checked), command::QUIT);
    bytes
}

/// Connects, logs in and asks what the session is like, all within the target's `connect_timeout`.
///
/// # Errors
/// [`ClientError::UpstreamUnavailable`], or [`ClientError::StartupRefused`] in the server's words when there is no such
/// database; the log says more.
pub async fn connect(connector: &Connector, wanted: &Wanted) -> Result<Connection, ClientError> {
    connector.within(open(connector, wanted)).await
}

/// Cancels what runs in the session of that number, over another connection by the same account, and waits until the
/// server has confirmed. A session that is gone runs nothing.
///
/// # Errors
/// When the server cannot be reached, or refuses; nothing was cancelled then.
pub async fn cancel(connector: &Connector, thread_id: u32) -> Result<(), UpstreamError> {
    connector.killer().kill(connector, thread_id).await
}

/// utf8mb4_general_ci, which every server has.
pub(in crate::session) const UTF8MB4: u16 = 45;

async fn open(connector: &Connector, wanted: &Wanted) -> Result<Connection, UpstreamError> {
    let mut link = Link::log_in(connector, wanted).await?;
    let row = link.query(SETUP).await?.into_iter().next().ok_or(ReadError::Unexpected)?;
    let facts = Facts::read(&row)?;
    let Link { stream, input, opened: Opened { greeting, held, status } } = link;
    let thread_id = greeting.connection;
    Ok(Connection { stream, leftover: input, thread_id, capabilities: held, greeting, facts, status })
}

/// A connection that is logged in, on which the proxy speaks for itself.
#[derive(Debug)]
pub(in crate::session) struct Link {
    stream: Stream,
    input: Vec<u8>,
    opened: Opened,
}

impl Link {
    /// Connects and logs in. TLS, where configured, comes before any credential.
    pub(in crate::session) async fn log_in(connector: &Connector, wanted: &Wanted) -> Result<Self, UpstreamError> {
        let mut stream = connector.dial(SOCKET).await?;
        let security = match &stream {
            _ if connector.wants_tls() => Security::Tls,
            Stream::Unix(_) | Stream::Local(_) => Security::Local,
            Stream::Tcp(_) | Stream::TlsClient(_) | Stream::TlsUpstream(_) | Stream::Compressed(_) => Security::Plain,
        };
        let failed = |failure| login_failure(failure, wanted);
        let mut login = UpstreamLogin::new(account(connector, wanted), security);
        let (mut input, mut sequence) = (Vec::with_capacity(1024), Sequence::start(Order::Checked));
        loop {
            let payload = receive(&mut stream, &mut input, &mut sequence, MAX_LOGIN_PACKET).await?;
            let mut action = login.read(&payload).map_err(failed)?;
            if let Action::StartTls(request, encrypting) = action {
                // Bytes behind the greeting are not TLS records of the server's: somebody put them there.
                if !input.is_empty() {
                    return Err(UpstreamError::MysqlLogin(LoginFailure::Unexpected(0)));
                }
                say(&mut stream, &mut sequence, &request).await?;
                stream = connector.secure(stream).await?;
                action = encrypting.encrypted().map_err(failed)?;
            }
            match action {
                Action::Read(next) => login = next,
                Action::Send(payload, next) => {
                    say(&mut stream, &mut sequence, &payload).await?;
                    login = next;
                }
                Action::Done(opened) => return Ok(Self { stream, input, opened }),
                Action::StartTls(..) => return Err(UpstreamError::NoTls),
            }
        }
    }

    /// What the server said first.
    pub(in crate::session) fn greeting(&self) -> &Greeting {
        &self.opened.greeting
    }

    /// Runs one statement of the proxy's own: the payloads of the rows of its first result.
    ///
    /// # Errors
    /// [`UpstreamError::Statement`] when the server refuses it; everything else means that the connection is lost.
    pub(in crate::session) async fn query(&mut self, sql: &str) -> Result<Vec<Vec<u8>>, UpstreamError> {
        let held = self.opened.held;
        let (mut out, mut sequence) = (Vec::with_capacity(sql.len() + 8), Sequence::start(Order::Checked));
        encode::query(&mut out, &mut sequence, sql.as_bytes(), held);
        send(&mut self.stream, &out).await?;
        let mut reader = ResultReader::new(Request::Query, held);
        let (mut rows, mut at, mut first) = (Vec::new(), 0, true);
        while !reader.is_done() {
            let Some(found) = message(self.input.get(at..).unwrap_or_default(), &mut sequence, MAX_MESSAGE)? else {
                self.input.drain(..at);
                at = 0;
                read_more(&mut self.stream, &mut self.input).await?;
                continue;
            };
            let (reply, then) = reader.read(&found.payload)?;
            match reply {
                Reply::Row(_) if first => rows.push(found.payload.to_vec()),
                Reply::Ok(ok) => self.opened.status = ok.status,
                Reply::End { status, .. } => self.opened.status = status,
                Reply::Err(error) => {
                    let message = String::from_utf8_lossy(error.message).into_owned();
                    let code = error.code;
                    at += found.raw.len();
                    self.input.drain(..at);
                    return Err(UpstreamError::Statement { code, message });
                }
                // No statement of ours asks for a file.
                Reply::LocalInfile(_) => return Err(ReadError::Unexpected.into()),
                Reply::Row(_)
                | Reply::Columns { .. }
                | Reply::Prepared(_)
                | Reply::Parameter { .. }
                | Reply::Column { .. }
                | Reply::DefinitionsEnd(_)
                | Reply::Text(_) => {}
            }
            first &= then != Then::NextResult;
            at += found.raw.len();
        }
        self.input.drain(..at);
        Ok(rows)
    }

    /// Whose server it is.
    pub(super) fn flavour(&self) -> Flavour {
        self.opened.held.flavour()
    }

    /// Says goodbye.
    pub(super) async fn leave(mut self) {
        // It is over either way.
        let _ = send(&mut self.stream, &goodbye()).await;
    }
}

fn account(connector: &Connector, wanted: &Wanted) -> Account {
    let target = connector.target();
    let [collation, _] = wanted.collation.to_le_bytes();
    Account {
        user: target.user.clone(),
        password: target.password.clone(),
        database: wanted.database.as_deref().map(str::to_owned),
        collation,
        agreed: wanted.capabilities,
        attributes: wanted.attributes.clone(),
    }
}

/// `ER_DBACCESS_DENIED_ERROR` and `ER_BAD_DB_ERROR`.
const DATABASE_DENIED: u16 = 1044;
const UNKNOWN_DATABASE: u16 = 1049;

fn login_failure(failure: LoginFailure, wanted: &Wanted) -> UpstreamError {
    if let LoginFailure::Refused { code, message, .. } = &failure {
        // The server's own words name the proxy's login in the second case.
        match (*code, &wanted.database) {
            (UNKNOWN_DATABASE, _) => return UpstreamError::NoDatabase { message: message.clone(), hint: "" },
            (DATABASE_DENIED, Some(database)) => {
                return UpstreamError::NoDatabase {
                    message: format!("Unknown database '{database}'"),
                    hint: "it does not exist, or the proxy's login has no rights in it",
                };
            }
            _ => {}
        }
    }
    if matches!(failure, LoginFailure::NoTls) { UpstreamError::NoTls } else { UpstreamError::MysqlLogin(failure) }
}

/// The values of a text row.
///
/// # Errors
/// When it is not exactly that.
pub(in crate::session) fn text_row(payload: &[u8]) -> Result<Vec<Option<String>>, UpstreamError> {
    let mut body = Body::new("row", payload);
    let mut values = Vec::new();
    while !body.remaining().is_empty() {
        let value = body.nullable().map_err(ReadError::from)?;
        values.push(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    }
    Ok(values)
}

async fn receive(
    stream: &mut Stream,
    input: &mut Vec<u8>,
    sequence: &mut Sequence,
    max: usize,
) -> Result<Vec<u8>, UpstreamError> {
    loop {
        if let Some(found) = message(input, sequence, max)? {
            let (payload, length) = (found.payload.to_vec(), found.raw.len());
            input.drain(..length);
            return Ok(payload);
        }
        read_more(stream, input).await?;
    }
}

async fn read_more(stream: &mut Stream, input: &mut Vec<u8>) -> Result<(), UpstreamError> {
    input.reserve(4096);
    if stream.read_buf(input).await? == 0 { Err(UpstreamError::Closed) } else { Ok(()) }
}

async fn say(stream: &mut Stream, sequence: &mut Sequence, payload: &[u8]) -> io::Result<()> {
    let mut out = Vec::with_capacity(payload.len() + 8);
    put_message(&mut out, sequence, payload);
    send(stream, &out).await
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Vec<u8> {
        let mut payload = Vec::new();
        for value in values {
            match value {
                Some(text) => crate::wire::mysql::body::put_string(&mut payload, text.as_bytes()),
                None => payload.push(crate::wire::mysql::body::NULL),
            }
        }
        payload
    }

    #[test]
    fn a_session_is_followed_or_refused() {
        let utf8 = Some("utf8mb4");
        let plain = [Some("ANSI"), None, utf8, utf8, None, Some("utf8mb4_bin"), Some("0")];
        let facts = Facts::read(&row(&plain)).unwrap();
        assert!(facts.sql_mode.ansi_quotes() && facts.database.is_none() && facts.charsets.results.is_none());
        let cases = [
            (0, "ORACLE", "sessions start with the sql_mode `ORACLE`, which is not followed"),
            (2, "gbk", "sessions start with the character set `gbk`, which is not followed"),
            (4, "sjis", "sessions start with the character set `sjis`, which is not followed"),
            (6, "1", "its server folds the names of tables (lower_case_table_names = 1), which is not followed"),
        ];
        for (at, value, words) in cases {
            let mut other = plain;
            other[at] = Some(value);
            let error = Facts::read(&row(&other)).unwrap_err();
            assert_eq!(error.reason(), format!("{words}; tell an administrator"));
        }
        assert!(Facts::read(&row(&plain[..6])).is_err());
    }
}
