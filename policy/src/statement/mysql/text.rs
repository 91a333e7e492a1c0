//! A text with its statements: where each ends, and what the earlier ones do to the meaning of the later ones.
//! Says nothing about what a single statement needs.

use std::sync::Arc;

use super::{
    dispatch,
    identity::{fingerprint, identity},
    lexer::{Lexed, lex},
    names::MysqlNames,
    refusal::unsupported,
};
use crate::{
    catalog::Catalog,
    statement::{Action, Dialect, Effect, Form, Refusal, RefusalKind, Setting, Statement, Understood, literal},
};

/// Understands all statements of `text`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub(super) fn understand(text: &str, catalog: &Catalog, names: &MysqlNames) -> Result<Understood, Refusal> {
    let tokens = lex(text, names)?;
    let (understood, notes) = literal::watch(|| walk(text, &tokens, catalog, names.clone()));
    let (statements, left) = understood?;
    let fingerprint = if statements.is_empty() { Arc::from("") } else { fingerprint(&tokens, &left) };
    let free = notes.free(text, &Dialect::Mysql(names.clone()), &statements);
    Ok(Understood { statements, fingerprint, free })
}

/// The statements of `tokens`, and the names that they leave in force.
fn walk(
    text: &str,
    tokens: &[Lexed<'_>],
    catalog: &Catalog,
    mut names: MysqlNames,
) -> Result<(Vec<Statement>, MysqlNames), Refusal> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut names_changed = false;
    let parts = split(tokens);
    for (number, tokens) in parts.iter().enumerate() {
        let statement = dispatch::statement(text, tokens, catalog, &names)?;
        if tokens.iter().any(|token| token.is_sign(";")) && !statement.needs.iter().any(|n| n.action == Action::Admin) {
            return Err(unsupported("a semicolon inside this statement"));
        }
        if names_changed && !is_of_the_session(&statement) {
            return Err(apart("an earlier statement changes what names mean"));
        }
        match follow(&statement.effect, &mut names) {
            Followed::Yes => {}
            Followed::Names => names_changed = true,
            Followed::Lexer if number + 1 < parts.len() => {
                return Err(apart("an earlier statement changes how text is read"));
            }
            Followed::Lexer => {}
        }
        statements.push(statement);
    }
    Ok((statements, names))
}

/// The statements of `text`, their names not looked up.
///
/// # Errors
/// When the text is no tokens.
pub(super) fn forms(text: &str, names: &MysqlNames) -> Result<Vec<Form>, Refusal> {
    let tokens = lex(text, names)?;
    let place = |tokens: &[Lexed<'_>]| {
        let ends = tokens.last().map_or(0, |last| last.at + last.raw.len());
        tokens.first().map_or(0, |first| first.at)..ends
    };
    Ok(split(&tokens)
        .iter()
        .map(|part| Form { place: place(part), hash: identity(part, names), bracket: None })
        .collect())
}

/// The statements between semicolons; compound statements and routines hold semicolons of their own and take all.
fn split<'s, 't>(tokens: &'s [Lexed<'t>]) -> Vec<&'s [Lexed<'t>]> {
    let mut statements = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.iter().position(|token| !token.is_sign(";")) {
        rest = rest.get(first..).unwrap_or_default();
        let end = if is_compound(rest) {
            rest.iter().rposition(|token| !token.is_sign(";")).map_or(rest.len(), |last| last + 1)
        } else {
            rest.iter().position(|token| token.is_sign(";")).unwrap_or(rest.len())
        };
        statements.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(end..).unwrap_or_default();
    }
    statements
}

/// Whether a statement's own body may hold semicolons: routines, and code without a name.
fn is_compound(tokens: &[Lexed<'_>]) -> bool {
    const BODIES: &[&str] = &["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"];
    const OTHERS: &[&str] = &[
        "TABLE",
        "VIEW",
        "INDEX",
        "DATABASE",
        "SCHEMA",
        "USER",
        "ROLE",
        "SERVER",
        "SEQUENCE",
        "TEMPORARY",
        "UNIQUE",
        "FULLTEXT",
        "SPATIAL",
        "TABLESPACE",
        "LOGFILE",
        "RESOURCE",
        "INSTANCE",
    ];
    let word = |at: usize, words: &[&str]| tokens.get(at).is_some_and(|t| words.iter().any(|word| t.is_word(word)));
    if word(0, &["CREATE", "ALTER"]) {
        let kinds = tokens.iter().skip(1).take_while(|token| !token.is_sign(";"));
        let kind = kinds.into_iter().find(|t| BODIES.iter().chain(OTHERS).any(|word| t.is_word(word)));
        return kind.is_some_and(|kind| BODIES.iter().any(|body| kind.is_word(body)));
    }
    let begins = word(0, &["BEGIN"]) && tokens.get(1).is_some_and(|t| !t.is_sign(";") && !t.is_word("WORK"));
    begins || word(0, &["IF", "CASE", "WHILE", "LOOP", "REPEAT", "FOR", "DECLARE"])
}

/// What a statement does to the meaning of those behind it in the same text.
enum Followed {
    /// Nothing, or `names` have been changed accordingly.
    Yes,
    /// Names may mean something else.
    Names,
    /// Text may be read another way: it has been split already.
    Lexer,
}

fn follow(effect: &Effect, names: &mut MysqlNames) -> Followed {
    match effect {
        Effect::Set { name, value: Setting::To(value), .. } if &**name == "database" => {
            names.database = Some(Arc::clone(value));
            Followed::Yes
        }
        Effect::Set { name, .. } if is_of_the_lexer(name) => Followed::Lexer,
        Effect::SetAll(settings) if settings.iter().any(|(name, _)| is_of_the_lexer(name)) => Followed::Lexer,
        Effect::ChangesCatalog | Effect::ChangesTemporary(_) => Followed::Names,
        Effect::None
        | Effect::Begin
        | Effect::Commit
        | Effect::Rollback
        | Effect::Savepoint
        | Effect::RollbackTo
        | Effect::Set { .. }
        | Effect::SetAll(_)
        | Effect::ResetAll
        | Effect::Prepare { .. }
        | Effect::Execute { .. }
        | Effect::Deallocate(_)
        | Effect::Declare { .. }
        | Effect::Fetch { .. }
        | Effect::CloseCursor(_)
        | Effect::DiscardAll
        | Effect::CopyOut
        | Effect::CopyIn
        | Effect::Kill { .. }
        | Effect::Inband(_) => Followed::Yes,
    }
}

fn is_of_the_lexer(setting: &str) -> bool {
    matches!(setting, "sql_mode" | "character_set_client")
}

/// Transactions, settings and the like: they mean the same under any names.
fn is_of_the_session(statement: &Statement) -> bool {
    statement.needs.is_empty() && statement.touches.is_empty() && !matches!(statement.effect, Effect::Execute { .. })
}

fn apart(why: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, "these statements cannot be sent in one text")
        .detail(format!("{why}, so the meaning of a later statement in the same text is not certain"))
        .hint("send the statements one at a time")
}
