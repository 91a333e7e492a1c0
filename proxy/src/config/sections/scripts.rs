//! The SQL files of `scope.statements`: found, read and split. What their names mean is not known here; a text that does
//! not parse is a fault, one that will never be understood a warning.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hallpass_policy::{
    catalog::Catalog,
    statement::{
        Dialect, Effect, Names, Refusal, RefusalKind, Understood,
        mysql::{Flavour, MysqlNames},
    },
};

use crate::config::{
    Protocol,
    listed::{Listed, ListedStatement, matching},
    reader::Node,
};

/// The statements of the files that `node` names, for a target of `protocol`.
pub(super) fn listed(node: &Node<'_>, protocol: Protocol) -> Option<Listed> {
    let pattern = node.text()?;
    let path = node.source.resolve(pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        node.fault(format!("`{pattern}` names no files"), "write \"migrations/*.sql\"");
        return None;
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if folder.to_string_lossy().contains('*') {
        node.fault("`*` stands for files of one folder, not for folders", "write \"migrations/*.sql\"");
        return None;
    }
    let files = files(node, pattern, folder, name)?;
    let mut statements = Vec::new();
    for file in &files {
        statements.extend(script(node, file, protocol));
    }
    if statements.is_empty() {
        node.fault(format!("the files of `{pattern}` hold no statement"), "add one, or remove `statements`");
        return None;
    }
    Some(Listed::new(pattern, folder, name, statements))
}

/// The files of `folder` whose names match, by name.
fn files(node: &Node<'_>, pattern: &str, folder: &Path, name: &str) -> Option<Vec<PathBuf>> {
    let files = match matching(folder, name) {
        Ok(files) => files,
        Err(error) => {
            let folder = folder.display();
            node.fault(format!("the folder `{folder}` cannot be read: {error}"), "paths begin at this file's folder");
            return None;
        }
    };
    if files.is_empty() {
        node.fault(format!("no file matches `{pattern}`"), "add the files, or mend the pattern");
        return None;
    }
    Some(files)
}

/// The statements of one file.
fn script(node: &Node<'_>, file: &Path, protocol: Protocol) -> Vec<ListedStatement> {
    let shown = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            node.fault(format!("`{shown}` cannot be read: {error}"), "it must be a readable file of UTF-8 text");
            return Vec::new();
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = |at: usize| 1 + text.get(..at).unwrap_or_default().matches('\n').count();
    let dialects = dialects(protocol);
    let forms = match first(&dialects, |dialect| dialect.forms(text)) {
        Ok(forms) => forms,
        Err((at, refusal)) => {
            let at = at + blanks(text.get(at..).unwrap_or_default());
            node.fault(format!("`{shown}`, line {}: {}", line(at), said(&refusal)), "mend the file: plain SQL only");
            return Vec::new();
        }
    };
    let (mut statements, mut before) = (Vec::new(), String::new());
    for form in forms {
        let Some(statement) = text.get(form.place.clone()) else { continue };
        let at = form.place.start + blanks(statement);
        let understood = first(&dialects, |dialect| dialect.understand(statement, &Catalog::default()));
        match &understood {
            Ok(_) => {}
            Err(refusal) => match refusal.kind {
                // What the catalog will tell.
                RefusalKind::UnknownRelation
                | RefusalKind::UnknownColumn
                | RefusalKind::UnknownFunction
                | RefusalKind::UnknownType
                | RefusalKind::Ambiguous => {}
                RefusalKind::Unsupported => node.warn(
                    format!("`{shown}`, line {}: this will be refused: {}", line(at), said(refusal)),
                    "write the statement otherwise, or run it by another port",
                ),
                RefusalKind::Unparsed
                | RefusalKind::Forbidden
                | RefusalKind::TooComplex
                | RefusalKind::UnknownCharset
                | RefusalKind::NotPreparable => {
                    node.fault(format!("`{shown}`, line {}: {}", line(at), said(refusal)), "mend the statement");
                }
            },
        }
        statements.push(ListedStatement { before: Arc::from(before.as_str()), text: Arc::from(statement.trim()) });
        if understood.is_ok_and(|understood| moves_names(&understood)) {
            before.push_str(statement.trim());
            before.push_str(";\n");
        }
    }
    statements
}

/// Whose grammar a file may be in: which of MySQL and MariaDB serves a target is not known before somebody asks it.
fn dialects(protocol: Protocol) -> (Dialect, Option<Dialect>) {
    let mysql = |flavour| {
        Dialect::Mysql(MysqlNames { flavour, database: Some(Arc::from("database")), ..MysqlNames::default() })
    };
    match protocol {
        Protocol::Postgres => (Dialect::Postgres(Names { search_path: Arc::from("\"$user\", public") }), None),
        Protocol::Mysql => (mysql(Flavour::MariaDb), Some(mysql(Flavour::MySql))),
    }
}

/// What the first dialect says that understands; of none, what the first one objects to.
fn first<T, E>((one, other): &(Dialect, Option<Dialect>), ask: impl Fn(&Dialect) -> Result<T, E>) -> Result<T, E> {
    let found = ask(one);
    match (found, other) {
        (Err(objection), Some(other)) => ask(other).map_err(|_| objection),
        (found, _) => found,
    }
}

/// Whether unqualified names mean something else after it.
fn moves_names(understood: &Understood) -> bool {
    understood.statements.iter().any(|statement| {
        matches!(&statement.effect, Effect::Set { name, .. } if matches!(&**name, "search_path" | "database"))
    })
}

fn said(refusal: &Refusal) -> String {
    match &refusal.detail {
        Some(detail) => format!("{} ({detail})", refusal.message),
        None => refusal.message.clone(),
    }
}

/// How many bytes of blanks and line comments `text` begins with: a fault is shown where its statement begins.
fn blanks(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        match trimmed.strip_prefix("--") {
            Some(comment) => rest = comment.find('\n').map_or("", |end| comment.get(end..).unwrap_or_default()),
            None => return text.len() - trimmed.len(),
        }
    }
}
