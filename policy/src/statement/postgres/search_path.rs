//! The search_path as the server reads it: split, folded, `"$user"` replaced, `pg_catalog` first where it is implied.
//! Resolves nothing by it.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, TEMPORARY},
    statement::{Refusal, RefusalKind},
};

/// A search_path, ready for looking names up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchPath {
    /// Schemas in order, `pg_catalog` put first where the setting does not list it.
    pub(super) schemas: Vec<Arc<str>>,
    /// Where an unqualified CREATE goes; `None`: nowhere.
    pub(super) creation: Option<Arc<str>>,
    /// Whether an earlier statement of the text may have made types that the catalog cannot know.
    pub(super) new_types: bool,
}

impl SearchPath {
    /// Reads a setting as `SHOW search_path` prints it.
    ///
    /// # Errors
    /// When it is no list of names, or lists a temporary schema.
    pub(super) fn read(setting: &str, catalog: &Catalog) -> Result<Self, Refusal> {
        let mut schemas: Vec<Arc<str>> = Vec::new();
        for name in split(setting)? {
            let name = if name == "$user" { catalog.login.clone() } else { name };
            if name == TEMPORARY || name.starts_with("pg_temp_") {
                return Err(temporary());
            }
            let exists = name == "pg_catalog" || catalog.schemas.iter().any(|schema| **schema == *name);
            if exists && !schemas.iter().any(|listed| **listed == *name) {
                schemas.push(name.into());
            }
        }
        let creation = schemas.first().cloned();
        if !schemas.iter().any(|schema| &**schema == "pg_catalog") {
            schemas.insert(0, "pg_catalog".into());
        }
        Ok(Self { schemas, creation, new_types: false })
    }
}

/// Refuses temporary schemas where they are not followed: another place in the search_path, or another session's.
pub(super) fn temporary() -> Refusal {
    Refusal::new(RefusalKind::Unsupported, "a temporary schema cannot be named here through this proxy")
        .detail("the session's own is looked up before all others; the proxy follows it there and nowhere else")
        .hint("leave pg_temp out, or name pg_temp.table in the statement itself")
}

/// Splits a list of identifiers, folding the unquoted ones in ASCII.
fn split(setting: &str) -> Result<Vec<String>, Refusal> {
    let broken = || {
        Refusal::new(RefusalKind::Unsupported, format!("invalid value for parameter \"search_path\": \"{setting}\""))
            .hint("SET search_path = schema, \"Other Schema\"")
    };
    let mut names = Vec::new();
    let mut rest = setting.trim_start();
    if rest.is_empty() {
        return Ok(names);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted).ok_or_else(broken)?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end).ok_or_else(broken)?;
                if name.is_empty() || name.contains('"') {
                    return Err(broken());
                }
                (name.to_ascii_lowercase(), after)
            }
        };
        names.push(name);
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(names);
        }
        rest = rest.strip_prefix(',').ok_or_else(broken)?.trim_start();
    }
}

/// The name up to its closing quote, `""` meaning one quote, and what follows.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// `name` as the server would print it in a list: quoted unless it is plain.
pub(super) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(setting: &str) -> Option<(Vec<String>, Option<String>)> {
        let catalog = Catalog {
            login: "alice".into(),
            schemas: ["public", "shop", "alice", "Odd \"one"].into_iter().map(Arc::from).collect(),
            ..Catalog::default()
        };
        let path = SearchPath::read(setting, &catalog).ok()?;
        Some((path.schemas.iter().map(ToString::to_string).collect(), path.creation.map(|schema| schema.to_string())))
    }

    #[test]
    fn reads_as_the_server_does() {
        for (setting, schemas, creation) in [
            ("\"$user\", public", &["pg_catalog", "alice", "public"][..], Some("alice")),
            ("", &["pg_catalog"], None),
            ("\"\"", &["pg_catalog"], None),
            ("PUBLIC,Shop", &["pg_catalog", "public", "shop"], Some("public")),
            ("shop, pg_catalog", &["shop", "pg_catalog"], Some("shop")),
            ("nowhere, shop", &["pg_catalog", "shop"], Some("shop")),
            ("\"Odd \"\"one\"", &["pg_catalog", "Odd \"one"], Some("Odd \"one")),
            ("\"shop, public\"", &["pg_catalog"], None),
        ] {
            let expected = (schemas.iter().map(|&s| s.to_owned()).collect(), creation.map(str::to_owned));
            assert_eq!(read(setting), Some(expected), "{setting}");
        }
        for setting in ["pg_temp, public", "a b", "\"open", "a,,b", "a,"] {
            assert_eq!(read(setting), None, "{setting}");
        }
    }

    #[test]
    fn quoting_survives_reading() {
        for name in ["shop", "Odd \"one", "a, b", "1x", ""] {
            assert_eq!(split(&quote(name)).ok(), Some(vec![name.to_owned()]), "{name}");
        }
    }
}
