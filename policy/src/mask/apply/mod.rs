//! What a masked value looks like, in text and binary format. The type stays valid, NULL stays NULL.
//! Sees one value at a time and no wire framing; what it cannot read becomes NULL, never the value itself.

use std::{fmt, sync::Arc};

use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

mod constant;
mod dates;
pub mod mysql;
mod neutral;
mod numbers;
#[cfg(test)]
mod tests;
mod text;

pub use neutral::{Family, family};

/// `[[masks]] with`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskWith {
    /// The whole value is replaced by its type's neutral value (`****`, 0, 1970-01-01, {}); NULL where a type has none.
    Full,
    /// What `Full` leaves, and on MySQL of NULL as well: what is computed there may be NULL because of the value it is
    /// computed from (its length, its bytes). In no configuration; the plan's own.
    Blank,
    /// NULL.
    Null,
    /// `a****@****.com`-like; what is not an e-mail address is masked in full.
    Email,
    /// A keyed hash in hexadecimal: equal values stay equal within one proxy. Text only; others in full.
    Hash,
    /// All but the first and last characters become `*`; a value of which more than half would stay becomes `*` alone.
    Keep {
        /// Characters kept at the start.
        first: u32,
        /// Characters kept at the end.
        last: u32,
    },
    /// The same text for all; in full where the column's type cannot hold it.
    Constant(Arc<str>),
    /// Rounded to the nearest multiple, halves away from zero. Numbers only; others, NaN and infinities in full.
    Round(u64),
    /// A date or timestamp cut to its year, month, day or hour: in text by the session's time zone, in binary by UTC.
    /// Other types and infinities in full; a text that is not in the ISO DateStyle becomes NULL.
    Truncate(DatePart),
}

/// To what a date is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// 1 January.
    Year,
    /// The first of the month.
    Month,
    /// Midnight.
    Day,
    /// The full hour.
    Hour,
}

/// A Postgres format code (protocol: RowDescription, Bind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// 0: what the type's output function prints.
    #[default]
    Text,
    /// 1: what the type's send function writes.
    Binary,
}

/// A result column's type as RowDescription reports it. The server reports a domain's base type there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PgType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// How the values are written.
    pub format: Format,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masked {
    /// The bytes that were appended.
    Value,
    /// NULL; nothing was appended.
    Null,
}

/// The key of [`MaskWith::Hash`]: one per proxy, so that a hash cannot be looked up in a table made elsewhere.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl HashKey {
    /// A key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        // SHA-256's block is 64 bytes: RFC 2104 fills a shorter key with zeros.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Self(Hmac::new(&block.into()))
    }

    /// The first 16 hexadecimal digits of HMAC-SHA-256.
    fn digest(&self, value: &[u8], out: &mut Vec<u8>) {
        let mut mac = self.0.clone();
        mac.update(value);
        for byte in mac.finalize().into_bytes().iter().take(8) {
            for nibble in [byte >> 4, byte & 15] {
                out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
            }
        }
    }
}

/// Shows no key.
impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// Appends what `value` (which is not NULL) of type `ty` becomes under `with` to `out`.
pub fn mask_value(with: &MaskWith, ty: PgType, value: &[u8], key: &HashKey, out: &mut Vec<u8>) -> Masked {
    let start = out.len();
    if specific(with, ty, value, key, out).is_some() {
        return Masked::Value;
    }
    out.truncate(start);
    let unreadable = match with {
        MaskWith::Null => true,
        MaskWith::Keep { .. } | MaskWith::Email => {
            family(ty.oid) == Family::Text && std::str::from_utf8(value).is_err()
        }
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

/// The value that `with` makes of this very value; `None`: the neutral one has to do.
fn specific(with: &MaskWith, ty: PgType, value: &[u8], key: &HashKey, out: &mut Vec<u8>) -> Option<()> {
    let is_text = family(ty.oid) == Family::Text;
    match with {
        MaskWith::Full | MaskWith::Blank | MaskWith::Null => None,
        MaskWith::Email if is_text => text::email(std::str::from_utf8(value).ok()?, out),
        MaskWith::Hash if is_text => {
            key.digest(text::unpadded(ty, value), out);
            Some(())
        }
        MaskWith::Keep { first, last } if is_text => text::keep(ty, value, *first, *last, out),
        MaskWith::Email | MaskWith::Hash | MaskWith::Keep { .. } => None,
        MaskWith::Constant(constant) => constant::write(ty, constant, out),
        MaskWith::Round(multiple) => numbers::round(ty, value, *multiple, out),
        MaskWith::Truncate(part) => dates::truncate(ty, value, *part, out),
    }
}
