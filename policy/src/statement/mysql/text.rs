//! A text with its statements: where each ends, and what the earlier ones do to the meaning of the later ones.
//! Says nothing about what a single statement needs.

use std::sync::Arc;

use super::{
    dispatch,
    identity::fingerprint,
    lexer::{Lexed, lex},
    names::MysqlNames,
};
use crate::{
    catalog::Catalog,
    statement::{Effect, Refusal, RefusalKind, Setting, Statement, Understood},
};

/// Understands all statements of `text`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub(super) fn understand(text: &str, catalog: &Catalog, names: &MysqlNames) -> Result<Understood, Refusal> {
    let tokens = lex(text, names)?;
    let mut names = names.clone();
    let mut statements: Vec<Statement> = Vec::new();
    let mut changed: Option<&'static str> = None;
    for tokens in split(&tokens) {
        let statement = dispatch::statement(text, tokens, catalog, &names)?;
        if let Some(why) = changed
            && !is_of_the_session(&statement)
        {
            return Err(apart(why));
        }
        if let Some(why) = follow(&statement.effect, &mut names) {
            if tokens_follow(text, tokens) && changes_the_lexer(&statement.effect) {
                return Err(apart(why));
            }
            changed = Some(why);
        }
        statements.push(statement);
    }
    let fingerprint = if statements.is_empty() { Arc::from("") } else { fingerprint(&tokens, &names) };
    Ok(Understood { statements, fingerprint })
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

/// Whether a statement's own body may hold semicolons.
fn is_compound(tokens: &[Lexed<'_>]) -> bool {
    let word = |at: usize, words: &[&str]| tokens.get(at).is_some_and(|t| words.iter().any(|word| t.is_word(word)));
    const BODIES: &[&str] = &["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"];
    if word(0, &["CREATE", "ALTER"]) {
        let head = tokens.iter().take(24).take_while(|token| !token.is_sign(";"));
        return head.skip(1).take_while(|t| !["TABLE", "VIEW"].iter().any(|w| t.is_word(w))).any(|t| {
            BODIES.iter().any(|body| t.is_word(body))
        });
    }
    let begins = word(0, &["BEGIN"]) && tokens.get(1).is_some_and(|t| !t.is_sign(";") && !t.is_word("WORK"));
    begins || word(0, &["IF", "CASE", "WHILE", "LOOP", "REPEAT", "FOR", "DECLARE"])
}

/// What `effect` does to the names of the statements behind it, in words, when that is not followed in one text.
fn follow(effect: &Effect, names: &mut MysqlNames) -> Option<&'static str> {
    match effect {
        Effect::Set { name, value: Setting::To(value), .. } if &**name == "database" => {
            names.database = Some(Arc::clone(value));
            None
        }
        Effect::Set { name, .. } => unfollowed(name),
        Effect::SetAll(settings) => settings.iter().find_map(|(name, _)| unfollowed(name)),
        Effect::ChangesCatalog => Some("an earlier statement changes what names mean"),
        Effect::None
        | Effect::Begin
        | Effect::Commit
        | Effect::Rollback
        | Effect::Savepoint
        | Effect::RollbackTo
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
        | Effect::Kill { .. } => None,
    }
}

const LEXER: &str = "an earlier statement changes how text is read";

fn unfollowed(setting: &str) -> Option<&'static str> {
    (setting == "sql_mode" || setting.starts_with("character_set_client")).then_some(LEXER)
}

fn changes_the_lexer(effect: &Effect) -> bool {
    match effect {
        Effect::Set { name, .. } => unfollowed(name).is_some(),
        Effect::SetAll(settings) => settings.iter().any(|(name, _)| unfollowed(name).is_some()),
        _ => false,
    }
}

fn tokens_follow(text: &str, tokens: &[Lexed<'_>]) -> bool {
    let end = tokens.last().map_or(0, |last| last.at + last.raw.len());
    text.get(end..).is_some_and(|rest| rest.bytes().any(|byte| byte != b';' && !super::lexer::is_space(byte)))
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
