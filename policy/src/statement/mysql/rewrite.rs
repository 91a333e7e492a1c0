//! Which specifications of ALTER TABLE write the whole table anew, as MySQL 8.0.29 and later and MariaDB 10.4 and later
//! document it for InnoDB: all that are not known to leave the rows where they are. Facts for review rules; no permission
//! depends on them.

use std::sync::Arc;

use super::{cursor::Cursor, lexer::Lexed, walk::Walk};
use crate::catalog::Relation;

/// Attributes of a new column whose value is another one in each row, that make a key, or that are checked row by row.
const PER_ROW: &[&str] =
    &["STORED", "PERSISTENT", "AUTO_INCREMENT", "SERIAL", "PRIMARY", "REFERENCES", "CHECK", "FULLTEXT"];
/// Options that are only noted, or that say how an ALTER goes about.
const NOTED: &[&str] = &[
    "ALGORITHM",
    "AUTO_INCREMENT",
    "COMMENT",
    "COMPRESSION",
    "LOCK",
    "NOWAIT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "WAIT",
];
/// Calls whose value is the same for all rows of one statement.
const SAME_FOR_ALL: &[&str] = &["NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "CURDATE", "CURRENT_DATE"];

/// The server was told not to copy: it refuses what it could do only so.
fn copies(specifications: &[Lexed<'_>]) -> Option<bool> {
    let at = specifications.iter().position(|token| token.is_word("ALGORITHM"))?;
    let way = specifications.get(at + 1..)?.iter().find(|token| !token.is_sign("="))?;
    if way.is_word("COPY") {
        return Some(true);
    }
    (way.is_word("INSTANT") || way.is_word("NOCOPY")).then_some(false)
}

/// Notes why ALTER TABLE with these specifications writes `relation` anew, if it may; `each`: one of them.
pub(super) fn note<'t>(
    walk: &mut Walk<'_>,
    relation: &Relation,
    all: &[Lexed<'_>],
    each: impl IntoIterator<Item = Cursor<'t>>,
) {
    let table = &relation.name;
    let why = match copies(all) {
        Some(false) => None,
        Some(true) => Some(format!("copies {table}")),
        None => each.into_iter().find_map(|mut spec| reason(walk, relation, &mut spec)),
    };
    if walk.features.rewrite.is_none() {
        walk.features.rewrite = why.map(Arc::from);
    }
}

/// Why one specification writes the table anew.
fn reason(walk: &Walk<'_>, relation: &Relation, spec: &mut Cursor<'_>) -> Option<String> {
    let table = &relation.name;
    let copied = walk.catalog.lasting.contains(table);
    const KINDS: &[&str] = &["ADD", "ALTER", "CHANGE", "DROP", "EXCHANGE", "MODIFY", "RENAME"];
    match spec.one_of(KINDS) {
        Some("ADD") => added(relation, spec, copied),
        Some("DROP") => dropped(relation, spec, copied),
        Some("MODIFY" | "CHANGE") => {
            spec.word("COLUMN");
            spec.words(&["IF", "EXISTS"]);
            let column = spec.name().unwrap_or_default();
            Some(format!("may change the type of {table}.{column}"))
        }
        // Names, defaults, what is visible; a partition changes places with a table.
        Some(_) => None,
        None => {
            let quiet = spec.words(&["ENABLE", "KEYS"]) || spec.words(&["DISABLE", "KEYS"]);
            let partitions = spec.one_of(&["ANALYZE", "CHECK", "TRUNCATE", "DISCARD", "IMPORT"]).is_some();
            if quiet || partitions || spec.done() {
                return None;
            }
            if spec.one_of(NOTED).is_some() {
                return copied.then(|| format!("may copy {table}, whose engine changes no table in place"));
            }
            let what = spec.peek(0).map(|token| token.raw.to_ascii_uppercase()).unwrap_or_default();
            Some(match what.as_str() {
                "COALESCE" | "OPTIMIZE" | "REBUILD" | "REORGANIZE" | "REPAIR" | "REMOVE" | "PARTITION" => {
                    format!("writes partitions of {table} anew")
                }
                "ORDER" => format!("sorts {table}"),
                "CONVERT" | "CHARACTER" | "CHARSET" | "COLLATE" | "DEFAULT" => {
                    format!("changes the character set of {table}")
                }
                what => format!("changes how {table} is stored ({what})"),
            })
        }
    }
}

fn added(relation: &Relation, spec: &mut Cursor<'_>, copied: bool) -> Option<String> {
    let table = &relation.name;
    let says = |spec: &Cursor<'_>, word: &str| spec.rest().iter().any(|token| token.is_word(word));
    if spec.word("PARTITION") {
        // By hash or key all rows are dealt out anew.
        return (!says(spec, "VALUES")).then(|| format!("writes partitions of {table} anew"));
    }
    if spec.one_of(&["SYSTEM", "PERIOD"]).is_some() {
        return Some(format!("changes how {table} is stored (SYSTEM VERSIONING)"));
    }
    if spec.one_of(&["FULLTEXT", "VECTOR"]).is_some() {
        return Some(format!("may copy {table} for an index"));
    }
    if spec.one_of(&["INDEX", "KEY", "UNIQUE", "SPATIAL"]).is_some() {
        return copied.then(|| format!("copies {table}, whose engine changes no table in place"));
    }
    if spec.word("CONSTRAINT") && !["PRIMARY", "FOREIGN", "CHECK", "UNIQUE"].iter().any(|kind| spec.word(kind)) {
        // Its name.
        spec.next();
    }
    if spec.word("UNIQUE") {
        return copied.then(|| format!("copies {table}, whose engine changes no table in place"));
    }
    for (kind, why) in [("PRIMARY", "sorts"), ("FOREIGN", "may copy and checks"), ("CHECK", "copies and checks")] {
        if spec.word(kind) {
            return Some(format!("{why} {table} for a key or a check"));
        }
    }
    spec.word("COLUMN");
    spec.words(&["IF", "NOT", "EXISTS"]);
    if copied {
        return Some(format!("copies {table}, whose engine changes no table in place"));
    }
    let several = spec.peek(0).is_some_and(|token| token.is_sign("("));
    let column = if several { "columns".to_owned() } else { spec.name().unwrap_or_default() };
    is_computed(spec.rest()).then(|| format!("adds {table}.{column} with a value for each row"))
}

/// Whether a new column's value has to be written into each row.
fn is_computed(definition: &[Lexed<'_>]) -> bool {
    if definition.iter().any(|token| PER_ROW.iter().any(|word| token.is_word(word))) {
        return true;
    }
    let Some(at) = definition.iter().position(|token| token.is_word("DEFAULT")) else { return false };
    let value = definition.get(at + 1..).unwrap_or_default();
    let called = value.get(1).is_some_and(|token| token.is_sign("("));
    match value.first() {
        // An expression, which may call anything.
        Some(first) if first.is_sign("(") => true,
        Some(first) if called => !SAME_FOR_ALL.iter().any(|name| first.is_word(name)),
        Some(_) | None => false,
    }
}

fn dropped(relation: &Relation, spec: &mut Cursor<'_>, copied: bool) -> Option<String> {
    let table = &relation.name;
    if spec.words(&["PRIMARY", "KEY"]) {
        return Some(format!("copies {table} without its primary key"));
    }
    if spec.one_of(&["SYSTEM", "PERIOD"]).is_some() {
        return Some(format!("changes how {table} is stored (SYSTEM VERSIONING)"));
    }
    if spec.word("CONSTRAINT") {
        spec.words(&["IF", "EXISTS"]);
        let primary = spec.name().is_ok_and(|name| name.eq_ignore_ascii_case("primary"));
        return primary.then(|| format!("copies {table} without its primary key"));
    }
    if spec.one_of(&["FOREIGN", "CHECK", "PARTITION"]).is_some() {
        return None;
    }
    if spec.one_of(&["INDEX", "KEY"]).is_some() {
        return copied.then(|| format!("copies {table}, whose engine changes no table in place"));
    }
    spec.word("COLUMN");
    spec.words(&["IF", "EXISTS"]);
    let column = spec.name().unwrap_or_default();
    // What was computed and stored is taken out of every row.
    let generated = relation.columns.iter().any(|c| c.generated.is_some() && c.name.eq_ignore_ascii_case(&column));
    (copied || generated).then(|| format!("copies {table} without its column {column}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::one;

    #[test]
    fn alters_that_write_the_table_anew_are_told() {
        for (text, expected) in [
            ("ALTER TABLE orders MODIFY id bigint", Some("may change the type of shop.orders.id")),
            ("ALTER TABLE orders CHANGE COLUMN id nr bigint", Some("may change the type of shop.orders.id")),
            ("ALTER TABLE orders MODIFY id bigint, ALGORITHM=INSTANT", None),
            ("ALTER TABLE orders ADD COLUMN k int, ALGORITHM = COPY", Some("copies shop.orders")),
            (
                "ALTER TABLE orders ADD COLUMN k varchar(36) DEFAULT (uuid())",
                Some("adds shop.orders.k with a value for each row"),
            ),
            (
                "ALTER TABLE orders ADD COLUMN k varchar(36) DEFAULT uuid()",
                Some("adds shop.orders.k with a value for each row"),
            ),
            (
                "ALTER TABLE orders ADD k bigint AUTO_INCREMENT UNIQUE",
                Some("adds shop.orders.k with a value for each row"),
            ),
            ("ALTER TABLE orders ADD k int AS (id + 1) STORED", Some("adds shop.orders.k with a value for each row")),
            ("ALTER TABLE orders ADD k int AS (id + 1) VIRTUAL", None),
            ("ALTER TABLE orders ADD COLUMN k int DEFAULT 7", None),
            ("ALTER TABLE orders ADD COLUMN k datetime DEFAULT now()", None),
            ("ALTER TABLE orders ADD COLUMN k int", None),
            ("ALTER TABLE orders DROP COLUMN note", None),
            ("ALTER TABLE customers DROP COLUMN email_key", Some("copies shop.customers without its column email_key")),
            ("ALTER TABLE orders ADD INDEX k (id)", None),
            ("ALTER TABLE orders ADD CONSTRAINT k UNIQUE (id)", None),
            ("ALTER TABLE orders ADD PRIMARY KEY (id)", Some("sorts shop.orders for a key or a check")),
            ("ALTER TABLE orders ADD CONSTRAINT k PRIMARY KEY (id)", Some("sorts shop.orders for a key or a check")),
            ("ALTER TABLE orders DROP PRIMARY KEY", Some("copies shop.orders without its primary key")),
            ("ALTER TABLE orders ENGINE = InnoDB", Some("changes how shop.orders is stored (ENGINE)")),
            ("ALTER TABLE orders FORCE", Some("changes how shop.orders is stored (FORCE)")),
            ("ALTER TABLE orders CONVERT TO CHARACTER SET utf8mb4", Some("changes the character set of shop.orders")),
            ("ALTER TABLE orders COMMENT = 'x', RENAME INDEX a TO b, ALTER note SET DEFAULT 'x'", None),
            ("ALTER TABLE orders COMMENT = 'x', ORDER BY id", Some("sorts shop.orders")),
            ("ALTER TABLE orders REMOVE PARTITIONING", Some("writes partitions of shop.orders anew")),
            ("ALTER TABLE orders ADD PARTITION (PARTITION p VALUES LESS THAN (7))", None),
            ("ALTER TABLE orders ADD PARTITION PARTITIONS 4", Some("writes partitions of shop.orders anew")),
        ] {
            assert_eq!(one(text).features.rewrite.as_deref(), expected, "{text}");
        }
    }
}
