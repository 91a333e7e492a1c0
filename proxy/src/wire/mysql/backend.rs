//! The packets a server answers with, taken apart without copying: only those the proxy has to understand. What a
//! packet is depends on what was asked: `reader` knows.
//! Source: MySQL internals manual, "OK_Packet", "ERR_Packet", "EOF_Packet", "Column Definition";
//! MariaDB knowledge base, "Result Set Packets".

use super::{
    body::{Body, Malformed},
    capability::{Capabilities, Flavour},
};

/// First bytes of a server's payloads.
pub mod first {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const OK: u8 = 0x00;
    pub const LOCAL_INFILE: u8 = 0xfb;
    pub const EOF: u8 = 0xfe;
    pub const ERR: u8 = 0xff;
}

/// Status flags, in OK and EOF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const IN_TRANSACTION: Self = Self(1);
    pub const AUTOCOMMIT: Self = Self(2);
    pub const MORE_RESULTS: Self = Self(8);
    pub const NO_GOOD_INDEX_USED: Self = Self(16);
    pub const NO_INDEX_USED: Self = Self(32);
    pub const CURSOR_EXISTS: Self = Self(64);
    pub const LAST_ROW_SENT: Self = Self(128);
    pub const DATABASE_DROPPED: Self = Self(256);
    pub const NO_BACKSLASH_ESCAPES: Self = Self(512);
    pub const METADATA_CHANGED: Self = Self(1024);
    pub const QUERY_WAS_SLOW: Self = Self(2048);
    pub const OUT_PARAMETERS: Self = Self(4096);
    pub const IN_TRANSACTION_READ_ONLY: Self = Self(8192);
    pub const SESSION_STATE_CHANGED: Self = Self(16384);

    /// Whether `flag` is set.
    #[inline]
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }
}

/// An OK packet, or the OK that takes EOF's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// Rows changed; with FOUND_ROWS rows found.
    pub affected_rows: u64,
    /// The last AUTO_INCREMENT value; 0: none.
    pub last_insert_id: u64,
    /// The state afterwards.
    pub status: Status,
    /// How many warnings wait for SHOW WARNINGS.
    pub warnings: u16,
    /// `Rows matched: 1  Changed: 1  Warnings: 0`.
    pub info: &'a [u8],
    /// What changed in the session; see [`OkPacket::changes`].
    changes: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Takes a payload apart, whose first byte is 0x00, or 0xfe in EOF's place.
    ///
    /// # Errors
    /// When it is not exactly an OK packet; session changes are checked, too.
    pub fn decode(payload: &'a [u8], held: Capabilities) -> Result<Self, Malformed> {
        let mut body = Body::new("OK", payload);
        if !matches!(body.u8()?, first::OK | first::EOF) {
            return Err(body.code());
        }
        let affected_rows = body.int()?;
        let last_insert_id = body.int()?;
        let status = Status(body.u16()?);
        let warnings = body.u16()?;
        let (mut info, mut changes) = (&b""[..], &b""[..]);
        if held.has(Capabilities::SESSION_TRACK) {
            if !body.remaining().is_empty() {
                info = body.string()?;
            }
            if status.has(Status::SESSION_STATE_CHANGED) {
                changes = body.string()?;
            }
            body.end()?;
        } else {
            info = body.rest();
            // MariaDB writes the text with its length here, too.
            let mut counted = Body::new("OK", info);
            if let Ok(text) = counted.string()
                && counted.end().is_ok()
            {
                info = text;
            }
        }
        let this = Self { affected_rows, last_insert_id, status, warnings, info, changes };
        this.walk(|_| ())?;
        Ok(this)
    }

    /// What changed in the session, in order.
    pub fn changes(&self) -> Vec<Change<'a>> {
        let mut found = Vec::new();
        // `decode` walked it once without an error.
        let _ = self.walk(|change| found.push(change));
        found
    }

    /// Whether anything changed in the session.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    fn walk(&self, mut each: impl FnMut(Change<'a>)) -> Result<(), Malformed> {
        let mut all = Body::new("session state", self.changes);
        while !all.remaining().is_empty() {
            let kind = all.u8()?;
            let mut data = Body::new("session state", all.string()?);
            match kind {
                0 => {
                    // MariaDB puts several variables into one.
                    while !data.remaining().is_empty() {
                        each(Change::SystemVariable { name: data.string()?, value: data.string()? });
                    }
                }
                1 => each(Change::Schema(data.string()?)),
                2 => each(Change::StateChanged(data.string()? == b"1")),
                3 => each(Change::Gtids(data.rest())),
                4 => each(Change::TransactionCharacteristics(data.string()?)),
                5 => each(Change::TransactionState(data.string()?)),
                kind => each(Change::Other { kind, data: data.rest() }),
            }
            data.end()?;
        }
        Ok(())
    }
}

/// One change of the session's state, as `SESSION_TRACK` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A tracked variable has a new value.
    SystemVariable {
        /// Its name.
        name: &'a [u8],
        /// Its value as text.
        value: &'a [u8],
    },
    /// The default schema.
    Schema(&'a [u8]),
    /// Whether the session's state changed at all, with `session_track_state_change`.
    StateChanged(bool),
    /// GTIDs of the transaction, with their encoding byte.
    Gtids(&'a [u8]),
    /// Statements that would restore the transaction's characteristics.
    TransactionCharacteristics(&'a [u8]),
    /// Eight letters: `T_______`.
    TransactionState(&'a [u8]),
    /// A kind that is newer than this.
    Other {
        /// Its number.
        kind: u8,
        /// Its content.
        data: &'a [u8],
    },
}

/// An ERR packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// 1045 and so on.
    pub code: u16,
    /// Five letters and digits; `HY000` where none was sent, as before login.
    pub sqlstate: [u8; 5],
    /// The server's words.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is not an ERR packet.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("ERR", payload);
        if body.u8()? != first::ERR {
            return Err(body.code());
        }
        let code = body.u16()?;
        let mut sqlstate = *b"HY000";
        if body.remaining().first() == Some(&b'#') {
            body.u8()?;
            sqlstate = body.array()?;
        }
        Ok(Self { code, sqlstate, message: body.rest() })
    }
}

/// An EOF packet, from before `DEPRECATE_EOF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EofPacket {
    /// How many warnings wait.
    pub warnings: u16,
    /// The state afterwards.
    pub status: Status,
}

impl EofPacket {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is not exactly an EOF packet.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("EOF", payload);
        if body.u8()? != first::EOF {
            return Err(body.code());
        }
        let this = Self { warnings: body.u16()?, status: Status(body.u16()?) };
        body.end()?;
        Ok(this)
    }
}

/// One column or parameter of a result or prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// The schema of the table it comes from; empty: none. A derived table's alias can forge these four.
    pub schema: &'a [u8],
    /// The table's alias.
    pub table: &'a [u8],
    /// The table's own name.
    pub org_table: &'a [u8],
    /// The column's alias.
    pub name: &'a [u8],
    /// The column's own name.
    pub org_name: &'a [u8],
    /// MariaDB's extended type, taken apart by [`Column::extended`].
    extended: &'a [u8],
    /// Its collation's number; 63: binary.
    pub collation: u16,
    /// Its longest value.
    pub length: u32,
    /// Its type; see [`super::value::Type`].
    pub kind: u8,
    /// Its flags: 1 NOT NULL, 32 UNSIGNED, 128 BINARY, 256 ENUM, 2048 SET.
    pub flags: u16,
    /// Digits behind the point; 31: as many as there are.
    pub decimals: u8,
    /// Its default, in answers to COM_FIELD_LIST; `None`: NULL or not asked for.
    pub default: Option<&'a [u8]>,
}

/// Whether a column definition has a default behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// In answers to COM_FIELD_LIST.
    Follows,
    /// Everywhere else.
    None,
}

impl<'a> Column<'a> {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is not exactly a column definition.
    pub fn decode(payload: &'a [u8], held: Capabilities, default: Default) -> Result<Self, Malformed> {
        let mut body = Body::new("column definition", payload);
        if body.string()? != b"def" {
            return Err(body.code());
        }
        let schema = body.string()?;
        let (table, org_table) = (body.string()?, body.string()?);
        let (name, org_name) = (body.string()?, body.string()?);
        let has_extended = held.flavour() == Flavour::MariaDb && held.has(Capabilities::EXTENDED_METADATA);
        let extended = if has_extended { body.string()? } else { b"" };
        if body.int()? != 12 {
            return Err(body.count());
        }
        let (collation, length, kind) = (body.u16()?, body.u32()?, body.u8()?);
        let (flags, decimals) = (body.u16()?, body.u8()?);
        body.u16()?;
        let default = match default {
            Default::Follows if !body.remaining().is_empty() => body.nullable()?,
            Default::Follows | Default::None => None,
        };
        body.end()?;
        let mut kinds = Body::new("column definition", extended);
        while !kinds.remaining().is_empty() {
            kinds.u8()?;
            kinds.string()?;
        }
        Ok(Self {
            schema,
            table,
            org_table,
            name,
            org_name,
            extended,
            collation,
            length,
            kind,
            flags,
            decimals,
            default,
        })
    }

    /// MariaDB's extended type information: 0 the type's name (`uuid`, `inet6`, `point`), 1 the format (`json`).
    pub fn extended(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut body = Body::new("column definition", self.extended);
        // `decode` walked it once without an error.
        std::iter::from_fn(move || Some((body.u8().ok()?, body.string().ok()?)))
    }
}

/// The answer to COM_STMT_PREPARE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareOk {
    /// The statement's number, the upstream's own.
    pub statement: u32,
    /// Columns of its result; 0: none.
    pub columns: u16,
    /// Its parameters.
    pub parameters: u16,
    /// How many warnings wait.
    pub warnings: u16,
    /// Whether definitions of parameters and columns follow.
    pub metadata: Metadata,
}

/// Whether column definitions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// They follow.
    Follows,
    /// They are left out: `resultset_metadata = NONE` (MySQL) or sent once before (MariaDB).
    Omitted,
}

impl PrepareOk {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(payload: &[u8], held: Capabilities) -> Result<Self, Malformed> {
        let mut body = Body::new("prepare OK", payload);
        if body.u8()? != first::OK {
            return Err(body.code());
        }
        let statement = body.u32()?;
        let (columns, parameters) = (body.u16()?, body.u16()?);
        body.u8()?;
        let warnings = if body.remaining().is_empty() { 0 } else { body.u16()? };
        let mut metadata = Metadata::Follows;
        if held.has(Capabilities::OPTIONAL_RESULTSET_METADATA) && !body.remaining().is_empty() {
            metadata = metadata_flag(&mut body)?;
        }
        body.end()?;
        Ok(Self { statement, columns, parameters, warnings, metadata })
    }
}

/// The payload that begins a result: how many columns, and whether their definitions follow.
///
/// # Errors
/// When it is not exactly that.
pub fn column_count(payload: &[u8], held: Capabilities) -> Result<(usize, Metadata), Malformed> {
    let mut body = Body::new("column count", payload);
    let mut metadata = Metadata::Follows;
    let count = body.size()?;
    // The manual has MySQL's flag before the count; the server (9.7) sends it behind, as MariaDB does.
    if held.has(Capabilities::OPTIONAL_RESULTSET_METADATA) || held.has(Capabilities::CACHE_METADATA) {
        metadata = metadata_flag(&mut body)?;
    }
    body.end()?;
    // Both servers stop at 4096 columns; two bytes of count is what a prepared statement has room for.
    if count == 0 || count > usize::from(u16::MAX) { Err(body.count()) } else { Ok((count, metadata)) }
}

fn metadata_flag(body: &mut Body<'_>) -> Result<Metadata, Malformed> {
    match body.u8()? {
        0 => Ok(Metadata::Omitted),
        1 => Ok(Metadata::Follows),
        _ => Err(body.code()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const TRACKED: Capabilities = Capabilities(Capabilities::SESSION_TRACK.0 | Capabilities::DEPRECATE_EOF.0);

    #[test]
    fn ok_tells_what_changed() {
        let list = b"\0\x0a\x08sql_mode\0\x01\x05\x04shop\x02\x02\x011\x63\x01x";
        let mut payload = b"\0\x01\x07\x02\x40\0\0\0".to_vec();
        payload.push(list.len() as u8);
        payload.extend_from_slice(list);
        let ok = OkPacket::decode(&payload, TRACKED).unwrap();
        assert_eq!((ok.affected_rows, ok.last_insert_id, ok.warnings), (1, 7, 0));
        assert!(ok.has_changes() && ok.status.has(Status::AUTOCOMMIT));
        let expected = [
            Change::SystemVariable { name: b"sql_mode", value: b"" },
            Change::Schema(b"shop"),
            Change::StateChanged(true),
            Change::Other { kind: 0x63, data: b"x" },
        ];
        assert_eq!(ok.changes(), expected);
        payload.push(0);
        assert!(OkPacket::decode(&payload, TRACKED).is_err());
    }

    #[test]
    fn err_has_a_state_or_none() {
        let err = ErrPacket::decode(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!((err.code, &err.sqlstate, err.message), (1045, b"28000", &b"Access denied"[..]));
        let early = ErrPacket::decode(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((early.code, &early.sqlstate), (1040, b"HY000"));
    }

    #[test]
    fn counts_and_their_flags() {
        assert_eq!(column_count(&[3], TRACKED), Ok((3, Metadata::Follows)));
        let optional = TRACKED | Capabilities::OPTIONAL_RESULTSET_METADATA;
        assert_eq!(column_count(&[3, 0], optional), Ok((3, Metadata::Omitted)));
        let cached = TRACKED | Capabilities::CACHE_METADATA;
        assert_eq!(column_count(&[3, 0], cached), Ok((3, Metadata::Omitted)));
        assert!(column_count(&[0], TRACKED).is_err());
        assert!(column_count(&[3, 0], TRACKED).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in vec(prop_oneof![2 => 0..4u8, 1 => any::<u8>()], 0..60), flags in any::<u64>()) {
            let held = Capabilities(flags);
            if let Ok(ok) = OkPacket::decode(&bytes, held) {
                let _ = ok.changes();
            }
            let _ = (ErrPacket::decode(&bytes), EofPacket::decode(&bytes), PrepareOk::decode(&bytes, held));
            let with_catalog = [b"\x03def", bytes.as_slice()].concat();
            if let Ok(column) = Column::decode(&with_catalog, held, Default::Follows) {
                let _ = column.extended().count();
            }
            let _ = column_count(&bytes, held);
        }
    }
}
