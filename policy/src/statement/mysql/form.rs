//! Forms that `sqlparser` does not know, said to it in ones that it does, or not at all where they change nothing of
//! what feeds a value. Servers print many of them when they print a view.

use std::collections::BTreeMap;

use sqlparser::tokenizer::Token;

use super::{
    gate::{function, keyword, words},
    lexer::{Kind, Lexed},
    names::Flavour,
    reserved::is_reserved,
    tables,
};

/// What to say in a token's place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// Nothing, for so many tokens.
    Silent(usize),
    /// This.
    Tokens(Vec<Token>),
}

/// What is known of the tokens to come.
#[derive(Debug)]
pub(super) struct Forms {
    /// Lists of tables in parentheses, said as joins.
    lists: BTreeMap<usize, Form>,
    /// Where ODBC's braces end.
    braces: Vec<usize>,
    /// From where to where nothing is said.
    silent: Vec<(usize, usize)>,
    /// Whether the columns of a MATCH without parentheses are being listed.
    matching: bool,
}

impl Forms {
    /// Forms of `tokens`.
    pub(super) fn of(tokens: &[Lexed<'_>]) -> Self {
        Self { lists: tables::lists(tokens), braces: Vec::new(), silent: Vec::new(), matching: false }
    }

    /// What is said in place of the token at `at`, if it is not the token itself.
    pub(super) fn at(&mut self, tokens: &[Lexed<'_>], at: usize) -> Option<Form> {
        if let Some((_, to)) = self.silent.iter().find(|(from, to)| (*from..*to).contains(&at)) {
            return Some(Form::Silent(to - at));
        }
        if let Some(form) = self.lists.get(&at) {
            return Some(form.clone());
        }
        let rest = tokens.get(at + 1..).unwrap_or_default();
        if tokens.get(at)?.kind == Kind::Sign {
            return self.braces(tokens, at);
        }
        let token = tokens.get(at).filter(|token| token.kind == Kind::Word)?;
        let opens = rest.first().is_some_and(|next| next.is_sign("("));
        if token.is_word("MATCH") && !opens {
            self.matching = true;
            return Some(Form::Tokens(vec![keyword("MATCH"), Token::LParen]));
        }
        // The parser takes three tokens for a table's name, whatever they are.
        if token.is_word("TABLE") {
            return Some(Form::Tokens(vec![keyword("SELECT"), Token::Mul, keyword("FROM")]));
        }
        if token.is_word("AGAINST") && std::mem::take(&mut self.matching) {
            return Some(Form::Tokens(vec![Token::RParen, keyword("AGAINST")]));
        }
        // INTERVAL(n, a, b) counts; INTERVAL (n) DAY is a span of time.
        let lists = || top_level(rest).is_some_and(|(inside, _)| inside.iter().any(|(_, token)| token.is_sign(",")));
        if token.is_word("INTERVAL") && opens && lists() {
            return Some(Form::Tokens(vec![function(token.raw)]));
        }
        if token.is_word("MEMBER") && words(rest, &["OF"]) && rest.get(1).is_some_and(|next| next.is_sign("(")) {
            return Some(Form::Tokens(vec![keyword("MEMBER")]));
        }
        if token.is_word("JSON_VALUE") && opens {
            self.silence_clauses(rest, at + 1);
            return None;
        }
        if token.is_word("CHAR") && opens {
            self.silence_charset(rest, at + 1);
            return None;
        }
        // A comparison of sounds is one more condition that is not equality. `sounds` may be a column, too: the operator
        // stands behind a value.
        if token.is_word("SOUNDS")
            && words(rest, &["LIKE"])
            && at.checked_sub(1).is_some_and(|at| ends_value(tokens, at))
        {
            return Some(Form::Silent(1));
        }
        // The parser wants LIMIT before it.
        let separates = token.is_word("SEPARATOR") && matches!(rest.first()?.kind, Kind::Text(_));
        if separates && rest.get(1).is_some_and(|next| next.is_word("LIMIT")) {
            return Some(Form::Silent(2));
        }
        character_set(token, rest).map(Form::Silent)
    }

    /// ODBC's `{d '2020-01-01'}`, `{fn now()}` and `{oj a LEFT JOIN b ON …}`: a date is one of SQL's, the others are in
    /// parentheses.
    fn braces(&mut self, tokens: &[Lexed<'_>], at: usize) -> Option<Form> {
        if self.braces.last() == Some(&at) {
            self.braces.pop();
            return Some(Form::Tokens(vec![Token::RParen]));
        }
        let rest = tokens.get(at + 1..).unwrap_or_default();
        let (true, Some(word)) = (tokens.get(at)?.is_sign("{"), rest.first()) else { return None };
        let end = at + 1 + closing(rest)?;
        let dates = [("d", "DATE"), ("t", "TIME"), ("ts", "TIMESTAMP")];
        let said = match dates.iter().find(|(short, _)| word.is_word(short)) {
            Some((_, long)) if end == at + 3 && matches!(rest.get(1)?.kind, Kind::Text(_)) => keyword(long),
            None if word.is_word("fn") || word.is_word("oj") => Token::LParen,
            Some(_) | None => return None,
        };
        self.silent.push((at + 1, at + 2));
        let said = if said == Token::LParen { vec![said] } else { vec![Token::LParen, said] };
        self.braces.push(end);
        Some(Form::Tokens(said))
    }

    /// CHAR(n USING charset): the character set of the value.
    fn silence_charset(&mut self, rest: &[Lexed<'_>], start: usize) {
        let Some((inside, end)) = top_level(rest) else { return };
        if let [.., (from, using), (last, charset)] = inside.as_slice()
            && using.is_word("USING")
            && charset.kind == Kind::Word
            && (from + 1, last + 1) == (*last, end)
        {
            self.silent.push((start + from, start + end));
        }
    }

    /// RETURNING, ON EMPTY and ON ERROR of JSON_VALUE, whose parenthesis is the first of `rest`, say which type the
    /// value gets and what takes its place: a constant. They stand behind the document, a comma and a constant path.
    fn silence_clauses(&mut self, rest: &[Lexed<'_>], start: usize) {
        let Some((inside, end)) = top_level(rest) else { return };
        let Some(comma) = inside.iter().position(|(_, token)| token.is_sign(",")) else { return };
        let is_path = matches!(inside.get(comma + 1), Some((_, Lexed { kind: Kind::Text(_), .. })));
        let begins =
            |token: &Lexed<'_>| ["RETURNING", "NULL", "ERROR", "DEFAULT"].iter().any(|word| token.is_word(word));
        if let (true, Some((from, clause))) = (is_path, inside.get(comma + 2))
            && begins(clause)
            && rest.get(*from..end).is_some_and(|clauses| clauses.iter().all(is_plain))
        {
            self.silent.push((start + from, start + end));
        }
    }
}

/// How far the brace is that closes the one before `tokens`.
fn closing(tokens: &[Lexed<'_>]) -> Option<usize> {
    let mut depth = 0_u32;
    tokens.iter().position(|token| {
        if token.is_sign("{") {
            depth += 1;
        } else if token.is_sign("}") {
            depth = depth.wrapping_sub(1);
        }
        depth == u32::MAX
    })
}

/// Whether the token at `at` can be the last of a value.
fn ends_value(tokens: &[Lexed<'_>], at: usize) -> bool {
    let constant = |token: &Lexed<'_>| ["NULL", "TRUE", "FALSE"].iter().any(|word| token.is_word(word));
    tokens.get(at).is_some_and(|token| match token.kind {
        Kind::Name(_) | Kind::Text(_) | Kind::Number | Kind::Bits | Kind::Variable(_) | Kind::System(_) => true,
        Kind::Parameter => true,
        Kind::Sign => token.is_sign(")"),
        // Behind a point any word is a name.
        Kind::Word => {
            let reserved = [Flavour::MariaDb, Flavour::MySql].iter().any(|flavour| is_reserved(token.raw, *flavour));
            let named = at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|before| before.is_sign("."));
            named || constant(token) || !reserved
        }
    })
}

/// Words, numbers and texts: nothing a name could be in but as a word.
fn is_plain(token: &Lexed<'_>) -> bool {
    match token.kind {
        Kind::Word => !token.is_word("SELECT"),
        Kind::Number | Kind::Text(_) => true,
        Kind::Sign => ["(", ")", ",", "-", "+"].iter().any(|sign| token.is_sign(sign)),
        Kind::Name(_) | Kind::Bits | Kind::Variable(_) | Kind::System(_) | Kind::Parameter => false,
    }
}

/// The tokens of the parenthesis that `tokens` begin with, with their places, but for those in parentheses inside it;
/// and the place where it closes.
fn top_level<'t, 'x>(tokens: &'t [Lexed<'x>]) -> Option<(Vec<(usize, &'t Lexed<'x>)>, usize)> {
    let (mut depth, mut found) = (0_u32, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some((found, at));
            }
        } else if depth == 1 {
            found.push((at, token));
        }
    }
    None
}

/// How many tokens name the character set of a type: the value's affair. In CAST(a AS CHAR(10) CHARACTER SET utf8mb4) a
/// parenthesis follows, in a column of JSON_TABLE a PATH, with a collation before it.
fn character_set(token: &Lexed<'_>, rest: &[Lexed<'_>]) -> Option<usize> {
    let name = match () {
        () if token.is_word("CHARSET") => 0,
        () if token.is_word("CHARACTER") && words(rest, &["SET"]) => 1,
        () => return None,
    };
    let behind = rest.get(name + 1..).unwrap_or_default();
    if behind.first()?.is_sign(")") || behind.first()?.is_word("PATH") {
        return Some(name + 2);
    }
    (behind.first()?.is_word("COLLATE") && behind.get(2)?.is_word("PATH")).then_some(name + 4)
}
