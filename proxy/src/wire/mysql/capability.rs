//! What client and server can do, MySQL's 32 flags and MariaDB's 32 more, and which of them a listener announces: what
//! the upstream offers and the proxy can relay, so that a client never sees what the upstream did not send.
//! Source: MySQL internals manual, "Capabilities Flags"; MariaDB knowledge base, "Capabilities".

use std::ops::{BitAnd, BitOr, Sub};

/// A set of flags. The upper half are MariaDB's extended ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

impl Capabilities {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    /// MySQL: long passwords. Unset in a greeting it says MariaDB, and that the extended flags are there.
    pub const CLIENT_MYSQL: Self = Self(1);
    pub const FOUND_ROWS: Self = Self(1 << 1);
    pub const LONG_FLAG: Self = Self(1 << 2);
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    pub const NO_SCHEMA: Self = Self(1 << 4);
    pub const COMPRESS: Self = Self(1 << 5);
    pub const ODBC: Self = Self(1 << 6);
    pub const LOCAL_FILES: Self = Self(1 << 7);
    pub const IGNORE_SPACE: Self = Self(1 << 8);
    pub const PROTOCOL_41: Self = Self(1 << 9);
    pub const INTERACTIVE: Self = Self(1 << 10);
    pub const SSL: Self = Self(1 << 11);
    pub const IGNORE_SIGPIPE: Self = Self(1 << 12);
    pub const TRANSACTIONS: Self = Self(1 << 13);
    pub const RESERVED: Self = Self(1 << 14);
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    pub const MULTI_RESULTS: Self = Self(1 << 17);
    pub const PS_MULTI_RESULTS: Self = Self(1 << 18);
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    pub const PLUGIN_AUTH_LENENC: Self = Self(1 << 21);
    pub const CAN_HANDLE_EXPIRED_PASSWORDS: Self = Self(1 << 22);
    pub const SESSION_TRACK: Self = Self(1 << 23);
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    pub const OPTIONAL_RESULTSET_METADATA: Self = Self(1 << 25);
    pub const ZSTD_COMPRESSION: Self = Self(1 << 26);
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    pub const MULTI_FACTOR: Self = Self(1 << 28);
    pub const CAPABILITY_EXTENSION: Self = Self(1 << 29);
    pub const SSL_VERIFY_SERVER_CERT: Self = Self(1 << 30);
    pub const REMEMBER_OPTIONS: Self = Self(1 << 31);
    /// MariaDB: progress reports in the middle of a statement.
    pub const PROGRESS: Self = Self(1 << 32);
    pub const COM_MULTI: Self = Self(1 << 33);
    pub const STMT_BULK_OPERATIONS: Self = Self(1 << 34);
    /// MariaDB: type names (json, uuid, inet6, geometry kinds) in column definitions.
    pub const EXTENDED_METADATA: Self = Self(1 << 35);
    /// MariaDB: a prepared statement's column definitions are sent once.
    pub const CACHE_METADATA: Self = Self(1 << 36);
    pub const BULK_UNIT_RESULTS: Self = Self(1 << 37);

    /// No flag.
    pub const NONE: Self = Self(0);

    /// Flags that change what goes over the wire after login, or what a statement means, and that the proxy relays:
    /// set towards the upstream exactly when the client set them. `CACHE_METADATA` is not among them: masks are bound to
    /// the column definitions of every result, so they have to come with every result.
    pub const RELAYED: Self = Self(
        Self::FOUND_ROWS.0
            | Self::LONG_FLAG.0
            | Self::NO_SCHEMA.0
            | Self::ODBC.0
            | Self::LOCAL_FILES.0
            | Self::IGNORE_SPACE.0
            | Self::INTERACTIVE.0
            | Self::IGNORE_SIGPIPE.0
            | Self::MULTI_STATEMENTS.0
            | Self::MULTI_RESULTS.0
            | Self::PS_MULTI_RESULTS.0
            | Self::SESSION_TRACK.0
            | Self::DEPRECATE_EOF.0
            | Self::OPTIONAL_RESULTSET_METADATA.0
            | Self::QUERY_ATTRIBUTES.0
            | Self::STMT_BULK_OPERATIONS.0
            | Self::EXTENDED_METADATA.0,
    );

    /// Flags about login that the proxy does itself, on each side as that side can.
    pub const LOGIN: Self = Self(
        Self::CONNECT_WITH_DB.0
            | Self::PROTOCOL_41.0
            | Self::TRANSACTIONS.0
            | Self::RESERVED.0
            | Self::SECURE_CONNECTION.0
            | Self::PLUGIN_AUTH.0
            | Self::CONNECT_ATTRS.0
            | Self::PLUGIN_AUTH_LENENC.0
            | Self::CAN_HANDLE_EXPIRED_PASSWORDS.0,
    );

    /// Without these no session is possible: packets of protocol 4.1 and scrambled passwords.
    pub const NEEDED: Self = Self(Self::PROTOCOL_41.0 | Self::SECURE_CONNECTION.0);

    /// Whether all of `flags` are set.
    #[inline]
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The set with or without `flags`, as `on` says.
    #[must_use]
    pub fn with(self, flags: Self, on: bool) -> Self {
        if on { self | flags } else { self - flags }
    }

    /// MySQL's 32 flags.
    pub fn basic(self) -> u32 {
        u32::try_from(self.0 & 0xffff_ffff).unwrap_or(u32::MAX)
    }

    /// MariaDB's 32 more.
    pub fn extended(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// From both halves.
    pub fn from_halves(basic: u32, extended: u32) -> Self {
        Self(u64::from(basic) | u64::from(extended) << 32)
    }

    /// Whose server the greeting with these flags is of.
    pub fn flavour(self) -> Flavour {
        if self.has(Self::CLIENT_MYSQL) { Flavour::MySql } else { Flavour::MariaDb }
    }

    /// How packets are compressed after a login that agreed on these flags; `zstd_level` as the client gave it. zlib
    /// goes first when both are set, as the server decides.
    pub fn compression(self, zstd_level: u8) -> Option<super::compress::Algorithm> {
        use super::compress::Algorithm;
        if self.has(Self::COMPRESS) {
            Some(Algorithm::Zlib)
        } else if self.has(Self::ZSTD_COMPRESSION) {
            Some(Algorithm::Zstd { level: zstd_level })
        } else {
            None
        }
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Capabilities {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Capabilities {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Whose protocol it is. They differ in greeting, extended flags and some answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Oracle's and its forks that keep to it.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// What the listener itself adds to the upstream's offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whether a client may ask for TLS.
    pub tls: super::startup::Offer,
    /// Whether clients may compress.
    pub compression: Compression,
}

/// Whether a listener compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// No.
    Off,
    /// zlib, and zstd towards clients that see a MySQL.
    Offered,
}

/// What a listener announces in front of an upstream that greets with `upstream`.
pub fn announced(upstream: Capabilities, listener: Listener) -> Capabilities {
    let flavour = upstream.flavour();
    let tls = !matches!(listener.tls, super::startup::Offer::Off);
    let compress = matches!(listener.compression, Compression::Offered);
    ((upstream & Capabilities::RELAYED) | Capabilities::LOGIN)
        .with(Capabilities::CLIENT_MYSQL, flavour == Flavour::MySql)
        .with(Capabilities::SSL, tls)
        .with(Capabilities::COMPRESS, compress)
        .with(Capabilities::ZSTD_COMPRESSION, compress && flavour == Flavour::MySql)
}

/// What holds on a client's connection: what it asked for of what was announced. MariaDB's flags count only in front
/// of a MariaDB, and only from clients that say that they know them.
pub fn agreed(announced: Capabilities, client: Capabilities) -> Capabilities {
    announced & client
}

/// What the proxy asks of an upstream that greets with `upstream`, for a client with whom `agreed` holds; and what of
/// it the upstream does not offer, though it was announced: then the session cannot be had.
///
/// # Errors
/// The flags that are missing.
pub fn towards_upstream(agreed: Capabilities, upstream: Capabilities) -> Result<Capabilities, Capabilities> {
    let wanted = agreed & Capabilities::RELAYED;
    // These two tell the server about the client and need no offer.
    let needed = wanted - (Capabilities::INTERACTIVE | Capabilities::IGNORE_SIGPIPE);
    let missing = (needed | Capabilities::NEEDED) - upstream;
    if missing != Capabilities::NONE {
        return Err(missing);
    }
    let same_flavour = upstream & Capabilities::CLIENT_MYSQL;
    Ok(wanted | (Capabilities::LOGIN & upstream) | same_flavour)
}

#[cfg(test)]
mod tests {
    use super::{super::startup::Offer, *};

    /// The greeting of MySQL 9 and of MariaDB 10.11, without TLS.
    const MYSQL: Capabilities = Capabilities(0xdfff_f7ff);
    const MARIADB: Capabilities = Capabilities(0x1d_81ff_f7fe);

    const QUIET: Listener = Listener { tls: Offer::Off, compression: Compression::Off };

    #[test]
    fn only_what_the_upstream_offers_is_announced() {
        let mysql = announced(MYSQL, QUIET);
        assert!(mysql.has(Capabilities::QUERY_ATTRIBUTES | Capabilities::CLIENT_MYSQL | Capabilities::DEPRECATE_EOF));
        let none = Capabilities::SSL.0 | Capabilities::COMPRESS.0 | Capabilities::MULTI_FACTOR.0;
        assert_eq!(mysql.0 & none, 0);
        assert_eq!(mysql.extended(), 0);
        let mariadb = announced(MARIADB, Listener { tls: Offer::Prefer, compression: Compression::Offered });
        assert_eq!(mariadb.flavour(), Flavour::MariaDb);
        assert!(mariadb.has(Capabilities::EXTENDED_METADATA | Capabilities::SSL | Capabilities::COMPRESS));
        let none = Capabilities::QUERY_ATTRIBUTES | Capabilities::ZSTD_COMPRESSION | Capabilities::PROGRESS;
        assert_eq!(mariadb & (none | Capabilities::CACHE_METADATA), Capabilities::NONE);
    }

    #[test]
    fn the_upstream_is_asked_for_what_the_client_got() {
        let client = Capabilities::FOUND_ROWS | Capabilities::DEPRECATE_EOF | Capabilities::LOGIN | Capabilities::SSL;
        let held = agreed(announced(MYSQL, QUIET), client);
        let asked = towards_upstream(held, MYSQL).unwrap();
        assert_eq!(
            asked & Capabilities::RELAYED,
            Capabilities::FOUND_ROWS | Capabilities::DEPRECATE_EOF,
            "no more and no less"
        );
        assert_eq!(towards_upstream(held, MYSQL - Capabilities::DEPRECATE_EOF), Err(Capabilities::DEPRECATE_EOF));
    }
}
