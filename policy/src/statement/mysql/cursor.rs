//! A place in one statement's tokens: our recognisers step over it word by word, and hand expressions and queries to
//! `sqlparser`, which works on the same tokens. Understands nothing itself.

use sqlparser::{
    ast::{Expr, ObjectName, OrderByExpr, Query, SelectItem, SetExpr, TableWithJoins, With},
    dialect::MySqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Span, Token, TokenWithSpan},
};

use super::{
    constant,
    gate::{self, Heard, Place},
    lexer::{Kind, Lexed},
    names::{Flavour, MysqlNames},
    refusal::near,
};
use crate::{
    catalog::QualifiedName,
    statement::{Refusal, RefusalKind, literal},
};

/// Levels `sqlparser` may nest; the text is bounded before.
const RECURSION: usize = 600;

static DIALECT: MySqlDialect = MySqlDialect {};

/// A place in the tokens of one statement.
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: &'t [Lexed<'t>],
    at: usize,
    names: &'t MysqlNames,
    place: Place,
}

impl<'t> Cursor<'t> {
    /// At the first of `tokens`.
    pub(super) fn new(text: &'t str, tokens: &'t [Lexed<'t>], names: &'t MysqlNames) -> Self {
        Self { text, tokens, at: 0, names, place: Place::Plain }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The token `ahead` of the next one.
    pub(super) fn peek(&self, ahead: usize) -> Option<&'t Lexed<'t>> {
        self.tokens.get(self.at + ahead)
    }

    /// Everything from here on.
    pub(super) fn rest(&self) -> &'t [Lexed<'t>] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Option<&'t Lexed<'t>> {
        let token = self.peek(0);
        self.at += usize::from(token.is_some());
        token
    }

    /// Whether nothing is left.
    pub(super) fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Steps over `word` if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let here = self.peek(0).is_some_and(|token| token.is_word(word));
        self.at += usize::from(here);
        here
    }

    /// Steps over all of `words`, or none.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let here = words.iter().enumerate().all(|(ahead, word)| self.peek(ahead).is_some_and(|t| t.is_word(word)));
        if here {
            self.at += words.len();
        }
        here
    }

    /// Steps over one of `words` and says which.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().find(|word| self.word(word)).copied()
    }

    /// Steps over `sign` if it is next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let here = self.peek(0).is_some_and(|token| token.is_sign(sign));
        self.at += usize::from(here);
        here
    }

    /// Steps over `word`.
    ///
    /// # Errors
    /// When something else is next.
    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.word(word) { Ok(()) } else { Err(self.here()) }
    }

    /// Steps over `sign`.
    ///
    /// # Errors
    /// When something else is next.
    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.sign(sign) { Ok(()) } else { Err(self.here()) }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        if self.done() { Ok(()) } else { Err(self.here()) }
    }

    /// A syntax error at this place.
    pub(super) fn here(&self) -> Refusal {
        let at = self.peek(0).map_or(self.text.len(), |token| token.at);
        near(self.text, at)
    }

    /// A name, quoted or not.
    ///
    /// # Errors
    /// When none is next.
    pub(super) fn name(&mut self) -> Result<String, Refusal> {
        let name = match self.peek(0) {
            Some(Lexed { kind: Kind::Name(name), .. }) => name.clone(),
            Some(token) if token.kind == Kind::Word && !super::reserved::is_reserved(token.raw, self.names.flavour) => {
                token.raw.to_owned()
            }
            _ => return Err(self.here()),
        };
        self.at += 1;
        Ok(name)
    }

    /// `name` or `database.name`.
    ///
    /// # Errors
    /// When none is next, or it has no database and none is chosen.
    pub(super) fn qualified(&mut self) -> Result<QualifiedName, Refusal> {
        let first = self.name()?;
        if self.sign(".") {
            return Ok(QualifiedName::new(first, self.name()?));
        }
        match &self.names.database {
            Some(database) => Ok(QualifiedName::new(database, first)),
            None => Err(no_database()),
        }
    }

    /// A string constant.
    ///
    /// # Errors
    /// When none is next.
    pub(super) fn string(&mut self) -> Result<String, Refusal> {
        match self.peek(0) {
            Some(Lexed { kind: Kind::Text(text), at, .. }) => {
                literal::read(Some(*at));
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.here()),
        }
    }

    /// Steps over a parenthesis and all that is in it.
    ///
    /// # Errors
    /// When none is next, or it is not closed.
    pub(super) fn parenthesis(&mut self) -> Result<&'t [Lexed<'t>], Refusal> {
        self.expect_sign("(")?;
        let from = self.at;
        let mut depth = 1u32;
        while let Some(token) = self.next() {
            if token.is_sign("(") {
                depth += 1;
            } else if token.is_sign(")") {
                depth -= 1;
                if depth == 0 {
                    return Ok(self.tokens.get(from..self.at - 1).unwrap_or_default());
                }
            }
        }
        Err(self.here())
    }

    /// Another cursor over `tokens` of the same text.
    pub(super) fn over(&self, tokens: &'t [Lexed<'t>]) -> Self {
        Self { text: self.text, tokens, at: 0, names: self.names, place: self.place }
    }

    /// The same in ON DUPLICATE KEY UPDATE.
    pub(super) fn on_duplicate(self) -> Self {
        Self { place: Place::OnDuplicate, ..self }
    }

    /// Steps up to the first of `words` outside parentheses, or to the end.
    pub(super) fn until(&mut self, words: &[&str]) -> Self {
        let mut depth = 0u32;
        let from = self.at;
        while let Some(token) = self.peek(0) {
            if token.is_sign("(") {
                depth += 1;
            } else if token.is_sign(")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && words.iter().any(|word| token.is_word(word)) {
                break;
            }
            self.at += 1;
        }
        self.over(self.tokens.get(from..self.at).unwrap_or_default())
    }

    /// Lets `sqlparser` read from here and steps over what it took.
    fn parsed<T>(&mut self, read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T, Refusal> {
        let Heard { tokens, origin } = gate::heard(self.rest(), self.names, self.place)?;
        let located = tokens.into_iter().zip(&origin).map(|(token, from)| TokenWithSpan {
            token,
            span: self.rest().get(*from).map_or_else(Span::empty, constant::span),
        });
        let parser = Parser::new(&DIALECT).with_recursion_limit(RECURSION);
        let mut parser = parser.with_tokens_with_locations(located.collect());
        let result = read(&mut parser);
        let taken = origin.get(parser.index()).copied().unwrap_or(self.rest().len());
        match result {
            Ok(value) => {
                self.at += taken;
                Ok(value)
            }
            Err(ParserError::RecursionLimitExceeded) => {
                Err(Refusal::new(RefusalKind::TooComplex, "statement nests too deep").hint("split the statement"))
            }
            Err(ParserError::TokenizerError(_) | ParserError::ParserError(_)) => {
                let at = self.peek(taken.saturating_sub(1)).map_or(self.text.len(), |token| token.at);
                Err(near(self.text, at))
            }
        }
    }

    /// An expression.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn expression(&mut self) -> Result<Expr, Refusal> {
        let from = self.at;
        let mut item = self.item();
        let parsed = item.parsed(|parser| parser.parse_expr());
        self.at = from + item.at;
        parsed
    }

    /// The tokens up to the comma or parenthesis that ends an item of a list: what follows is nothing to it, and would be
    /// translated again for each item.
    fn item(&self) -> Self {
        let mut depth = 0u32;
        let ends = |token: &Lexed<'_>| {
            match token.raw {
                "(" if token.is_sign("(") => depth += 1,
                ")" if token.is_sign(")") && depth == 0 => return true,
                ")" if token.is_sign(")") => depth -= 1,
                "," if token.is_sign(",") && depth == 0 => return true,
                _ => {}
            }
            false
        };
        let rest = self.rest();
        let end = rest.iter().position(ends).unwrap_or(rest.len());
        self.over(rest.get(..end).unwrap_or_default())
    }

    /// A query: WITH, SELECT, TABLE, VALUES, set operations.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn query(&mut self) -> Result<Box<Query>, Refusal> {
        self.parsed(|parser| parser.parse_query())
    }

    /// The query whose rows are inserted. MariaDB reserves RETURNING, so behind a table it is no alias.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn inserted(&mut self) -> Result<Box<Query>, Refusal> {
        let words: &[&str] = match self.names.flavour {
            Flavour::MariaDb => &["RETURNING"],
            Flavour::MySql => &[],
        };
        let from = self.at;
        let mut clause = self.until(words);
        let query = clause.query()?;
        self.at = from + clause.at;
        Ok(query)
    }

    /// The list of WITH, up to the end.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn with_list(&mut self) -> Result<With, Refusal> {
        let Heard { mut tokens, .. } = gate::heard(self.rest(), self.names, self.place)?;
        tokens.extend([gate::keyword("SELECT"), Token::Number("1".to_owned(), false)]);
        let mut parser = Parser::new(&DIALECT).with_recursion_limit(RECURSION).with_tokens(tokens);
        let parsed = parser.parse_query().map_err(|_| self.here())?;
        match (*parsed.body, parsed.with, parser.peek_token_ref().token == Token::EOF) {
            (SetExpr::Select(select), Some(with), true) if select.from.is_empty() => Ok(with),
            _ => Err(self.here()),
        }
    }

    /// The rows of VALUES.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn rows(&mut self) -> Result<Vec<Vec<Expr>>, Refusal> {
        self.parsed(|parser| {
            parser.parse_comma_separated(|parser| {
                parser.expect_token(&Token::LParen)?;
                let row = match parser.peek_token_ref().token {
                    Token::RParen => Vec::new(),
                    _ => parser.parse_comma_separated(Parser::parse_expr)?,
                };
                parser.expect_token(&Token::RParen)?;
                Ok(row)
            })
        })
    }

    /// The assignments of SET.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn assignments(&mut self) -> Result<Vec<(ObjectName, Expr)>, Refusal> {
        self.parsed(|parser| {
            parser.parse_comma_separated(|parser| {
                let name = parser.parse_object_name(false)?;
                if !parser.consume_token(&Token::Eq) {
                    parser.expect_token(&Token::Assignment)?;
                }
                Ok((name, parser.parse_expr()?))
            })
        })
    }

    /// A list of FROM items.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn tables(&mut self) -> Result<Vec<TableWithJoins>, Refusal> {
        self.parsed(|parser| parser.parse_comma_separated(Parser::parse_table_and_joins))
    }

    /// A select list.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn projection(&mut self) -> Result<Vec<SelectItem>, Refusal> {
        self.parsed(|parser| parser.parse_comma_separated(Parser::parse_select_item))
    }

    /// The list of ORDER BY.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn order(&mut self) -> Result<Vec<OrderByExpr>, Refusal> {
        self.parsed(|parser| parser.parse_comma_separated(Parser::parse_order_by_expr))
    }

    /// Expressions with commas between them, up to the end of `tokens`.
    ///
    /// # Errors
    /// A syntax error.
    pub(super) fn expressions(&mut self) -> Result<Vec<Expr>, Refusal> {
        self.parsed(|parser| {
            if parser.peek_token_ref().token == Token::EOF {
                return Ok(Vec::new());
            }
            parser.parse_comma_separated(Parser::parse_expr)
        })
    }
}

/// `No database selected`.
pub(super) fn no_database() -> Refusal {
    Refusal::new(RefusalKind::UnknownRelation, "no database selected").hint("USE shop, or write shop.orders")
}
