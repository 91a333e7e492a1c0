//! `scope.statements` of a listener: the statements of some SQL files, as they were at the last (re)load. Found again by
//! their form; what their names mean is looked up when somebody sends one. Decides nothing.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hallpass_policy::{role::glob, statement::Dialect};

/// The files of `folder` whose names match `name`, in which `*` stands for any run of characters; by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn matching(folder: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
    let matches = |path: &PathBuf| path.file_name().and_then(|file| file.to_str()).is_some_and(|file| glob(name, file));
    let mut files: Vec<PathBuf> = paths.filter(matches).collect();
    files.sort();
    Ok(files)
}

/// The statements of a scoped port.
#[derive(Debug)]
pub struct Listed {
    /// As in `proxy.toml`: `migrations/*.sql`.
    pub pattern: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its last part, `*.sql`: what is looked for there.
    pub name: String,
    /// Their statements, in order.
    pub statements: Vec<ListedStatement>,
    /// Those by their form, under the dialect that was asked for last: one target has one.
    by_form: Mutex<Option<Arc<Forms>>>,
}

/// One statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedStatement {
    /// What stands before it in its file and changes what its names mean: `SET search_path = shop;`. Mostly empty.
    pub before: Arc<str>,
    /// The statement.
    pub text: Arc<str>,
}

/// Statements by their form.
#[derive(Debug)]
struct Forms {
    dialect: Dialect,
    statements: HashMap<[u8; 32], Vec<ListedStatement>>,
}

impl Listed {
    /// The statements of the files that `pattern` found: `name` in `folder`.
    pub fn new(pattern: &str, folder: &Path, name: &str, statements: Vec<ListedStatement>) -> Self {
        let (pattern, folder, name) = (pattern.to_owned(), folder.to_owned(), name.to_owned());
        Self { pattern, folder, name, statements, by_form: Mutex::default() }
    }

    /// The files that are there now.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        matching(&self.folder, &self.name)
    }

    /// The statements of this form, as `dialect` reads them.
    pub fn of_form(&self, form: &[u8; 32], dialect: &Dialect) -> Vec<ListedStatement> {
        let mut by_form = self.by_form.lock().unwrap_or_else(PoisonError::into_inner);
        let forms = match &*by_form {
            Some(forms) if forms.dialect == *dialect => Arc::clone(forms),
            Some(_) | None => Arc::clone(by_form.insert(Arc::new(self.forms(dialect)))),
        };
        drop(by_form);
        forms.statements.get(form).cloned().unwrap_or_default()
    }

    fn forms(&self, dialect: &Dialect) -> Forms {
        let mut statements: HashMap<[u8; 32], Vec<ListedStatement>> = HashMap::new();
        for statement in &self.statements {
            // What this server's dialect reads otherwise than it was split is nobody's statement.
            if let Ok([form]) = dialect.forms(&statement.text).as_deref() {
                statements.entry(form.hash).or_default().push(statement.clone());
            }
        }
        Forms { dialect: dialect.clone(), statements }
    }
}

#[cfg(test)]
mod tests {
    use hallpass_policy::statement::{Names, mysql::MysqlNames};

    use super::*;

    fn listed(text: &str) -> Listed {
        let statement = ListedStatement { before: Arc::from(""), text: Arc::from(text) };
        Listed::new("*.sql", Path::new("."), "*.sql", vec![statement])
    }

    #[test]
    fn layout_is_no_part_of_a_form_and_literals_are() {
        let postgres = Dialect::Postgres(Names { search_path: Arc::from("public") });
        for dialect in [postgres, Dialect::Mysql(MysqlNames::default())] {
            let listed = listed("UPDATE orders SET note = 'x' WHERE id = 1");
            let found = |text: &str| {
                let forms = dialect.forms(text).unwrap();
                listed.of_form(&forms[0].hash, &dialect).len()
            };
            assert_eq!(found("UPDATE orders SET note = 'x' WHERE id = 1"), 1);
            assert_eq!(found("update orders\n  set note='x' /* why */ where id=1;"), 1);
            assert_eq!(found("UPDATE orders SET note = 'x' WHERE id = 2"), 0);
            assert_eq!(found("UPDATE orders SET note = 'x'"), 0);
        }
    }
}
