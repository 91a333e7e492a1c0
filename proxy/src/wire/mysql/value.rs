//! Values of the binary protocol: how long each is by its type. Knows shapes, not meanings.
//! Source: MySQL internals manual, "Binary Protocol Value", "Column Types".

use super::body::{Body, Malformed};

/// A type's number, in column definitions and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const DECIMAL: Self = Self(0);
    pub const TINY: Self = Self(1);
    pub const SHORT: Self = Self(2);
    pub const LONG: Self = Self(3);
    pub const FLOAT: Self = Self(4);
    pub const DOUBLE: Self = Self(5);
    pub const NULL: Self = Self(6);
    pub const TIMESTAMP: Self = Self(7);
    pub const LONGLONG: Self = Self(8);
    pub const INT24: Self = Self(9);
    pub const DATE: Self = Self(10);
    pub const TIME: Self = Self(11);
    pub const DATETIME: Self = Self(12);
    pub const YEAR: Self = Self(13);
    pub const VARCHAR: Self = Self(15);
    pub const BIT: Self = Self(16);
    pub const VECTOR: Self = Self(242);
    pub const BOOL: Self = Self(244);
    pub const JSON: Self = Self(245);
    pub const NEWDECIMAL: Self = Self(246);
    pub const ENUM: Self = Self(247);
    pub const SET: Self = Self(248);
    pub const TINY_BLOB: Self = Self(249);
    pub const MEDIUM_BLOB: Self = Self(250);
    pub const LONG_BLOB: Self = Self(251);
    pub const BLOB: Self = Self(252);
    pub const VAR_STRING: Self = Self(253);
    pub const STRING: Self = Self(254);
    pub const GEOMETRY: Self = Self(255);
}

/// How a type's values stand in binary rows and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No bytes at all.
    Nothing,
    /// As many.
    Fixed(usize),
    /// A length byte, and 0, 4, 7 or 11 bytes.
    DateTime,
    /// A length byte, and 0, 8 or 12 bytes.
    Time,
    /// A length-encoded string.
    Bytes,
}

impl Type {
    /// Whether the server compares a parameter of this type with a text as texts.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::VARCHAR
                | Self::VAR_STRING
                | Self::STRING
                | Self::TINY_BLOB
                | Self::MEDIUM_BLOB
                | Self::LONG_BLOB
                | Self::BLOB
                | Self::ENUM
                | Self::SET
        )
    }

    /// Whether a parameter of this type is a number.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::TINY
                | Self::SHORT
                | Self::LONG
                | Self::LONGLONG
                | Self::INT24
                | Self::FLOAT
                | Self::DOUBLE
                | Self::DECIMAL
                | Self::NEWDECIMAL
        )
    }

    /// How its values stand; `None`: no value of such a type is ever sent.
    #[inline]
    pub fn shape(self) -> Option<Shape> {
        Some(match self {
            Self::NULL => Shape::Nothing,
            Self::TINY | Self::BOOL => Shape::Fixed(1),
            Self::SHORT | Self::YEAR => Shape::Fixed(2),
            Self::LONG | Self::INT24 | Self::FLOAT => Shape::Fixed(4),
            Self::LONGLONG | Self::DOUBLE => Shape::Fixed(8),
            Self::DATE | Self::DATETIME | Self::TIMESTAMP => Shape::DateTime,
            Self::TIME => Shape::Time,
            Self::DECIMAL
            | Self::VARCHAR
            | Self::BIT
            | Self::VECTOR
            | Self::JSON
            | Self::NEWDECIMAL
            | Self::ENUM
            | Self::SET
            | Self::TINY_BLOB
            | Self::MEDIUM_BLOB
            | Self::LONG_BLOB
            | Self::BLOB
            | Self::VAR_STRING
            | Self::STRING
            | Self::GEOMETRY => Shape::Bytes,
            _ => return None,
        })
    }
}

/// Takes one value of type `kind` from the start of `body`: the bytes without their length.
///
/// # Errors
/// When the type has no values or the bytes are not one.
#[inline]
pub fn take<'a>(body: &mut Body<'a>, kind: Type) -> Result<&'a [u8], Malformed> {
    match kind.shape().ok_or_else(|| body.code())? {
        Shape::Nothing => Ok(&[]),
        Shape::Fixed(size) => body.bytes(size),
        Shape::Bytes => body.string(),
        Shape::DateTime => counted(body, &[0, 4, 7, 11]),
        Shape::Time => counted(body, &[0, 8, 12]),
    }
}

fn counted<'a>(body: &mut Body<'a>, lengths: &[u8]) -> Result<&'a [u8], Malformed> {
    let length = body.u8()?;
    if !lengths.contains(&length) {
        return Err(body.count());
    }
    body.bytes(usize::from(length))
}

/// A bit per item, least significant first, as NULL bitmaps are. `offset` bits stand before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitmap<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Bitmap<'a> {
    /// Takes the bitmap of `count` items.
    ///
    /// # Errors
    /// When it is not there.
    pub fn take(body: &mut Body<'a>, count: usize, offset: usize) -> Result<Self, Malformed> {
        Ok(Self { bytes: body.bytes((count + offset).div_ceil(8))?, offset })
    }

    /// Whether item `index` is NULL.
    #[inline]
    pub fn is_null(self, index: usize) -> bool {
        let bit = index + self.offset;
        self.bytes.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn values_are_as_long_as_their_type_says() {
        let bytes = b"\x04\xe8\x07\x01\x02\x03abc\x07";
        let mut body = Body::new("row", bytes);
        assert_eq!(take(&mut body, Type::DATE), Ok(&b"\xe8\x07\x01\x02"[..]));
        assert_eq!(take(&mut body, Type::JSON), Ok(&b"abc"[..]));
        assert_eq!(take(&mut body, Type::NULL), Ok(&b""[..]));
        assert_eq!(take(&mut body, Type::TINY), Ok(&b"\x07"[..]));
        assert!(take(&mut Body::new("row", &[5, 0, 0, 0, 0, 0]), Type::DATETIME).is_err());
        assert!(take(&mut Body::new("row", &[0]), Type(99)).is_err());
    }

    #[test]
    fn bits_count_from_the_low_end() {
        let map = Bitmap::take(&mut Body::new("row", &[0b100, 0b1]), 7, 2).unwrap();
        let nulls: Vec<_> = (0..8).filter(|index| map.is_null(*index)).collect();
        assert_eq!(nulls, [0, 6]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..20), kind in any::<u8>()) {
            let _ = take(&mut Body::new("row", &bytes), Type(kind));
        }
    }
}
