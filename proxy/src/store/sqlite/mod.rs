//! `grants.db`: the store in one SQLite file. Opens and versions it; `users`, `requests` and `grants` hold its queries.
//! Decides nothing.

use std::{
    fmt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hallpass_policy::ids::{GrantId, RequestId, Timestamp, UserName};
use rusqlite::{Connection, OptionalExtension};

use super::{
    GrantFilter, RequestFilter, Resources, Store, StoreError, Transaction, Which,
    credentials::{self, Credentials},
    grants::{GrantRecord, NewGrant, ReviewState},
    requests::{Approved, NewRequest, Request},
    users::{NewKey, NewUser, User},
};

mod grants;
mod requests;
#[cfg(test)]
mod tests;
mod users;

/// The schema this version writes; `PRAGMA user_version`.
const VERSION: i64 = 4;

/// How long to wait for another process that writes: `hallpass user add` beside a starting proxy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Version 1.
const SCHEMA: &str = include_str!("schema.sql");

/// What leads from each version to the next, from 1 on.
const STEPS: [&str; 3] = [include_str!("version2.sql"), include_str!("version3.sql"), include_str!("version4.sql")];

/// The store in a SQLite file.
pub struct SqliteStore {
    connection: Mutex<Connection>,
    /// Makes unknown users' salts; never leaves the store.
    mock_secret: [u8; 32],
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens `path`, creating it and its schema when it is not there. The file is readable by its owner only.
    ///
    /// # Errors
    /// When the file cannot be opened, or is of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        owner_only(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A grant that was given must not be lost with the power.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            0 => {
                transaction.execute_batch(SCHEMA)?;
                let secret: [u8; 32] = credentials::random().ok_or(StoreError::NoRandomness)?;
                transaction.execute("INSERT INTO meta VALUES ('mock_secret', ?1)", [secret])?;
            }
            1..=VERSION => {}
            found => return Err(StoreError::Version { found, known: VERSION }),
        }
        for (to, step) in (2..).zip(STEPS) {
            if found < to {
                transaction.execute_batch(step)?;
            }
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        let mock_secret =
            transaction.query_row("SELECT value FROM meta WHERE name = 'mock_secret'", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(Self { connection: Mutex::new(connection), mock_secret })
    }
}

/// Creates the file for its owner alone; SQLite gives its WAL the same mode.
fn owner_only(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| StoreError::Corrupt(format!("`{}` cannot be opened: {error}", path.display())))
}

impl Store for SqliteStore {
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Box::new(Open { connection, mock_secret: &self.mock_secret }))
    }
}

/// An open transaction. Dropped, it rolls back what was not committed.
struct Open<'a> {
    connection: MutexGuard<'a, Connection>,
    mock_secret: &'a [u8; 32],
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "grants.db did not roll back");
        }
    }
}

impl Transaction for Open<'_> {
    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        users::one(&self.connection, name.as_str())
    }
    fn users(&self) -> Result<Vec<User>, StoreError> {
        users::all(&self.connection)
    }
    fn insert_user(&self, user: &NewUser) -> Result<bool, StoreError> {
        users::insert(&self.connection, user)
    }
    fn update_user(&self, user: &User) -> Result<(), StoreError> {
        users::update(&self.connection, user)
    }
    fn remove_user(&self, name: &UserName) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM users WHERE name = ?1", [name.as_str()])?;
        Ok(())
    }
    fn credentials(&self, name: &str) -> Result<Credentials, StoreError> {
        Ok(users::credentials(&self.connection, name)?.unwrap_or_else(|| Credentials::unknown(name, self.mock_secret)))
    }
    fn insert_key(&self, user: &UserName, key: &NewKey) -> Result<i64, StoreError> {
        users::insert_key(&self.connection, user, key)
    }
    fn remove_password(&self, user: &UserName) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM keys WHERE user = ?1 AND kind = 'password'", [user.as_str()])?;
        Ok(())
    }
    fn forget_native(&self) -> Result<usize, StoreError> {
        let forget = "UPDATE keys SET mysql_native_sealed = NULL WHERE mysql_native_sealed IS NOT NULL";
        Ok(self.connection.execute(forget, [])?)
    }
    fn remove_token(&self, user: &UserName, id: i64) -> Result<bool, StoreError> {
        let gone = self.connection.execute(
            "DELETE FROM keys WHERE user = ?1 AND id = ?2 AND kind = 'token'",
            rusqlite::params![user.as_str(), id],
        )?;
        Ok(gone > 0)
    }
    fn token_owner(&self, sha256: &[u8; 32]) -> Result<Option<(User, Option<Timestamp>)>, StoreError> {
        let found: Option<(String, Option<i64>)> = self
            .connection
            .query_row("SELECT user, expires FROM keys WHERE token_sha256 = ?1", [sha256], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((name, expires)) = found else { return Ok(None) };
        Ok(users::one(&self.connection, &name)?.map(|user| (user, expires.map(Timestamp))))
    }
    fn insert_request(&self, request: &NewRequest) -> Result<RequestId, StoreError> {
        requests::insert(&self.connection, request)
    }
    fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        requests::one(&self.connection, id)
    }
    fn requests(&self, filter: &RequestFilter) -> Result<Vec<Request>, StoreError> {
        requests::list(&self.connection, filter)
    }
    fn requests_before(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        most: u32,
    ) -> Result<Vec<Request>, StoreError> {
        requests::before(&self.connection, filter, before, most)
    }
    fn insert_approval(&self, id: RequestId, approval: &Approved) -> Result<(), StoreError> {
        requests::insert_approval(&self.connection, id, approval)
    }
    fn update_state(&self, request: &Request) -> Result<(), StoreError> {
        requests::update_state(&self.connection, request)
    }
    fn change_request(&self, request: &Request) -> Result<(), StoreError> {
        requests::change(&self.connection, request)
    }
    fn insert_resources(&self, id: RequestId, resources: &Resources) -> Result<(), StoreError> {
        requests::insert_resources(&self.connection, id, resources)
    }
    fn resources(&self, id: RequestId) -> Result<Resources, StoreError> {
        requests::resources(&self.connection, id)
    }
    fn set_held(&self, id: RequestId, held: bool) -> Result<(), StoreError> {
        requests::set_held(&self.connection, id, held)
    }
    fn held(&self) -> Result<Vec<RequestId>, StoreError> {
        requests::held(&self.connection)
    }
    fn insert_grant(&self, grant: &NewGrant) -> Result<GrantId, StoreError> {
        grants::insert(&self.connection, grant)
    }
    fn grant(&self, id: GrantId) -> Result<Option<GrantRecord>, StoreError> {
        grants::one(&self.connection, id)
    }
    fn grants(&self, filter: &GrantFilter) -> Result<Vec<GrantRecord>, StoreError> {
        grants::list(&self.connection, filter)
    }
    fn grants_after(
        &self,
        which: Which,
        now: Timestamp,
        after: Option<GrantId>,
        most: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        grants::after(&self.connection, which, now, after, most)
    }
    fn revoke(&self, id: GrantId, by: &UserName, at: Timestamp, reason: Option<&str>) -> Result<(), StoreError> {
        grants::revoke(&self.connection, id, by, at, reason)
    }
    fn extend(&self, id: GrantId, ends: Timestamp) -> Result<(), StoreError> {
        grants::extend(&self.connection, id, ends)
    }
    fn insert_review(&self, id: GrantId, review: &ReviewState) -> Result<(), StoreError> {
        grants::insert_review(&self.connection, id, review)
    }
    fn unreviewed(&self, user: Option<&UserName>) -> Result<Vec<GrantRecord>, StoreError> {
        grants::unreviewed(&self.connection, user)
    }
    fn take_overdue(&self, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError> {
        grants::take_overdue(&self.connection, now)
    }
    fn take_expired(&self, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError> {
        grants::take_expired(&self.connection, now)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }
}

/// A JSON list of names, as groups and targets are kept.
fn to_json<'a>(names: impl Iterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(names).to_string()
}

fn from_json<T: for<'b> From<&'b str>>(text: &str) -> Result<Vec<T>, StoreError> {
    let names: Vec<String> =
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt(format!("`{text}` is no list of names")))?;
    Ok(names.iter().map(|name| T::from(name.as_str())).collect())
}
