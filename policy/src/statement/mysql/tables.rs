//! Lists of tables in parentheses, `FROM (a, b JOIN c ON …)`, which `sqlparser` does not know, said as joins, and
//! parentheses around one table, not said at all. A part that joins keeps to itself, as what its ON sees is only its own.

use std::collections::BTreeMap;

use sqlparser::tokenizer::Token;

use super::{form::Form, gate::keyword, lexer::Lexed};

/// Words with which a clause behind FROM, or another query, begins.
const ENDS: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "SELECT",
    "SET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "FOR",
    "LOCK",
    "WINDOW",
    "VALUES",
];
/// Of these, those that tell a query in parentheses from a list of tables.
const OF_QUERIES: &[&str] = &["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "SELECT", "VALUES"];
const JOINS: &[&str] = &["JOIN", "STRAIGHT_JOIN"];

/// What stands between one parenthesis and its end.
#[derive(Debug, Default)]
struct Level {
    /// Where it opens, if tables stand in it.
    opens: Option<usize>,
    /// Whether commas separate tables.
    in_from: bool,
    /// Commas between its tables.
    commas: Vec<usize>,
    /// The parts that join, by their number.
    joining: Vec<usize>,
    /// It is a query after all.
    query: bool,
}

/// What to say in place of tokens, by their place.
pub(super) fn lists(tokens: &[Lexed<'_>]) -> BTreeMap<usize, Form> {
    let mut said = BTreeMap::new();
    let opens_list = |at: &usize| {
        let before = at.checked_sub(1);
        tokens.get(*at).is_some_and(|token| token.is_sign("("))
            && before.is_some_and(|before| before_table(tokens, before) || is_sign(tokens, before, ","))
    };
    if !(0..tokens.len()).any(|at| opens_list(&at)) {
        return said;
    }
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for (at, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            let listed = at.checked_sub(1).is_some_and(|before| {
                before_table(tokens, before)
                    || (is_sign(tokens, before, ",") && level.in_from)
                    || (is_sign(tokens, before, "(") && level.opens == Some(before))
            });
            let tables = listed && !tokens.get(at + 1).is_some_and(begins_query);
            let inner = Level { opens: tables.then_some(at), in_from: tables, ..Level::default() };
            outer.push(std::mem::replace(&mut level, inner));
        } else if token.is_sign(")") {
            let closed = std::mem::replace(&mut level, outer.pop().unwrap_or_default());
            close(&closed, at, tokens, &mut said);
        } else if token.is_sign(",") && level.opens.is_some() {
            level.commas.push(at);
        } else if of_hint(tokens, at) {
            // It says which use of an index is meant.
        } else if JOINS.iter().any(|word| token.is_word(word)) {
            level.joining.push(level.commas.len());
        } else if token.is_word("FROM") {
            level.in_from = true;
        } else if ENDS.iter().any(|word| token.is_word(word)) {
            level.in_from = false;
            level.query |= OF_QUERIES.iter().any(|word| token.is_word(word));
        }
    }
    said
}

fn before_table(tokens: &[Lexed<'_>], at: usize) -> bool {
    let word = |token: &Lexed<'_>| token.is_word("FROM") || JOINS.iter().any(|word| token.is_word(word));
    tokens.get(at).is_some_and(word) && !of_hint(tokens, at)
}

fn is_sign(tokens: &[Lexed<'_>], at: usize, sign: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.is_sign(sign))
}

/// Whether it is a word of `USE INDEX FOR JOIN (…)` and its like.
fn of_hint(tokens: &[Lexed<'_>], at: usize) -> bool {
    let word = |back: usize, words: &[&str]| {
        let token = at.checked_sub(back).and_then(|at| tokens.get(at));
        token.is_some_and(|token| words.iter().any(|word| token.is_word(word)))
    };
    let index = ["INDEX", "KEY"];
    (word(0, &["FOR"]) && word(1, &index)) || (word(1, &["FOR"]) && word(2, &index))
}

fn begins_query(token: &Lexed<'_>) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| token.is_word(word))
}

/// The parenthesis `level` closes at `end`.
fn close(level: &Level, end: usize, tokens: &[Lexed<'_>], said: &mut BTreeMap<usize, Form>) {
    let Some(opens) = level.opens.filter(|_| !level.query) else { return };
    if level.commas.is_empty() {
        let bare = level.joining.is_empty() && !tokens.get(opens + 1).is_some_and(|first| first.is_sign("("));
        if bare {
            said.insert(opens, Form::Silent(1));
            said.insert(end, Form::Silent(1));
        }
        return;
    }
    // The first part needs no parentheses: joins are read from the left.
    let alone = |part: usize| part > 0 && level.joining.contains(&part);
    for (part, comma) in level.commas.iter().enumerate() {
        let mut tokens = Vec::new();
        if alone(part) {
            tokens.push(Token::RParen);
        }
        tokens.extend([keyword("CROSS"), keyword("JOIN")]);
        if alone(part + 1) {
            tokens.push(Token::LParen);
        }
        said.insert(*comma, Form::Tokens(tokens));
    }
    if alone(level.commas.len()) {
        said.insert(end, Form::Tokens(vec![Token::RParen, Token::RParen]));
    }
}
