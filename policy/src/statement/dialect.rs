//! Whose SQL a text is, and the session settings that give it its meaning: the one place where the two grammars are
//! chosen between.

use std::{ops::Range, sync::Arc};

use super::{
    Lineage, Names, Refusal, Understood,
    mysql::{self, MysqlNames},
    postgres,
};
use crate::catalog::{Catalog, Relation};

/// A language, with the settings in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres(Names),
    /// MySQL's and MariaDB's.
    Mysql(MysqlNames),
}

/// One statement of a text before any name is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it stands, in bytes; it may begin with blanks and comments.
    pub place: Range<usize>,
    /// SHA-256 of what it says, without layout and comments, every literal with it. What its names mean is not in it:
    /// equal forms under equal names are equal statements.
    pub hash: [u8; 32],
    /// What it does to the open transaction, if that is all it does. Postgres'; MySQL's is not told.
    pub bracket: Option<Bracket>,
}

/// What a statement does to the open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bracket {
    /// It begins one.
    Begins,
    /// It ends it: COMMIT, ROLLBACK, PREPARE TRANSACTION.
    Ends,
    /// It marks a place in it, or goes back to one.
    Marks,
}

impl Dialect {
    /// The statements of `text` before any name is looked up.
    ///
    /// # Errors
    /// The place of the first statement that does not parse, as far as that can be told, and why.
    pub fn forms(&self, text: &str) -> Result<Vec<Form>, (usize, Refusal)> {
        match self {
            Self::Postgres(_) => postgres::forms(text),
            Self::Mysql(names) => mysql::forms(text, names),
        }
    }

    /// Understands `text`, all of its statements, with the names of `catalog`.
    ///
    /// # Errors
    /// A [`Refusal`] when anything in it is not understood.
    pub fn understand(&self, text: &str, catalog: &Catalog) -> Result<Understood, Refusal> {
        match self {
            Self::Postgres(names) => postgres::understand(text, catalog, names),
            Self::Mysql(names) => mysql::understand(text, catalog, names),
        }
    }

    /// What feeds each column of a view, materialized view or table with generated columns; `None` when its
    /// definition cannot be understood.
    pub fn lineage_of(&self, catalog: &Catalog, relation: &Arc<Relation>) -> Option<Vec<Lineage>> {
        match self {
            Self::Postgres(_) => postgres::lineage_of(catalog, relation),
            Self::Mysql(names) => mysql::lineage_of(catalog, relation, names.flavour),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_its_statements_before_names_are_known() {
        let text = "-- one\nUPDATE t SET a = ';' WHERE b = 1;\n\nBEGIN; /* two */ DELETE FROM t ;";
        let postgres = Dialect::Postgres(Names { search_path: Arc::from("") });
        for dialect in [postgres, Dialect::Mysql(MysqlNames::default())] {
            let forms = dialect.forms(text).unwrap();
            let texts: Vec<_> = forms.iter().map(|form| text[form.place.clone()].trim()).collect();
            assert!(texts[0].ends_with("UPDATE t SET a = ';' WHERE b = 1"), "{texts:?}");
            assert!(
                texts[1].ends_with("BEGIN") && texts[2].ends_with("DELETE FROM t") && texts.len() == 3,
                "{texts:?}"
            );
            let alone = dialect.forms("delete\nfrom t").unwrap();
            assert_eq!(alone[0].hash, forms[2].hash, "layout does not matter");
            assert_ne!(dialect.forms("DELETE FROM u").unwrap()[0].hash, forms[2].hash);
            assert!(dialect.forms("SELECT 'open").is_err());
            assert_eq!(dialect.forms(" -- nothing\n").unwrap(), []);
        }
    }
}
