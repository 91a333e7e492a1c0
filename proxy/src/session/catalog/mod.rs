//! Reads a target's catalog over a connection of the proxy's own, kept open between reads.
//! Runs only its own queries; no client's bytes get here.

use hallpass_policy::{
    catalog::Catalog,
    statement::{Dialect, Names},
};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{target::Target, upstream::postgres as postgres_upstream};
use crate::error::ClientError;

pub mod postgres;

/// The connection of one target's catalog reads.
#[derive(Default)]
pub struct Reader {
    open: Option<Open>,
    version: u64,
}

struct Open {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("open", &self.open.is_some()).field("version", &self.version).finish()
    }
}

impl Reader {
    /// Reads the catalog, and what new sessions' texts are read with; connects first where that is needed, and once more where the connection turns out dead.
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

    /// A text that differs when names have changed since the last read; `None` when that cannot be told.
    pub async fn fingerprint(&mut self) -> Option<String> {
        let open = self.open.as_ref()?;
        postgres::fingerprint(&open.client).await.ok()
    }

    async fn read(&mut self, target: &Target) -> Result<(Catalog, Dialect), ClientError> {
        let open = match self.open.take() {
            Some(open) if !open.client.is_closed() => open,
            _ => connect(target).await?,
        };
        self.version += 1;
        let catalog = postgres::fetch(&open.client, self.version).await.map_err(|error| {
            tracing::warn!(target_name = %target.name(), %error, "the catalog cannot be read");
            unavailable(target)
        })?;
        self.open = Some(open);
        let dialect = Dialect::Postgres(Names { search_path: catalog.default_search_path.as_str().into() });
        Ok((catalog, dialect))
    }
}

async fn connect(target: &Target) -> Result<Open, ClientError> {
    let (client, driver) = postgres_upstream::client(&*target.connector()?, "hallpass catalog").await?;
    Ok(Open { client, driver })
}

fn unavailable(target: &Target) -> ClientError {
    ClientError::UpstreamUnavailable { target: target.name().to_string(), reason: "its catalog cannot be read".into() }
}
