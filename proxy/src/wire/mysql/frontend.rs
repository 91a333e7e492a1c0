//! The commands a client sends, taken apart without copying. A command that is not known is a value, too: the gate
//! refuses it by name.
//! Source: MySQL internals manual, "Command Phase"; MariaDB knowledge base, "2 - Text Protocol", "3 - Binary Protocol".

use super::{
    body::{Body, Malformed},
    capability::Capabilities,
    execute::{BulkExecute, Execute, Parameter, Unbound, parameters},
    startup,
};

/// Numbers of commands.
pub mod command {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const QUIT: u8 = 1;
    pub const INIT_DB: u8 = 2;
    pub const QUERY: u8 = 3;
    pub const FIELD_LIST: u8 = 4;
    pub const REFRESH: u8 = 7;
    pub const SHUTDOWN: u8 = 8;
    pub const STATISTICS: u8 = 9;
    pub const PROCESS_INFO: u8 = 10;
    pub const PROCESS_KILL: u8 = 12;
    pub const DEBUG: u8 = 13;
    pub const PING: u8 = 14;
    pub const CHANGE_USER: u8 = 17;
    pub const BINLOG_DUMP: u8 = 18;
    pub const TABLE_DUMP: u8 = 19;
    pub const REGISTER_SLAVE: u8 = 21;
    pub const STMT_PREPARE: u8 = 22;
    pub const STMT_EXECUTE: u8 = 23;
    pub const STMT_SEND_LONG_DATA: u8 = 24;
    pub const STMT_CLOSE: u8 = 25;
    pub const STMT_RESET: u8 = 26;
    pub const SET_OPTION: u8 = 27;
    pub const STMT_FETCH: u8 = 28;
    pub const BINLOG_DUMP_GTID: u8 = 30;
    pub const RESET_CONNECTION: u8 = 31;
    pub const CLONE: u8 = 32;
    pub const STMT_BULK_EXECUTE: u8 = 0xfa;
    pub const MULTI: u8 = 0xfe;
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<'a> {
    /// The client goes.
    Quit,
    /// `USE`.
    InitDb(&'a [u8]),
    /// SQL, one statement or several.
    Query(Query<'a>),
    /// The columns of a table, as a result without rows.
    FieldList {
        /// The table, in the default schema.
        table: &'a [u8],
        /// A LIKE pattern for columns; empty: all.
        wildcard: &'a [u8],
    },
    /// One line about the server.
    Statistics,
    /// `SHOW PROCESSLIST`.
    ProcessInfo,
    /// `KILL CONNECTION`.
    ProcessKill(u32),
    /// The server writes about itself into its log.
    Debug,
    /// Are you there?
    Ping,
    /// A new login on the same connection.
    ChangeUser(ChangeUser<'a>),
    /// The session as it was after login.
    ResetConnection,
    /// Whether several statements may stand in one query.
    SetOption(MultiStatements),
    /// Prepares a statement.
    Prepare(&'a [u8]),
    /// Runs a prepared statement; its parameters are in it.
    Execute(Execute<'a>),
    /// Runs a prepared statement with many sets of parameters; MariaDB.
    BulkExecute(BulkExecute<'a>),
    /// The next rows of a cursor.
    Fetch {
        /// The statement.
        statement: u32,
        /// Most rows.
        rows: u32,
    },
    /// A piece of a parameter. Has no answer.
    SendLongData {
        /// The statement.
        statement: u32,
        /// Which parameter.
        parameter: u16,
        /// The piece.
        data: &'a [u8],
    },
    /// Forgets a statement's long data and closes its cursor.
    StatementReset(u32),
    /// Forgets a statement. Has no answer.
    StatementClose(u32),
    /// Refused: replication, shutdown, batches and what is not known.
    Unsupported(u8),
}

/// Whether several statements may stand in one COM_QUERY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiStatements {
    /// `MYSQL_OPTION_MULTI_STATEMENTS_ON`.
    On,
    /// `MYSQL_OPTION_MULTI_STATEMENTS_OFF`.
    Off,
}

/// COM_QUERY.
#[derive(Clone, Debug, PartialEq)]
pub struct Query<'a> {
    /// The text as sent.
    pub sql: &'a [u8],
    /// Query attributes, all with a name.
    pub attributes: Vec<Parameter<'a>>,
}

impl<'a> Command<'a> {
    /// Takes a command's payload apart.
    ///
    /// # Errors
    /// When it is not exactly what its first byte says, or empty.
    pub fn decode(payload: &'a [u8], held: Capabilities) -> Result<Self, Malformed> {
        let mut body = Body::new("command", payload);
        let number = body.u8()?;
        let mut body = Body::new(name(number), body.rest());
        let found = match number {
            command::QUIT => Self::Quit,
            command::INIT_DB => Self::InitDb(body.rest()),
            command::QUERY => Self::Query(query(&mut body, held)?),
            command::FIELD_LIST => Self::FieldList { table: body.text()?, wildcard: body.rest() },
            command::STATISTICS => Self::Statistics,
            command::PROCESS_INFO => Self::ProcessInfo,
            command::PROCESS_KILL => Self::ProcessKill(body.u32()?),
            command::DEBUG => Self::Debug,
            command::PING => Self::Ping,
            command::CHANGE_USER => Self::ChangeUser(ChangeUser::decode(&mut body, held)?),
            command::RESET_CONNECTION => Self::ResetConnection,
            command::SET_OPTION => Self::SetOption(match body.u16()? {
                0 => MultiStatements::On,
                1 => MultiStatements::Off,
                _ => return Err(body.code()),
            }),
            command::STMT_PREPARE => Self::Prepare(body.rest()),
            command::STMT_EXECUTE => Self::Execute(Execute::decode(&mut body)?),
            command::STMT_BULK_EXECUTE => Self::BulkExecute(BulkExecute::decode(&mut body)?),
            command::STMT_FETCH => Self::Fetch { statement: body.u32()?, rows: body.u32()? },
            command::STMT_SEND_LONG_DATA => {
                Self::SendLongData { statement: body.u32()?, parameter: body.u16()?, data: body.rest() }
            }
            command::STMT_RESET => Self::StatementReset(body.u32()?),
            command::STMT_CLOSE => Self::StatementClose(body.u32()?),
            other => {
                body.rest();
                Self::Unsupported(other)
            }
        };
        body.end()?;
        Ok(found)
    }
}

/// The name of the command with this number, for refusals and errors.
pub fn name(number: u8) -> &'static str {
    match number {
        0 => "COM_SLEEP",
        command::QUIT => "COM_QUIT",
        command::INIT_DB => "COM_INIT_DB",
        command::QUERY => "COM_QUERY",
        command::FIELD_LIST => "COM_FIELD_LIST",
        5 => "COM_CREATE_DB",
        6 => "COM_DROP_DB",
        command::REFRESH => "COM_REFRESH",
        command::SHUTDOWN => "COM_SHUTDOWN",
        command::STATISTICS => "COM_STATISTICS",
        command::PROCESS_INFO => "COM_PROCESS_INFO",
        command::PROCESS_KILL => "COM_PROCESS_KILL",
        command::DEBUG => "COM_DEBUG",
        command::PING => "COM_PING",
        command::CHANGE_USER => "COM_CHANGE_USER",
        command::BINLOG_DUMP => "COM_BINLOG_DUMP",
        command::TABLE_DUMP => "COM_TABLE_DUMP",
        command::REGISTER_SLAVE => "COM_REGISTER_SLAVE",
        command::STMT_PREPARE => "COM_STMT_PREPARE",
        command::STMT_EXECUTE => "COM_STMT_EXECUTE",
        command::STMT_SEND_LONG_DATA => "COM_STMT_SEND_LONG_DATA",
        command::STMT_CLOSE => "COM_STMT_CLOSE",
        command::STMT_RESET => "COM_STMT_RESET",
        command::SET_OPTION => "COM_SET_OPTION",
        command::STMT_FETCH => "COM_STMT_FETCH",
        command::BINLOG_DUMP_GTID => "COM_BINLOG_DUMP_GTID",
        command::RESET_CONNECTION => "COM_RESET_CONNECTION",
        command::CLONE => "COM_CLONE",
        command::STMT_BULK_EXECUTE => "COM_STMT_BULK_EXECUTE",
        command::MULTI => "COM_MULTI",
        _ => "an unknown command",
    }
}

fn query<'a>(body: &mut Body<'a>, held: Capabilities) -> Result<Query<'a>, Malformed> {
    let mut attributes = Vec::new();
    if held.has(Capabilities::QUERY_ATTRIBUTES) {
        let count = body.size()?;
        // Always one set.
        if body.int()? != 1 {
            return Err(body.count());
        }
        if count > 0 {
            attributes = parameters(body, count, Unbound::Refused, true)?;
        }
    }
    Ok(Query { sql: body.rest(), attributes })
}

/// COM_CHANGE_USER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// Who wants in.
    pub user: &'a [u8],
    /// The answer to the greeting's scramble, or to an older one; a switch with a fresh one follows where it counts.
    pub auth: &'a [u8],
    /// The schema to start in; empty: none.
    pub database: &'a [u8],
    /// The collation's number, where given.
    pub collation: Option<u16>,
    /// The plugin that `auth` is of.
    pub plugin: Option<&'a [u8]>,
    /// Connection attributes.
    pub attributes: startup::Attributes,
}

impl<'a> ChangeUser<'a> {
    fn decode(body: &mut Body<'a>, held: Capabilities) -> Result<Self, Malformed> {
        let user = body.text()?;
        let length = usize::from(body.u8()?);
        let auth = body.bytes(length)?;
        let database = body.text()?;
        let (mut collation, mut plugin, mut attributes) = (None, None, Vec::new());
        if !body.remaining().is_empty() {
            collation = Some(body.u16()?);
            if held.has(Capabilities::PLUGIN_AUTH) && !body.remaining().is_empty() {
                plugin = Some(body.text_or_rest());
            }
            if held.has(Capabilities::CONNECT_ATTRS) {
                attributes = startup::attributes(body)?;
            }
            // As in the handshake response, servers ignore what stands behind.
            body.rest();
        }
        Ok(Self { user, auth, database, collation, plugin, attributes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const PLAIN: Capabilities = Capabilities(Capabilities::PLUGIN_AUTH.0 | Capabilities::CONNECT_ATTRS.0);

    fn plain(payload: &[u8]) -> Command<'_> {
        Command::decode(payload, PLAIN).unwrap()
    }

    #[test]
    fn commands_are_taken_apart() {
        assert_eq!(plain(b"\x01"), Command::Quit);
        assert_eq!(plain(b"\x02shop"), Command::InitDb(b"shop"));
        assert_eq!(plain(b"\x03SELECT 1"), Command::Query(Query { sql: b"SELECT 1", attributes: vec![] }));
        assert_eq!(plain(b"\x04orders\0i%"), Command::FieldList { table: b"orders", wildcard: b"i%" });
        assert_eq!(plain(b"\x0c\x07\0\0\0"), Command::ProcessKill(7));
        assert_eq!(plain(b"\x1b\x01\0"), Command::SetOption(MultiStatements::Off));
        assert_eq!(plain(b"\x16SELECT ?"), Command::Prepare(b"SELECT ?"));
        assert_eq!(plain(b"\x1c\x01\0\0\0\x0a\0\0\0"), Command::Fetch { statement: 1, rows: 10 });
        let piece = Command::SendLongData { statement: 1, parameter: 2, data: b"xy" };
        assert_eq!(plain(b"\x18\x01\0\0\0\x02\0xy"), piece);
        assert_eq!(plain(b"\x19\x09\0\0\0"), Command::StatementClose(9));
        assert_eq!(plain(b"\x12binlog"), Command::Unsupported(command::BINLOG_DUMP));
        assert_eq!(plain(b"\x7b"), Command::Unsupported(123));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_malformed() {
        for bad in [&b""[..], b"\x0c\x07\0\0", b"\x0c\x07\0\0\0\0", b"\x04orders", b"\x1b\x02\0", b"\x0ex"] {
            assert!(Command::decode(bad, PLAIN).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn query_attributes_stand_before_the_text() {
        let held = Capabilities::QUERY_ATTRIBUTES;
        let bare = Command::decode(b"\x03\0\x01SELECT 1", held).unwrap();
        assert_eq!(bare, Command::Query(Query { sql: b"SELECT 1", attributes: vec![] }));
        let payload = b"\x03\x01\x01\0\x01\xfd\0\x05trace\x02idSELECT 1";
        let Command::Query(query) = Command::decode(payload, held).unwrap() else { panic!() };
        assert_eq!((query.attributes[0].name, query.sql), (&b"trace"[..], &b"SELECT 1"[..]));
    }

    #[test]
    fn change_user_ends_where_the_client_ends_it() {
        let Command::ChangeUser(short) = plain(b"\x11ann\0\x03abcshop\0") else { panic!() };
        assert_eq!((short.user, short.auth, short.database), (&b"ann"[..], &b"abc"[..], &b"shop"[..]));
        assert_eq!((short.collation, short.plugin), (None, None));
        let long = plain(b"\x11ann\0\0shop\0\x2d\0caching_sha2_password\0\x04\x01a\x01b");
        let Command::ChangeUser(long) = long else { panic!() };
        assert_eq!((long.collation, long.plugin), (Some(45), Some(&b"caching_sha2_password"[..])));
        assert_eq!(long.attributes, [(b"a".to_vec(), b"b".to_vec())]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            number in 0..35u8,
            bytes in vec(prop_oneof![2 => 0..4u8, 1 => any::<u8>()], 0..60),
            flags in any::<u64>(),
        ) {
            let payload = [&[number], bytes.as_slice()].concat();
            let _ = Command::decode(&payload, Capabilities(flags));
        }
    }
}
