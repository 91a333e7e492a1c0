//! The HTTP API, on the Unix socket of the data folder and, if wanted, on TCP: requests, approvals, grants, users,
//! sessions, audit. Decides nothing itself: the ledger and the registry do.

use std::{fmt, future::Future, io, os::unix::fs::MetadataExt, path::Path, pin::Pin, sync::Arc};

use axum::{
    Json, Router,
    http::{StatusCode, Uri, header},
    response::IntoResponse,
};
use hallpass_audit::sqlite::Importer;
use hallpass_policy::{
    ids::TargetName,
    statement::{Refusal, Statement},
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};

use crate::{
    session::serve::House,
    shared::Shared,
    store::ledger::{Decided, Ledger},
};

pub mod audit;
mod auth;
pub mod body;
mod databases;
mod grants;
mod hold;
pub(crate) mod input;
pub(crate) mod page;
mod policy;
pub mod problem;
mod query;
mod requests;
mod routes;
mod serve;
mod sessions;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use policy::mask_as_written;
use problem::Problem;
use routes::Routes;

/// What a handler answers.
type Answer<T> = Result<T, Problem>;

/// The Unix socket's name in the data folder.
pub const SOCKET: &str = "api.sock";

/// What clients name as their host on it.
pub const SOCKET_HOST: &str = "hallpass";

/// Understands the statement of a statement request, with a target's names.
pub trait StatementReader: Send + Sync + fmt::Debug {
    /// The one statement that `text` is to `target`.
    ///
    /// # Errors
    /// A [`Refusal`] for a text that is not understood or not exactly one statement, and for a target whose names are not
    /// known.
    fn understand<'a>(&'a self, target: &'a TargetName, text: &'a str) -> Understanding<'a>;
}

/// The future of [`StatementReader::understand`].
pub type Understanding<'a> = Pin<Box<dyn Future<Output = Result<Arc<Statement>, Refusal>> + Send + 'a>>;

/// What all handlers share.
#[derive(Debug)]
pub struct Api {
    /// The proxy's state.
    pub shared: Arc<Shared>,
    /// Users, requests, grants.
    pub ledger: Arc<Ledger>,
    /// Moves the journal to `audit.db`.
    pub importer: Arc<Importer>,
    /// For statement requests.
    pub reader: Arc<dyn StatementReader>,
    /// For sessions of the API's own: statements of users.
    pub house: House,
    /// The OS user who runs the proxy: an admin on the Unix socket.
    pub owner: u32,
}

impl Api {
    /// A request for a client.
    fn shown(&self, decided: Decided) -> body::Request {
        body::Request::new(decided, self.shared.clock.now())
    }
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    let v1 = routes().into_router();
    Router::new().nest("/api/v1", v1).fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(api)
}

/// What is below `/api/v1`.
fn routes() -> Routes {
    Routes::new()
        .get("/health", health)
        .get("/openapi.json", document)
        .merge(users::routes())
        .merge(requests::routes())
        .merge(hold::routes())
        .merge(grants::routes())
        .merge(sessions::routes())
        .merge(databases::routes())
        .merge(policy::routes())
        .merge(query::routes())
        .merge(audit::routes())
}

/// Alive; for whoever asks.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// What the API is, for machines.
const DOCUMENT: &str = include_str!("../../openapi.json");

/// The OpenAPI document; for whoever asks.
async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

async fn unknown(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at `{}`", uri.path()))
}

async fn wrong_method(uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{}` does not take this method", uri.path()))
}

/// Binds the Unix socket in `data_dir`, for its owner alone. What a dead proxy left there is removed; the journal's lock
/// makes sure that it is dead.
///
/// # Errors
/// When the socket cannot be made.
pub fn bind_socket(data_dir: &Path) -> io::Result<(UnixListener, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let path = data_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // The data folder is its owner's alone, so that nobody connects before the mode is set.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let owner = std::fs::metadata(&path)?.uid();
    Ok((listener, owner))
}

/// Serves the Unix socket until `stop` resolves.
///
/// # Errors
/// When the socket fails.
pub async fn serve_socket(
    listener: UnixListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve::serve(listener, routes, stop).await;
    Ok(())
}

/// Serves TCP until `stop` resolves.
///
/// # Errors
/// When the listener fails.
pub async fn serve_tcp(
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "API");
    serve::serve(listener, routes, stop).await;
    Ok(())
}
