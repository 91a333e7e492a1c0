//! What hallpass remembers: users, requests, grants. SQLite now; a trait's worth of distance from everything else, so
//! that a shared database can serve several proxies later.
//! Keeps and finds; who may do what, the audit and the published grants are the [`ledger`]'s affair.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin};

use hallpass_policy::{
    ids::{GrantId, RequestId, TargetName, Timestamp, UserName},
    resource::Resource,
};
use thiserror::Error;

pub mod actor;
pub mod credentials;
pub mod grants;
pub mod ledger;
pub mod page;
pub mod requests;
pub mod seal;
pub mod sqlite;
pub mod users;
pub mod watch;

use credentials::{CredentialKey, Credentials};
use grants::{GrantRecord, NewGrant, ReviewState};
use requests::{Approved, NewRequest, Request};
use users::{NewKey, NewUser, User};

/// Why the store did not answer. Never an answer itself: whoever gets it refuses.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("grants.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is from another version.
    #[error("grants.db has schema version {found}, this hallpass knows {known}")]
    Version {
        /// What the file says.
        found: i64,
        /// What we write.
        known: i64,
    },
    /// A value in the file that no version wrote.
    #[error("grants.db holds a value that hallpass did not write: {0}")]
    Corrupt(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The thread that asked the store died.
    #[error("the store's thread ended early")]
    Interrupted,
}

/// Where users, requests and grants are kept. Blocks: call it where waiting is allowed.
pub trait Store: Send + Sync + fmt::Debug {
    /// Begins a transaction: nobody else changes anything until it ends. Dropped without [`Transaction::commit`],
    /// nothing of it happened.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, StoreError>;
}

/// What a request reaches, target by target.
pub type Resources = BTreeMap<TargetName, Vec<Resource>>;

/// Which requests are wanted.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// Only this user's.
    pub user: Option<UserName>,
    /// Only those that can still be decided.
    pub pending: bool,
}

/// Which grants are wanted.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Only this user's.
    pub user: Option<UserName>,
    /// Only those that had not ended before this moment.
    pub not_ended_before: Option<Timestamp>,
}

/// Which grants a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All there ever were.
    All,
    /// Those that are active or await a review.
    OfInterest,
    /// Those that await a review.
    Unreviewed,
}

/// One transaction: reads see what it wrote.
pub trait Transaction {
    /// One user, with keys' infos.
    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError>;
    /// All users by name.
    fn users(&self) -> Result<Vec<User>, StoreError>;
    /// Adds a user without keys; false when the name is taken.
    fn insert_user(&self, user: &NewUser) -> Result<bool, StoreError>;
    /// Replaces groups, expiry and whether disabled.
    fn update_user(&self, user: &User) -> Result<(), StoreError>;
    /// Removes a user and all keys.
    fn remove_user(&self, name: &UserName) -> Result<(), StoreError>;

    /// What a login of this user is checked against; for an unknown user [`Credentials::unknown`].
    fn credentials(&self, name: &str) -> Result<Credentials, StoreError>;
    /// Adds a key; its number.
    fn insert_key(&self, user: &UserName, key: &NewKey) -> Result<i64, StoreError>;
    /// Removes the user's password, if any.
    fn remove_password(&self, user: &UserName) -> Result<(), StoreError>;
    /// Forgets what mysql_native_password needs of every user's password; how many had it.
    fn forget_native(&self) -> Result<usize, StoreError>;
    /// Removes one of the user's tokens; false when there is no such.
    fn remove_token(&self, user: &UserName, id: i64) -> Result<bool, StoreError>;
    /// Whose token has this digest, and when the token stops working.
    fn token_owner(&self, sha256: &[u8; 32]) -> Result<Option<(User, Option<Timestamp>)>, StoreError>;

    /// Adds a pending request; its number.
    fn insert_request(&self, request: &NewRequest) -> Result<RequestId, StoreError>;
    /// One request.
    fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError>;
    /// Requests, newest first.
    fn requests(&self, filter: &RequestFilter) -> Result<Vec<Request>, StoreError>;
    /// At most so many requests, newest first; only older ones than `before`.
    fn requests_before(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        most: u32,
    ) -> Result<Vec<Request>, StoreError>;
    /// Adds an approval.
    fn insert_approval(&self, id: RequestId, approval: &Approved) -> Result<(), StoreError>;
    /// Replaces a request's state.
    fn update_state(&self, request: &Request) -> Result<(), StoreError>;
    /// Replaces a pending request's duration, reason and requirements, and forgets its approvals.
    fn change_request(&self, request: &Request) -> Result<(), StoreError>;
    /// Notes what a statement request reaches.
    fn insert_resources(&self, id: RequestId, resources: &Resources) -> Result<(), StoreError>;
    /// What a statement request reaches.
    fn resources(&self, id: RequestId) -> Result<Resources, StoreError>;
    /// Notes whether a request, and the grant it makes, end when nobody holds them any more.
    fn set_held(&self, id: RequestId, held: bool) -> Result<(), StoreError>;
    /// The requests that are noted as held.
    fn held(&self) -> Result<Vec<RequestId>, StoreError>;

    /// Adds a grant; its number.
    fn insert_grant(&self, grant: &NewGrant) -> Result<GrantId, StoreError>;
    /// One grant.
    fn grant(&self, id: GrantId) -> Result<Option<GrantRecord>, StoreError>;
    /// Grants, newest first.
    fn grants(&self, filter: &GrantFilter) -> Result<Vec<GrantRecord>, StoreError>;
    /// At most so many grants as they stand at `now`, in the order of their numbers; only those behind `after`. May give
    /// some that ended just now.
    fn grants_after(
        &self,
        which: Which,
        now: Timestamp,
        after: Option<GrantId>,
        most: u32,
    ) -> Result<Vec<GrantRecord>, StoreError>;
    /// Notes that a grant was revoked, and that its end is recorded.
    fn revoke(&self, id: GrantId, by: &UserName, at: Timestamp, reason: Option<&str>) -> Result<(), StoreError>;
    /// Moves a grant's end.
    fn extend(&self, id: GrantId, ends: Timestamp) -> Result<(), StoreError>;
    /// Replaces what is known of a grant's review.
    fn insert_review(&self, id: GrantId, review: &ReviewState) -> Result<(), StoreError>;
    /// Break-glass grants that nobody has reviewed, of one user or all, oldest first.
    fn unreviewed(&self, user: Option<&UserName>) -> Result<Vec<GrantRecord>, StoreError>;
    /// Unreviewed grants whose review was due until `now`, each once.
    fn take_overdue(&self, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError>;
    /// Grants that ended by themselves until `now` and whose end is not recorded yet. They count as recorded
    /// from here on.
    fn take_expired(&self, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError>;

    /// Makes everything true at once.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// What a login asks the store. The answer for an unknown user is [`Credentials::unknown`]: it looks the same to a
/// client and takes the same way through the code.
pub trait LoginLookup: Send + Sync {
    /// The credentials of `user`, read off the event loop.
    ///
    /// # Errors
    /// When the store cannot be read; the login is then refused.
    fn login_lookup<'a>(&'a self, user: &'a str) -> LookupFuture<'a>;

    /// A login proved that it knows the secret of `key`, whose `SHA256(SHA256(…))` is `sha2`: later lookups may give it
    /// as the key's `mysql.sha2`, for as long as the key is the user's.
    fn remember(&self, _user: &UserName, _key: &CredentialKey, _sha2: [u8; 32]) {}
}

/// The future of [`LoginLookup::login_lookup`].
pub type LookupFuture<'a> = Pin<Box<dyn Future<Output = Result<Credentials, StoreError>> + Send + 'a>>;
