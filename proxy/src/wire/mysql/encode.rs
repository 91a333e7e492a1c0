//! Packets the proxy writes itself, appended to a buffer: OK, EOF, ERR, commands of its own. What the client or the
//! server wrote is forwarded as it stands, never re-encoded here.

use super::{
    backend::{Metadata, PrepareOk, Status, first},
    body::{Body, put_int, put_string},
    capability::Capabilities,
    codec::{Order, Sequence, put_message},
    frontend::command,
};

/// What an OK packet of ours says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ok<'a> {
    /// Rows changed.
    pub affected_rows: u64,
    /// The upstream session's state, as it is.
    pub status: Status,
    /// How many warnings SHOW WARNINGS has.
    pub warnings: u16,
    /// A line for the user.
    pub info: &'a str,
}

/// Appends an OK packet.
pub fn ok(out: &mut Vec<u8>, sequence: &mut Sequence, ok: Ok<'_>, held: Capabilities) {
    put_message(out, sequence, &ok_payload(first::OK, ok, held));
}

fn ok_payload(byte: u8, ok: Ok<'_>, held: Capabilities) -> Vec<u8> {
    let mut payload = vec![byte];
    put_int(&mut payload, ok.affected_rows);
    put_int(&mut payload, 0);
    // What changed in the session is the upstream's to say.
    let status = ok.status.0 & !Status::SESSION_STATE_CHANGED.0;
    payload.extend_from_slice(&status.to_le_bytes());
    payload.extend_from_slice(&ok.warnings.to_le_bytes());
    if !ok.info.is_empty() || held.has(Capabilities::SESSION_TRACK) {
        put_string(&mut payload, ok.info.as_bytes());
    }
    payload
}

/// The payload of an OK packet with another status; `None` when it is none.
pub fn with_status(payload: &[u8], status: Status) -> Option<Vec<u8>> {
    let (place, _) = status_and_warnings(payload)?;
    let mut changed = payload.to_vec();
    changed.get_mut(place..place + 2)?.copy_from_slice(&status.0.to_le_bytes());
    Some(changed)
}

/// The payload of an OK or EOF packet behind which another result comes; `None` when it is neither.
pub fn with_more_results(payload: &[u8], held: Capabilities) -> Option<Vec<u8>> {
    let is_eof = payload.first() == Some(&first::EOF) && !held.has(Capabilities::DEPRECATE_EOF);
    let place = if is_eof { 3 } else { status_and_warnings(payload)?.0 };
    let mut changed = payload.to_vec();
    let told = changed.get_mut(place..place + 2)?;
    let status = u16::from_le_bytes([*told.first()?, *told.get(1)?]) | Status::MORE_RESULTS.0;
    told.copy_from_slice(&status.to_le_bytes());
    Some(changed)
}

/// The payload of an OK or EOF packet with as many warnings as `count` makes of those that it tells; `None` when it is
/// neither.
pub fn with_warnings(payload: &[u8], held: Capabilities, count: impl FnOnce(u16) -> u16) -> Option<Vec<u8>> {
    let is_eof = payload.first() == Some(&first::EOF) && !held.has(Capabilities::DEPRECATE_EOF);
    let place = if is_eof { 1 } else { status_and_warnings(payload)?.1 };
    let mut changed = payload.to_vec();
    let told = changed.get_mut(place..place + 2)?;
    let before = u16::from_le_bytes([*told.first()?, *told.get(1)?]);
    told.copy_from_slice(&count(before).to_le_bytes());
    Some(changed)
}

/// Where in an OK packet its status and its count of warnings stand.
fn status_and_warnings(payload: &[u8]) -> Option<(usize, usize)> {
    let mut body = Body::new("OK", payload);
    matches!(body.u8().ok()?, first::OK | first::EOF).then_some(())?;
    body.int().ok()?;
    body.int().ok()?;
    let status = payload.len() - body.remaining().len();
    (body.remaining().len() >= 4).then_some((status, status + 2))
}

/// Appends what ends a result's rows: EOF, or with DEPRECATE_EOF the OK in its place.
pub fn end(out: &mut Vec<u8>, sequence: &mut Sequence, status: Status, warnings: u16, held: Capabilities) {
    if held.has(Capabilities::DEPRECATE_EOF) {
        let ok = Ok { status, warnings, ..Ok::default() };
        put_message(out, sequence, &ok_payload(first::EOF, ok, held));
    } else {
        eof(out, sequence, status, warnings);
    }
}

/// Appends what ends column definitions: EOF, or with DEPRECATE_EOF nothing.
pub fn definitions_end(out: &mut Vec<u8>, sequence: &mut Sequence, status: Status, held: Capabilities) {
    if !held.has(Capabilities::DEPRECATE_EOF) {
        eof(out, sequence, status, 0);
    }
}

fn eof(out: &mut Vec<u8>, sequence: &mut Sequence, status: Status, warnings: u16) {
    let ([a, b], [c, d]) = (warnings.to_le_bytes(), status.0.to_le_bytes());
    put_message(out, sequence, &[first::EOF, a, b, c, d]);
}

/// Appends an ERR packet.
pub fn err(out: &mut Vec<u8>, sequence: &mut Sequence, code: u16, sqlstate: [u8; 5], message: &[u8]) {
    let mut payload = Vec::with_capacity(9 + message.len());
    payload.push(first::ERR);
    payload.extend_from_slice(&code.to_le_bytes());
    payload.push(b'#');
    payload.extend_from_slice(&sqlstate);
    payload.extend_from_slice(message);
    put_message(out, sequence, &payload);
}

/// Appends an ERR packet in place of a greeting: before capabilities are known servers send no SQLSTATE.
pub fn early_err(out: &mut Vec<u8>, code: u16, message: &[u8]) {
    let [low, high] = code.to_le_bytes();
    let payload = [&[first::ERR, low, high], message].concat();
    put_message(out, &mut Sequence::start(Order::Checked), &payload);
}

/// Appends the answer to COM_STMT_PREPARE; definitions are to follow as `prepared` says.
pub fn prepare_ok(out: &mut Vec<u8>, sequence: &mut Sequence, prepared: PrepareOk, held: Capabilities) {
    let mut payload = vec![first::OK];
    payload.extend_from_slice(&prepared.statement.to_le_bytes());
    payload.extend_from_slice(&prepared.columns.to_le_bytes());
    payload.extend_from_slice(&prepared.parameters.to_le_bytes());
    payload.push(0);
    payload.extend_from_slice(&prepared.warnings.to_le_bytes());
    if held.has(Capabilities::OPTIONAL_RESULTSET_METADATA) {
        payload.push(match prepared.metadata {
            Metadata::Follows => 1,
            Metadata::Omitted => 0,
        });
    }
    put_message(out, sequence, &payload);
}

/// Appends a COM_QUERY of the proxy's own, without attributes.
pub fn query(out: &mut Vec<u8>, sequence: &mut Sequence, sql: &[u8], held: Capabilities) {
    let mut payload = vec![command::QUERY];
    if held.has(Capabilities::QUERY_ATTRIBUTES) {
        payload.extend_from_slice(&[0, 1]);
    }
    payload.extend_from_slice(sql);
    put_message(out, sequence, &payload);
}

/// Appends a COM_STMT_CLOSE.
pub fn statement_close(out: &mut Vec<u8>, sequence: &mut Sequence, statement: u32) {
    let [a, b, c, d] = statement.to_le_bytes();
    put_message(out, sequence, &[command::STMT_CLOSE, a, b, c, d]);
}

/// Appends a command that is its number alone: COM_QUIT, COM_PING, COM_RESET_CONNECTION.
pub fn bare(out: &mut Vec<u8>, sequence: &mut Sequence, number: u8) {
    put_message(out, sequence, &[number]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mysql::{
        backend::{ErrPacket, OkPacket},
        frontend::Command,
    };

    const TRACKED: Capabilities = Capabilities(Capabilities::SESSION_TRACK.0 | Capabilities::DEPRECATE_EOF.0);

    #[test]
    fn an_ok_of_ours_is_one() {
        for held in [TRACKED, Capabilities::NONE] {
            for info in ["", "request 17 is pending"] {
                let (mut out, mut sequence) = (Vec::new(), Sequence::at(1, Order::Checked));
                let status = Status(Status::AUTOCOMMIT.0 | Status::SESSION_STATE_CHANGED.0);
                ok(&mut out, &mut sequence, Ok { affected_rows: 300, status, warnings: 1, info }, held);
                let read = OkPacket::decode(&out[4..], held).unwrap();
                assert_eq!((read.affected_rows, read.warnings, read.info), (300, 1, info.as_bytes()));
                assert_eq!((read.status, out[3], sequence.next()), (Status::AUTOCOMMIT, 1, 2));
            }
        }
    }

    /// Byte for byte what MariaDB and MySQL send.
    #[test]
    fn ends_are_the_servers_own() {
        let (mut out, mut sequence) = (Vec::new(), Sequence::at(7, Order::Checked));
        end(&mut out, &mut sequence, Status(0x22), 0, Capabilities::NONE);
        assert_eq!(out, b"\x05\0\0\x07\xfe\0\0\"\0");
        out.clear();
        end(&mut out, &mut sequence, Status(0x22), 0, Capabilities::DEPRECATE_EOF);
        assert_eq!(out, b"\x07\0\0\x08\xfe\0\0\"\0\0\0");
        out.clear();
        early_err(&mut out, 1040, b"Too many connections");
        assert_eq!(out, b"\x17\0\0\0\xff\x10\x04Too many connections");
        out.clear();
        definitions_end(&mut out, &mut sequence, Status(2), TRACKED);
        assert!(out.is_empty());
    }

    #[test]
    fn the_rest_is_read_back() {
        let (mut out, mut sequence) = (Vec::new(), Sequence::start(Order::Checked));
        err(&mut out, &mut sequence, 1142, *b"42000", b"no");
        let error = ErrPacket::decode(&out[4..]).unwrap();
        assert_eq!((error.code, &error.sqlstate, error.message), (1142, b"42000", &b"no"[..]));
        let held = Capabilities::QUERY_ATTRIBUTES | Capabilities::OPTIONAL_RESULTSET_METADATA;
        out.clear();
        query(&mut out, &mut sequence, b"SELECT 1", held);
        assert!(matches!(Command::decode(&out[4..], held), Ok(Command::Query(query)) if query.sql == b"SELECT 1"));
        out.clear();
        let prepared = PrepareOk { statement: 7, columns: 2, parameters: 1, warnings: 0, metadata: Metadata::Omitted };
        prepare_ok(&mut out, &mut sequence, prepared, held);
        assert_eq!(PrepareOk::decode(&out[4..], held), Ok(prepared));
        out.clear();
        statement_close(&mut out, &mut sequence, 7);
        assert_eq!(Command::decode(&out[4..], held), Ok(Command::StatementClose(7)));
    }
}
