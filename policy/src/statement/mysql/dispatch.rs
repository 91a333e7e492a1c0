//! Sends each kind of statement to the file that understands it, and puts together what is found.
//! The one list of statement kinds: what is not on it is refused.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    admin, alter, catalogs, create,
    cursor::Cursor,
    dml, drop, explain,
    identity::identity,
    inband,
    lexer::{Kind, Lexed},
    load, maintain,
    names::MysqlNames,
    output_name, prepared, query,
    refusal::unsupported,
    scope::Field,
    session, show,
    walk::Walk,
};
use crate::{
    catalog::{Catalog, ColumnRef},
    statement::{ColumnUse, Effect, Output, Outputs, Reach, Refusal, RefusalKind, Statement, Usage, Verb},
};

/// What a statement is besides what its walk has found.
#[derive(Debug)]
pub(super) struct Draft {
    /// What it is called.
    pub(super) verb: Verb,
    /// What rows come back.
    pub(super) outputs: Outputs,
    /// What it does to the session.
    pub(super) effect: Effect,
    /// Whether it is EXPLAIN.
    pub(super) manner: Manner,
}

/// How a statement reads rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As rows, or not at all.
    Plain,
    /// EXPLAIN.
    Explained,
    /// EXPLAIN ANALYZE: the statement is run.
    Analyzed,
}

impl Draft {
    /// A statement without rows and without effect.
    pub(super) fn of(verb: Verb) -> Self {
        Self { verb, outputs: Outputs::None, effect: Effect::None, manner: Manner::Plain }
    }

    /// The same with an effect.
    pub(super) fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same with rows.
    pub(super) fn outputs(mut self, outputs: Outputs) -> Self {
        self.outputs = outputs;
        self
    }

    /// The same with rows of the server's own making.
    pub(super) fn server(self) -> Self {
        self.outputs(Outputs::Server)
    }
}

/// Understands the statement that `tokens` of `text` are.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub(super) fn statement(
    text: &str,
    tokens: &[Lexed<'_>],
    catalog: &Catalog,
    names: &MysqlNames,
) -> Result<Statement, Refusal> {
    let mut walk = Walk::new(catalog, names);
    walk.assigns = tokens.iter().any(|token| token.is_sign(":="));
    walk.features.assigns = walk.assigns;
    walk.features.counts_warnings = tokens.iter().any(counts_warnings);
    let mut cursor = Cursor::new(text, tokens, names);
    let draft = draft(&mut walk, &mut cursor)?;
    Ok(finish(walk, draft, tokens, names))
}

fn counts_warnings(token: &Lexed<'_>) -> bool {
    matches!(&token.kind, Kind::System(name) if name.ends_with("warning_count") || name.ends_with("error_count"))
}

fn finish(mut walk: Walk<'_>, draft: Draft, tokens: &[Lexed<'_>], names: &MysqlNames) -> Statement {
    let outputs = match &draft.outputs {
        Outputs::Columns(columns) => columns.as_slice(),
        Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
    };
    catalogs::guard_secrets(&mut walk, outputs);
    if matches!(draft.outputs, Outputs::None) {
        // `Rows matched: 1  Changed: 1  Warnings: 1`
        let computed = std::mem::take(&mut walk.features.computed);
        walk.uses.extend(computed.into_iter().map(|column| ColumnUse { column, usage: Usage::Inference }));
    }
    let (explain, runs) = match draft.manner {
        Manner::Plain => (false, true),
        Manner::Explained => (true, false),
        Manner::Analyzed => (true, true),
    };
    Statement {
        verb: draft.verb,
        needs: walk.needs.into_iter().collect(),
        outputs: draft.outputs,
        uses: walk.uses.into_iter().collect(),
        touches: walk.touches.into_iter().collect(),
        effect: draft.effect,
        reach: if runs { walk.reach } else { Reach::Some },
        explain,
        export: false,
        features: walk.features,
        compared: compared(&walk.compared, tokens),
        identity: identity(tokens, names),
    }
}

/// Parameters by their number, of those by their place in the text.
fn compared(by_place: &BTreeSet<(usize, ColumnRef)>, tokens: &[Lexed<'_>]) -> Vec<(usize, ColumnRef)> {
    if by_place.is_empty() {
        return Vec::new();
    }
    let places: Vec<usize> = tokens.iter().filter(|t| t.kind == Kind::Parameter).map(|token| token.at).collect();
    let number = |(place, column): &(usize, ColumnRef)| Some((places.binary_search(place).ok()?, column.clone()));
    by_place.iter().filter_map(number).collect()
}

/// The columns that a client gets.
pub(super) fn columns(fields: Vec<Field>) -> Outputs {
    let output = |field: Field| Output { name: field.name, lineage: Arc::unwrap_or_clone(field.lineage) };
    Outputs::Columns(fields.into_iter().map(output).collect())
}

/// A statement with rows or a change of rows: SELECT, TABLE, VALUES, INSERT, REPLACE, UPDATE, DELETE.
///
/// # Errors
/// When it is another kind, or not understood.
pub(super) fn rows(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    const QUERY: &[&str] = &["SELECT", "VALUES", "TABLE"];
    if cursor.peek(0).is_some_and(|t| t.is_sign("(") || QUERY.iter().any(|word| t.is_word(word))) {
        return select(walk, cursor);
    }
    let changed = |verb: Verb, returned: Option<Vec<Field>>| match returned {
        Some(fields) => Draft::of(verb).outputs(columns(fields)),
        None => Draft::of(verb),
    };
    if cursor.peek(0).is_some_and(|token| token.is_word("WITH")) {
        let mut ahead = cursor.over(cursor.rest());
        let mut with = ahead.until(&["SELECT", "VALUES", "TABLE", "UPDATE", "DELETE"]);
        return match ahead.one_of(&["UPDATE", "DELETE"]) {
            Some("UPDATE") => Ok(changed("UPDATE", dml::update(walk, Some(&mut with), &mut ahead)?)),
            Some(_) => Ok(changed("DELETE", dml::delete(walk, Some(&mut with), &mut ahead)?)),
            None => select(walk, cursor),
        };
    }
    match cursor.one_of(&["INSERT", "REPLACE", "UPDATE", "DELETE"]) {
        Some("INSERT") => Ok(changed("INSERT", dml::insert(walk, cursor, false)?)),
        Some("REPLACE") => Ok(changed("REPLACE", dml::insert(walk, cursor, true)?)),
        Some("UPDATE") => Ok(changed("UPDATE", dml::update(walk, None, cursor)?)),
        Some(_) => Ok(changed("DELETE", dml::delete(walk, None, cursor)?)),
        None => Err(cursor.here()),
    }
}

fn select(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if let Some(at) = cursor.rest().iter().position(|token| token.is_word("INTO")) {
        let file = cursor.peek(at + 1).is_some_and(|t| t.is_word("OUTFILE") || t.is_word("DUMPFILE"));
        if file {
            return Err(Refusal::new(RefusalKind::Forbidden, "SELECT … INTO OUTFILE is not allowed")
                .detail("it writes a file on the database's host, out of reach of masks and the audit")
                .hint("send the SELECT without INTO, and let your client save the rows"));
        }
        return into_variables(walk, cursor, at);
    }
    let tokens = cursor.rest();
    let tree = cursor.query()?;
    if cursor.words(&["PROCEDURE", "ANALYSE"]) {
        return Err(unsupported("PROCEDURE ANALYSE"));
    }
    cursor.end()?;
    let mut fields = query::query(walk, None, &tree)?.fields;
    output_name::complete(cursor.text(), tokens, &mut fields);
    Ok(Draft::of("SELECT").outputs(columns(fields)))
}

/// `SELECT a INTO @a FROM t` and `SELECT a FROM t INTO @a`: what would be shown goes where no mask follows. INTO stands
/// at `at`.
fn into_variables(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, at: usize) -> Result<Draft, Refusal> {
    let tokens = cursor.rest();
    let (before, behind) = tokens.split_at_checked(at).unwrap_or((tokens, &[]));
    let signs = |sign: &str| before.iter().filter(|token| token.is_sign(sign)).count();
    if signs("(") != signs(")") {
        return Err(unsupported("INTO inside a subquery"));
    }
    let mut list = behind.get(1..).unwrap_or_default().iter();
    let mut names = Vec::new();
    let behind = loop {
        match list.next().map(|token| &token.kind) {
            Some(Kind::Variable(name)) => names.push(name),
            _ => return Err(unsupported("SELECT … INTO this").hint("SELECT … INTO @a, @b")),
        }
        match list.as_slice().first() {
            Some(comma) if comma.is_sign(",") => list.next(),
            _ => break list.as_slice(),
        };
    };
    let plain: Vec<Lexed<'_>> = before.iter().chain(behind).cloned().collect();
    let mut plain = Cursor::new(cursor.text(), &plain, walk.names);
    let Draft { outputs: Outputs::Columns(columns), .. } = select(walk, &mut plain)? else {
        return Err(unsupported("SELECT … INTO this"));
    };
    for (at, column) in columns.iter().enumerate() {
        let name = names.get(at).map_or("", |name| name.as_str());
        walk.used(&column.lineage, &Usage::Travel(format!("@{name}").into()));
    }
    Ok(Draft::of("SELECT INTO"))
}

/// Any statement, by its first words.
fn draft(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    const ROWS: &[&str] = &["SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE"];
    let Some(first) = cursor.peek(0) else { return Err(cursor.here()) };
    if let Some(draft) = inband::select(cursor)? {
        return Ok(draft);
    }
    if first.is_sign("(") || ROWS.iter().any(|word| first.is_word(word)) {
        return rows(walk, cursor);
    }
    match cursor.one_of(&[
        "SET",
        "USE",
        "BEGIN",
        "START",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "SHOW",
        "EXPLAIN",
        "DESCRIBE",
        "DESC",
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "CREATE",
        "ALTER",
        "DROP",
        "RENAME",
        "TRUNCATE",
        "LOCK",
        "UNLOCK",
        "ANALYZE",
        "CHECK",
        "CHECKSUM",
        "OPTIMIZE",
        "REPAIR",
        "CALL",
        "DO",
        "LOAD",
        "KILL",
        "HELP",
    ]) {
        Some("SET") => session::set(walk, cursor),
        Some("USE") => session::use_database(cursor),
        Some("BEGIN") => session::begin(walk, cursor),
        Some("START") => session::start(walk, cursor),
        Some(end @ ("COMMIT" | "ROLLBACK")) => session::end(cursor, end),
        Some("SAVEPOINT") => session::savepoint(cursor, "SAVEPOINT"),
        Some("RELEASE") => {
            cursor.expect_word("SAVEPOINT")?;
            session::savepoint(cursor, "RELEASE SAVEPOINT")
        }
        Some("SHOW") => show::show(walk, cursor),
        Some("EXPLAIN" | "DESCRIBE" | "DESC") => explain::explain(walk, cursor),
        Some("PREPARE") => prepared::prepare(walk, cursor),
        Some("EXECUTE") => prepared::execute(walk, cursor),
        Some("DEALLOCATE") => prepared::deallocate(cursor),
        Some("CREATE") => create::create(walk, cursor),
        Some("ALTER") => alter::alter(walk, cursor),
        Some("DROP") => drop::drop_objects(walk, cursor),
        Some("RENAME") => alter::rename(walk, cursor),
        Some("TRUNCATE") => maintain::truncate(walk, cursor),
        Some("LOCK") => maintain::lock(walk, cursor),
        Some("UNLOCK") => maintain::unlock(walk, cursor),
        Some("ANALYZE") => maintain::analyze(walk, cursor),
        Some("CHECK") => maintain::tables(walk, cursor, "CHECK TABLE"),
        Some("CHECKSUM") => maintain::tables(walk, cursor, "CHECKSUM TABLE"),
        Some("OPTIMIZE") => maintain::tables(walk, cursor, "OPTIMIZE TABLE"),
        Some("REPAIR") => maintain::tables(walk, cursor, "REPAIR TABLE"),
        Some("CALL") => match inband::call(cursor)? {
            Some(draft) => Ok(draft),
            None => maintain::call(walk, cursor),
        },
        Some("DO") => maintain::compute(walk, cursor),
        Some("LOAD") => load::load(walk, cursor),
        Some("KILL") => admin::kill(walk, cursor),
        // The server answers from its own manual.
        Some("HELP") => cursor.string().and_then(|_| cursor.end()).map(|()| Draft::of("HELP").server()),
        Some(_) | None => admin::admin(walk, cursor),
    }
}
