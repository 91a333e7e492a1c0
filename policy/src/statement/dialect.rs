//! Whose SQL a text is, and the session settings that give it its meaning: the one place where the two grammars are
//! chosen between.

use std::sync::Arc;

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

impl Dialect {
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
