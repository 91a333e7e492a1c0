//! Reads a target's catalog over a connection of the proxy's own, kept open between reads.
//! Runs only its own queries; no client's bytes get here.

use std::{sync::Arc, time::Duration};

use hallpass_policy::{
    catalog::Catalog,
    statement::{Dialect, Names},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::Client;

use super::{
    target::Target,
    upstream::{connector::Connector, postgres as postgres_upstream},
};
use crate::{config::Protocol, error::ClientError};

pub mod mysql;
pub mod postgres;

/// How long a read may take; a server that hangs must not keep everybody who waits for names.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The connection of one target's catalog reads.
#[derive(Default)]
pub struct Reader {
    open: Option<Open>,
    /// What the connection was made with: another one means another configuration.
    connector: Option<Arc<Connector>>,
    version: u64,
}

enum Open {
    Postgres(PostgresReader),
    Mysql(Box<mysql::Reader>),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("open", &self.open.is_some()).field("version", &self.version).finish()
    }
}

impl Reader {
    /// Reads the catalog, and what new sessions' texts are read with; connects first where that is needed, and once
    /// more where the connection turns out dead.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`]; the log says more.
    pub async fn fetch(&mut self, target: &Target) -> Result<(Catalog, Dialect), ClientError> {
        let reused = self.open.is_some();
        match self.read(target).await {
            Err(_) if reused => self.read(target).await,
            other => other,
        }
    }

    /// Whether names have changed since the last read, or that cannot be told. Cheap enough to ask every few seconds.
    pub async fn has_changed(&mut self) -> bool {
        let unchanged = async {
            match &mut self.open {
                Some(Open::Postgres(open)) => open.is_unchanged().await,
                Some(Open::Mysql(open)) => open.is_unchanged().await,
                None => false,
            }
        };
        !timeout(READ_TIMEOUT, unchanged).await.unwrap_or(false)
    }

    async fn read(&mut self, target: &Target) -> Result<(Catalog, Dialect), ClientError> {
        let connector = target.connector()?;
        let same = self.connector.as_ref().is_some_and(|used| Arc::ptr_eq(used, &connector));
        // While it is read the connection is not kept: a read that is given up leaves it in an unknown state.
        let mut open = match self.open.take() {
            Some(open) if same && !open.is_closed() => open,
            _ => Open::connect(target, &connector).await?,
        };
        self.connector = Some(connector);
        self.version += 1;
        let (catalog, dialect) = timeout(READ_TIMEOUT, open.read(target, self.version))
            .await
            .unwrap_or_else(|_| Err(unavailable(target, &"timed out", UNREADABLE)))?;
        self.open = Some(open);
        Ok((catalog, dialect))
    }
}

impl Open {
    async fn connect(target: &Target, connector: &Connector) -> Result<Self, ClientError> {
        Ok(match connector.target().protocol {
            Protocol::Postgres => {
                let (client, driver) = postgres_upstream::client(connector, "hallpass catalog").await?;
                Self::Postgres(PostgresReader { client, driver, seen: None })
            }
            Protocol::Mysql => Self::Mysql(Box::new(mysql::Reader::connect(target, connector).await?)),
        })
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Postgres(open) => open.client.is_closed(),
            // Found out by the next read.
            Self::Mysql(_) => false,
        }
    }

    async fn read(&mut self, target: &Target, version: u64) -> Result<(Catalog, Dialect), ClientError> {
        match self {
            Self::Postgres(open) => {
                // The fingerprint is taken first: a change between the two is seen as one next time.
                open.seen = postgres::fingerprint(&open.client).await.ok();
                let catalog = postgres::fetch(&open.client, version).await;
                let catalog = catalog.map_err(|error| unavailable(target, &error, UNREADABLE))?;
                let dialect = Dialect::Postgres(Names { search_path: catalog.default_search_path.as_str().into() });
                Ok((catalog, dialect))
            }
            Self::Mysql(open) => {
                let read = open.read(target, version).await;
                read.map_err(|error| unavailable(target, &error, &error.reason()))
            }
        }
    }
}

/// A connection to a Postgres server.
struct PostgresReader {
    client: Client,
    driver: JoinHandle<()>,
    /// The fingerprint of the names as last read.
    seen: Option<String>,
}

impl PostgresReader {
    async fn is_unchanged(&self) -> bool {
        let now = postgres::fingerprint(&self.client).await.ok();
        now.is_some() && now == self.seen
    }
}

impl Drop for PostgresReader {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

const UNREADABLE: &str = "its catalog cannot be read";

fn unavailable(target: &Target, why: &dyn std::fmt::Display, reason: &str) -> ClientError {
    tracing::warn!(target_name = %target.name(), error = %why, "the catalog cannot be read");
    ClientError::UpstreamUnavailable { target: target.name().to_string(), reason: reason.to_owned() }
}
