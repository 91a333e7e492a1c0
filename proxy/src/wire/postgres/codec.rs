//! Frames of the v3 protocol, found by length alone and borrowed from the read buffer, and the reader that takes a
//! frame's body apart. Decides nothing about what a message means; `frontend` and `backend` do.

use std::ffi::CStr;

use thiserror::Error;

pub use crate::wire::malformed::Malformed;

/// A message with a tag has five bytes before its body: the tag, and a length that counts itself.
pub const HEADER: usize = 5;

/// The longest message the server takes (its `MaxAllocSize`), body and length field.
pub const MAX_FRAME: usize = 0x3fff_ffff;

/// The longest message before login is over, length field included; the server's `MAX_STARTUP_PACKET_LENGTH`.
pub const MAX_LOGIN_PACKET: usize = 10_000;

/// Why bytes are not a frame. The stream cannot be resynchronised: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length below four, which counts the length field itself.
    #[error("message `{}` has the impossible length {length}", char::from(*tag).escape_default())]
    Length {
        /// The message's tag.
        tag: u8,
        /// What its length field says.
        length: u32,
    },
    /// Longer than allowed here.
    #[error("message `{}` of {length} bytes is longer than the allowed {max}", char::from(*tag).escape_default())]
    TooLong {
        /// The message's tag.
        tag: u8,
        /// What its length field says.
        length: u32,
        /// The limit.
        max: usize,
    },
}

/// A message's first five bytes, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which message.
    pub tag: u8,
    /// Bytes of the body, without tag and length field.
    pub body: usize,
}

impl Header {
    /// Bytes of the whole message on the wire.
    pub fn total(self) -> usize {
        self.body + HEADER
    }
}

/// One whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which message.
    pub tag: u8,
    /// What follows the length field.
    pub body: &'a [u8],
    /// The message as it stands on the wire, for forwarding.
    pub raw: &'a [u8],
}

/// Reads the header at the start of `buf`; `None` while fewer than five bytes are there. Enough to pass a large message
/// through in pieces.
///
/// # Errors
/// [`FrameError`] for a length below four or above `max`; it is found before any of the body is waited for.
#[inline]
pub fn header(buf: &[u8], max: usize) -> Result<Option<Header>, FrameError> {
    let Some(&[tag, a, b, c, d]) = buf.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    if length < 4 {
        return Err(FrameError::Length { tag, length });
    }
    let whole = usize::try_from(length).unwrap_or(usize::MAX);
    if whole > max {
        return Err(FrameError::TooLong { tag, length, max });
    }
    Ok(Some(Header { tag, body: whole - 4 }))
}

/// The whole message at the start of `buf`; `None` while bytes are missing.
///
/// # Errors
/// As [`header`].
#[inline]
pub fn frame(buf: &[u8], max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(header) = header(buf, max)? else { return Ok(None) };
    let Some(raw) = buf.get(..header.total()) else { return Ok(None) };
    let Some(body) = raw.get(HEADER..) else { return Ok(None) };
    Ok(Some(Frame { tag: header.tag, body, raw }))
}

/// Takes a body apart from its start. Every method fails rather than read past the end; [`Body::end`] fails when
/// something is left.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    message: &'static str,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    /// A reader over `body`; `message` is named in errors.
    pub fn new(message: &'static str, body: &'a [u8]) -> Self {
        Self { message, rest: body }
    }

    fn short(&self) -> Malformed {
        Malformed::Short { message: self.message }
    }

    /// An error for a field whose value stands for nothing.
    pub fn code(&self) -> Malformed {
        Malformed::Code { message: self.message }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// When there is none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, signed.
    ///
    /// # Errors
    /// When they are not there.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// Four bytes, signed.
    ///
    /// # Errors
    /// When they are not there.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes, unsigned: OIDs.
    ///
    /// # Errors
    /// When they are not there.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A text up to its NUL, without it.
    ///
    /// # Errors
    /// When there is no NUL before the body's end.
    pub fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let unterminated = Malformed::Unterminated { message: self.message };
        let text = CStr::from_bytes_until_nul(self.rest).map_err(|_| unterminated)?;
        self.rest = self.rest.get(text.count_bytes() + 1..).unwrap_or_default();
        Ok(text.to_bytes())
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When they are not there.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(head)
    }

    /// A two-byte count, unsigned: the server takes 65,535 parameters.
    ///
    /// # Errors
    /// When it is not there.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    /// A count and as many items of `size` bytes each.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn list(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let count = self.count()?;
        self.bytes(count * size).map_err(|_| Malformed::Count { message: self.message })
    }

    /// A four-byte length and as many bytes; `None` for -1, NULL.
    ///
    /// # Errors
    /// When the length is below -1 or there are fewer bytes.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed::Count { message: self.message })?;
                self.bytes(length).map(Some).map_err(|_| Malformed::Count { message: self.message })
            }
        }
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What is left, without taking it.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing { message: self.message }) }
    }
}

/// A value's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 0.
    Text,
    /// 1.
    Binary,
    /// Any other number; the server refuses it with 22023 when it comes to use it.
    Unknown(i16),
}

impl Format {
    /// From its number on the wire.
    pub fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Text,
            1 => Self::Binary,
            other => Self::Unknown(other),
        }
    }

    /// Its number on the wire.
    pub fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
            Self::Unknown(other) => other,
        }
    }
}

/// A list of format codes, as Bind and the Copy responses have it: none means text for all, one means that one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats<'a>(pub(super) &'a [u8]);

impl<'a> Formats<'a> {
    /// The codes as they were sent.
    pub fn codes(self) -> impl Iterator<Item = i16> + 'a {
        self.0.as_chunks::<2>().0.iter().map(|code| i16::from_be_bytes(*code))
    }

    /// How many codes were sent.
    pub fn len(self) -> usize {
        self.0.len() / 2
    }

    /// Whether none was: all text.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The format of value `index`; `None` when several codes were sent and none for it.
    pub fn get(self, index: usize) -> Option<Format> {
        let at = match self.len() {
            0 => return Some(Format::Text),
            1 => 0,
            _ => index,
        };
        let code = self.0.get(at * 2..)?.first_chunk::<2>()?;
        Some(Format::from_code(i16::from_be_bytes(*code)))
    }
}

/// A list of OIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oids<'a>(pub(super) &'a [u8]);

impl<'a> Oids<'a> {
    /// How many.
    pub fn len(self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.as_chunks::<4>().0.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// All frames of `bytes`, fed in pieces that end where `cuts` say.
    fn split(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(u8, Vec<u8>)>, FrameError> {
        let (mut buf, mut at, mut frames) = (Vec::new(), 0, Vec::new());
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        for end in ends {
            buf.extend_from_slice(&bytes[at..end]);
            at = end;
            while let Some(found) = frame(&buf, 1000)? {
                frames.push((found.tag, found.body.to_vec()));
                let used = found.raw.len();
                assert_eq!(used, found.body.len() + HEADER);
                buf.drain(..used);
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            messages in vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..12),
            cuts in vec(any::<usize>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            for (tag, body) in &messages {
                bytes.push(*tag);
                bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
                bytes.extend_from_slice(body);
            }
            prop_assert_eq!(split(&bytes, &cuts).unwrap(), messages);
        }

        #[test]
        fn garbage_gives_the_same_answer_however_it_is_split(
            bytes in vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200),
            cuts in vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(split(&bytes, &cuts), split(&bytes, &[]));
        }
    }

    #[test]
    fn impossible_lengths_are_found_at_once() {
        assert_eq!(header(b"Q\0\0\0\x03", 100), Err(FrameError::Length { tag: b'Q', length: 3 }));
        assert_eq!(
            header(b"Q\xff\xff\xff\xff", 100),
            Err(FrameError::TooLong { tag: b'Q', length: u32::MAX, max: 100 })
        );
        assert_eq!(header(b"Q\0\0\0", 100), Ok(None));
        assert_eq!(header(b"d\0\0\x01\0", MAX_FRAME), Ok(Some(Header { tag: b'd', body: 252 })));
    }

    #[test]
    fn formats_follow_the_rule_of_none_one_all() {
        assert_eq!(Formats(&[]).get(7), Some(Format::Text));
        assert_eq!(Formats(&[0, 1]).get(7), Some(Format::Binary));
        assert_eq!(Formats(&[0, 1, 0, 0]).get(1), Some(Format::Text));
        assert_eq!(Formats(&[0, 1, 0, 0]).get(2), None);
        assert_eq!(Formats(&[0, 9]).get(0), Some(Format::Unknown(9)));
    }
}
