//! The session settings that give a text its meaning: default database, sql_mode, the server's flavour.
//! Data only; who follows them is the session.

use std::sync::Arc;

use super::refusal::unsupported;
use crate::statement::{Refusal, RefusalKind};

/// Whose grammar the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Oracle's MySQL, 8.0 and newer.
    MySql,
    /// MariaDB, 10.2 and newer.
    #[default]
    MariaDb,
}

/// A value of `sql_mode` that the gate can follow: upper case, without repeats, `ANSI` spelt out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SqlMode(Arc<str>);

/// Modes that change the grammar in ways that are not followed.
const FOREIGN: &[&str] = &["DB2", "MAXDB", "MSSQL", "MYSQL323", "MYSQL40", "ORACLE", "POSTGRESQL"];
/// Every other mode of MySQL 5.7 to 9 and MariaDB. Sorted.
const KNOWN: &[&str] = &[
    "ALLOW_INVALID_DATES",
    "ANSI",
    "ANSI_QUOTES",
    "EMPTY_STRING_IS_NULL",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "HIGH_NOT_PRECEDENCE",
    "IGNORE_BAD_TABLE_OPTIONS",
    "IGNORE_SPACE",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_BACKSLASH_ESCAPES",
    "NO_DIR_IN_CREATE",
    "NO_ENGINE_SUBSTITUTION",
    "NO_FIELD_OPTIONS",
    "NO_KEY_OPTIONS",
    "NO_TABLE_OPTIONS",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT",
    "REAL_AS_FLOAT",
    "SIMULTANEOUS_ASSIGNMENT",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TIME_ROUND_FRACTIONAL",
    "TIME_TRUNCATE_FRACTIONAL",
    "TRADITIONAL",
];

impl SqlMode {
    /// Reads a value as `@@sql_mode` prints it or a client sets it.
    ///
    /// # Errors
    /// [`RefusalKind::Unsupported`] for a mode that is unknown or changes the grammar beyond quotes and pipes.
    pub fn read(value: &str) -> Result<Self, Refusal> {
        let mut modes: Vec<String> = Vec::new();
        for mode in value.split(',').map(|mode| mode.trim_end().to_ascii_uppercase()).filter(|mode| !mode.is_empty()) {
            if FOREIGN.contains(&mode.as_str()) {
                return Err(unsupported(&format!("sql_mode {mode}"))
                    .detail("it changes the grammar that the proxy reads statements with"));
            }
            if KNOWN.binary_search(&mode.as_str()).is_err() {
                return Err(Refusal::new(
                    RefusalKind::Unsupported,
                    format!("variable 'sql_mode' can't be set to the value of '{mode}'"),
                ));
            }
            if mode == "ANSI" {
                modes.extend(["ANSI_QUOTES", "IGNORE_SPACE", "PIPES_AS_CONCAT", "REAL_AS_FLOAT"].map(str::to_owned));
            }
            modes.push(mode);
        }
        modes.sort_unstable();
        modes.dedup();
        Ok(Self(modes.join(",").into()))
    }

    /// The modes, sorted, with commas between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn has(&self, mode: &str) -> bool {
        !self.0.is_empty() && self.0.split(',').any(|one| one == mode)
    }

    /// `"a"` is a name, not a string.
    pub fn ansi_quotes(&self) -> bool {
        self.has("ANSI_QUOTES")
    }

    /// A backslash in a string is a backslash.
    pub fn no_backslash_escapes(&self) -> bool {
        self.has("NO_BACKSLASH_ESCAPES")
    }

    /// NOT binds as tight as `!`.
    pub fn high_not_precedence(&self) -> bool {
        self.has("HIGH_NOT_PRECEDENCE")
    }

    /// `||` joins strings and is not OR.
    pub fn pipes_as_concat(&self) -> bool {
        self.has("PIPES_AS_CONCAT")
    }
}

/// The session settings that give a text its meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MysqlNames {
    /// The default database; `None`: none chosen, every name has to be qualified.
    pub database: Option<Arc<str>>,
    /// `sql_mode` in force.
    pub sql_mode: SqlMode,
    /// Whose grammar the server speaks.
    pub flavour: Flavour,
}
