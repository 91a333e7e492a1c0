//! The journal's bytes: one append is one frame, a frame is all of its events or none. Never panics on garbage, never
//! touches a file.
//!
//! A frame is `length: u32`, `crc: u32`, then `length` bytes whose CRC-32 is `crc`: a version byte and the events back
//! to back. An event is `kind: u8`, `present: u32` (one bit a field, in the order of [`View`]), `at: i64`, then the
//! present fields: numbers as eight bytes, texts as `length: u32` and UTF-8. All numbers are little-endian. Fixed
//! widths cost a few bytes and save the branches of a variable-length encoding on the hot path.

use hallpass_policy::ids::{ListenerName, SessionId, TargetName, UserName};
use thiserror::Error;

use crate::event::{Event, Kind};

/// Bytes before a frame's body.
pub(crate) const HEADER: usize = 8;

/// The largest body, 256 MiB: far below what SQLite takes, far above an honest statement with its parameters.
pub(crate) const MAX_BODY: usize = 256 << 20;

const VERSION: u8 = 1;

/// The frame would be larger than [`MAX_BODY`].
#[derive(Debug, Error)]
#[error("an audit record of {0} bytes is larger than the journal takes")]
pub(crate) struct TooLarge(pub(crate) usize);

/// The body is not what [`encode`] writes.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Damage {
    /// An event ends in its middle, or a text is not UTF-8.
    #[error("a record of the journal is malformed")]
    Malformed,
    /// Written by a newer hallpass.
    #[error("a record of the journal has version {0}, this hallpass reads {VERSION}")]
    Version(u8),
    /// The checksum does not match.
    #[error("a record of the journal has a wrong checksum")]
    Checksum,
}

/// One event as it lies in a journal's buffer; nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View<'a> {
    pub(crate) kind: Kind,
    pub(crate) at: i64,
    pub(crate) session: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) target: Option<&'a str>,
    pub(crate) protocol: Option<&'a str>,
    pub(crate) listener: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    pub(crate) application: Option<&'a str>,
    pub(crate) attempt: Option<u64>,
    pub(crate) grant: Option<i64>,
    pub(crate) request: Option<i64>,
    pub(crate) statement: Option<&'a str>,
    pub(crate) fingerprint: Option<&'a str>,
    pub(crate) parameters: Option<&'a str>,
    pub(crate) decision: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) rows: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) masked_columns: Option<&'a str>,
    pub(crate) duration_us: Option<u64>,
    pub(crate) error_code: Option<&'a str>,
}

impl<'a> View<'a> {
    /// An event of `kind` at `at` (µs) with nothing else.
    pub(crate) fn empty(kind: Kind, at: i64) -> Self {
        Self {
            kind,
            at,
            session: None,
            user: None,
            target: None,
            protocol: None,
            listener: None,
            client: None,
            application: None,
            attempt: None,
            grant: None,
            request: None,
            statement: None,
            fingerprint: None,
            parameters: None,
            decision: None,
            reason: None,
            rows: None,
            bytes: None,
            masked_columns: None,
            duration_us: None,
            error_code: None,
        }
    }

    /// The event, borrowed.
    pub(crate) fn of(event: &'a Event) -> Self {
        let origin = &*event.origin;
        Self {
            kind: event.kind,
            at: event.at.0,
            session: origin.session.as_ref().map(SessionId::as_str),
            user: origin.user.as_ref().map(UserName::as_str),
            target: origin.target.as_ref().map(TargetName::as_str),
            protocol: origin.protocol.as_deref(),
            listener: origin.listener.as_ref().map(ListenerName::as_str),
            client: origin.client.as_deref(),
            application: origin.application.as_deref(),
            attempt: event.attempt.map(|id| id.0),
            grant: event.grant.map(|id| id.0),
            request: event.request.map(|id| id.0),
            statement: event.statement.as_deref(),
            fingerprint: event.fingerprint.as_deref(),
            parameters: event.parameters.as_deref(),
            decision: event.decision.as_deref(),
            reason: event.reason.as_deref(),
            rows: event.rows,
            bytes: event.bytes,
            masked_columns: event.masked_columns.as_deref(),
            duration_us: event.duration_us,
            error_code: event.error_code.as_deref(),
        }
    }
}

/// Replaces `out` by the frame that holds all of `events`.
pub(crate) fn encode(events: &[Event], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    out.clear();
    out.extend_from_slice(&[0; HEADER]);
    out.push(VERSION);
    for event in events {
        encode_event(&View::of(event), out)?;
    }
    let body = out.get(HEADER..).unwrap_or_default();
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY).ok_or(TooLarge(body.len()))?;
    let crc = crc32fast::hash(body);
    if let Some((head, _)) = out.split_first_chunk_mut::<HEADER>() {
        *head = header(length, crc);
    }
    Ok(())
}

fn header(length: u32, crc: u32) -> [u8; HEADER] {
    (u64::from(length) | (u64::from(crc) << 32)).to_le_bytes()
}

fn encode_event(event: &View<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let code = Kind::ALL.iter().position(|kind| *kind == event.kind).unwrap_or_default();
    out.push(u8::try_from(code).unwrap_or_default());
    let mask_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&event.at.to_le_bytes());
    let mut fields = Writer { out, present: 0, next: 1 };
    fields.text(event.session)?;
    fields.text(event.user)?;
    fields.text(event.target)?;
    fields.text(event.protocol)?;
    fields.text(event.listener)?;
    fields.text(event.client)?;
    fields.text(event.application)?;
    fields.number(event.attempt.map(u64::to_le_bytes));
    fields.number(event.grant.map(i64::to_le_bytes));
    fields.number(event.request.map(i64::to_le_bytes));
    fields.text(event.statement)?;
    fields.text(event.fingerprint)?;
    fields.text(event.parameters)?;
    fields.text(event.decision)?;
    fields.text(event.reason)?;
    fields.number(event.rows.map(u64::to_le_bytes));
    fields.number(event.bytes.map(u64::to_le_bytes));
    fields.text(event.masked_columns)?;
    fields.number(event.duration_us.map(u64::to_le_bytes));
    fields.text(event.error_code)?;
    let present = fields.present.to_le_bytes();
    if let Some(mask) = out.get_mut(mask_at..mask_at + 4) {
        mask.copy_from_slice(&present);
    }
    Ok(())
}

/// Writes fields in order and notes which are there.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    present: u32,
    next: u32,
}

impl Writer<'_> {
    fn text(&mut self, text: Option<&str>) -> Result<(), TooLarge> {
        if let Some(text) = text {
            // Checked for every text, so that a buffer never grows far beyond what may be written.
            if text.len() > MAX_BODY {
                return Err(TooLarge(text.len()));
            }
            let length = u32::try_from(text.len()).map_err(|_| TooLarge(text.len()))?;
            self.present |= self.next;
            self.out.extend_from_slice(&length.to_le_bytes());
            self.out.extend_from_slice(text.as_bytes());
        }
        self.next <<= 1;
        Ok(())
    }

    fn number(&mut self, number: Option<[u8; 8]>) {
        if let Some(number) = number {
            self.present |= self.next;
            self.out.extend_from_slice(&number);
        }
        self.next <<= 1;
    }
}

/// What stands at the start of some bytes of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A whole frame: its body, and how many bytes it takes with its header.
    Whole {
        /// Checked by its CRC.
        body: &'a [u8],
        /// Header and body.
        size: usize,
    },
    /// The bytes end before the frame does; it needs this many in all.
    Partial {
        /// Header and body, or the header alone when not even that is there.
        needed: usize,
    },
    /// Not a frame.
    Damaged(Damage),
}

/// Looks at the frame that starts with `bytes`.
pub(crate) fn frame(bytes: &[u8]) -> Frame<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Frame::Partial { needed: HEADER };
    };
    let head = u64::from_le_bytes(*head);
    let (length, crc) = ((head & u64::from(u32::MAX)) as usize, (head >> 32) as u32);
    if length == 0 || length > MAX_BODY {
        return Frame::Damaged(Damage::Malformed);
    }
    match rest.get(..length) {
        None => Frame::Partial { needed: HEADER + length },
        Some(body) if crc32fast::hash(body) == crc => Frame::Whole { body, size: HEADER + length },
        Some(_) => Frame::Damaged(Damage::Checksum),
    }
}

/// How many events the whole frames at the start of a journal's bytes hold, and how many bytes those frames are: what is
/// read of a segment, whatever a crash has left behind it.
pub fn whole_events(journal: &[u8]) -> (usize, usize) {
    let (mut count, mut taken) = (0, 0);
    while let Some(Frame::Whole { body, size }) = journal.get(taken..).map(frame)
        && let Ok(found) = events(body)
    {
        count += found.len();
        taken += size;
    }
    (count, taken)
}

/// The events of a frame's body, in order.
pub(crate) fn events(body: &[u8]) -> Result<Vec<View<'_>>, Damage> {
    let mut rest = Reader(body);
    match rest.byte()? {
        VERSION => {}
        version => return Err(Damage::Version(version)),
    }
    let mut events = Vec::with_capacity(1);
    while !rest.0.is_empty() {
        events.push(rest.event()?);
    }
    Ok(events)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(Damage::Malformed)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn event(&mut self) -> Result<View<'a>, Damage> {
        let kind = *Kind::ALL.get(usize::from(self.byte()?)).ok_or(Damage::Malformed)?;
        let mut present = Present(u32::from_le_bytes(self.chunk()?));
        let at = i64::from_le_bytes(self.chunk()?);
        let event = View {
            kind,
            at,
            session: self.text(&mut present)?,
            user: self.text(&mut present)?,
            target: self.text(&mut present)?,
            protocol: self.text(&mut present)?,
            listener: self.text(&mut present)?,
            client: self.text(&mut present)?,
            application: self.text(&mut present)?,
            attempt: self.number(&mut present)?.map(u64::from_le_bytes),
            grant: self.number(&mut present)?.map(i64::from_le_bytes),
            request: self.number(&mut present)?.map(i64::from_le_bytes),
            statement: self.text(&mut present)?,
            fingerprint: self.text(&mut present)?,
            parameters: self.text(&mut present)?,
            decision: self.text(&mut present)?,
            reason: self.text(&mut present)?,
            rows: self.number(&mut present)?.map(u64::from_le_bytes),
            bytes: self.number(&mut present)?.map(u64::from_le_bytes),
            masked_columns: self.text(&mut present)?,
            duration_us: self.number(&mut present)?.map(u64::from_le_bytes),
            error_code: self.text(&mut present)?,
        };
        // A bit that no field took is a field we do not know: refuse it rather than lose it.
        if present.0 == 0 { Ok(event) } else { Err(Damage::Malformed) }
    }

    fn text(&mut self, present: &mut Present) -> Result<Option<&'a str>, Damage> {
        if !present.take() {
            return Ok(None);
        }
        let length = usize::try_from(u32::from_le_bytes(self.chunk()?)).map_err(|_| Damage::Malformed)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damage::Malformed)?;
        self.0 = rest;
        std::str::from_utf8(text).map(Some).map_err(|_| Damage::Malformed)
    }

    fn number(&mut self, present: &mut Present) -> Result<Option<[u8; 8]>, Damage> {
        if present.take() { self.chunk().map(Some) } else { Ok(None) }
    }
}

/// Which fields follow; the lowest bit is the next field's.
struct Present(u32);

impl Present {
    fn take(&mut self) -> bool {
        let bit = self.0 & 1 == 1;
        self.0 >>= 1;
        bit
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hallpass_policy::ids::{GrantId, RequestId, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::event::{AttemptId, Origin};

    impl View<'_> {
        /// The event, owned.
        fn to_event(self) -> Event {
            let text = |text: Option<&str>| text.map(Arc::<str>::from);
            Event {
                at: Timestamp(self.at),
                kind: self.kind,
                origin: Arc::new(Origin {
                    session: self.session.map(SessionId::new),
                    user: self.user.map(UserName::new),
                    target: self.target.map(TargetName::new),
                    protocol: text(self.protocol),
                    listener: self.listener.map(ListenerName::new),
                    client: text(self.client),
                    application: text(self.application),
                }),
                attempt: self.attempt.map(AttemptId),
                grant: self.grant.map(GrantId),
                request: self.request.map(RequestId),
                statement: text(self.statement),
                fingerprint: text(self.fingerprint),
                parameters: self.parameters.map(Box::from),
                decision: text(self.decision),
                reason: text(self.reason),
                rows: self.rows,
                bytes: self.bytes,
                masked_columns: text(self.masked_columns),
                duration_us: self.duration_us,
                error_code: text(self.error_code),
            }
        }
    }

    fn text() -> impl Strategy<Value = Option<Arc<str>>> {
        proptest::option::of(".{0,40}".prop_map(|text: String| Arc::from(text)))
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let origin = (text(), text(), text(), text(), text(), text(), text()).prop_map(|(s, u, t, p, l, c, a)| {
            Arc::new(Origin {
                session: s.as_deref().map(SessionId::new),
                user: u.as_deref().map(UserName::new),
                target: t.as_deref().map(TargetName::new),
                protocol: p,
                listener: l.as_deref().map(ListenerName::new),
                client: c,
                application: a,
            })
        });
        let numbers = proptest::array::uniform4(proptest::option::of(any::<u64>()));
        let signed = proptest::array::uniform2(proptest::option::of(any::<i64>()));
        let texts = proptest::array::uniform7(text());
        (0..Kind::ALL.len(), any::<i64>(), origin, numbers, signed, texts).prop_map(
            |(kind, at, origin, [attempt, rows, bytes, duration_us], [grant, request], texts)| {
                let [statement, fingerprint, parameters, decision, reason, masked_columns, error_code] = texts;
                Event {
                    at: Timestamp(at),
                    kind: Kind::ALL[kind],
                    origin,
                    attempt: attempt.map(AttemptId),
                    grant: grant.map(GrantId),
                    request: request.map(RequestId),
                    statement,
                    fingerprint,
                    parameters: parameters.as_deref().map(Box::from),
                    decision,
                    reason,
                    rows,
                    bytes,
                    masked_columns,
                    duration_us,
                    error_code,
                }
            },
        )
    }

    fn decode(bytes: &[u8]) -> (Vec<Event>, usize) {
        let (mut all, mut at) = (Vec::new(), 0);
        while let Frame::Whole { body, size } = frame(&bytes[at..]) {
            all.extend(events(body).unwrap().into_iter().map(View::to_event));
            at += size;
        }
        (all, at)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(batches in proptest::collection::vec(proptest::collection::vec(any_event(), 1..4), 1..4),
                                   cut in any::<proptest::sample::Index>()) {
            let (mut file, mut one, mut ends) = (Vec::new(), Vec::new(), vec![0]);
            for batch in &batches {
                encode(batch, &mut one).unwrap();
                file.extend_from_slice(&one);
                ends.push(file.len());
            }
            let all: Vec<Event> = batches.concat();
            prop_assert_eq!(decode(&file), (all.clone(), file.len()));

            // Torn anywhere, whole frames are read and the torn one is not.
            let torn = cut.index(file.len());
            let whole = ends.iter().filter(|end| **end <= torn).count() - 1;
            prop_assert_eq!(decode(&file[..torn]), (batches[..whole].concat(), ends[whole]));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = frame(&bytes);
            let _ = events(&bytes);
            let mut body = vec![VERSION];
            body.extend_from_slice(&bytes);
            let _ = events(&body);
        }

        #[test]
        fn one_changed_bit_is_seen(event in any_event(), at in any::<proptest::sample::Index>(), bit in 0..8) {
            let mut one = Vec::new();
            encode(&[event], &mut one).unwrap();
            let at = at.index(one.len());
            one[at] ^= 1_u8 << bit;
            let whole = matches!(frame(&one), Frame::Whole { .. });
            prop_assert!(!whole);
        }
    }

    #[test]
    fn a_field_we_do_not_know_is_refused() {
        let mut body = vec![VERSION];
        encode_event(&View::empty(Kind::Attempt, 7), &mut body).unwrap();
        body[2 + 3] = 0x80;
        assert_eq!(events(&body), Err(Damage::Malformed));
        assert_eq!(events(&[VERSION + 1]), Err(Damage::Version(VERSION + 1)));
    }
}
