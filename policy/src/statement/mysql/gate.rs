//! Our tokens as `sqlparser` wants them: it sees only keywords that mean the same to it as to the server.
//! Every other word it has to take for a name, and a name that is a reserved word is refused later, in `node`.
//! What comes out is for its ear alone; nothing of it is sent anywhere.

use sqlparser::{
    keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, Keyword},
    tokenizer::{Token, Word},
};

use super::{
    form::{Form, Forms},
    lexer::{Kind, Lexed},
    names::{Flavour, MysqlNames},
    refusal::unsupported,
    reserved::is_reserved,
};
use crate::statement::Refusal;

/// Marks an unquoted reserved word that is a function's name, as in `LEFT(a, 1)`. The marks are quotes that no name of
/// ours has at this point, and among the few that `sqlparser` can print.
pub(super) const FUNCTION_MARK: char = '"';
/// Marks a variable: `@a`, `@@a`.
pub(super) const VARIABLE_MARK: char = '[';

/// Keywords that `sqlparser` may see. Sorted.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "AGAINST", "ALL", "AND", "ANY", "AS", "ASC", "BETWEEN", "BIGINT", "BINARY", "BOOLEAN", "BOTH", "BY", "CASE", "CAST",
    "CHAR", "CHARACTER", "COLLATE", "COLUMNS", "CONVERT", "CROSS", "CURRENT", "DATE", "DATETIME", "DAY", 
    "DECIMAL", "DEFAULT", "DESC", "DISTINCT", "DIV", "DOUBLE", "ELSE",
    "EMPTY", "END", "ERROR", "ESCAPE", "EXCEPT", "EXISTS", "EXPANSION", "EXTRACT", "FALSE", "FIRST", "FLOAT",
    "FOLLOWING", "FOR", "FORCE", "FROM", "GROUP", "HAVING", "HOUR", 
    "IGNORE", "IN", "INDEX", "INNER", "INT", "INTEGER", "INTERSECT", "INTERVAL", "IS", "JOIN", "JSON", "JSON_TABLE",
    "KEY", "LANGUAGE", "LAST", "LATERAL", "LEADING", "LEFT", "LIKE", "LIMIT", "LOCKED", "MATCH", "MEDIUMTEXT",
    "MICROSECOND", "MINUTE", "MODE", "MONTH", "NATURAL", "NCHAR", "NESTED",
    "NOT", "NOWAIT", "NULL", "NUMERIC", "OF", "OFFSET", "ON", "OR", "ORDER", "ORDINALITY", "OUTER", "OVER",
    "PARTITION", "PATH", "POSITION", "PRECEDING", "QUARTER", "QUERY", "RANGE", "REAL", "RECURSIVE", "REGEXP", "RIGHT",
    "RLIKE", "ROLLUP", "ROW", "ROWS", "SECOND", "SELECT", "SEPARATOR", "SHARE", "SIGNED", "SKIP",
    "SMALLINT", "SOME", "STRAIGHT_JOIN", "SUBSTR", "SUBSTRING", "TABLE", "TEXT", "THEN", "TIME", "TIMESTAMP",
    "TINYINT", "TRAILING", "TRIM", "TRUE", "UNBOUNDED", "UNION", "UNKNOWN", "UNSIGNED", "UPDATE", "USE", "USING", "VALUES",
    "VARCHAR", "WEEK", "WHEN", "WHERE", "WINDOW", "WITH", "XOR", "YEAR", 
];

/// Of these, those that are names unless a parenthesis follows. Sorted.
const BEFORE_PARENTHESIS: &[&str] = &["CAST", "EXTRACT", "JSON_TABLE", "POSITION", "SUBSTR", "SUBSTRING", "TRIM"];

/// Reserved words, or keywords to `sqlparser`, that are functions when a parenthesis follows. Sorted.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "CHAR", "CUME_DIST", "CURRENT_DATE", "CURRENT_ROLE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "DATABASE",
    "DATE", "DAY", "DENSE_RANK", "FIRST_VALUE", "GROUPING", "HOUR", "IF", "INSERT", "LAG", "LAST_VALUE", "LEAD", "LEFT",
    "LOCALTIME", "LOCALTIMESTAMP", "MICROSECOND", "MINUTE", "MOD", "MONTH", "NTH_VALUE", "NTILE", "PERCENT_RANK",
    "QUARTER", "RANK", "REPEAT", "REPLACE", "RIGHT", "ROW_NUMBER", "SCHEMA", "SECOND", "TIME", "TIMESTAMP", "UTC_DATE",
    "UTC_TIME", "UTC_TIMESTAMP", "WEEK", "YEAR",
];

/// Units of INTERVAL and EXTRACT that are two. All are reserved.
const COMPOUND_UNITS: &[&str] = &[
    "DAY_HOUR",
    "DAY_MICROSECOND",
    "DAY_MINUTE",
    "DAY_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_MINUTE",
    "HOUR_SECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "SECOND_MICROSECOND",
    "YEAR_MONTH",
];

/// Functions without a parenthesis: constants of the moment. Sorted.
const MOMENTS: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// Words between SELECT and its list, in any order and with DISTINCT among them, that change nothing of what it means.
const MODIFIERS: &[&str] = &[
    "ALL",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

/// Character sets whose introducer may stand before a string.
const INTRODUCERS: &[&str] = &["_ascii", "_binary", "_latin1", "_utf8", "_utf8mb3", "_utf8mb4"];

/// Tokens for `sqlparser`, and beside each the number of ours that it came from.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The tokens.
    pub(super) tokens: Vec<Token>,
    /// Which of ours each is.
    pub(super) origin: Vec<usize>,
}

impl Heard {
    fn push(&mut self, origin: usize, token: Token) {
        self.tokens.push(token);
        self.origin.push(origin);
    }
}

/// Where in a statement the tokens stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere else.
    Plain,
    /// In ON DUPLICATE KEY UPDATE, where `VALUES(a)` is a function.
    OnDuplicate,
}

/// What `sqlparser` gets for `tokens`.
///
/// # Errors
/// When something in them means nothing the gate follows.
pub(super) fn heard(tokens: &[Lexed<'_>], names: &MysqlNames, place: Place) -> Result<Heard, Refusal> {
    let mut heard = Heard::default();
    let mut forms = Forms::of(tokens);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = tokens.get(at + 1..).unwrap_or_default();
        let mut taken = 1;
        match forms.at(tokens, at) {
            Some(Form::Silent(count)) => {
                at += count;
                continue;
            }
            Some(Form::Tokens(said)) => {
                said.into_iter().for_each(|said| heard.push(at, said));
                at += 1;
                continue;
            }
            None => {}
        }
        match &token.kind {
            Kind::Word if token.is_word("SELECT") => {
                heard.push(at, keyword("SELECT"));
                let options = rest.iter().take_while(|token| is_option(token, names.flavour)).count();
                if let Some(distinct) = rest.iter().take(options).position(is_distinct) {
                    heard.push(at + 1 + distinct, keyword("DISTINCT"));
                }
                taken += options;
            }
            Kind::Word if token.is_word("LOCK") && words(rest, &["IN", "SHARE", "MODE"]) => {
                heard.push(at, keyword("FOR"));
                heard.push(at, keyword("SHARE"));
                taken += 3;
            }
            Kind::Word if is_introducer(token) && is_constant(rest.first()) => {
                let text = rest.first().map(|text| text.raw.to_owned()).unwrap_or_default();
                heard.push(at, Token::HexStringLiteral(text));
                taken += 1;
            }
            Kind::Word if token.is_word("NOT") && names.sql_mode.high_not_precedence() && negates_bare(rest) => {
                heard.push(at, Token::Tilde);
            }
            Kind::Word => {
                let inserted = place == Place::OnDuplicate && (token.is_word("VALUES") || token.is_word("VALUE"));
                let called = rest.first().is_some_and(|next| next.is_sign("("));
                heard.push(
                    at,
                    if inserted && called { function(token.raw) } else { word(token, called, names.flavour) },
                );
            }
            Kind::Name(name) => heard.push(at, quoted(name, '`')),
            Kind::Text(text) => heard.push(at, Token::SingleQuotedString(text.clone())),
            Kind::Bits => heard.push(at, Token::HexStringLiteral(token.raw.to_owned())),
            Kind::Number => heard.push(at, Token::Number(token.raw.to_owned(), false)),
            Kind::Variable(name) => heard.push(at, quoted(&format!("@{name}"), VARIABLE_MARK)),
            Kind::System(name) => heard.push(at, quoted(&format!("@@{name}"), VARIABLE_MARK)),
            Kind::Parameter => heard.push(at, Token::Placeholder(token.at.to_string())),
            // It binds tighter than anything beside it, as `~` does; before a condition that stands alone it is NOT.
            Kind::Sign if token.is_sign("!") && !negates_condition(rest) => heard.push(at, Token::Tilde),
            Kind::Sign => heard.push(at, sign(token.raw, names)?),
        }
        at += taken;
    }
    Ok(heard)
}

/// Whether the parenthesis that `tokens` begin with is a condition of its own: nothing behind it binds tighter than NOT.
fn negates_condition(tokens: &[Lexed<'_>]) -> bool {
    let Some(first) = tokens.first() else { return false };
    if first.is_sign("!") {
        return negates_condition(tokens.get(1..).unwrap_or_default());
    }
    let call = first.kind == Kind::Word && tokens.get(1).is_some_and(|next| next.is_sign("("));
    let mut rest = tokens.iter().skip(usize::from(call));
    let mut depth = 0u32;
    for token in rest.by_ref() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            break;
        }
    }
    if !call && !first.is_sign("(") {
        return false;
    }
    const SIGNS: &[&str] = &[")", ",", ";", "&&", "||"];
    const WORDS: &[&str] = &[
        "AND", "OR", "THEN", "ELSE", "END", "WHEN", "FROM", "AS", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "WHERE",
    ];
    rest.next()
        .is_none_or(|next| SIGNS.iter().any(|sign| next.is_sign(sign)) || WORDS.iter().any(|word| next.is_word(word)))
}

/// Whether a NOT that binds as `!` does would bind otherwise than one that does not.
fn negates_bare(tokens: &[Lexed<'_>]) -> bool {
    // `a NOT IN (…)` and its like are operators.
    const OPERATORS: &[&str] = &["IN", "LIKE", "BETWEEN", "REGEXP", "RLIKE", "NULL", "TRUE", "FALSE", "UNKNOWN"];
    let operator = tokens.first().is_some_and(|first| OPERATORS.iter().any(|word| first.is_word(word)));
    !operator && !negates_condition(tokens)
}

/// Whether `token`, behind SELECT or another such word, is one of [`MODIFIERS`] or DISTINCT. MySQL 8 and newer know no
/// SQL_CACHE: there it is a name.
fn is_option(token: &Lexed<'_>, flavour: Flavour) -> bool {
    let cache = flavour == Flavour::MariaDb && token.is_word("SQL_CACHE");
    cache || is_distinct(token) || MODIFIERS.iter().any(|modifier| token.is_word(modifier))
}

fn is_distinct(token: &Lexed<'_>) -> bool {
    token.is_word("DISTINCT") || token.is_word("DISTINCTROW")
}

/// Whether `tokens` begin with these words.
pub(super) fn words(tokens: &[Lexed<'_>], expected: &[&str]) -> bool {
    tokens.len() >= expected.len() && tokens.iter().zip(expected).all(|(token, word)| token.is_word(word))
}

fn is_introducer(token: &Lexed<'_>) -> bool {
    INTRODUCERS.iter().any(|introducer| introducer.eq_ignore_ascii_case(token.raw))
}

fn is_constant(token: Option<&Lexed<'_>>) -> bool {
    token.is_some_and(|token| matches!(token.kind, Kind::Text(_) | Kind::Bits))
}

/// A keyword of [`KEYWORDS`].
pub(super) fn keyword(word: &str) -> Token {
    let keyword = ALL_KEYWORDS.binary_search(&word).ok().and_then(|at| ALL_KEYWORDS_INDEX.get(at).copied());
    Token::Word(Word { value: word.to_owned(), quote_style: None, keyword: keyword.unwrap_or(Keyword::NoKeyword) })
}

fn quoted(value: &str, mark: char) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: Some(mark), keyword: Keyword::NoKeyword })
}

/// A reserved word that is a function's name.
pub(super) fn function(name: &str) -> Token {
    quoted(name, FUNCTION_MARK)
}

fn word(token: &Lexed<'_>, called: bool, flavour: Flavour) -> Token {
    let upper = token.raw.to_ascii_uppercase();
    let has = |list: &[&str]| list.binary_search(&upper.as_str()).is_ok();
    if upper == "MOD" && !called {
        return Token::Mod;
    }
    if upper == "DISTINCTROW" {
        return keyword("DISTINCT");
    }
    if let Some(unit) = COMPOUND_UNITS.iter().find(|unit| upper == **unit) {
        // The parser knows single units only; which one it is changes nothing of what feeds the value.
        return keyword(unit.split('_').next().unwrap_or(unit));
    }
    // Where it is not reserved, it is a name.
    if (called && has(FUNCTIONS)) || (has(MOMENTS) && is_reserved(&upper, flavour)) {
        return function(token.raw);
    }
    if has(KEYWORDS) && (called || !has(BEFORE_PARENTHESIS)) {
        return match keyword(&upper) {
            // The text stays as it is: if it is taken for a name after all, its case may matter.
            Token::Word(word) => Token::Word(Word { value: token.raw.to_owned(), ..word }),
            other => other,
        };
    }
    Token::Word(Word { value: token.raw.to_owned(), quote_style: None, keyword: Keyword::NoKeyword })
}

fn sign(raw: &str, names: &MysqlNames) -> Result<Token, Refusal> {
    Ok(match raw {
        "<=>" => Token::Spaceship,
        "->>" => Token::LongArrow,
        "->" => Token::Arrow,
        "||" if names.sql_mode.pipes_as_concat() => Token::StringConcat,
        "||" => keyword("OR"),
        "&&" => keyword("AND"),
        "!" => keyword("NOT"),
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "<>" | "!=" => Token::Neq,
        ":=" => Token::Assignment,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "&" => Token::Ampersand,
        "|" => Token::Pipe,
        "^" => Token::Caret,
        "~" => Token::Tilde,
        "=" => Token::Eq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "(" => Token::LParen,
        ")" => Token::RParen,
        "," => Token::Comma,
        ";" => Token::SemiColon,
        "." => Token::Period,
        _ => return Err(unsupported(&format!("the sign {raw}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            testing::{catalog, names, outputs},
            understand,
        },
        *,
    };

    #[test]
    fn words_that_one_server_alone_reserves_are_names_to_the_other() {
        let catalog = catalog();
        let of = |flavour, text: &str| {
            understand(text, &catalog, &names("", flavour)).map(|understood| outputs(&understood.statements[0]))
        };
        const FED: &str = "x: shop.customers.email Copy";
        for (text, mysql, mariadb) in [
            ("SELECT CURRENT_ROLE x FROM (SELECT email AS `CURRENT_ROLE` FROM customers) t", FED, "x"),
            ("SELECT SQL_CACHE x FROM (SELECT email AS `SQL_CACHE`, 1 AS x FROM customers) t", FED, "x"),
            ("SELECT SQL_NO_CACHE x FROM (SELECT 1 AS `SQL_NO_CACHE`, email AS x FROM customers) t", FED, FED),
            ("SELECT DISTINCT SQL_NO_CACHE x FROM (SELECT 1 AS `SQL_NO_CACHE`, email AS x FROM customers) t", FED, FED),
            ("SELECT SQL_BUFFER_RESULT DISTINCTROW SQL_NO_CACHE email x FROM customers", FED, FED),
            ("SELECT CURRENT_TIMESTAMP x FROM (SELECT email AS `CURRENT_TIMESTAMP` FROM customers) t", "x", "x"),
        ] {
            assert_eq!(of(Flavour::MySql, text).as_deref(), Ok(mysql), "{text}");
            assert_eq!(of(Flavour::MariaDb, text).as_deref(), Ok(mariadb), "{text}");
        }
    }

    #[test]
    fn lists_are_sorted_and_the_parser_knows_the_keywords() {
        for list in [KEYWORDS, BEFORE_PARENTHESIS, FUNCTIONS, MOMENTS] {
            assert!(list.is_sorted());
        }
        for word in KEYWORDS {
            let Token::Word(heard) = keyword(word) else { panic!("a word") };
            assert!(heard.keyword != Keyword::NoKeyword, "{word}");
        }
    }
}
