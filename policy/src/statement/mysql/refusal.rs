//! The refusals that the files of this folder share, in the words of the server where it has some.
//! Decides nothing.

use crate::statement::{Refusal, RefusalKind};

/// A syntax error at a place of the text, as the server words it.
pub(super) fn near(text: &str, at: usize) -> Refusal {
    let rest: String = text.get(at..).unwrap_or_default().chars().take(40).collect();
    Refusal::new(RefusalKind::Unparsed, format!("you have an error in your SQL syntax near '{rest}'"))
}

/// Something that parses, or would, and is not followed.
pub(super) fn unsupported(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, format!("{what} is not supported"))
}

/// A variant of the parser's tree that is not on the list for its place.
pub(super) fn unexpected(place: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, format!("something in {place} is not supported"))
        .detail("the gate follows a fixed list of forms; what is not on it is refused")
        .hint("write it in a plainer form, or ask for a statement grant's wording that the gate reads")
}

/// `Unknown column 'a' in …`
pub(super) fn unknown_column(name: &str) -> Refusal {
    Refusal::new(RefusalKind::UnknownColumn, format!("unknown column '{name}'"))
}

/// `Column 'a' in … is ambiguous`
pub(super) fn ambiguous(name: &str) -> Refusal {
    Refusal::new(RefusalKind::Ambiguous, format!("column '{name}' is ambiguous"))
}
