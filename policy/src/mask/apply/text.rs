//! Masks that show a part of a text: e-mail addresses, first and last characters. Text types only, whose bytes are the
//! same in both formats.

use super::PgType;

/// `bpchar`, which the server pads with spaces that do not belong to the value.
const BPCHAR: u32 = 1042;

/// The value without a `bpchar`'s padding, so that `char(20)` and `text` of the same words look the same.
pub(super) fn unpadded(ty: PgType, value: &[u8]) -> &[u8] {
    if ty.oid != BPCHAR {
        return value;
    }
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    value.get(..end).unwrap_or(value)
}

/// `alice@example.com` to `a****@****.com`; `None` for what is not an e-mail address. A local part of one character
/// is not shown.
pub(super) fn email(value: &str, out: &mut Vec<u8>) -> Option<()> {
    let value = value.trim_end_matches(' ');
    let (local, domain) = value.split_once('@')?;
    let (host, top) = domain.rsplit_once('.')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    let is_top = (2..=24).contains(&top.len())
        && (top.bytes().all(|b| b.is_ascii_alphabetic())
            || top.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("xn--")))
        && top.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if local.is_empty() || host.is_empty() || !is_top || value.len() > 320 || local.contains(odd) || host.contains(odd)
    {
        return None;
    }
    let mut characters = local.chars();
    let first = characters.next().filter(|_| characters.next().is_some()).unwrap_or('*');
    out.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
    out.extend_from_slice(b"****@****.");
    out.extend_from_slice(top.as_bytes());
    Some(())
}

/// All but `first` and `last` characters become `*`, by Unicode scalar values; all of them when more than half would
/// stay. A `bpchar`'s padding stays padding.
pub(super) fn keep(ty: PgType, value: &[u8], first: u32, last: u32, out: &mut Vec<u8>) -> Option<()> {
    let words = std::str::from_utf8(unpadded(ty, value)).ok()?;
    let padding = value.len() - words.len();
    let count = words.chars().count();
    let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
    let kept = first.saturating_add(last);
    let (head, tail) = if kept.saturating_mul(2) > count { (0, 0) } else { (first, last) };
    let at = |n: usize| words.char_indices().nth(n).map_or(words.len(), |(at, _)| at);
    out.extend_from_slice(words.get(..at(head))?.as_bytes());
    out.resize(out.len() + (count - head - tail), b'*');
    out.extend_from_slice(words.get(at(count - tail)..)?.as_bytes());
    out.resize(out.len() + padding, b' ');
    Some(())
}
