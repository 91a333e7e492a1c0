//! Packets of the protocol, found by length alone and borrowed from the read buffer, their sequence ids, and payloads
//! over 16 MB joined from several packets. Decides nothing about what a payload means; `frontend` and `backend` do.
//! Source: MySQL internals manual, "MySQL Packets"; MariaDB knowledge base, "0 - Packet".

use std::borrow::Cow;

use thiserror::Error;

/// Bytes before a packet's payload: three of length, one of sequence id.
pub const HEADER: usize = 4;

/// The longest payload of one packet. A packet as long as this is followed by one that continues it, empty if need be.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// The longest joined payload any server takes: `max_allowed_packet` cannot be set higher.
pub const MAX_MESSAGE: usize = 1 << 30;

/// The longest payload before login is over: names, authentication data and 64 KiB of connection attributes.
pub const MAX_LOGIN_PACKET: usize = 0x2_0000;

/// Why bytes are not a message. The stream cannot be resynchronised: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A packet was lost, repeated or put in between.
    #[error("packets out of order: sequence id {found} instead of {expected}")]
    Order {
        /// What the protocol asks for.
        expected: u8,
        /// What was sent.
        found: u8,
    },
    /// Longer than allowed here.
    #[error("a message of {length} bytes or more is longer than the allowed {max}")]
    TooLong {
        /// As far as its packets' headers are read.
        length: usize,
        /// The limit.
        max: usize,
    },
}

/// Whether sequence ids are checked. Under compression servers and clients set them to the compressed packet's own
/// when they flush, and nobody checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other.
    Checked,
    /// As they come.
    Loose,
}

/// The sequence id that the next packet of an exchange has. Both sides count on; a command starts at 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    next: u8,
    order: Order,
}

impl Sequence {
    /// A new command, or a new connection.
    pub fn start(order: Order) -> Self {
        Self { next: 0, order }
    }

    /// An exchange that goes on with this id.
    pub fn at(next: u8, order: Order) -> Self {
        Self { next, order }
    }

    /// The id that the next packet has.
    pub fn next(self) -> u8 {
        self.next
    }

    /// Takes the id of a packet read.
    ///
    /// # Errors
    /// [`FrameError::Order`] when it is another than the next.
    #[inline]
    pub fn accept(&mut self, found: u8) -> Result<(), FrameError> {
        match self.order {
            Order::Checked if found != self.next => Err(FrameError::Order { expected: self.next, found }),
            Order::Checked | Order::Loose => {
                self.next = found.wrapping_add(1);
                Ok(())
            }
        }
    }

    /// The id for a packet to be written; the next one follows it.
    #[inline]
    pub fn take(&mut self) -> u8 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        id
    }
}

/// A packet's first four bytes, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload in this packet.
    pub length: usize,
    /// Its sequence id.
    pub sequence: u8,
}

impl Header {
    /// Bytes of the packet on the wire.
    pub fn total(self) -> usize {
        self.length + HEADER
    }

    /// Whether the payload goes on in the next packet.
    pub fn continues(self) -> bool {
        self.length == MAX_PAYLOAD
    }

    /// The four bytes.
    pub fn encode(self) -> [u8; HEADER] {
        let [a, b, c, _] = u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes();
        [a, b, c, self.sequence]
    }
}

/// Reads the header at the start of `buf`; `None` while fewer than four bytes are there. Enough to pass a large packet
/// through in pieces.
#[inline]
pub fn header(buf: &[u8]) -> Option<Header> {
    let &[a, b, c, sequence] = buf.first_chunk::<HEADER>()?;
    let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    Some(Header { length, sequence })
}

/// One whole payload, however many packets it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Borrowed from one packet, or joined from several.
    pub payload: Cow<'a, [u8]>,
    /// The packets as they stand on the wire, for forwarding.
    pub raw: &'a [u8],
}

/// The whole message at the start of `buf`; `None` while bytes are missing. `sequence` moves on only with a message.
///
/// # Errors
/// [`FrameError`], found by the headers, before the payload is waited for.
#[inline]
pub fn message<'a>(buf: &'a [u8], sequence: &mut Sequence, max: usize) -> Result<Option<Message<'a>>, FrameError> {
    let Some(first) = header(buf) else { return Ok(None) };
    let mut after = *sequence;
    after.accept(first.sequence)?;
    if first.continues() {
        return joined(buf, sequence, max);
    }
    if first.length > max {
        return Err(FrameError::TooLong { length: first.length, max });
    }
    let Some(raw) = buf.get(..first.total()) else { return Ok(None) };
    *sequence = after;
    Ok(Some(Message { payload: Cow::Borrowed(raw.get(HEADER..).unwrap_or_default()), raw }))
}

/// A payload in several packets: walks the headers, and copies only when the last packet is there.
fn joined<'a>(buf: &'a [u8], sequence: &mut Sequence, max: usize) -> Result<Option<Message<'a>>, FrameError> {
    let (mut at, mut length, mut after) = (0_usize, 0_usize, *sequence);
    loop {
        let Some(part) = header(buf.get(at..).unwrap_or_default()) else { return Ok(None) };
        after.accept(part.sequence)?;
        length += part.length;
        if length > max {
            return Err(FrameError::TooLong { length, max });
        }
        at += part.total();
        if !part.continues() {
            break;
        }
    }
    let Some(raw) = buf.get(..at) else { return Ok(None) };
    let mut payload = Vec::with_capacity(length);
    for part in raw.chunks(MAX_PAYLOAD + HEADER) {
        payload.extend_from_slice(part.get(HEADER..).unwrap_or_default());
    }
    *sequence = after;
    Ok(Some(Message { payload: Cow::Owned(payload), raw }))
}

/// Appends a message whose payload `write` appends: its header filled in afterwards, over 16 MB split into packets.
/// When `write` fails, `out` and `sequence` are as before.
///
/// # Errors
/// Those of `write`.
#[inline]
pub fn write_message<E>(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(error);
    }
    let length = out.len() - start - HEADER;
    if length >= MAX_PAYLOAD {
        split(out, start, sequence);
        return Ok(());
    }
    patch(out, start, Header { length, sequence: sequence.take() });
    Ok(())
}

/// Appends `payload` as a message.
pub fn put_message(out: &mut Vec<u8>, sequence: &mut Sequence, payload: &[u8]) {
    let done: Result<(), std::convert::Infallible> = write_message(out, sequence, |out| {
        out.extend_from_slice(payload);
        Ok(())
    });
    match done {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Puts a header before each 16 MB of the payload that stands behind `start` and room for one header.
fn split(out: &mut Vec<u8>, start: usize, sequence: &mut Sequence) {
    let payload = out.split_off(start + HEADER);
    out.truncate(start);
    let mut rest = payload.as_slice();
    loop {
        let (part, left) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let header = Header { length: part.len(), sequence: sequence.take() };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(part);
        rest = left;
        if !header.continues() {
            break;
        }
    }
}

fn patch(out: &mut [u8], at: usize, header: Header) {
    if let Some(place) = out.get_mut(at..at + HEADER) {
        place.copy_from_slice(&header.encode());
    }
}

/// Gives whole packets new sequence ids: needed where the proxy took packets out of an answer or put some in. Stops at
/// the first packet that is not all there.
pub fn renumber(packets: &mut [u8], sequence: &mut Sequence) {
    let mut rest = packets;
    while let Some(found) = header(rest) {
        if rest.len() < found.total() {
            return;
        }
        patch(rest, 0, Header { length: found.length, sequence: sequence.take() });
        rest = rest.get_mut(found.total()..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// All messages of `bytes`, fed in pieces that end where `cuts` say.
    fn split_at(bytes: &[u8], cuts: &[usize], order: Order) -> Result<Vec<Vec<u8>>, FrameError> {
        let (mut buf, mut at, mut found) = (Vec::new(), 0, Vec::new());
        let mut sequence = Sequence::start(order);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        for end in ends {
            buf.extend_from_slice(&bytes[at..end]);
            at = end;
            while let Some(message) = message(&buf, &mut sequence, 1000)? {
                found.push(message.payload.to_vec());
                let used = message.raw.len();
                buf.drain(..used);
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            messages in vec(vec(any::<u8>(), 0..40), 0..300),
            cuts in vec(any::<usize>(), 0..20),
        ) {
            let (mut bytes, mut sequence) = (Vec::new(), Sequence::start(Order::Checked));
            for payload in &messages {
                put_message(&mut bytes, &mut sequence, payload);
            }
            prop_assert_eq!(split_at(&bytes, &cuts, Order::Checked).unwrap(), messages);
        }

        #[test]
        fn garbage_gives_the_same_answer_however_it_is_split(
            bytes in vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200),
            cuts in vec(any::<usize>(), 0..20),
        ) {
            let whole = split_at(&bytes, &[], Order::Loose);
            prop_assert_eq!(split_at(&bytes, &cuts, Order::Loose), whole);
        }
    }

    #[test]
    fn sixteen_megabytes_are_one_message_in_two_packets() {
        for extra in [0, 1, 5] {
            let payload: Vec<u8> = (0..MAX_PAYLOAD + extra).map(|at| (at % 251) as u8).collect();
            let (mut bytes, mut sequence) = (vec![9, 9], Sequence::at(7, Order::Checked));
            put_message(&mut bytes, &mut sequence, &payload);
            assert_eq!(bytes[2..6], [0xff, 0xff, 0xff, 7]);
            assert_eq!(bytes[6 + MAX_PAYLOAD..10 + MAX_PAYLOAD], [extra as u8, 0, 0, 8]);
            assert_eq!(sequence.next(), 9);
            let mut reading = Sequence::at(7, Order::Checked);
            assert_eq!(message(&bytes[2..bytes.len() - 1], &mut reading, MAX_MESSAGE), Ok(None));
            assert_eq!(reading.next(), 7);
            let read = message(&bytes[2..], &mut reading, MAX_MESSAGE).unwrap().unwrap();
            assert!(*read.payload == payload && read.raw.len() == bytes.len() - 2);
            assert_eq!(reading.next(), 9);
        }
    }

    #[test]
    fn a_limit_is_found_by_the_headers_and_order_is_checked() {
        let mut sequence = Sequence::start(Order::Checked);
        assert_eq!(message(&[5, 0, 0, 0], &mut sequence, 4), Err(FrameError::TooLong { length: 5, max: 4 }));
        assert_eq!(message(&[5, 0, 0, 1], &mut sequence, 9), Err(FrameError::Order { expected: 0, found: 1 }));
        let huge = [&[0xff, 0xff, 0xff, 0][..], &vec![0; MAX_PAYLOAD], &[0xff, 0xff, 0xff, 1]].concat();
        let expected = FrameError::TooLong { length: 2 * MAX_PAYLOAD, max: MAX_PAYLOAD + 1 };
        assert_eq!(message(&huge, &mut sequence, MAX_PAYLOAD + 1), Err(expected));
    }

    #[test]
    fn packets_get_new_numbers() {
        let mut bytes = vec![1, 0, 0, 4, b'x', 0, 0, 0, 5, 2, 0, 0, 6, b'y'];
        renumber(&mut bytes, &mut Sequence::at(255, Order::Checked));
        assert_eq!(bytes, [1, 0, 0, 255, b'x', 0, 0, 0, 0, 2, 0, 0, 6, b'y']);
    }
}
