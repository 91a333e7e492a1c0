//! Users as the store knows them, without their keys' secrets. Data only.

use hallpass_policy::ids::{GroupName, Principal, Timestamp, UserName};
use serde::Serialize;

use super::credentials::{CredentialKind, ScramKeys};
use crate::wire::mysql::hashes::MysqlSecret;

/// A user of the local store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// Groups, sorted.
    pub groups: Vec<GroupName>,
    /// When the user stops being one: contractors.
    pub expires: Option<Timestamp>,
    /// Whether an admin disabled the user.
    pub disabled: bool,
    /// Since when.
    pub created: Timestamp,
    /// Password and tokens.
    pub keys: Vec<KeyInfo>,
}

impl User {
    /// Whether the user may do anything at `now`.
    pub fn active(&self, now: Timestamp) -> bool {
        !self.disabled && self.expires.is_none_or(|end| now < end)
    }

    /// The user for decisions.
    pub fn principal(&self) -> Principal {
        Principal { user: self.name.clone(), groups: self.groups.clone() }
    }
}

/// A password or token, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its number.
    pub id: i64,
    /// Password or token.
    pub kind: CredentialKind,
    /// What it is for.
    pub label: Option<String>,
    /// Since when.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

/// A user to add.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub name: UserName,
    /// Groups, sorted.
    pub groups: Vec<GroupName>,
    /// When the user stops being one.
    pub expires: Option<Timestamp>,
    /// Now.
    pub created: Timestamp,
    /// The salt of all keys to come.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds of all keys to come.
    pub iterations: u32,
}

/// A key to add.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Password or token.
    pub kind: CredentialKind,
    /// What it is for.
    pub label: Option<String>,
    /// What a login is checked against.
    pub keys: ScramKeys,
    /// What MySQL's plugins compare with, in the open: of a token. Nothing of a password.
    pub mysql: MysqlSecret,
    /// What mysql_native_password compares with, sealed: of a password.
    pub sealed_native: Option<Vec<u8>>,
    /// SHA-256 of a token, to find it as a bearer; `None` for a password.
    pub token_sha256: Option<[u8; 32]>,
    /// Now.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}
