//! Payloads taken apart from their start, and put together: the protocol's integers and strings. Knows no message.
//! Source: MySQL internals manual, "Protocol Data Types".

pub use crate::wire::malformed::Malformed;

/// NULL's place in a text row.
pub const NULL: u8 = 0xfb;

/// Takes a payload apart from its start. Every method fails rather than read past the end; [`Body::end`] fails when
/// something is left.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    message: &'static str,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    /// A reader over `payload`; `message` is named in errors.
    #[inline]
    pub fn new(message: &'static str, payload: &'a [u8]) -> Self {
        Self { message, rest: payload }
    }

    fn short(&self) -> Malformed {
        Malformed::Short { message: self.message }
    }

    /// An error for a field whose value stands for nothing.
    pub fn code(&self) -> Malformed {
        Malformed::Code { message: self.message }
    }

    /// An error for a count that cannot be.
    pub fn count(&self) -> Malformed {
        Malformed::Count { message: self.message }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When they are not there; so it is with all the others.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// When they are not there.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When they are not there.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When they are not there.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(head)
    }

    /// A length-encoded integer. Its longest form is eight bytes; NULL and ERR bytes are no integers.
    ///
    /// # Errors
    /// When it is not there, or its first byte is 0xfb or 0xff.
    #[inline]
    pub fn int(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            small @ 0..=0xfa => Ok(u64::from(small)),
            0xfc => self.u16().map(u64::from),
            0xfd => self.array::<3>().map(|[a, b, c]| u64::from(u32::from_le_bytes([a, b, c, 0]))),
            0xfe => self.array().map(u64::from_le_bytes),
            NULL | 0xff => Err(self.code()),
        }
    }

    /// A length-encoded integer that counts things in memory.
    ///
    /// # Errors
    /// As [`Body::int`], and when it is more than the machine can address.
    #[inline]
    pub fn size(&mut self) -> Result<usize, Malformed> {
        let size = self.int()?;
        usize::try_from(size).map_err(|_| self.count())
    }

    /// A length-encoded string.
    ///
    /// # Errors
    /// When its length is no integer or there are fewer bytes.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.size()?;
        self.bytes(size).map_err(|_| self.count())
    }

    /// A length-encoded string, or NULL: a text row's value.
    ///
    /// # Errors
    /// As [`Body::string`].
    #[inline]
    pub fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if let Some((&NULL, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// A text up to its NUL, without it.
    ///
    /// # Errors
    /// When there is no NUL before the payload's end.
    pub fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or(Malformed::Unterminated { message: self.message })?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(text)
    }

    /// A text up to its NUL or the payload's end: how servers read the last text of some messages.
    pub fn text_or_rest(&mut self) -> &'a [u8] {
        self.text().unwrap_or_else(|_| self.rest())
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What is left, without taking it.
    #[inline]
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When something is.
    #[inline]
    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing { message: self.message }) }
    }
}

/// Appends a length-encoded integer in its shortest form.
pub fn put_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (mark, count) = match value {
        0..=0xfa => (None, 1),
        0xfb..=0xffff => (Some(0xfc), 2),
        0x1_0000..=0xff_ffff => (Some(0xfd), 3),
        _ => (Some(0xfe), 8),
    };
    out.extend(mark);
    out.extend_from_slice(bytes.get(..count).unwrap_or_default());
}

/// Appends a length-encoded string.
pub fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    put_int(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a text up to its first NUL, and a NUL.
pub fn put_text(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(value.split(|byte| *byte == 0).next().unwrap_or_default());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(number in prop_oneof![0..300u64, any::<u64>()], bytes in vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_int(&mut out, number);
            put_string(&mut out, &bytes);
            let mut body = Body::new("test", &out);
            prop_assert_eq!(body.int(), Ok(number));
            prop_assert_eq!(body.nullable(), Ok(Some(bytes.as_slice())));
            prop_assert_eq!(body.end(), Ok(()));
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..20)) {
            let mut body = Body::new("test", &bytes);
            while body.nullable().is_ok() && !body.remaining().is_empty() {}
            let _ = (body.text(), body.u32(), body.rest());
        }
    }

    #[test]
    fn null_and_err_are_no_integers() {
        assert_eq!(Body::new("test", &[NULL]).int(), Err(Malformed::Code { message: "test" }));
        assert_eq!(Body::new("test", &[0xff]).nullable(), Err(Malformed::Code { message: "test" }));
        assert_eq!(Body::new("test", &[NULL]).nullable(), Ok(None));
        let long = Body::new("test", &[0xfe, 255, 255, 255, 255, 255, 255, 255, 255]).string();
        assert_eq!(long, Err(Malformed::Count { message: "test" }));
    }
}
