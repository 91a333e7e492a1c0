//! Grants as the store keeps them: the policy's grant, and when it really ended. Data only.

pub use hallpass_policy::grant::{NewGrant, ReviewState};
use hallpass_policy::{
    grant::{Grant, GrantEnd},
    ids::Timestamp,
};

/// A stored grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Whether somebody has to look at it afterwards.
    pub review: ReviewState,
}

/// What a grant is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// It authorises.
    Active,
    /// Its time is up.
    Expired,
    /// Somebody ended it.
    Revoked,
}

impl GrantState {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl GrantRecord {
    /// What it is at `now`.
    pub fn state(&self, now: Timestamp) -> GrantState {
        match &self.grant.revoked {
            Some(GrantEnd::Revoked { .. }) => GrantState::Revoked,
            Some(GrantEnd::Expired) => GrantState::Expired,
            None if now < self.grant.ends => GrantState::Active,
            None => GrantState::Expired,
        }
    }

    /// When it ended, or will end.
    pub fn ended(&self) -> Timestamp {
        self.revoked_at.map_or(self.grant.ends, |at| at.min(self.grant.ends))
    }
}
