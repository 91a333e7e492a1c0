//! Grants as the store keeps them: the policy's grant, and when it really ended. Data only.

use hallpass_policy::{
    grant::{Grant, GrantEnd, GrantKind},
    ids::{RequestId, TargetName, Timestamp, UserName},
};

/// A grant to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The request it comes from.
    pub request: RequestId,
    /// Who holds it.
    pub user: UserName,
    /// What it allows.
    pub kind: GrantKind,
    /// Where.
    pub targets: Vec<TargetName>,
    /// Now: the approval.
    pub starts: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
}

/// A stored grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
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
