//! Reads the catalog of a MySQL or MariaDB server from `information_schema`, over a connection of the proxy's own and
//! in text, and keeps the connection to tell whether names have changed. `build` makes a catalog of the answers,
//! `watch` tells changes cheaply, `estimates` asks how large tables are.
//!
//! The account sees what it may use, and no more: a name that is not in the catalog could not be used upstream either.
//! Definitions of views need SHOW VIEW; without it a view is known and cannot be read. Without TRIGGER every table
//! counts as one with triggers.
//!
//! There is no snapshot of names on these servers. Views are read first and looked at again in the end, so that none
//! is ever known with the columns of its next version.

use hallpass_policy::{
    catalog::{Catalog, QualifiedName, Relation, RelationKind},
    statement::{
        Dialect,
        mysql::{Flavour, MysqlNames, SqlMode},
    },
};
use std::sync::Arc;

use self::{estimates::Estimates, watch::Watch};
use crate::{
    error::ClientError,
    session::{
        target::{Greeting, Target},
        upstream::{
            connector::{Connector, UpstreamError},
            mysql::{Link, UTF8MB4, Wanted, follows_case, text_row},
        },
    },
    wire::mysql::capability,
};

pub mod build;
mod estimates;
mod watch;

/// How often a catalog is read anew because views changed meanwhile.
const ATTEMPTS: usize = 3;

/// What the connection itself needs, whatever the server's defaults: names in UTF-8, definitions printed with
/// backquotes, every row of every answer.
const PINNED: [&str; 2] = [
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = '', autocommit = 1, sql_select_limit = 18446744073709551615, sql_big_selects = 1",
];

/// The rows of one answer, values as text.
type Table = Vec<Vec<Option<String>>>;

/// The connection of one target's catalog reads.
#[derive(Debug)]
pub struct Reader {
    link: Link,
    flavour: Flavour,
    /// The server's own relations: they change with the server only.
    system: Vec<Arc<Relation>>,
    watch: Watch,
    estimates: Estimates,
}

impl Reader {
    /// Connects; `target` learns how its server greets.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`]; the log says more.
    pub async fn connect(target: &Target, connector: &Connector) -> Result<Self, ClientError> {
        let attributes = vec![("program_name".to_owned(), "hallpass catalog".to_owned())];
        let wanted = Wanted { collation: UTF8MB4, attributes, ..Wanted::default() };
        let open = async {
            let mut link = Link::log_in(connector, &wanted).await?;
            for sql in PINNED {
                link.query(sql).await?;
            }
            Ok(link)
        };
        let link = connector.within(open).await?;
        let greeting = link.greeting();
        let (capabilities, flavour) = (greeting.capabilities, greeting.capabilities.flavour());
        target.remember_greeting(Greeting {
            version: String::from_utf8_lossy(&greeting.version).into_owned(),
            capabilities,
            collation: greeting.collation,
            flavour,
        });
        let flavour = match flavour {
            capability::Flavour::MySql => Flavour::MySql,
            capability::Flavour::MariaDb => Flavour::MariaDb,
        };
        Ok(Self { link, flavour, system: Vec::new(), watch: Watch::default(), estimates: Estimates::default() })
    }

    /// Reads everything the gate knows about the server's names, as version `version`, and what new sessions' texts
    /// are read with.
    ///
    /// # Errors
    /// [`UpstreamError`]; [`UpstreamError::Unfit`] for a server whose names or grammar are not followed.
    pub async fn read(&mut self, target: &Target, version: u64) -> Result<(Catalog, Dialect), UpstreamError> {
        let server = self.table(build::SERVER).await?;
        let [login, global_mode, lower_case] = server.first().map(Vec::as_slice).unwrap_or_default() else {
            return Err(build::missing("the server's own settings"));
        };
        follows_case(lower_case.as_deref().unwrap_or_default())?;
        let global_mode = global_mode.as_deref().unwrap_or_default();
        let unfit =
            |_| UpstreamError::Unfit(format!("its server's sql_mode is `{global_mode}`, which is not followed"));
        let sql_mode = SqlMode::read(global_mode).map_err(unfit)?;
        self.watch.begin(&mut self.link).await?;
        if self.system.is_empty() {
            let columns = self.table(&build::columns(build::Part::System)).await?;
            let tables = self.table(&build::tables(build::Part::System)).await?;
            self.system = build::relations(build::Answers { columns, tables, ..Default::default() }, self.flavour)?;
        }
        let mut catalog = self.names().await?;
        catalog.rows.clone_from(self.estimates.current(&mut self.link, self.flavour).await?);
        self.watch.end(&mut self.link).await?;
        let config = target.config();
        catalog.version = version;
        catalog.database.clone_from(&config.database);
        catalog.login = login.clone().unwrap_or_default();
        let database = Some(Arc::from(config.database.as_str()));
        Ok((catalog, Dialect::Mysql(MysqlNames { database, sql_mode, flavour: self.flavour })))
    }

    /// Whether nothing that [`Reader::read`] reads has changed since.
    pub async fn is_unchanged(&mut self) -> bool {
        match self.looks_unchanged().await {
            Ok(unchanged) => unchanged,
            Err(error) => {
                tracing::debug!(%error, "the catalog connection is lost");
                false
            }
        }
    }

    async fn looks_unchanged(&mut self) -> Result<bool, UpstreamError> {
        // Asked first: counters that this moves are looked at by the watch, which finds the names as they were.
        let moved = self.estimates.have_moved(&mut self.link, self.flavour).await?;
        Ok(self.watch.is_unchanged(&mut self.link).await? && !moved)
    }

    async fn names(&mut self) -> Result<Catalog, UpstreamError> {
        for _ in 0..ATTEMPTS {
            let views = self.table(&build::views(self.flavour)).await?;
            let mut answers = build::Answers {
                columns: self.table(&build::columns(build::Part::Users)).await?,
                tables: self.table(&build::tables(build::Part::Users)).await?,
                triggers: self.table(build::TRIGGERS).await?,
                watched: self.table(build::WATCHED).await?,
                views: Vec::new(),
            };
            let (schemas, routines) = (self.table(build::SCHEMAS).await?, self.table(build::ROUTINES).await?);
            if self.table(&build::views(self.flavour)).await? != views {
                continue;
            }
            answers.views = views;
            let mut catalog = Catalog { lasting: build::lasting(&answers.tables)?, ..Catalog::default() };
            for relation in self.system.iter().cloned().chain(build::relations(answers, self.flavour)?) {
                catalog.relations.insert(relation.name.clone(), relation);
            }
            build::schemas(schemas, &mut catalog)?;
            build::routines(routines, &mut catalog)?;
            return Ok(catalog);
        }
        Err(UpstreamError::Unfit("its views change faster than they can be read".to_owned()))
    }

    async fn table(&mut self, sql: &str) -> Result<Table, UpstreamError> {
        self.link.query(sql).await?.iter().map(|row| text_row(row)).collect()
    }
}

/// Whether `engine` takes back what a transaction wrote.
pub fn is_transactional(engine: &str) -> bool {
    build::is_transactional(engine)
}

/// What a table of `engine` is: one whose rows nobody knows where they come from, or an ordinary one.
pub fn engine_kind(engine: &str) -> RelationKind {
    build::engine_kind(engine)
}

/// A query for the revisions of `views`, as [`Relation::revision`] has them: schema, name and revision, a row a view
/// that exists; and for those of `tables` that are views now, without a revision. It can be asked in any session of the
/// same account, whatever its sql_mode.
pub fn revisions<'n>(
    views: impl IntoIterator<Item = &'n QualifiedName>,
    tables: impl IntoIterator<Item = &'n QualifiedName>,
    flavour: Flavour,
) -> String {
    build::revisions(views, tables, flavour)
}
