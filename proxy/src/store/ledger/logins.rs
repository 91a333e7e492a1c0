//! What logins are checked against: the store's keys, with what MySQL's plugins need of a password beside them. Of that
//! `grants.db` holds one half sealed; the other is in memory only, once the password itself was seen and fitted.
//! Changes nothing in the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hallpass_policy::ids::UserName;

use super::Ledger;
use crate::{
    config::NativePasswords,
    store::{
        LoginLookup, LookupFuture, StoreError,
        credentials::{CredentialKey, CredentialKind, Credentials, ScramKeys},
    },
};

/// Users whose password's hash is remembered at once.
const MOST_REMEMBERED: usize = 10_000;

/// `SHA256(SHA256(password))` of users who have logged in with caching_sha2_password: so their next login costs no
/// PBKDF2. Never written anywhere.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<UserName, Hash>>);

/// A hash, and of which key: another password is another key.
struct Hash {
    key: i64,
    keys: ScramKeys,
    sha2: [u8; 32],
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered(…)")
    }
}

impl Remembered {
    fn of(&self, user: &UserName, key: &CredentialKey) -> Option<[u8; 32]> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user).filter(|hash| hash.key == key.id && hash.keys == key.keys).map(|hash| hash.sha2)
    }

    fn keep(&self, user: &UserName, key: &CredentialKey, sha2: [u8; 32]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED && !known.contains_key(user) {
            // Whoever is dropped logs in once more the long way.
            let some = known.keys().next().cloned();
            some.and_then(|some| known.remove(&some));
        }
        known.insert(user.clone(), Hash { key: key.id, keys: key.keys.clone(), sha2 });
    }

    pub(super) fn forget(&self, user: &UserName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }
}

impl Ledger {
    /// What a login of `user` is checked against. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn credentials(&self, user: &str) -> Result<Credentials, StoreError> {
        let mut found = self.store.begin()?.credentials(user)?;
        for key in &mut found.keys {
            self.complete(&found.user, key);
        }
        Ok(found)
    }

    /// Adds what MySQL's plugins need and the store does not hold in the open.
    fn complete(&self, user: &UserName, key: &mut CredentialKey) {
        if key.kind == CredentialKind::Token {
            return;
        }
        key.mysql.sha2 = self.remembered.of(user, key);
        if let (Some(sealed), Some(seal)) = (&key.sealed_native, self.seal()) {
            key.mysql.native = seal.open(user, sealed);
            if key.mysql.native.is_none() {
                tracing::warn!(%user, "a sealed password does not open: mysql-native.key is not the one it was sealed with; set the password anew");
            }
        }
    }

    /// The seal, while passwords' native hashes are wanted.
    pub(super) fn seal(&self) -> Option<&crate::store::seal::Seal> {
        match self.shared.config.load().server.native_passwords {
            NativePasswords::Sealed => self.seal.as_ref(),
            NativePasswords::LeftOut => None,
        }
    }
}

impl LoginLookup for Arc<Ledger> {
    fn login_lookup<'a>(&'a self, user: &'a str) -> LookupFuture<'a> {
        let (ledger, user) = (Self::clone(self), user.to_owned());
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || ledger.credentials(&user)).await;
            found.map_err(|_| StoreError::Interrupted)?
        })
    }

    fn remember(&self, user: &UserName, key: &CredentialKey, sha2: [u8; 32]) {
        if key.kind == CredentialKind::Password {
            self.remembered.keep(user, key, sha2);
        }
    }
}
