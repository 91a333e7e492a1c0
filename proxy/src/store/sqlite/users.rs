//! Users and keys in `grants.db`: queries only.

use std::sync::Arc;

use hallpass_policy::ids::{Timestamp, UserName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{from_json, to_json};
use crate::store::{
    StoreError,
    credentials::{CredentialKey, CredentialKind, Credentials, ScramKeys},
    users::{KeyInfo, NewKey, NewUser, User},
};
use crate::wire::mysql::hashes::MysqlSecret;

const COLUMNS: &str = "SELECT name, groups, expires, disabled, created FROM users";

/// A user's row before its lists are read.
type Raw = (String, String, Option<i64>, bool, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn finish(connection: &Connection, (name, groups, expires, disabled, created): Raw) -> Result<User, StoreError> {
    Ok(User {
        keys: keys_of(connection, &name)?,
        name: UserName::new(name),
        groups: from_json(&groups)?,
        expires: expires.map(Timestamp),
        disabled,
        created: Timestamp(created),
    })
}

pub(super) fn one(connection: &Connection, name: &str) -> Result<Option<User>, StoreError> {
    let found = connection.query_row(&format!("{COLUMNS} WHERE name = ?1"), [name], raw).optional()?;
    found.map(|found| finish(connection, found)).transpose()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY name"))?;
    let rows: Vec<Raw> = statement.query_map([], raw)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| finish(connection, row)).collect()
}

fn keys_of(connection: &Connection, name: &str) -> Result<Vec<KeyInfo>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id, kind, label, created, expires FROM keys WHERE user = ?1 ORDER BY id")?;
    let rows = statement.query_map([name], |row| {
        Ok(KeyInfo {
            id: row.get(0)?,
            kind: kind_of(&row.get::<_, String>(1)?),
            label: row.get(2)?,
            created: Timestamp(row.get(3)?),
            expires: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The schema's CHECK leaves these two.
fn kind_of(text: &str) -> CredentialKind {
    if text == "password" { CredentialKind::Password } else { CredentialKind::Token }
}

fn kind_name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Password => "password",
        CredentialKind::Token => "token",
    }
}

pub(super) fn insert(connection: &Connection, user: &NewUser) -> Result<bool, StoreError> {
    let added = connection.execute(
        "INSERT INTO users (name, groups, expires, created, salt, iterations) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING",
        params![
            user.name.as_str(),
            to_json(user.groups.iter().map(|group| group.as_str())),
            user.expires.map(|at| at.0),
            user.created.0,
            user.salt,
            user.iterations,
        ],
    )?;
    Ok(added > 0)
}

pub(super) fn update(connection: &Connection, user: &User) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE users SET groups = ?2, expires = ?3, disabled = ?4 WHERE name = ?1",
        params![
            user.name.as_str(),
            to_json(user.groups.iter().map(|group| group.as_str())),
            user.expires.map(|at| at.0),
            user.disabled,
        ],
    )?;
    Ok(())
}

pub(super) fn insert_key(connection: &Connection, user: &UserName, key: &NewKey) -> Result<i64, StoreError> {
    connection.execute(
        "INSERT INTO keys (user, kind, label, stored_key, server_key, token_sha256, created, expires,
                           mysql_sha2, mysql_native, mysql_native_sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            user.as_str(),
            kind_name(key.kind),
            key.label,
            key.keys.stored_key,
            key.keys.server_key,
            key.token_sha256,
            key.created.0,
            key.expires.map(|at| at.0),
            key.mysql.sha2,
            key.mysql.native,
            key.sealed_native,
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn credentials(connection: &Connection, name: &str) -> Result<Option<Credentials>, StoreError> {
    let Some(user) = one(connection, name)? else { return Ok(None) };
    let (salt, iterations): (Vec<u8>, u32) =
        connection.query_row("SELECT salt, iterations FROM users WHERE name = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, stored_key, server_key, expires, mysql_sha2, mysql_native, mysql_native_sealed
         FROM keys WHERE user = ?1",
    )?;
    let keys = statement.query_map([name], |row| {
        Ok(CredentialKey {
            id: row.get(0)?,
            kind: kind_of(&row.get::<_, String>(1)?),
            keys: ScramKeys { stored_key: row.get(2)?, server_key: row.get(3)? },
            expires: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            mysql: MysqlSecret { sha2: row.get(5)?, native: row.get(6)? },
            sealed_native: row.get(7)?,
        })
    })?;
    let keys = keys.collect::<Result<_, _>>()?;
    Ok(Some(Credentials {
        user: user.name,
        salt: Arc::from(salt),
        iterations,
        keys,
        disabled: user.disabled,
        expires: user.expires,
        groups: user.groups,
    }))
}
