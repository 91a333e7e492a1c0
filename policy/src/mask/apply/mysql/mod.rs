//! What a masked value looks like on MySQL's wire, in text and binary rows. The type stays valid, NULL stays NULL.
//! Sees one value at a time, its bytes without their length; what it cannot read becomes NULL, never the value itself.
//! The twin of the Postgres masks beside it, with the same rules for each mask.

use super::{DatePart, Format, HashKey, MaskWith, Masked, PgType, text};

mod dates;
mod neutral;
mod numbers;
#[cfg(test)]
mod tests;

/// A column as its definition describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MysqlType {
    /// The type's number: 3 LONG, 253 VAR_STRING and so on.
    pub kind: u8,
    /// The column's flags: 32 unsigned, 256 ENUM, 2048 SET.
    pub flags: u16,
    /// The collation's number; 63 is binary.
    pub collation: u16,
    /// The longest value: bits of a BIT column.
    pub length: u32,
    /// What MariaDB's extended metadata says beyond that.
    pub extended: Extended,
    /// How the row is written.
    pub format: Format,
}

/// Types that MariaDB sends as strings and names in its extended metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Extended {
    /// None of these, or the metadata was not asked for.
    #[default]
    None,
    /// `json`.
    Json,
    /// `uuid`.
    Uuid,
    /// `inet4`.
    Inet4,
    /// `inet6`.
    Inet6,
    /// A name that is newer than this.
    Other,
}

impl Extended {
    /// By the type's or format's name in the metadata.
    pub fn named(name: &[u8]) -> Self {
        match name {
            b"json" => Self::Json,
            b"uuid" => Self::Uuid,
            b"inet4" => Self::Inet4,
            b"inet6" => Self::Inet6,
            _ => Self::Other,
        }
    }
}

/// What a type's values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// CHAR, VARCHAR, TEXT.
    Text,
    /// ENUM and SET: an empty text is a value of both.
    Choice,
    /// BINARY, VARBINARY, BLOB.
    Bytes,
    /// BIT of that many bytes.
    Bits(usize),
    /// An integer of that many bytes.
    Int(usize),
    /// YEAR.
    Year,
    /// FLOAT and DOUBLE, of that many bytes.
    Float(usize),
    /// DECIMAL: text in both formats.
    Decimal,
    /// DATE.
    Date,
    /// DATETIME and TIMESTAMP.
    DateTime,
    /// TIME.
    Time,
    /// JSON.
    Json,
    /// UUID.
    Uuid,
    /// INET4.
    Inet4,
    /// INET6.
    Inet6,
    /// GEOMETRY, VECTOR and what is newer: masked by NULL.
    Other,
}

/// ENUM and SET columns come as strings with these flags.
const CHOICE_FLAGS: u16 = 256 | 2048;
/// The flag of an integer without a sign.
const UNSIGNED: u16 = 32;
/// The collation of bytes.
const BINARY: u16 = 63;

impl MysqlType {
    pub(super) fn family(self) -> Family {
        match self.extended {
            Extended::None => {}
            Extended::Json => return Family::Json,
            Extended::Uuid => return Family::Uuid,
            Extended::Inet4 => return Family::Inet4,
            Extended::Inet6 => return Family::Inet6,
            Extended::Other => return Family::Other,
        }
        match self.kind {
            1 => Family::Int(1),
            2 => Family::Int(2),
            3 | 9 => Family::Int(4),
            8 => Family::Int(8),
            4 => Family::Float(4),
            5 => Family::Float(8),
            7 | 12 => Family::DateTime,
            10 => Family::Date,
            11 => Family::Time,
            13 => Family::Year,
            16 => Family::Bits(usize::try_from(self.length.clamp(1, 64).div_ceil(8)).unwrap_or(8)),
            0 | 246 => Family::Decimal,
            245 => Family::Json,
            247 | 248 => Family::Choice,
            15 | 249..=254 if self.flags & CHOICE_FLAGS != 0 => Family::Choice,
            15 | 249..=254 if self.collation == BINARY => Family::Bytes,
            15 | 249..=254 => Family::Text,
            _ => Family::Other,
        }
    }

    pub(super) fn is_unsigned(self) -> bool {
        self.flags & UNSIGNED != 0
    }
}

/// Appends what `value`, `None` for NULL, of type `ty` becomes under `with` to `out`.
pub fn mask_mysql_value(
    with: &MaskWith,
    ty: MysqlType,
    value: Option<&[u8]>,
    key: &HashKey,
    out: &mut Vec<u8>,
) -> Masked {
    let start = out.len();
    let value = match (value, with) {
        (Some(value), _) => value,
        (None, MaskWith::Blank) => &[],
        (None, _) => return Masked::Null,
    };
    if specific(with, ty, value, key, out).is_some() {
        return Masked::Value;
    }
    out.truncate(start);
    let unreadable = match with {
        MaskWith::Null => true,
        MaskWith::Keep { .. } | MaskWith::Email => ty.family() == Family::Text && std::str::from_utf8(value).is_err(),
        MaskWith::Truncate(_) => dates::unreadable(ty, value),
        MaskWith::Round(_) => numbers::unreadable(ty, value),
        MaskWith::Full | MaskWith::Blank | MaskWith::Hash | MaskWith::Constant(_) => false,
    };
    if !unreadable && neutral::write(ty, out).is_some() {
        return Masked::Value;
    }
    out.truncate(start);
    Masked::Null
}

/// The `text` of Postgres: what the masks for text take.
const TEXT: PgType = PgType { oid: 25, format: Format::Text };

/// The value that `with` makes of this very value; `None`: the neutral one has to do.
fn specific(with: &MaskWith, ty: MysqlType, value: &[u8], key: &HashKey, out: &mut Vec<u8>) -> Option<()> {
    let is_text = ty.family() == Family::Text;
    match with {
        MaskWith::Full | MaskWith::Blank | MaskWith::Null => None,
        MaskWith::Email if is_text => text::email(std::str::from_utf8(value).ok()?, out),
        MaskWith::Hash if is_text => {
            key.digest(value, out);
            Some(())
        }
        MaskWith::Keep { first, last } if is_text => text::keep(TEXT, value, *first, *last, out),
        MaskWith::Email | MaskWith::Hash | MaskWith::Keep { .. } => None,
        MaskWith::Constant(constant) => neutral::constant(ty, constant, out),
        MaskWith::Round(multiple) => numbers::round(ty, value, *multiple, out),
        MaskWith::Truncate(part) => dates::truncate(ty, value, *part, out),
    }
}
