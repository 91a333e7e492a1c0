//! What can be wrong with a message of either protocol. Quotes nothing of the message but its kind.

use thiserror::Error;

/// A message that is not what its kind promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("a {message} message is too short")]
    Short {
        /// Which message.
        message: &'static str,
    },
    /// A text without its closing NUL.
    #[error("a text in a {message} message does not end")]
    Unterminated {
        /// Which message.
        message: &'static str,
    },
    /// A count or length that cannot be: negative, or more than there is.
    #[error("a {message} message has an impossible count")]
    Count {
        /// Which message.
        message: &'static str,
    },
    /// A byte that stands for nothing.
    #[error("a {message} message has an unknown code")]
    Code {
        /// Which message.
        message: &'static str,
    },
    /// More bytes than the message has fields.
    #[error("a {message} message is too long")]
    Trailing {
        /// Which message.
        message: &'static str,
    },
}
