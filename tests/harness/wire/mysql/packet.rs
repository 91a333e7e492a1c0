//! Integers, strings and packets, as the chapter "Protocol Basics" has them. Reading malformed bytes panics: in a test
//! they are a finding. Writing checks nothing: tests send nonsense, too.

/// The longest payload of one packet; a longer one goes on in the next.
pub const LONGEST: usize = 0xFF_FFFF;

/// Reads a payload from its start.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        assert!(count <= self.0.len(), "{count} bytes are wanted of {:02x?}", self.0);
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head
    }

    /// An integer of so many bytes, little-endian.
    #[track_caller]
    pub fn int(&mut self, count: usize) -> u64 {
        self.take(count).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// A status or flags.
    #[track_caller]
    pub fn short(&mut self) -> u16 {
        u16::try_from(self.int(2)).expect("two bytes")
    }

    /// A length-encoded integer; `None` is the NULL of a text row.
    #[track_caller]
    pub fn lenenc_or_null(&mut self) -> Option<u64> {
        match self.int(1) {
            0xFB => None,
            0xFC => Some(self.int(2)),
            0xFD => Some(self.int(3)),
            0xFE => Some(self.int(8)),
            small => Some(small),
        }
    }

    /// A length-encoded integer.
    #[track_caller]
    pub fn lenenc(&mut self) -> u64 {
        self.lenenc_or_null().expect("a number, not NULL")
    }

    /// Length-encoded bytes.
    #[track_caller]
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = self.lenenc();
        self.take(usize::try_from(length).expect("64 bits"))
    }

    /// A length-encoded text.
    #[track_caller]
    pub fn text(&mut self) -> String {
        text(self.bytes())
    }

    /// Bytes up to a zero byte, or to the end.
    pub fn zero_ended(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let head = self.take(end);
        self.0 = self.0.get(1..).unwrap_or_default();
        head
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Bytes as text, lossily.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Appends a length-encoded integer.
pub fn put_lenenc(into: &mut Vec<u8>, value: usize) {
    let bytes = (value as u64).to_le_bytes();
    match value {
        0..=0xFA => into.push(bytes[0]),
        0xFB..=0xFFFF => into.extend([&[0xFC], &bytes[..2]].concat()),
        0x1_0000..=0xFF_FFFF => into.extend([&[0xFD], &bytes[..3]].concat()),
        _ => into.extend([&[0xFE], &bytes[..]].concat()),
    }
}

/// Appends length-encoded bytes.
pub fn put_bytes(into: &mut Vec<u8>, value: &[u8]) {
    put_lenenc(into, value.len());
    into.extend(value);
}

/// One packet with this sequence number.
pub fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a packet's length").to_le_bytes();
    [&length[..3], &[sequence], payload].concat()
}

/// A payload as packets from this sequence number on; long ones are split. Returns the next number, too.
pub fn packets(first: u8, payload: &[u8]) -> (Vec<u8>, u8) {
    let (mut bytes, mut sequence) = (Vec::with_capacity(payload.len() + 4), first);
    let mut rest = payload;
    loop {
        let (head, tail) = rest.split_at(rest.len().min(LONGEST));
        bytes.extend(packet(sequence, head));
        sequence = sequence.wrapping_add(1);
        rest = tail;
        if head.len() < LONGEST {
            return (bytes, sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_written() {
        for value in [0, 250, 251, 65_535, 65_536, 0xFF_FFFF, 0x100_0000] {
            let mut bytes = Vec::new();
            put_lenenc(&mut bytes, value);
            assert_eq!(Reader(&bytes).lenenc(), value as u64);
        }
    }

    #[test]
    fn a_payload_of_the_longest_length_is_followed_by_an_empty_packet() {
        let (bytes, next) = packets(0, &vec![7; LONGEST]);
        assert_eq!((bytes.len(), next), (LONGEST + 8, 2));
        assert_eq!(bytes[LONGEST + 4..], [0, 0, 0, 1]);
    }
}
