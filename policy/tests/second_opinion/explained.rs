//! Where the two parsers disagree about the relations of a statement, and why that is right.

/// Statements of whose relations we find more, by how they begin. Nothing is allowed to be found by sqlparser alone.
const ONLY_OURS: &[(&str, &str)] = &[
    ("ALTER", "sqlparser prints the tables of a foreign key, and an altered index, where no query has relations"),
    ("COMMENT", "what is commented on is DDL's to us; sqlparser prints it where no query has relations"),
    ("CREATE DOMAIN", "the new type is a name that DDL is done to; to sqlparser it is no relation"),
    ("CREATE INDEX", "sqlparser prints the table of an index where no query has relations"),
    ("CREATE SEQUENCE", "the new sequence is a name that DDL is done to; to sqlparser it is no relation"),
    ("CREATE TABLE", "the new table, and those of its foreign keys, are printed where no query has relations"),
    ("CREATE TYPE", "the new type is a name that DDL is done to; to sqlparser it is no relation"),
    ("CREATE UNIQUE INDEX", "sqlparser prints the table of an index where no query has relations"),
    ("CREATE VIEW", "the new view is a name that DDL is done to, printed where no query has relations"),
    ("DROP", "sqlparser prints what is dropped where no query has relations"),
    ("LOCK", "sqlparser prints locked tables where no query has relations"),
];

/// Refusals, by a part of their words.
const REFUSED: &[(&str, &str)] = &[
    ("is ambiguous", "the catalog of this test gives an unqualified column to the first table where it helps"),
    ("missing FROM-clause entry", "a piece of a client's source without its FROM; the server says the same"),
    ("column \"trigger_name\" does not exist", "the same, without a table's name"),
    ("column \"x\" does not exist", "the same"),
    ("cross-database references", "another database's catalog; the server says the same"),
    ("cannot be sent in one text", "what comes before changes names in a way that is known only when it has run"),
    ("whose columns are not known to the gate", "`*` over a function of the user's"),
];

/// Why we may find more than sqlparser in `sql`.
pub(crate) fn only_ours(sql: &str) -> Option<&'static str> {
    let words: String = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    ONLY_OURS.iter().find(|(start, _)| words.starts_with(start)).map(|(_, why)| *why)
}

/// Why we may refuse with `message`.
pub(crate) fn refused(message: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(part, _)| message.contains(part)).map(|(_, why)| *why)
}
