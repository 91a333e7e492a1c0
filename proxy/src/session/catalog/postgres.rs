//! Fetches a [`Catalog`] from a Postgres server, 12 to 18: one query for each kind of object, in one snapshot.
//! Reads system catalogs only, and keeps nothing between calls.

use std::{collections::HashMap, sync::Arc};

use hallpass_policy::catalog::{
    Cast, Catalog, Column, Function, FunctionKind, Operator, QualifiedName, Relation, RelationKind, UserType,
    UserTypeKind,
};
use tokio_postgres::{Client, Error, Row};

/// Fetches everything the gate knows about the database that `client` is connected to, as version `version`.
/// The client's search_path is left empty, so that the server prints definitions with qualified names.
///
/// # Errors
/// The server's, or the connection's.
pub async fn fetch(client: &Client, version: u64) -> Result<Catalog, Error> {
    // One snapshot for all queries: a view is never seen with the columns of its next version.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let fetched = fetch_all(client, version).await;
    client.batch_execute("ROLLBACK").await?;
    fetched
}

async fn fetch_all(client: &Client, version: u64) -> Result<Catalog, Error> {
    let mut catalog = session(client, version).await?;
    client.batch_execute("SELECT pg_catalog.set_config('search_path', '', true)").await?;
    for row in client.query(SCHEMAS, &[]).await? {
        catalog.schemas.push(row.try_get::<_, &str>(0)?.into());
    }
    relations(client, &mut catalog).await?;
    functions(client, &mut catalog).await?;
    for row in client.query(OPERATORS, &[]).await? {
        let name = qualified(&row, 0)?;
        let operator = Operator { name: name.clone(), function: qualified(&row, 2)?, extension: text(&row, 4)? };
        catalog.operators.entry(name.name).or_default().push(operator);
    }
    for row in client.query(CASTS, &[]).await? {
        catalog.casts.push(Cast {
            source: qualified(&row, 0)?,
            target: qualified(&row, 2)?,
            function: qualified(&row, 4)?,
            extension: text(&row, 6)?,
        });
    }
    types(client, &mut catalog).await?;
    Ok(catalog)
}

/// Changes when anything does that [`fetch`] reads and that DDL can change; the same otherwise. Cheap enough to ask
/// every few seconds. Row versions are compared, so a rolled back change may be reported as one.
///
/// # Errors
/// The server's, or the connection's.
pub async fn fingerprint(client: &Client) -> Result<String, Error> {
    client.query_one(FINGERPRINT, &[]).await?.try_get(0)
}

async fn session(client: &Client, version: u64) -> Result<Catalog, Error> {
    let row = client
        .query_one(
            "SELECT pg_catalog.current_database()::pg_catalog.text, CURRENT_USER::pg_catalog.text, reset_val \
             FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path'",
            &[],
        )
        .await?;
    Ok(Catalog {
        version,
        database: row.try_get(0)?,
        login: row.try_get(1)?,
        default_search_path: row.try_get(2)?,
        ..Catalog::default()
    })
}

async fn relations(client: &Client, catalog: &mut Catalog) -> Result<(), Error> {
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in client.query(COLUMNS, &[]).await? {
        let column = Column {
            name: row.try_get::<_, &str>(1)?.into(),
            number: row.try_get(2)?,
            type_oid: row.try_get(3)?,
            generated: text(&row, 4)?,
        };
        columns.entry(row.try_get(0)?).or_default().push(column);
    }
    let mut relations: HashMap<u32, Relation> = HashMap::new();
    for row in client.query(RELATIONS, &[]).await? {
        let oid = row.try_get(0)?;
        let kind = match row.try_get::<_, &str>(3)? {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::ForeignTable,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Other,
        };
        let relation = Relation {
            oid,
            name: qualified(&row, 1)?,
            kind,
            columns: columns.remove(&oid).unwrap_or_default(),
            definition: text(&row, 4)?,
            parents: Vec::new(),
            children: Vec::new(),
        };
        relations.insert(oid, relation);
    }
    for row in client.query(INHERITANCE, &[]).await? {
        let (child, parent): (u32, u32) = (row.try_get(0)?, row.try_get(1)?);
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

async fn functions(client: &Client, catalog: &mut Catalog) -> Result<(), Error> {
    for row in client.query(FUNCTIONS, &[]).await? {
        let kind = match row.try_get::<_, &str>(2)? {
            "a" => FunctionKind::Aggregate,
            "w" => FunctionKind::Window,
            "p" => FunctionKind::Procedure,
            _ => FunctionKind::Function,
        };
        let count = |at| row.try_get::<_, i16>(at).map(|count| u16::try_from(count).unwrap_or(0));
        let most = count(4)?;
        let variadic: bool = row.try_get(5)?;
        catalog.add_function(Function {
            name: qualified(&row, 0)?,
            kind,
            min_args: count(3)?,
            max_args: (!variadic).then_some(most),
            extension: text(&row, 6)?,
        });
    }
    Ok(())
}

async fn types(client: &Client, catalog: &mut Catalog) -> Result<(), Error> {
    for row in client.query(TYPES, &[]).await? {
        let name = qualified(&row, 0)?;
        let kind = match row.try_get::<_, &str>(2)? {
            "e" => UserTypeKind::Enum,
            "d" => {
                let checks: Vec<String> = row.try_get(3)?;
                UserTypeKind::Domain { checks: checks.into_iter().map(Arc::from).collect() }
            }
            "c" => UserTypeKind::Composite,
            _ => UserTypeKind::Other,
        };
        catalog.types.insert(name.clone(), UserType { name, kind, extension: text(&row, 4)? });
    }
    Ok(())
}

fn qualified(row: &Row, at: usize) -> Result<QualifiedName, Error> {
    Ok(QualifiedName::new(row.try_get::<_, &str>(at)?, row.try_get::<_, &str>(at + 1)?))
}

fn text(row: &Row, at: usize) -> Result<Option<Arc<str>>, Error> {
    Ok(row.try_get::<_, Option<&str>>(at)?.map(Arc::from))
}

const SCHEMAS: &str = "SELECT nspname::pg_catalog.text FROM pg_catalog.pg_namespace ORDER BY 1";

/// Relations, indexes among them, without TOAST and other sessions' temporary ones.
const RELATIONS: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
           CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') AND c.relpersistence <> 't'
       AND n.nspname <> 'pg_toast' AND NOT (n.nspname = 'pg_catalog' AND c.relkind IN ('i', 'c'))";

const COLUMNS: &str = "
    SELECT a.attrelid, a.attname::text, a.attnum, a.atttypid,
           CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
     ORDER BY a.attrelid, a.attnum";

const INHERITANCE: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno";

const FUNCTIONS: &str = "
    SELECT n.nspname::text, p.proname::text, p.prokind::text, (p.pronargs - p.pronargdefaults)::int2, p.pronargs,
           p.provariadic <> 0, e.extname::text
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_proc'::regclass AND x.objid = p.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid";

const OPERATORS: &str = "
    SELECT n.nspname::text, o.oprname::text, pn.nspname::text, p.proname::text, e.extname::text
      FROM pg_catalog.pg_operator o
      JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
      JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
      JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_operator'::regclass AND x.objid = o.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE n.nspname <> 'pg_catalog' OR pn.nspname <> 'pg_catalog'";

/// Casts with a function outside pg_catalog; and casts by input and output of a type whose functions are outside it
/// (a cast from or to it runs them).
const CASTS: &str = "
    SELECT sn.nspname::text, s.typname::text, tn.nspname::text, t.typname::text, pn.nspname::text, p.proname::text,
           e.extname::text
      FROM pg_catalog.pg_cast c
      JOIN pg_catalog.pg_type s ON s.oid = c.castsource JOIN pg_catalog.pg_namespace sn ON sn.oid = s.typnamespace
      JOIN pg_catalog.pg_type t ON t.oid = c.casttarget JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
      JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_cast'::regclass AND x.objid = c.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE pn.nspname <> 'pg_catalog'
    UNION ALL
    SELECT n.nspname::text, t.typname::text, n.nspname::text, t.typname::text, pn.nspname::text, p.proname::text,
           e.extname::text
      FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      JOIN pg_catalog.pg_proc p ON p.oid IN (t.typinput, t.typoutput)
      JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_type'::regclass AND x.objid = t.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE pn.nspname <> 'pg_catalog'";

/// Types outside pg_catalog, row types of relations among them, without arrays.
const TYPES: &str = "
    SELECT n.nspname::text, t.typname::text, t.typtype::text,
           ARRAY(SELECT pg_catalog.pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint c
                  WHERE c.contypid = t.oid ORDER BY c.conname),
           e.extname::text
      FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_type'::regclass AND x.objid = t.oid
                                      AND x.deptype = 'e' AND x.refclassid = 'pg_catalog.pg_extension'::regclass
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
     WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND t.typcategory <> 'A'";

/// Row versions of everything that user DDL can change, but for what the server made with the database: statistics
/// kept in pg_class are updated in place, without a new row version.
const FINGERPRINT: &str = "
    SELECT pg_catalog.md5(pg_catalog.string_agg(part, ';' ORDER BY part)) FROM (
        SELECT 'database ' || pg_catalog.current_database() || ' ' || CURRENT_USER AS part
        UNION ALL SELECT 'relation ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
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
        UNION ALL SELECT 'type ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_type WHERE oid >= 16384
        UNION ALL SELECT 'constraint ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_constraint WHERE contypid <> 0
        UNION ALL SELECT 'extension ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || xmin::text, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_extension
        UNION ALL SELECT 'schema ' || pg_catalog.md5(COALESCE(pg_catalog.string_agg(oid::text || ' ' || nspname, ',' ORDER BY oid), ''))
          FROM pg_catalog.pg_namespace
    ) parts";
