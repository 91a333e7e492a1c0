//! A Postgres server's catalog, 12 to 18: one query for each kind of object, answered in text, and the [`Catalog`]
//! made of the answers. The queries run over the proxy's own connection, or inside a client's transaction that has
//! changed names; either way the search_path must be empty, so that definitions are printed with all their schemas.

use std::{collections::HashMap, sync::Arc};

use hallpass_policy::catalog::{
    Cast, Catalog, Column, ColumnDefault, Function, FunctionKind, Operator, QualifiedName, Relation, RelationKind,
    Runs, UserType, UserTypeKind,
};
use thiserror::Error;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The rows of one answer, values as text.
pub type Table = Vec<Vec<Option<String>>>;

/// Why there is no catalog.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The server's error, or the connection's.
    #[error(transparent)]
    Server(#[from] tokio_postgres::Error),
    /// An answer without a value that every server gives.
    #[error("query {query} of the catalog lacks a value in column {column}")]
    Missing {
        /// Which of [`QUERIES`].
        query: usize,
        /// Which column.
        column: usize,
    },
}

/// What [`build`] is made of, in its order.
pub const QUERIES: [&str; 11] =
    [SESSION, SCHEMAS, COLUMNS, RELATIONS, INHERITANCE, FUNCTIONS, OPERATORS, CASTS, TYPES, DEFAULTS, BESIDE];

/// Fetches everything the gate knows about the database that `client` is connected to, as version `version`.
///
/// # Errors
/// [`CatalogError`].
pub async fn fetch(client: &Client, version: u64) -> Result<Catalog, CatalogError> {
    // One snapshot for all queries: a view is never seen with the columns of its next version.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL search_path = ''").await?;
    let mut tables = Vec::with_capacity(QUERIES.len());
    let mut failed = None;
    for query in QUERIES {
        match client.simple_query(query).await {
            Ok(answer) => tables.push(rows(&answer)),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    client.batch_execute("ROLLBACK").await?;
    match failed {
        Some(error) => Err(error.into()),
        None => build(&tables, version),
    }
}

/// Changes when anything does that [`fetch`] reads and that DDL can change; the same otherwise. Cheap enough to ask
/// every few seconds. Row versions are compared, so a rolled back change may be reported as one.
///
/// # Errors
/// [`CatalogError`].
pub async fn fingerprint(client: &Client) -> Result<String, CatalogError> {
    let tables = [rows(&client.simple_query(FINGERPRINT).await?)];
    Ok(Rows { query: 0, tables: &tables }.iter().next().map_or(Ok(""), |row| row.text(0))?.to_owned())
}

fn rows(answer: &[SimpleQueryMessage]) -> Table {
    answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect()),
            _ => None,
        })
        .collect()
}

/// One answer, to be read row by row.
struct Rows<'a> {
    query: usize,
    tables: &'a [Table],
}

impl<'a> Rows<'a> {
    fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let query = self.query;
        let rows: &'a [Vec<Option<String>>] = self.tables.get(query).map_or(&[], Vec::as_slice);
        rows.iter().map(move |values| Row { query, values })
    }
}

/// One row of an answer.
struct Row<'a> {
    query: usize,
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    fn optional(&self, column: usize) -> Option<&'a str> {
        self.values.get(column)?.as_deref()
    }

    fn shared(&self, column: usize) -> Option<Arc<str>> {
        self.optional(column).map(Arc::from)
    }

    fn text(&self, column: usize) -> Result<&'a str, CatalogError> {
        self.optional(column).ok_or(CatalogError::Missing { query: self.query, column })
    }

    fn number<N: std::str::FromStr>(&self, column: usize) -> Result<N, CatalogError> {
        self.text(column)?.parse().map_err(|_| CatalogError::Missing { query: self.query, column })
    }

    fn qualified(&self, column: usize) -> Result<QualifiedName, CatalogError> {
        Ok(QualifiedName::new(self.text(column)?, self.text(column + 1)?))
    }
}

/// Makes a catalog of the answers to [`QUERIES`].
///
/// # Errors
/// [`CatalogError::Missing`].
pub fn build(tables: &[Table], version: u64) -> Result<Catalog, CatalogError> {
    let answer = |query| Rows { query, tables }.iter();
    let mut catalog = Catalog { version, ..Catalog::default() };
    for row in answer(0) {
        row.text(0)?.clone_into(&mut catalog.database);
        row.text(1)?.clone_into(&mut catalog.login);
        row.text(2)?.clone_into(&mut catalog.default_search_path);
    }
    for row in answer(1) {
        catalog.schemas.push(row.text(0)?.into());
    }
    relations(answer(2), answer(3), answer(4), &mut catalog)?;
    for row in answer(5) {
        catalog.add_function(function(&row)?);
    }
    for row in answer(6) {
        let name = row.qualified(0)?;
        let operator = Operator { name: name.clone(), function: row.qualified(2)?, extension: row.shared(4) };
        catalog.operators.entry(name.name).or_default().push(operator);
    }
    for row in answer(7) {
        let (source, target, function) = (row.qualified(0)?, row.qualified(2)?, row.qualified(4)?);
        let runs = if row.text(7)? == "m" { Runs::Making } else { Runs::Converting };
        let holders = row.text(8)?.split(',').map(str::parse).collect::<Result<_, _>>();
        let holders = holders.map_err(|_| CatalogError::Missing { query: 7, column: 8 })?;
        catalog.casts.push(Cast { source, target, function, extension: row.shared(6), runs, holders });
    }
    for row in answer(8) {
        let name = row.qualified(0)?;
        let kind = match row.text(2)? {
            "e" => UserTypeKind::Enum,
            "d" => UserTypeKind::Domain { base: row.number(3)? },
            "c" => UserTypeKind::Composite,
            _ => UserTypeKind::Other,
        };
        catalog.types.insert(name.clone(), UserType { oid: row.number(5)?, name, kind, extension: row.shared(4) });
    }
    for row in answer(9) {
        let default = ColumnDefault { column: row.text(2)?.into(), expression: row.text(3)?.into() };
        catalog.defaults.entry(row.qualified(0)?).or_default().push(default);
    }
    for row in answer(10) {
        let name = row.qualified(1)?;
        match row.text(0)? {
            "c" => catalog.beside.cascades.push((name, row.qualified(3)?)),
            "p" => {
                catalog.beside.policed.insert(name);
            }
            _ => catalog.beside.event_triggers = true,
        }
    }
    Ok(catalog)
}

fn relations<'a>(
    column_rows: impl Iterator<Item = Row<'a>>,
    relation_rows: impl Iterator<Item = Row<'a>>,
    inheritance: impl Iterator<Item = Row<'a>>,
    catalog: &mut Catalog,
) -> Result<(), CatalogError> {
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in column_rows {
        let column = Column {
            name: row.text(1)?.into(),
            number: row.number(2)?,
            type_oid: row.number(3)?,
            local: row.text(5)? == "t",
            generated: row.shared(4),
        };
        columns.entry(row.number(0)?).or_default().push(column);
    }
    let mut relations: HashMap<u32, Relation> = HashMap::new();
    for row in relation_rows {
        let oid = row.number(0)?;
        // Below zero: never counted.
        if let Some(rows) = row.optional(7).and_then(|rows| rows.parse().ok()).filter(|rows| *rows > 0) {
            catalog.rows.insert(row.qualified(1)?, rows);
        }
        let kind = match row.text(3)? {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::ForeignTable,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Other,
        };
        let relation = Relation {
            oid,
            name: row.qualified(1)?,
            kind,
            columns: columns.remove(&oid).unwrap_or_default(),
            definition: row.shared(4),
            revision: row.shared(5),
            triggered: row.text(6)? == "t",
            ruled: row.text(8)? == "t",
            parents: Vec::new(),
            children: Vec::new(),
        };
        relations.insert(oid, relation);
    }
    for row in inheritance {
        let (child, parent): (u32, u32) = (row.number(0)?, row.number(1)?);
        let name = |oid| relations.get(&oid).map(|relation: &Relation| relation.name.clone());
        let (Some(child_name), Some(parent_name)) = (name(child), name(parent)) else { continue };
        if let Some(relation) = relations.get_mut(&child) {
            relation.parents.push(parent_name);
        }
        if let Some(relation) = relations.get_mut(&parent) {
            relation.children.push(child_name);
        }
    }
    for relation in relations.into_values() {
        catalog.add_relation(relation);
    }
    Ok(())
}

fn function(row: &Row<'_>) -> Result<Function, CatalogError> {
    let kind = match row.text(2)? {
        "a" => FunctionKind::Aggregate,
        "w" => FunctionKind::Window,
        "p" => FunctionKind::Procedure,
        _ => FunctionKind::Function,
    };
    let most = row.number(4)?;
    let variadic = row.text(5)? == "t";
    Ok(Function {
        name: row.qualified(0)?,
        kind,
        min_args: row.number(3)?,
        max_args: (!variadic).then_some(most),
        extension: row.shared(6),
    })
}

const SESSION: &str = "
    SELECT pg_catalog.current_database(), CURRENT_USER, reset_val
      FROM pg_catalog.pg_settings WHERE name = 'search_path'";

const SCHEMAS: &str = "SELECT nspname::pg_catalog.text FROM pg_catalog.pg_namespace ORDER BY 1";

/// Relations, indexes among them, without TOAST and other sessions' temporary ones. The session's own lie in `pg_temp`,
/// as it may call that schema; on the proxy's own connection there are none.
const RELATIONS: &str = "
    WITH own AS (
        SELECT oid FROM pg_catalog.pg_proc p
         WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
               WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')
    ), calls AS (
        SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
         WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid IN (SELECT oid FROM own)
    ), code AS (
        SELECT k.conrelid AS relation FROM calls d JOIN pg_catalog.pg_constraint k ON k.oid = d.objid
         WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
        UNION ALL SELECT i.indrelid FROM calls d JOIN pg_catalog.pg_index i ON i.indexrelid = d.objid
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        UNION ALL SELECT d.objid FROM calls d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        UNION ALL SELECT x.stxrelid FROM calls d JOIN pg_catalog.pg_statistic_ext x ON x.oid = d.objid
         WHERE d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
        UNION ALL SELECT f.adrelid FROM calls d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
         WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    )
    SELECT c.oid, CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname::pg_catalog.text END, c.relname::pg_catalog.text, c.relkind::pg_catalog.text,
           CASE WHEN c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                THEN pg_catalog.pg_get_viewdef(c.oid) END,
           (SELECT pg_catalog.max(r.xmin::pg_catalog.text) FROM pg_catalog.pg_rewrite r
             WHERE r.ev_class = c.oid AND c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema')),
           EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) OR c.oid IN (SELECT relation FROM code),
           c.reltuples::bigint,
           c.relhasrules AND EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') AND (c.relpersistence <> 't' OR n.oid = pg_catalog.pg_my_temp_schema())
       AND n.nspname <> 'pg_toast' AND NOT (n.nspname = 'pg_catalog' AND c.relkind IN ('i', 'c'))";

const COLUMNS: &str = "
    SELECT a.attrelid, a.attname::pg_catalog.text, a.attnum, a.atttypid,
           CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, a.attislocal
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
     ORDER BY a.attrelid, a.attnum";

const INHERITANCE: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno";

const FUNCTIONS: &str = "
    SELECT n.nspname::pg_catalog.text, p.proname::pg_catalog.text, p.prokind::pg_catalog.text, (p.pronargs - p.pronargdefaults)::pg_catalog.int2, p.pronargs,
           p.provariadic <> 0, e.extname::pg_catalog.text
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid";

const OPERATORS: &str = "
    SELECT n.nspname::pg_catalog.text, o.oprname::pg_catalog.text, pn.nspname::pg_catalog.text, p.proname::pg_catalog.text, e.extname::pg_catalog.text
      FROM pg_catalog.pg_operator o
      JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
      JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
      JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND x.objid = o.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE n.nspname <> 'pg_catalog' OR pn.nspname <> 'pg_catalog'";

/// Code outside pg_catalog that runs by itself where values of a type are made or become something else (`Runs`): casts;
/// the functions of base types; what domains check; the comparisons of ranges, and those that types are ordered by. With
/// every type that may hold such values.
const CASTS: &str = "
    WITH RECURSIVE code AS (
        SELECT 'c' AS runs, castsource AS source, casttarget AS target, castfunc AS function, 'pg_catalog.pg_cast'::pg_catalog.regclass AS class, oid AS object
          FROM pg_catalog.pg_cast WHERE castfunc <> 0
        UNION ALL SELECT 'c', t.oid, t.oid, p.oid, 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_proc p ON p.oid IN (t.typinput, t.typoutput)
         WHERE t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
        UNION ALL SELECT 'm', k.contypid, k.contypid, COALESCE(o.oprcode, d.refobjid), 'pg_catalog.pg_proc'::pg_catalog.regclass, COALESCE(o.oprcode, d.refobjid)
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
           AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
          LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
         WHERE k.contypid <> 0
        UNION ALL SELECT 'c', r.rngtypid, r.rngtypid, a.amproc::pg_catalog.oid, 'pg_catalog.pg_opclass'::pg_catalog.regclass, c.oid
          FROM pg_catalog.pg_range r JOIN pg_catalog.pg_opclass c ON c.oid = r.rngsubopc
          JOIN pg_catalog.pg_amproc a ON a.amprocfamily = c.opcfamily AND a.amproclefttype = c.opcintype
        UNION ALL SELECT 'c', c.opcintype, c.opcintype, a.amproc::pg_catalog.oid, 'pg_catalog.pg_opclass'::pg_catalog.regclass, c.oid
          FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_amproc a ON a.amprocfamily = c.opcfamily AND a.amproclefttype = c.opcintype
         WHERE c.opcdefault AND c.oid >= 16384
    ), foreign_code AS (
        SELECT DISTINCT runs, source, target, function, class, object
          FROM code JOIN pg_catalog.pg_proc p ON p.oid = function WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
    ), parts AS (
        SELECT typelem AS part, oid AS whole FROM pg_catalog.pg_type WHERE typelem <> 0
        UNION ALL SELECT typbasetype, oid FROM pg_catalog.pg_type WHERE typtype = 'd'
        UNION ALL SELECT a.atttypid, k.reltype
          FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class k ON k.oid = a.attrelid
         WHERE a.attnum > 0 AND NOT a.attisdropped AND k.reltype <> 0 AND k.oid >= 16384
        UNION ALL SELECT rngsubtype, rngtypid FROM pg_catalog.pg_range WHERE rngtypid >= 16384
        UNION ALL SELECT rngtypid, (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid FROM pg_catalog.pg_range r WHERE rngtypid >= 16384
    ), holds AS (
        SELECT DISTINCT source, source AS holder FROM foreign_code
        UNION SELECT h.source, p.whole FROM holds h JOIN parts p ON p.part = h.holder
    )
    SELECT sn.nspname::pg_catalog.text, s.typname::pg_catalog.text, tn.nspname::pg_catalog.text, t.typname::pg_catalog.text, pn.nspname::pg_catalog.text, p.proname::pg_catalog.text,
           e.extname::pg_catalog.text, c.runs,
           (SELECT pg_catalog.string_agg(h.holder::pg_catalog.text, ',') FROM holds h WHERE h.source = c.source)
      FROM foreign_code c
      JOIN pg_catalog.pg_type s ON s.oid = c.source JOIN pg_catalog.pg_namespace sn ON sn.oid = s.typnamespace
      JOIN pg_catalog.pg_type t ON t.oid = c.target JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
      JOIN pg_catalog.pg_proc p ON p.oid = c.function JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = c.class AND x.objid = c.object
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid";

/// Defaults of columns that call functions outside pg_catalog, and those of domains.
const DEFAULTS: &str = "
    SELECT CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname::pg_catalog.text END, c.relname::pg_catalog.text,
           a.attname::pg_catalog.text, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      FROM pg_catalog.pg_attrdef d
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      JOIN pg_catalog.pg_class c ON c.oid = d.adrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE a.attgenerated = '' AND EXISTS (
        SELECT FROM pg_catalog.pg_depend x WHERE x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND x.objid = d.oid
           AND x.refobjid >= 16384
           AND x.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass))
    UNION ALL
    SELECT CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname::pg_catalog.text END, c.relname::pg_catalog.text,
           a.attname::pg_catalog.text, pg_catalog.pg_get_expr(t.typdefaultbin, 0)
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.atttypid = t.oid AND NOT a.atthasdef AND a.attnum > 0
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL AND t.oid >= 16384";

/// Code that runs beside statements (`Beside`): foreign keys that write, row security that calls or reads elsewhere, and
/// event triggers.
const BESIDE: &str = "
    SELECT 'c', pn.nspname::pg_catalog.text, p.relname::pg_catalog.text, cn.nspname::pg_catalog.text, c.relname::pg_catalog.text
      FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
     WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
    UNION ALL
    SELECT 'p', n.nspname::pg_catalog.text, c.relname::pg_catalog.text, '', ''
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relrowsecurity AND EXISTS (
        SELECT FROM pg_catalog.pg_policy y
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = y.oid
         WHERE y.polrelid = c.oid AND d.refobjid >= 16384 AND d.refobjid <> c.oid
           AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass))
    UNION ALL
    SELECT 'e', '', evtname::pg_catalog.text, '', '' FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'";

/// Types outside pg_catalog, row types of relations among them, without arrays.
const TYPES: &str = "
    SELECT CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname::pg_catalog.text END, t.typname::pg_catalog.text, t.typtype::pg_catalog.text, t.typbasetype, e.extname::pg_catalog.text, t.oid
      FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND x.objid = t.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND t.typcategory <> 'A'";

/// Row versions of everything that user DDL can change, but for what the server made with the database: statistics
/// kept in pg_class are updated in place, without a new row version. Of the estimated rows of large tables the number
/// of digits counts: for review rules that is near enough, and seldom changes.
const FINGERPRINT: &str = "
    SELECT pg_catalog.md5(pg_catalog.string_agg(part, ';' ORDER BY part)) FROM (
        SELECT 'database ' || pg_catalog.current_database() || ' ' || CURRENT_USER AS part
        UNION ALL SELECT 'relation ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text || ' ' || pg_catalog.length(GREATEST(reltuples, 9999)::bigint::text), ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_class WHERE oid >= 16384
        UNION ALL SELECT 'column ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(attrelid::text || ' ' || attnum || ' ' || xmin::text, ',' ORDER BY attrelid, attnum), ''))
          FROM pg_catalog.pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT 'default ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_attrdef
        UNION ALL SELECT 'rule ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384
        UNION ALL SELECT 'parent ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(inhrelid::text || ' ' || inhparent || ' ' || xmin::text, ',' ORDER BY inhrelid, inhparent), ''))
          FROM pg_catalog.pg_inherits
        UNION ALL SELECT 'function ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_proc WHERE oid >= 16384
        UNION ALL SELECT 'operator ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_operator WHERE oid >= 16384
        UNION ALL SELECT 'cast ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_cast WHERE oid >= 16384
        UNION ALL SELECT 'check ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_constraint WHERE contype IN ('c', 'f') AND oid >= 16384
        UNION ALL SELECT 'policy ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_policy
        UNION ALL SELECT 'event ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_event_trigger
        UNION ALL SELECT 'trigger ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT 'order ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_opclass WHERE oid >= 16384
        UNION ALL SELECT 'type ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_type WHERE oid >= 16384
        UNION ALL SELECT 'extension ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_extension
        UNION ALL SELECT 'schema ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || nspname, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_namespace
    ) parts";
