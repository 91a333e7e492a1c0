//! Queries and calls that name the schema `hallpass`: read into what the proxy is asked. Whatever names that schema in
//! another form is refused, here or where relations and functions are looked up.

use std::sync::Arc;

use super::{
    cursor::Cursor,
    dispatch::Draft,
    lexer::{Kind, Lexed},
};
use crate::statement::{
    Effect, Outputs, Refusal,
    inband::{Call, Condition, Form, Inband, Query, SCHEMA, Selected, Sort, Test, Value, View, unanswerable},
};

/// Behind CALL: a procedure of the proxy; `None` when it is another.
///
/// # Errors
/// When the proxy has no such procedure, or not with such arguments.
pub(super) fn call(cursor: &mut Cursor<'_>) -> Result<Option<Draft>, Refusal> {
    if !is_schema(cursor.rest()) {
        return Ok(None);
    }
    let mut read = Reader { cursor, view: View::Session, called: String::new(), parameters: 0 };
    let call = read.call(|_| Form::Row)?;
    cursor.end()?;
    Ok(Some(draft("CALL", Inband::Call(call))))
}

/// A SELECT that asks the proxy; `None` when it asks the server.
///
/// # Errors
/// When it names the schema in a form that the proxy does not answer.
pub(super) fn select(cursor: &mut Cursor<'_>) -> Result<Option<Draft>, Refusal> {
    let rest = cursor.rest();
    if !rest.first().is_some_and(|token| token.is_word("SELECT")) {
        return Ok(None);
    }
    let from = from_of(rest).map(|at| rest.get(at + 1..).unwrap_or_default());
    let is_call = is_schema(rest.get(1..).unwrap_or_default()) && rest.get(4).is_some_and(|token| token.is_sign("("));
    let inband = match from {
        Some(from) if is_schema(from) => {
            cursor.next();
            let view = View::named(&word_of(from.get(2)).unwrap_or_default())?;
            let called = match from.get(3..) {
                Some([word, name, ..]) if word.is_word("AS") => word_of(Some(name)).unwrap_or_default(),
                Some([name, ..]) if !is_clause(name) => word_of(Some(name)).unwrap_or_default(),
                _ => view.name().to_owned(),
            };
            Inband::Query(Reader { cursor, view, called, parameters: 0 }.query()?)
        }
        None if is_call => {
            cursor.next();
            let mut read = Reader { cursor, view: View::Session, called: String::new(), parameters: 0 };
            let call = read.call(|alias| Form::Scalar(alias.into()))?;
            Inband::Call(call)
        }
        Some(_) | None => return Ok(None),
    };
    if !cursor.done() {
        return Err(unanswerable("what stands behind this"));
    }
    Ok(Some(draft("SELECT", inband)))
}

fn draft(verb: &'static str, inband: Inband) -> Draft {
    Draft::of(verb).outputs(Outputs::Server).effect(Effect::Inband(Box::new(inband)))
}

/// Whether `hallpass.` and a name begin here.
fn is_schema(tokens: &[Lexed<'_>]) -> bool {
    let [schema, dot, name, ..] = tokens else { return false };
    word_of(Some(schema)).is_some_and(|word| word == SCHEMA) && dot.is_sign(".") && word_of(Some(name)).is_some()
}

/// A name in lower case: names of the schema have no case.
fn word_of(token: Option<&Lexed<'_>>) -> Option<String> {
    let token = token?;
    match &token.kind {
        Kind::Word => Some(token.raw.to_ascii_lowercase()),
        Kind::Name(name) => Some(name.to_ascii_lowercase()),
        Kind::Text(_)
        | Kind::Bits
        | Kind::Number
        | Kind::Variable(_)
        | Kind::System(_)
        | Kind::Parameter
        | Kind::Sign => None,
    }
}

fn is_clause(token: &Lexed<'_>) -> bool {
    token.kind == Kind::Sign
        || ["WHERE", "ORDER", "LIMIT", "GROUP", "HAVING", "JOIN", "FOR", "UNION", "INNER", "LEFT", "CROSS", "NATURAL"]
            .iter()
            .any(|word| token.is_word(word))
}

/// Where FROM stands outside parentheses.
fn from_of(tokens: &[Lexed<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        depth = match token.raw {
            "(" if token.kind == Kind::Sign => depth + 1,
            ")" if token.kind == Kind::Sign => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && token.is_word("FROM")
    })
}

/// Reads a question from left to right, as parameters are counted.
struct Reader<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    view: View,
    called: String,
    parameters: usize,
}

impl Reader<'_, '_> {
    fn name(&mut self) -> Result<String, Refusal> {
        word_of(self.cursor.next()).ok_or_else(|| unanswerable("this name"))
    }

    /// `[AS] alias`, if one is next.
    fn alias(&mut self) -> Result<Option<String>, Refusal> {
        if self.cursor.word("AS") {
            let token = self.cursor.next().ok_or_else(|| self.cursor.here())?;
            return match &token.kind {
                Kind::Word => Ok(Some(token.raw.to_owned())),
                Kind::Name(name) | Kind::Text(name) => Ok(Some(name.clone())),
                _ => Err(unanswerable("this alias")),
            };
        }
        match self.cursor.peek(0) {
            Some(token) if !token.is_word("FROM") && !is_clause(token) => match &token.kind {
                Kind::Word => {
                    self.cursor.next();
                    Ok(Some(token.raw.to_owned()))
                }
                Kind::Name(name) | Kind::Text(name) => {
                    self.cursor.next();
                    Ok(Some(name.clone()))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// `hallpass.name(…) [alias]`
    fn call(&mut self, form: impl FnOnce(&str) -> Form) -> Result<Call, Refusal> {
        self.name()?;
        self.cursor.expect_sign(".")?;
        let name = self.name()?;
        self.cursor.expect_sign("(")?;
        let mut arguments = Vec::new();
        while !self.cursor.sign(")") {
            if !arguments.is_empty() {
                self.cursor.expect_sign(",")?;
            }
            arguments.push(self.value()?);
        }
        let alias = self.alias()?;
        let form = form(alias.as_deref().unwrap_or(&name));
        Call::new(&name, arguments, form)
    }

    fn query(&mut self) -> Result<Query, Refusal> {
        let mut selected = Vec::new();
        loop {
            self.item(&mut selected)?;
            if !self.cursor.sign(",") {
                break;
            }
        }
        let counts = selected.iter().filter(|one| matches!(one, Selected::Count(_))).count();
        if counts > 0 && counts < selected.len() {
            return Err(unanswerable("this select list"));
        }
        if !self.cursor.word("FROM") {
            return Err(unanswerable("an expression in the select list"));
        }
        self.name()?;
        self.cursor.expect_sign(".")?;
        self.name()?;
        self.alias()?;
        let mut query = Query { selected, ..Query::all(self.view) };
        if self.cursor.word("WHERE") {
            query.condition = Some(self.any()?);
        }
        if self.cursor.words(&["ORDER", "BY"]) {
            loop {
                query.order.push(self.sort(&query.selected)?);
                if !self.cursor.sign(",") {
                    break;
                }
            }
        }
        if self.cursor.word("LIMIT") {
            let first = self.value()?;
            if self.cursor.sign(",") {
                (query.offset, query.limit) = (Some(first), Some(self.value()?));
            } else {
                query.limit = Some(first);
                if self.cursor.word("OFFSET") {
                    query.offset = Some(self.value()?);
                }
            }
        }
        Ok(query)
    }

    /// One thing of the select list.
    fn item(&mut self, selected: &mut Vec<Selected>) -> Result<(), Refusal> {
        let star = |at: usize| self.cursor.peek(at).is_some_and(|token| token.is_sign("*"));
        if star(0) || (self.cursor.peek(1).is_some_and(|token| token.is_sign(".")) && star(2)) {
            if !star(0) {
                let table = self.name()?;
                self.cursor.next();
                self.is_ours(&table)?;
            }
            self.cursor.next();
            selected.extend(Query::all(self.view).selected);
            return Ok(());
        }
        if self.cursor.peek(0).is_some_and(|token| token.is_word("COUNT")) {
            self.cursor.next();
            let counts = self.cursor.sign("(") && self.cursor.sign("*") && self.cursor.sign(")");
            if !counts {
                return Err(unanswerable("an expression in the select list"));
            }
            let name: Arc<str> = self.alias()?.unwrap_or_else(|| "count(*)".to_owned()).into();
            selected.push(Selected::Count(name));
            return Ok(());
        }
        let place = self.column()?;
        let own = self.view.columns().get(place).map_or("", |column| column.name);
        let name: Arc<str> = self.alias()?.map_or_else(|| own.into(), Into::into);
        selected.push(Selected::Column(place, name));
        Ok(())
    }

    fn is_ours(&self, table: &str) -> Result<(), Refusal> {
        if table == self.called { Ok(()) } else { Err(unanswerable("a column of another table")) }
    }

    /// A column, perhaps behind its table.
    fn column(&mut self) -> Result<usize, Refusal> {
        let first = self.name()?;
        if self.cursor.peek(0).is_some_and(|token| token.is_sign("(")) {
            return Err(unanswerable("an expression of a column"));
        }
        if !self.cursor.sign(".") {
            return self.view.column(&first);
        }
        let second = self.name()?;
        if !self.cursor.sign(".") {
            self.is_ours(&first)?;
            return self.view.column(&second);
        }
        if first != SCHEMA || second != self.view.name() {
            return Err(unanswerable("a column of another table"));
        }
        let third = self.name()?;
        self.view.column(&third)
    }

    fn any(&mut self) -> Result<Condition, Refusal> {
        let mut parts = vec![self.all()?];
        while self.cursor.word("OR") || self.cursor.sign("||") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, Refusal> {
        let mut parts = vec![self.one()?];
        while self.cursor.word("AND") || self.cursor.sign("&&") {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, Refusal> {
        if self.cursor.word("NOT") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.cursor.sign("(") {
            let inner = self.any()?;
            self.cursor.expect_sign(")")?;
            return Ok(inner);
        }
        let is_column = self.cursor.peek(0).is_some_and(|token| {
            matches!(token.kind, Kind::Word | Kind::Name(_))
                && !["NULL", "TRUE", "FALSE"].iter().any(|w| token.is_word(w))
        });
        if !is_column {
            let value = self.value()?;
            let test = self.test()?;
            let column = self.column()?;
            return Ok(Condition::Compare(column, test.turned(), value));
        }
        let column = self.column()?;
        if self.cursor.word("IS") {
            let not = self.cursor.word("NOT");
            self.cursor.expect_word("NULL")?;
            let null = Condition::IsNull(column);
            return Ok(if not { Condition::Not(Box::new(null)) } else { null });
        }
        let not = self.cursor.word("NOT");
        if self.cursor.word("IN") {
            self.cursor.expect_sign("(")?;
            let mut any = Vec::new();
            loop {
                any.push(Condition::Compare(column, Test::Equal, self.value()?));
                if self.cursor.sign(")") {
                    break;
                }
                self.cursor.expect_sign(",")?;
            }
            let any = Condition::Any(any);
            return Ok(if not { Condition::Not(Box::new(any)) } else { any });
        }
        let compared = self.cursor.peek(0).is_some_and(|token| Test::named(token.raw).is_some());
        match (not, compared) {
            (false, true) => Ok(Condition::Compare(column, self.test()?, self.value()?)),
            (false, false) if self.cursor.peek(0).is_none_or(ends_condition) => Ok(Condition::IsTrue(column)),
            _ => Err(unanswerable("this condition")),
        }
    }

    fn test(&mut self) -> Result<Test, Refusal> {
        let token = self.cursor.next().filter(|token| token.kind == Kind::Sign);
        token.and_then(|token| Test::named(token.raw)).ok_or_else(|| unanswerable("this operator"))
    }

    fn sort(&mut self, selected: &[Selected]) -> Result<Sort, Refusal> {
        let column = match self.cursor.peek(0) {
            Some(token) if token.kind == Kind::Number => {
                let place = self.cursor.next().and_then(|token| token.raw.parse::<usize>().ok());
                match place.and_then(|place| selected.get(place.checked_sub(1)?)) {
                    Some(Selected::Column(place, _)) => *place,
                    Some(Selected::Count(_)) | None => return Err(unanswerable("this ORDER BY")),
                }
            }
            _ => self.column()?,
        };
        let descending = self.cursor.one_of(&["ASC", "DESC"]) == Some("DESC");
        Ok(Sort { column, descending })
    }

    /// A constant or parameter.
    fn value(&mut self) -> Result<Value, Refusal> {
        let no_constant = || unanswerable("anything but a constant or a parameter as a value");
        let minus = self.cursor.sign("-");
        let token = self.cursor.next().ok_or_else(no_constant)?;
        let value = match &token.kind {
            Kind::Number => {
                let number: i64 = token.raw.parse().map_err(|_| no_constant())?;
                return Ok(Value::Integer(if minus { -number } else { number }));
            }
            Kind::Text(text) => {
                // Constants that stand side by side are one.
                let mut text = text.clone();
                while let Some(Kind::Text(more)) = self.cursor.peek(0).map(|token| &token.kind) {
                    text.push_str(more);
                    self.cursor.next();
                }
                Value::Text(text.into())
            }
            Kind::Parameter => {
                self.parameters += 1;
                Value::Parameter(self.parameters - 1)
            }
            Kind::Word if token.is_word("NULL") => Value::Null,
            Kind::Word if token.is_word("TRUE") => Value::Boolean(true),
            Kind::Word if token.is_word("FALSE") => Value::Boolean(false),
            Kind::Word | Kind::Name(_) | Kind::Bits | Kind::Variable(_) | Kind::System(_) | Kind::Sign => {
                return Err(no_constant());
            }
        };
        if minus { Err(no_constant()) } else { Ok(value) }
    }
}

fn one_or(mut parts: Vec<Condition>, several: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { several(parts) }
}

fn ends_condition(token: &Lexed<'_>) -> bool {
    token.is_sign(")") || ["AND", "OR", "ORDER", "LIMIT"].iter().any(|word| token.is_word(word))
}

#[cfg(test)]
mod tests {
    use super::super::{MysqlNames, understand};
    use crate::{
        catalog::Catalog,
        statement::{
            Effect,
            inband::{Inband, Kind, Told},
        },
    };

    fn read(text: &str) -> Result<Inband, String> {
        let understood = understand(text, &Catalog::default(), &MysqlNames::default());
        let statement = understood.map_err(|refusal| refusal.message)?.statements.remove(0);
        assert!(statement.needs.is_empty(), "{text}");
        match statement.effect {
            Effect::Inband(inband) => Ok(*inband),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn queries_and_calls_are_read() {
        for text in [
            "SELECT * FROM hallpass.grants",
            "select id, state as s from hallpass.grants g where g.state = 'active' and ends > ? order by 1 desc limit 5",
            "SELECT COUNT(*) FROM `hallpass`.`requests` WHERE state IN ('pending', 'approved') OR role IS NOT NULL",
            "SELECT hallpass.grants.id FROM hallpass.grants WHERE NOT export LIMIT 1, 2",
            "SELECT g.* FROM hallpass.grants AS g WHERE (7 = id OR unmask) AND role <> 'x'",
            "CALL hallpass.request('fixer', '1 hour', 'INC-1234 stuck order')",
            "CALL hallpass.request(?, ?, ?)",
            "SELECT hallpass.wait(17, '5 min') AS w",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn what_is_told_is_known_beforehand() {
        let told = |text: &str| read(text).unwrap().columns();
        let one = |name: &str, kind| vec![Told { name: name.into(), kind }];
        assert_eq!(told("SELECT hallpass.request('a', 'b', 'c')"), one("request", Kind::Integer));
        assert_eq!(told("SELECT hallpass.wait(1) w"), one("w", Kind::Text));
        assert_eq!(told("CALL hallpass.cancel(1)").len(), 5);
        let asked = read("SELECT id FROM hallpass.grants WHERE id = ? AND role = ? LIMIT ?").unwrap();
        assert_eq!(asked.parameters(), [Kind::Integer, Kind::Text, Kind::Integer]);
    }

    #[test]
    fn other_forms_are_refused_in_words() {
        for (text, said) in [
            ("SELECT * FROM hallpass.grant_list", "relation \"hallpass.grant_list\" does not exist"),
            ("SELECT nothing FROM hallpass.grants", "column \"nothing\" of hallpass.grants does not exist"),
            (
                "SELECT lower(role) FROM hallpass.grants",
                "an expression of a column is not supported in the schema hallpass",
            ),
            (
                "SELECT * FROM hallpass.grants FOR UPDATE",
                "what stands behind this is not supported in the schema hallpass",
            ),
            (
                "SELECT * FROM hallpass.grants, hallpass.roles",
                "what stands behind this is not supported in the schema hallpass",
            ),
            ("SELECT hallpass.wait(1), 2", "what stands behind this is not supported in the schema hallpass"),
            ("CALL hallpass.request('fixer')", "hallpass.request does not take 1 arguments"),
            (
                "CALL hallpass.request('a', 'b', @v)",
                "anything but a constant or a parameter as a value is not supported in the schema hallpass",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), said, "{text}");
        }
    }
}
