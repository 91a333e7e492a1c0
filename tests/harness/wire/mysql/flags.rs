//! Capability flags, as both servers' manuals number them ("Capabilities Flags", "Connection Phase"). MariaDB's own
//! stand above the 32 bits that MySQL knows. Nothing is chosen here but the usual set.

/// Found rows instead of affected rows.
pub const FOUND_ROWS: u64 = 1 << 1;
/// Long column flags.
pub const LONG_FLAG: u64 = 1 << 2;
/// The handshake response names a database.
pub const CONNECT_WITH_DB: u64 = 1 << 3;
/// zlib compression.
pub const COMPRESS: u64 = 1 << 5;
/// LOAD DATA LOCAL.
pub const LOCAL_FILES: u64 = 1 << 7;
/// Spaces after function names.
pub const IGNORE_SPACE: u64 = 1 << 8;
/// The 4.1 protocol.
pub const PROTOCOL_41: u64 = 1 << 9;
/// `interactive_timeout` instead of `wait_timeout`.
pub const INTERACTIVE: u64 = 1 << 10;
/// TLS.
pub const SSL: u64 = 1 << 11;
/// Status flags in OK packets.
pub const TRANSACTIONS: u64 = 1 << 13;
/// 4.1 authentication.
pub const SECURE_CONNECTION: u64 = 1 << 15;
/// Several statements in one COM_QUERY.
pub const MULTI_STATEMENTS: u64 = 1 << 16;
/// Several results of one statement.
pub const MULTI_RESULTS: u64 = 1 << 17;
/// The same for prepared statements.
pub const PS_MULTI_RESULTS: u64 = 1 << 18;
/// The handshake names plugins.
pub const PLUGIN_AUTH: u64 = 1 << 19;
/// Connection attributes.
pub const CONNECT_ATTRS: u64 = 1 << 20;
/// The authentication answer's length is length-encoded.
pub const PLUGIN_AUTH_LENENC: u64 = 1 << 21;
/// Session state changes in OK packets.
pub const SESSION_TRACK: u64 = 1 << 23;
/// OK packets instead of EOF packets.
pub const DEPRECATE_EOF: u64 = 1 << 24;
/// MySQL: metadata may be left out.
pub const OPTIONAL_METADATA: u64 = 1 << 25;
/// MySQL: zstd compression.
pub const ZSTD: u64 = 1 << 26;
/// MySQL: query attributes.
pub const QUERY_ATTRIBUTES: u64 = 1 << 27;
/// MariaDB: progress reports.
pub const PROGRESS: u64 = 1 << 32;
/// MariaDB: bulk execution.
pub const BULK: u64 = 1 << 34;
/// MariaDB: types of its own in column definitions.
pub const EXTENDED_METADATA: u64 = 1 << 35;
/// MariaDB: column definitions of prepared statements are sent once.
pub const CACHE_METADATA: u64 = 1 << 36;

/// What a modern client asks for.
pub const USUAL: u64 = LONG_FLAG
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
    | PLUGIN_AUTH_LENENC
    | LOCAL_FILES
    | DEPRECATE_EOF;

/// SERVER_MORE_RESULTS_EXISTS in a status.
pub const MORE_RESULTS: u16 = 0x0008;
/// SERVER_STATUS_IN_TRANS.
pub const IN_TRANSACTION: u16 = 0x0001;
/// SERVER_STATUS_CURSOR_EXISTS.
pub const CURSOR_EXISTS: u16 = 0x0040;
/// SERVER_STATUS_LAST_ROW_SENT.
pub const LAST_ROW_SENT: u16 = 0x0080;
