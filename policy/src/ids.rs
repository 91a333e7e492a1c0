//! The names and numbers of the field as types, so that a user is never taken for a target.
//! Holds no meaning beyond equality, order and display.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $ty:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $ty(Arc<str>);

        impl $ty {
            /// Wraps `name` as it stands; nothing is folded or trimmed.
            pub fn new(name: impl AsRef<str>) -> Self {
                Self(Arc::from(name.as_ref()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $ty {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl std::borrow::Borrow<str> for $ty {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $ty:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $ty(pub i64);

        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(
    /// A user of the local store.
    UserName
);
name!(
    /// A group of users, as in `group:oncall`.
    GroupName
);
name!(
    /// A configured upstream database, `[databases.NAME]`.
    TargetName
);
name!(
    /// A role of `proxy.toml`, `[roles.NAME]`.
    RoleName
);
name!(
    /// A listener of `proxy.toml`, `[[listeners]] name`.
    ListenerName
);
name!(
    /// A client session's public name, as in `hallpass sessions`.
    SessionId
);
number!(
    /// A grant's number.
    GrantId
);
number!(
    /// A request's number.
    RequestId
);

/// A point in time: µs since the Unix epoch, UTC. Made by a clock outside this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment plus `duration`, saturating at the end of time.
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// From `self` to `later`; zero when `later` is not later.
    pub fn until(self, later: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// RFC 3339 with six digits of fraction, as in the audit: `2026-01-31T12:00:00.000000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Who asks: a user and the groups that the store says they are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// The authenticated user.
    pub user: UserName,
    /// The user's groups, sorted.
    pub groups: Vec<GroupName>,
}
