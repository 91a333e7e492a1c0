//! The queries to `information_schema`, and the catalog made of their answers. Asks nothing itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hallpass_policy::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind},
    statement::mysql::{Flavour, kind as kind_of_type},
};

use super::Table;
use crate::{session::upstream::connector::UpstreamError, wire::mysql::reader::ReadError};

/// Settings of the server, in one row.
pub(super) const SERVER: &str = "SELECT CURRENT_USER(), @@global.sql_mode, @@lower_case_table_names";

pub(super) const SCHEMAS: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1";

pub(super) const ROUTINES: &str =
    "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES ORDER BY 1, 2, 3";

pub(super) const TRIGGERS: &str =
    "SELECT DISTINCT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS ORDER BY 1, 2";

/// Schemas whose triggers the account sees: those where it has TRIGGER.
pub(super) const WATCHED: &str = "
    SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA s,
           (SELECT CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''',
                          SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''') AS me) own
     WHERE EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES u
                    WHERE u.GRANTEE = own.me AND u.PRIVILEGE_TYPE = 'TRIGGER')
        OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES p
                    WHERE p.GRANTEE = own.me AND p.PRIVILEGE_TYPE = 'TRIGGER' AND s.SCHEMA_NAME LIKE p.TABLE_SCHEMA)";

/// Whose relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The server's own.
    System,
    /// Everybody's.
    Users,
}

impl Part {
    fn condition(self) -> &'static str {
        match self {
            Self::System => "TABLE_SCHEMA IN ('information_schema', 'performance_schema', 'mysql', 'sys')",
            Self::Users => "TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')",
        }
    }
}

pub(super) fn columns(part: Part) -> String {
    format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, GENERATION_EXPRESSION, EXTRA, DATA_TYPE \
           FROM information_schema.COLUMNS WHERE {} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
        part.condition()
    )
}

pub(super) fn tables(part: Part) -> String {
    format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE {}",
        part.condition()
    )
}

/// Changes with the definition of the view `v`. MySQL's definitions leave out the names that CREATE VIEW gave the
/// columns, so those are summed up beside them. MySQL 9.6 and newer have no MD5.
fn revision(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MariaDb => "SHA2(v.VIEW_DEFINITION, 256)",
        Flavour::MySql => {
            "SHA2(CONCAT(v.VIEW_DEFINITION, ' ', \
             (SELECT SUM(CRC32(CONCAT(c.ORDINAL_POSITION, ' ', c.COLUMN_NAME))) FROM information_schema.COLUMNS c \
               WHERE c.TABLE_SCHEMA = v.TABLE_SCHEMA AND c.TABLE_NAME = v.TABLE_NAME)), 256)"
        }
    }
}

pub(super) fn views(flavour: Flavour) -> String {
    let users = Part::Users.condition();
    format!(
        "SELECT v.TABLE_SCHEMA, v.TABLE_NAME, v.VIEW_DEFINITION, {} FROM information_schema.VIEWS v \
          WHERE v.{users} ORDER BY v.TABLE_SCHEMA, v.TABLE_NAME",
        revision(flavour)
    )
}

/// See [`super::revisions`].
pub(super) fn revisions<'n>(
    views: impl IntoIterator<Item = &'n QualifiedName>,
    tables: impl IntoIterator<Item = &'n QualifiedName>,
    flavour: Flavour,
) -> String {
    // Hexadecimal constants mean the same under every sql_mode and in every character set.
    let hex = |text: &str| {
        text.bytes().fold(String::from("_utf8mb4 0x"), |mut out, byte| {
            out.push_str(&format!("{byte:02x}"));
            out
        })
    };
    let named = |QualifiedName { schema, name }: &QualifiedName| {
        format!("(v.TABLE_SCHEMA = {} AND v.TABLE_NAME = {})", hex(schema), hex(name))
    };
    let views: Vec<String> = views.into_iter().map(named).collect();
    // One query for each: the servers look a single name up, and read whole schemas for several.
    let mut parts: Vec<String> = tables
        .into_iter()
        .map(|table| {
            format!(
                "SELECT v.TABLE_SCHEMA, v.TABLE_NAME, '' FROM information_schema.TABLES v \
                  WHERE {} AND v.TABLE_TYPE = 'VIEW'",
                named(table)
            )
        })
        .collect();
    // Definitions cost much more than names.
    if !views.is_empty() || parts.is_empty() {
        let named = if views.is_empty() { "0".to_owned() } else { views.join(" OR ") };
        parts.push(format!(
            "SELECT v.TABLE_SCHEMA, v.TABLE_NAME, {} FROM information_schema.VIEWS v WHERE {named}",
            revision(flavour)
        ));
    }
    parts.join(" UNION ALL ")
}

/// The answers that relations are made of.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) columns: Table,
    pub(super) tables: Table,
    pub(super) views: Table,
    pub(super) triggers: Table,
    pub(super) watched: Table,
}

/// An answer without a value that every server gives.
pub(super) fn missing(what: &str) -> UpstreamError {
    tracing::warn!(what, "the catalog lacks a value");
    ReadError::Unexpected.into()
}

/// The first `N` values of a row, all of them there.
fn texts<const N: usize>(row: &[Option<String>]) -> Result<[&str; N], UpstreamError> {
    let mut found = [""; N];
    for (place, value) in found.iter_mut().zip(row.iter().map(Option::as_deref).chain(std::iter::repeat(None))) {
        *place = value.ok_or_else(|| missing("a name"))?;
    }
    Ok(found)
}

fn qualified(row: &[Option<String>]) -> Result<QualifiedName, UpstreamError> {
    texts(row).map(|[schema, name]| QualifiedName::new(schema, name))
}

/// Engines that keep their tables' rows themselves. The rows of every other one come from somewhere else: another
/// server (FEDERATED, CONNECT, SPIDER), other tables (MERGE, OQGRAPH), or nobody knows where. Sorted.
const ENGINES: &[&str] = &[
    "ARCHIVE",
    "ARIA",
    "BLACKHOLE",
    "COLUMNSTORE",
    "CSV",
    "HEAP",
    "INNODB",
    "MEMORY",
    "MYISAM",
    "NDB",
    "NDBCLUSTER",
    "ROCKSDB",
    "S3",
    "TOKUDB",
];

fn kind(name: &QualifiedName, table_type: &str, engine: Option<&str>) -> Option<RelationKind> {
    Some(match table_type {
        // Another session's, or ours: no client sees it.
        "TEMPORARY" => return None,
        "VIEW" => RelationKind::View,
        "SEQUENCE" => RelationKind::Sequence,
        "SYSTEM VIEW" => RelationKind::Table,
        "BASE TABLE" | "SYSTEM VERSIONED" => match engine {
            _ if matches!(&*name.schema, "performance_schema" | "information_schema") => RelationKind::Table,
            Some(engine) => engine_kind(engine),
            // It cannot be opened.
            None => RelationKind::Other,
        },
        _ => RelationKind::Other,
    })
}

/// Those of [`ENGINES`] that take back what a transaction wrote. Sorted.
const TRANSACTIONAL: &[&str] = &["INNODB", "NDB", "NDBCLUSTER", "ROCKSDB", "TOKUDB"];

/// Whether `engine` takes back what a transaction wrote.
pub(super) fn is_transactional(engine: &str) -> bool {
    TRANSACTIONAL.binary_search(&engine.to_ascii_uppercase().as_str()).is_ok()
}

/// What a table of `engine` is.
pub(super) fn engine_kind(engine: &str) -> RelationKind {
    let keeps = ENGINES.binary_search(&engine.to_ascii_uppercase().as_str()).is_ok();
    if keeps { RelationKind::Table } else { RelationKind::ForeignTable }
}

/// Tables that keep what was written, whatever becomes of the transaction.
///
/// # Errors
/// When an answer lacks what every server gives.
pub(super) fn lasting(tables: &Table) -> Result<HashSet<QualifiedName>, UpstreamError> {
    let keeps = |row: &&Vec<Option<String>>| {
        row.get(3).and_then(Option::as_deref).is_some_and(|engine| !is_transactional(engine))
    };
    tables.iter().filter(keeps).map(|row| qualified(row)).collect()
}

/// All relations, with their columns and definitions.
///
/// # Errors
/// When an answer lacks what every server gives.
pub(super) fn relations(answers: Answers, flavour: Flavour) -> Result<Vec<Arc<Relation>>, UpstreamError> {
    let mut columns: HashMap<QualifiedName, Vec<Column>> = HashMap::new();
    for row in &answers.columns {
        let [_, _, name, number] = texts(row)?;
        let value = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
        columns.entry(qualified(row)?).or_default().push(Column {
            name: name.into(),
            number: number.parse().map_err(|_| missing("a column's position"))?,
            type_oid: kind_of_type(value(6)),
            local: true,
            generated: generated(value(4), value(5), flavour),
        });
    }
    let mut views: HashMap<QualifiedName, [Option<Arc<str>>; 2]> = HashMap::new();
    for row in &answers.views {
        // Empty for who may not see it.
        let value = |at: usize| row.get(at).and_then(Option::as_deref).filter(|text| !text.is_empty()).map(Arc::from);
        views.insert(qualified(row)?, [value(2), value(3)]);
    }
    let triggers = answers.triggers.iter().map(|row| qualified(row)).collect::<Result<HashSet<_>, _>>()?;
    let watched = answers.watched.iter().map(|row| texts(row)).collect::<Result<HashSet<[&str; 1]>, _>>()?;
    let mut relations = Vec::with_capacity(answers.tables.len());
    for row in &answers.tables {
        let (name, [_, _, table_type]) = (qualified(row)?, texts(row)?);
        let Some(kind) = kind(&name, table_type, row.get(3).and_then(Option::as_deref)) else { continue };
        let [definition, revision] = views.remove(&name).unwrap_or_default();
        let triggered =
            kind == RelationKind::Table && (triggers.contains(&name) || !watched.contains(&[&*name.schema]));
        relations.push(Arc::new(Relation {
            oid: 0,
            kind,
            columns: columns.remove(&name).unwrap_or_default(),
            definition,
            revision,
            triggered,
            ruled: false,
            parents: Vec::new(),
            children: Vec::new(),
            name,
        }));
    }
    Ok(relations)
}

/// A generated column's expression as it would be written, or `None` for what is no such column. One whose expression
/// is not shown has an empty one, which nothing can be read from.
fn generated(expression: &str, extra: &str, flavour: Flavour) -> Option<Arc<str>> {
    let kinds = ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT"];
    if !kinds.iter().any(|kind| extra.contains(kind)) && expression.is_empty() {
        return None;
    }
    match flavour {
        // The bounds of a row's life in a system-versioned table are made of nothing.
        Flavour::MariaDb if matches!(expression, "ROW START" | "ROW END") => None,
        Flavour::MariaDb => Some(expression.into()),
        Flavour::MySql => Some(unescaped(expression).into()),
    }
}

/// MySQL shows an expression as if it stood in a string: quotes and backslashes have a backslash before them, and the
/// bytes of its UTF-8 are taken for characters of latin1 (`naÃ¯ve`).
fn unescaped(shown: &str) -> String {
    let mut text = String::with_capacity(shown.len());
    let mut chars = shown.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => text.push(match chars.next() {
                Some('n') => '\n',
                Some('0') => '\0',
                Some('r') => '\r',
                Some('Z') => '\u{1a}',
                Some(escaped) => escaped,
                None => '\\',
            }),
            (c, false) => text.push(c),
        }
    }
    if text.is_ascii() {
        return text;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(latin1).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(text)
}

/// The byte of a character in latin1; of cp1252, for which MySQL also has that name, where latin1 has none.
fn latin1(c: char) -> Option<u8> {
    const HIGH: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    let high = || HIGH.chars().position(|high| high == c).and_then(|at| u8::try_from(at + 0x80).ok());
    u8::try_from(u32::from(c)).ok().or_else(high)
}

/// All databases.
///
/// # Errors
/// As [`relations`].
pub(super) fn schemas(rows: Table, catalog: &mut Catalog) -> Result<(), UpstreamError> {
    for row in &rows {
        let [name] = texts(row)?;
        catalog.schemas.push(name.into());
    }
    Ok(())
}

/// All stored functions and procedures. What they take is not asked: the server counts arguments itself.
///
/// # Errors
/// As [`relations`].
pub(super) fn routines(rows: Table, catalog: &mut Catalog) -> Result<(), UpstreamError> {
    for row in &rows {
        let [_, _, kind] = texts(row)?;
        let kind = match kind {
            "FUNCTION" => FunctionKind::Function,
            "PROCEDURE" => FunctionKind::Procedure,
            // Packages of MariaDB's Oracle mode: their routines are called by three names, which is not understood.
            _ => continue,
        };
        catalog.add_function(Function { name: qualified(row)?, kind, min_args: 0, max_args: None, extension: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_sorted_and_unknown_ones_keep_nothing() {
        assert!(ENGINES.is_sorted());
        let name = QualifiedName::new("shop", "t");
        assert_eq!(kind(&name, "BASE TABLE", Some("InnoDB")), Some(RelationKind::Table));
        assert_eq!(kind(&name, "SYSTEM VERSIONED", Some("Aria")), Some(RelationKind::Table));
        for engine in ["FEDERATED", "CONNECT", "SPIDER", "MRG_MyISAM", "OQGRAPH", "new"] {
            assert_eq!(kind(&name, "BASE TABLE", Some(engine)), Some(RelationKind::ForeignTable), "{engine}");
        }
        assert_eq!(kind(&name, "BASE TABLE", None), Some(RelationKind::Other));
        assert_eq!(kind(&name, "TEMPORARY", Some("InnoDB")), None);
    }

    /// What MySQL 9.7 and MariaDB 10.11 show.
    #[test]
    fn expressions_are_as_they_would_be_written() {
        let mysql = |shown: &str| generated(shown, "VIRTUAL GENERATED", Flavour::MySql).unwrap();
        assert_eq!(&*mysql(r#"concat(_utf8mb4\'it\\\'s \\\\ "\',`b`)"#), r#"concat(_utf8mb4'it\'s \\ "',`b`)"#);
        assert_eq!(&*mysql("(`naÃ¯ve` + 1)"), "(`naïve` + 1)");
        assert_eq!(&*mysql("(`Ñ\u{82}Ð°Ð±Ð»Ðµ` + 1)"), "(`табле` + 1)");
        assert_eq!(&*mysql("(`Ñ‚Ð°Ð±Ð»Ðµ` + 1)"), "(`табле` + 1)");
        let mariadb = |shown: &str| generated(shown, "STORED GENERATED", Flavour::MariaDb);
        assert_eq!(mariadb(r"concat('it\'s',`b`)").as_deref(), Some(r"concat('it\'s',`b`)"));
        assert_eq!(mariadb("ROW START"), None);
        assert_eq!(mariadb("").as_deref(), Some(""), "an expression that is not shown");
        assert_eq!(generated("", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP", Flavour::MySql), None);
        assert_eq!(generated("", "auto_increment", Flavour::MySql), None);
    }

    #[test]
    fn revisions_are_asked_for_in_every_sql_mode() {
        let names = [QualifiedName::new("shop", "v"), QualifiedName::new("a'b", "`")];
        let sql = revisions(&names, &[], Flavour::MariaDb);
        assert!(sql.ends_with(
            "(v.TABLE_SCHEMA = _utf8mb4 0x73686f70 AND v.TABLE_NAME = _utf8mb4 0x76) OR \
             (v.TABLE_SCHEMA = _utf8mb4 0x612762 AND v.TABLE_NAME = _utf8mb4 0x60)"
        ));
        let of_tables = revisions(&[], &names, Flavour::MariaDb);
        assert!(!of_tables.contains("VIEW_DEFINITION") && of_tables.matches("TABLE_TYPE = 'VIEW'").count() == 2);
    }
}
