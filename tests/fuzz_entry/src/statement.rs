//! Texts as statements: understood or refused, never a panic that the guard has to catch; blanks behind a text change
//! nothing of what it means; and whatever it is, a mask plan can be asked for.

use hallpass_policy::statement::{
    Dialect, Effect, Names, Refusal, Statement,
    inband::Value,
    mysql::{Flavour, MysqlNames, SqlMode},
};

use crate::{
    bytes::Bytes,
    shop::{self, Shop},
};

/// A text on Postgres.
pub(crate) fn postgres_understand(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        understand(&postgres(), &shop::POSTGRES, text);
    }
}

/// A byte that says how the server reads, and a text on MySQL or MariaDB.
pub(crate) fn mysql_understand(data: &[u8]) {
    let mut bytes = Bytes(data);
    let names = mysql_names(bytes.byte());
    if let Ok(text) = std::str::from_utf8(bytes.0) {
        understand(&Dialect::Mysql(names), &shop::MYSQL, text);
    }
}

/// The same through lexer, gate and parser alone: the texts' forms.
pub(crate) fn mysql_gate(data: &[u8]) {
    let mut bytes = Bytes(data);
    let names = mysql_names(bytes.byte());
    let Ok(text) = std::str::from_utf8(bytes.0) else { return };
    let dialect = Dialect::Mysql(names);
    match dialect.forms(text) {
        Ok(forms) => {
            let mut end = 0;
            for form in &forms {
                assert!(form.place.start >= end && form.place.end <= text.len(), "places in order: {text:?}");
                assert!(text.get(form.place.clone()).is_some(), "places between characters: {text:?}");
                end = form.place.end;
            }
            let later = dialect.forms(&format!(" {text}\n"));
            let later = later.unwrap_or_else(|(_, refusal)| panic!("{text:?} with blanks around it: {refusal}"));
            assert!(forms.iter().map(|form| form.hash).eq(later.iter().map(|form| form.hash)), "{text:?}");
        }
        Err((place, refusal)) => {
            assert!(place <= text.len());
            said(text, &refusal);
        }
    }
}

/// What names the schema `hallpass`: a byte for the form, the rest of the text.
pub(crate) fn inband(data: &[u8]) {
    const BEGINNINGS: &[&str] = &[
        "SELECT * FROM hallpass.",
        "CALL hallpass.",
        "SELECT hallpass.",
        "SELECT id, role FROM hallpass.grants ",
        "CALL hallpass.request(",
    ];
    let mut bytes = Bytes(data);
    let beginning = bytes.pick(BEGINNINGS);
    let Ok(rest) = std::str::from_utf8(bytes.0) else { return };
    let text = format!("{beginning}{rest}");
    understand(&postgres(), &shop::POSTGRES, &text);
    understand(&Dialect::Mysql(mysql_names(0)), &shop::MYSQL, &text);
}

fn postgres() -> Dialect {
    Dialect::Postgres(Names { search_path: "shop, public".into() })
}

/// Flavour and sql_mode by the bits of a byte.
pub(crate) fn mysql_names(bits: u8) -> MysqlNames {
    let modes = ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT"];
    let modes = modes.iter().enumerate().filter(|(at, _)| bits & (2 << at) != 0).map(|(_, mode)| *mode);
    let sql_mode = SqlMode::read(&modes.collect::<Vec<_>>().join(",")).expect("modes that are followed");
    let flavour = if bits & 1 == 0 { Flavour::MariaDb } else { Flavour::MySql };
    MysqlNames { database: Some("shop".into()), sql_mode, flavour }
}

fn understand(dialect: &Dialect, shop: &Shop, text: &str) {
    let understood = match dialect.understand(text, &shop.catalog) {
        Ok(understood) => understood,
        Err(refusal) => return said(text, &refusal),
    };
    let later = dialect.understand(&format!("{text} \n"), &shop.catalog);
    let later = later.unwrap_or_else(|refusal| panic!("{text:?} with blanks behind it: {refusal}"));
    assert_eq!(understood.statements, later.statements, "blanks behind {text:?}");
    for statement in &understood.statements {
        follow(shop, statement, text);
    }
}

fn follow(shop: &Shop, statement: &Statement, text: &str) {
    let _ = (shop.masks.plan(statement, false), shop.masks.scrubs(statement));
    let unmasked = shop.masks.plan(statement, true);
    assert!(unmasked.is_ok() || !statement.uses.is_empty(), "with unmask only uses conflict: {text:?}");
    match &statement.effect {
        Effect::Inband(question) => {
            assert!(statement.needs.is_empty(), "a question to the proxy reaches nothing else: {text:?}");
            let parameters = question.parameters();
            let bound = question.bound(&vec![Value::Null; parameters.len()]);
            assert!(bound.parameters().is_empty(), "all parameters are bound: {text:?}");
            assert_eq!(bound.columns().len(), question.columns().len());
        }
        Effect::Prepare { statement, .. } | Effect::Declare { statement, .. } => follow(shop, statement, text),
        _ => {}
    }
}

/// A refusal says something, and not that the guard had to catch a panic.
fn said(text: &str, refusal: &Refusal) {
    assert!(!refusal.message.is_empty(), "{text:?} is refused without a word");
    assert_ne!(refusal.message, "the statement could not be analysed", "{text:?}: {refusal:?}");
}
