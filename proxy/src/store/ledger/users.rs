//! Users, passwords and tokens: added, changed and removed by admins; everybody may change their own password.

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant,
    ids::{GroupName, Timestamp, UserName},
};

use super::{Ledger, LedgerError, Outcome, admin_only, event};
use crate::{
    config::sections::good_name,
    session::registry::Signal,
    store::{
        GrantFilter, RequestFilter, StoreError, Transaction,
        actor::Actor,
        credentials::{CredentialKind, ITERATIONS, MAX_KEYS, SALT_LENGTH, derive, new_token, random, token_digest},
        grants::GrantState,
        requests::Closed,
        users::{NewKey, NewUser, User},
    },
    wire::mysql::hashes::MysqlSecret,
};

/// A user to add.
#[derive(Clone, Debug)]
pub struct AddUser {
    /// The name.
    pub name: UserName,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// When the user stops being one.
    pub expires: Option<Timestamp>,
}

/// A token to make.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// What it is for.
    pub label: Option<String>,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

impl Ledger {
    /// Adds a user without password and token.
    ///
    /// # Errors
    /// When the actor is no admin, a name is bad or taken.
    pub fn add_user(&self, actor: &Actor, add: AddUser) -> Outcome<User> {
        admin_only(actor, "add users")?;
        for name in std::iter::once(add.name.as_str()).chain(add.groups.iter().map(GroupName::as_str)) {
            if !good_name(name) {
                return Err(LedgerError::invalid(format!("`{name}` is no name"))
                    .hint("use at most 63 letters, digits, `_`, `-` and `.`"));
            }
        }
        let now = self.now();
        if add.expires.is_some_and(|end| end <= now) {
            return Err(LedgerError::invalid("the user would be expired already").hint("give a date in the future"));
        }
        let AddUser { name, mut groups, expires } = add;
        groups.sort();
        groups.dedup();
        let salt = random::<SALT_LENGTH>().ok_or(StoreError::NoRandomness)?.to_vec();
        self.change(|store, events| {
            let user = NewUser { name: name.clone(), groups, expires, created: now, salt, iterations: ITERATIONS };
            if !store.insert_user(&user)? {
                return Err(LedgerError::conflict(format!("there is a user `{name}` already")));
            }
            let groups: Vec<_> = user.groups.iter().map(GroupName::as_str).collect();
            let ends = expires.map_or_else(String::new, |end| format!(", expires {}", grant::at(end)));
            let what = format!("user {name} added, groups [{}]{ends}", groups.join(", "));
            events.push(admin_event(actor, now, what));
            must(store, &name)
        })
    }

    /// Sets a user's password. Costs milliseconds of PBKDF2.
    ///
    /// # Errors
    /// When the actor is neither an admin nor the user, or the password is empty.
    pub fn set_password(&self, actor: &Actor, name: &UserName, password: &str) -> Outcome<()> {
        if actor.name != *name {
            admin_only(actor, "set another user's password")?;
        }
        if password.is_empty() || password.contains('\0') {
            return Err(LedgerError::invalid("a password must not be empty or hold a NUL"));
        }
        self.add_key(actor, name, password, CredentialKind::Password, NewToken::default()).map(drop)
    }

    /// Makes a token; it is returned once and never again.
    ///
    /// # Errors
    /// When the actor is neither an admin nor the user, or there are too many tokens.
    pub fn add_token(&self, actor: &Actor, name: &UserName, token: NewToken) -> Outcome<(i64, String)> {
        if actor.name != *name {
            admin_only(actor, "make a token for another user")?;
        }
        if token.expires.is_some_and(|end| end <= self.now()) {
            return Err(LedgerError::invalid("the token would be expired already").hint("give a date in the future"));
        }
        let text = new_token().ok_or(StoreError::NoRandomness)?;
        let id = self.add_key(actor, name, &text, CredentialKind::Token, token)?;
        Ok((id, text))
    }

    fn add_key(
        &self,
        actor: &Actor,
        name: &UserName,
        secret: &str,
        kind: CredentialKind,
        token: NewToken,
    ) -> Outcome<i64> {
        // The salt never changes while the user exists, so the costly part runs outside the transaction.
        let login = {
            let store = self.store.begin()?;
            must(&*store, name)?;
            store.credentials(name.as_str())?
        };
        let keys = derive(secret, &login.salt, login.iterations);
        let hashes = MysqlSecret::derive(secret.as_bytes());
        let (mysql, sealed_native) = match kind {
            CredentialKind::Token => (hashes, None),
            CredentialKind::Password => {
                let sealed = self.seal().zip(hashes.native).map(|(seal, hash)| seal.close(name, &hash));
                (MysqlSecret::default(), sealed.map(|sealed| sealed.ok_or(StoreError::NoRandomness)).transpose()?)
            }
        };
        let now = self.now();
        self.change(|store, events| {
            let user = must(store, name)?;
            let (what, token_sha256) = match kind {
                CredentialKind::Password => {
                    store.remove_password(name)?;
                    ("password", None)
                }
                CredentialKind::Token if user.keys.len() >= MAX_KEYS => {
                    return Err(LedgerError::conflict(format!("`{name}` has {MAX_KEYS} keys already"))
                        .hint(format!("remove one: hallpass user token {name} --revoke ID")));
                }
                CredentialKind::Token => ("token", Some(token_digest(secret))),
            };
            let NewToken { label, expires } = token;
            let key = NewKey { kind, label, keys, mysql, sealed_native, token_sha256, created: now, expires };
            let id = store.insert_key(name, &key)?;
            events.push(admin_event(actor, now, format!("user {name}: new {what} {id}")));
            if kind == CredentialKind::Password {
                self.remembered.forget(name);
            }
            Ok(id)
        })
    }

    /// Removes a token.
    ///
    /// # Errors
    /// When the actor is neither an admin nor the user, or there is no such token.
    pub fn remove_token(&self, actor: &Actor, name: &UserName, id: i64) -> Outcome<()> {
        if actor.name != *name {
            admin_only(actor, "remove another user's token")?;
        }
        self.change(|store, events| {
            must(store, name)?;
            if !store.remove_token(name, id)? {
                return Err(LedgerError::not_found(format!("`{name}` has no token {id}")));
            }
            events.push(admin_event(actor, self.now(), format!("user {name}: token {id} removed")));
            Ok(())
        })
    }

    /// Disables a user: no login, no grant, no session is left. Enabling brings back the login, not the grants.
    ///
    /// # Errors
    /// When the actor is no admin, or there is no such user.
    pub fn set_disabled(&self, actor: &Actor, name: &UserName, disabled: bool) -> Outcome<User> {
        admin_only(actor, "disable or enable users")?;
        let user = self.change(|store, events| {
            let user = User { disabled, ..must(store, name)? };
            store.update_user(&user)?;
            let what = if disabled { "disabled" } else { "enabled" };
            events.push(admin_event(actor, self.now(), format!("user {name} {what}")));
            if disabled {
                self.end_everything(store, events, actor, name, "the user was disabled")?;
            }
            Ok(user)
        })?;
        if disabled {
            self.kill_sessions(name);
        }
        Ok(user)
    }

    /// Removes a user with passwords, tokens and grants. Requests and grants stay in the books.
    ///
    /// # Errors
    /// When the actor is no admin, or there is no such user.
    pub fn remove_user(&self, actor: &Actor, name: &UserName) -> Outcome<()> {
        admin_only(actor, "remove users")?;
        self.change(|store, events| {
            must(store, name)?;
            self.end_everything(store, events, actor, name, "the user was removed")?;
            store.remove_user(name)?;
            self.remembered.forget(name);
            events.push(admin_event(actor, self.now(), format!("user {name} removed")));
            Ok(())
        })?;
        self.kill_sessions(name);
        Ok(())
    }

    /// All users, for admins; oneself for everybody else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn users(&self, actor: &Actor) -> Outcome<Vec<User>> {
        let store = self.store.begin()?;
        if actor.is_admin() { Ok(store.users()?) } else { Ok(store.user(&actor.name)?.into_iter().collect()) }
    }

    fn end_everything(
        &self,
        store: &dyn Transaction,
        events: &mut Vec<Event>,
        actor: &Actor,
        name: &UserName,
        why: &str,
    ) -> Outcome<()> {
        let now = self.now();
        for record in store.grants(&GrantFilter { user: Some(name.clone()), not_ended_before: Some(now) })? {
            if record.state(now) == GrantState::Active {
                Self::revoke_in(store, events, actor, &record.grant, now, Some(why))?;
            }
        }
        for request in store.requests(&RequestFilter { user: Some(name.clone()), pending: true })? {
            if let Ok(pending) = request.pending() {
                let closed = Closed { by: actor.name.clone(), at: now, reason: Some(why.to_owned()) };
                Self::cancel_in(store, events, actor, pending, closed)?;
            }
        }
        Ok(())
    }

    fn kill_sessions(&self, name: &UserName) {
        for session in self.shared.sessions.list() {
            if session.origin.user.as_ref() == Some(name) {
                self.shared.sessions.signal(&session.id, Signal::Kill);
            }
        }
    }

    /// Records that somebody ends a session: an admin anybody's, everybody their own.
    ///
    /// # Errors
    /// When it is somebody else's and the actor no admin, or the audit cannot be written.
    pub fn ends_session(&self, actor: &Actor, whose: Option<&UserName>, what: String) -> Outcome<()> {
        if whose != Some(&actor.name) {
            admin_only(actor, "end another user's session")?;
        }
        self.shared.journal.append(&[admin_event(actor, self.now(), what)])?;
        Ok(())
    }
}

/// A user who must exist.
pub(super) fn must(store: &dyn Transaction, name: &UserName) -> Outcome<User> {
    store.user(name)?.ok_or_else(|| LedgerError::not_found(format!("there is no user `{name}`")))
}

fn admin_event(actor: &Actor, at: Timestamp, what: String) -> Event {
    let mut found = event(Kind::Admin, at, Some(actor), &actor.name, &[]);
    found.reason = Some(what.into());
    found
}
