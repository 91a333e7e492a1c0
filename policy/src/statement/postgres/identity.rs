//! What a statement grant pins: a hash of the parse tree without positions, so that layout and comments do not
//! matter and every literal does, and of what its names turned out to mean, so that the same text under another
//! search_path is another statement.

use std::{collections::BTreeSet, io};

use pg_query::{NodeEnum, protobuf::RawStmt};
use serde::Serialize;
use serde_json::ser::Formatter;
use sha2::{Digest, Sha256};

use super::node;
use crate::statement::{Bracket, Form, Need};

/// SHA-256 of the statement's tree and of the objects it needs.
pub(super) fn identity(statement: &NodeEnum, needs: &BTreeSet<Need>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for need in needs {
        hasher.update(need.action.as_str());
        // No name holds a NUL.
        hasher.update([0]);
        hasher.update(need.object.to_string());
        hasher.update([0]);
    }
    let written =
        statement.serialize(&mut serde_json::Serializer::with_formatter(&mut hasher, WithoutPositions::default()));
    if written.is_err() {
        // A hasher never fails to be written to; should it, the mark keeps this hash from equalling any other.
        hasher.update(b"incomplete");
    }
    hasher.finalize().into()
}

/// The statements of a text of `length` bytes, their names not looked up.
pub(super) fn forms(parsed: &[RawStmt], length: usize) -> Vec<Form> {
    let of = |raw: &RawStmt| {
        let statement = node::boxed(raw.stmt.as_ref())?;
        let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(length);
        let end = match usize::try_from(raw.stmt_len) {
            Ok(0) | Err(_) => length,
            Ok(len) => (start + len).min(length),
        };
        Some(Form { place: start..end, hash: identity(statement, &BTreeSet::new()), bracket: bracket(statement) })
    };
    parsed.iter().filter_map(of).collect()
}

fn bracket(statement: &NodeEnum) -> Option<Bracket> {
    use pg_query::protobuf::TransactionStmtKind as Kind;
    let NodeEnum::TransactionStmt(transaction) = statement else { return None };
    Some(match transaction.kind() {
        Kind::TransStmtBegin | Kind::TransStmtStart => Bracket::Begins,
        Kind::TransStmtSavepoint | Kind::TransStmtRelease | Kind::TransStmtRollbackTo => Bracket::Marks,
        Kind::TransStmtCommit
        | Kind::TransStmtRollback
        | Kind::TransStmtPrepare
        | Kind::TransStmtCommitPrepared
        | Kind::TransStmtRollbackPrepared
        | Kind::Undefined => Bracket::Ends,
    })
}

/// Writes JSON with every position in the text as zero.
#[derive(Default)]
struct WithoutPositions {
    in_key: bool,
    position: bool,
}

impl Formatter for WithoutPositions {
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        self.position = false;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.position = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if self.in_key {
            self.position = fragment.ends_with("location")
                || matches!(fragment, "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end" | "stmt_len");
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_i32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        let value = if self.position { 0 } else { value };
        write!(writer, "{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse::statements, *};

    fn of(text: &str) -> [u8; 32] {
        let parsed = statements(text).expect("parses");
        identity(parsed[0].stmt.as_ref().and_then(|s| s.node.as_ref()).expect("a statement"), &BTreeSet::new())
    }

    #[test]
    fn layout_does_not_matter_and_literals_do() {
        let plain = of("SELECT a, 'x' FROM t WHERE b IN (1, 2) AND c = ARRAY[1]");
        assert_eq!(plain, of("select  a,'x' /* why */\n FROM t -- so\n WHERE b IN (1,2)   AND c=ARRAY[ 1 ];"));
        for other in [
            "SELECT a, 'y' FROM t WHERE b IN (1, 2) AND c = ARRAY[1]",
            "SELECT a, 'x' FROM t WHERE b IN (1, 3) AND c = ARRAY[1]",
            "SELECT a, 'x' FROM u WHERE b IN (1, 2) AND c = ARRAY[1]",
        ] {
            assert_ne!(plain, of(other), "{other}");
        }
        assert_ne!(of("SELECT 3/**/-1"), of("SELECT 3"));
        assert_ne!(of("SELECT 'location'"), of("SELECT 'locatiom'"));
        assert_ne!(of("CREATE TABLESPACE a LOCATION '/x'"), of("CREATE TABLESPACE a LOCATION '/y'"));
    }
}
