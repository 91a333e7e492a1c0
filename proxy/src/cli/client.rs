//! HTTP to a proxy's API, over its Unix socket or TCP: one connection a question. Knows no command.

use std::{io, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LINK},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::failure::Failure;
pub(super) use crate::api::page::encoded;
use crate::api::{self, problem::Problem};

/// How long an answer may take: longer than the longest wait the API takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// What every path begins with.
const PREFIX: &str = "/api/v1";

/// Where a proxy is, and for whom to speak.
#[derive(Clone, Debug)]
pub(super) struct Client {
    place: Place,
    token: Option<String>,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// The answer, as it came and as a type.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) json: Value,
    pub(super) value: T,
}

/// An answer as HTTP gave it.
struct Answered {
    status: StatusCode,
    /// The path of the next page, of a list that has one.
    next: Option<String>,
    body: Bytes,
}

/// One page of a list.
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

impl Client {
    /// Over a Unix socket.
    pub(super) fn on(socket: PathBuf, token: Option<String>) -> Self {
        Self { place: Place::Socket(socket), token }
    }

    /// Over TCP, `http://host:port`.
    pub(super) fn at(url: &str, token: Option<String>) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("`{url}` {why}")).hint("write `http://HOST:PORT`");
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(wrong("is no URL of a proxy's API: it speaks plain HTTP"));
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(wrong("names more or less than a host and a port"));
        }
        let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = Place::Tcp(if port { host.to_owned() } else { format!("{host}:80") });
        Ok(Self { place, token })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, Failure> {
        self.ask(Method::POST, path, Some(json(body)?)).await
    }

    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, Failure> {
        self.ask(Method::PUT, path, Some(json(body)?)).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    /// All pages of a list.
    pub(super) async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<Vec<T>>, Failure> {
        let mut found = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            let page = self.page(&path).await?;
            found.extend(page.items);
            next = page.next;
        }
        let json = Value::Array(found);
        let value = Vec::<T>::deserialize(&json).map_err(|error| not_ours(&error))?;
        Ok(Answer { json, value })
    }

    async fn page(&self, path: &str) -> Result<Page, Failure> {
        let answered = self.answered(Method::GET, path, None).await?;
        let items = serde_json::from_slice(&answered.body).map_err(|error| not_ours(&error))?;
        Ok(Page { items, next: answered.next })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer<T>, Failure> {
        let answered = self.answered(method, path, body).await?;
        let text: &[u8] = if answered.body.is_empty() { b"null" } else { &answered.body };
        let json: Value = serde_json::from_slice(text).map_err(|error| not_ours(&error))?;
        let value = T::deserialize(&json).map_err(|error| not_ours(&error))?;
        Ok(Answer { json, value })
    }

    /// Asks for an answer that comes line by line.
    pub(super) async fn lines<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<Lines, Failure> {
        let body = body.map(json).transpose()?;
        let asked = tokio::time::timeout(PATIENCE, self.connect_and_begin(method, path, body)).await;
        let (response, driver) = asked.map_err(|_| Failure::failed("the proxy did not answer in time"))??;
        let status = response.status();
        let body = response.into_body();
        if status.is_success() {
            return Ok(Lines { body, driver, unread: Vec::new() });
        }
        let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        Err(refused(status, &bytes))
    }

    async fn answered(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answered, Failure> {
        let asked = tokio::time::timeout(PATIENCE, self.connect_and_send(method, path, body)).await;
        let answered = asked.map_err(|_| Failure::failed("the proxy did not answer in time"))??;
        if answered.status.is_success() { Ok(answered) } else { Err(refused(answered.status, &answered.body)) }
    }

    async fn connect_and_send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answered, Failure> {
        let (response, driver) = self.connect_and_begin(method, path, body).await?;
        let (status, next) = (response.status(), next_page(response.headers()));
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        driver.abort();
        Ok(Answered { status, next, body })
    }

    async fn connect_and_begin(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(Response<Incoming>, Driver), Failure> {
        match &self.place {
            Place::Socket(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => self.send(stream, api::SOCKET_HOST, method, path, body).await,
                Err(error) => Err(no_socket(socket, &error)),
            },
            Place::Tcp(host) => match TcpStream::connect(host).await {
                Ok(stream) => self.send(stream, host, method, path, body).await,
                Err(error) => Err(Failure::failed(format!("no proxy at `{host}`: {error}"))
                    .hint("see `[api] address` of its configuration")),
            },
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(Response<Incoming>, Driver), Failure> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Failure::usage("the token is no token"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| Failure::usage(format!("this cannot be asked: {error}")))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok((response, driver))
    }
}

/// What moves a connection's bytes.
type Driver = tokio::task::JoinHandle<Result<(), hyper::Error>>;

/// An answer that comes line by line; dropped, its connection ends.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    driver: Driver,
    /// Received, and not a whole line yet.
    unread: Vec<u8>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Lines {
    /// The next line; `None` when the answer is over. Nothing is lost when the future is dropped.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| not_ours(&error));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.unread.extend(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(broken(&error)),
                None => return Ok(None),
            }
        }
    }
}

fn broken(error: &hyper::Error) -> Failure {
    Failure::failed(format!("the proxy broke off: {error}"))
}

/// What the proxy said instead of an answer.
fn refused(status: StatusCode, bytes: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => problem.into(),
        Err(_) => Failure::failed(format!("the proxy answered {status}")),
    }
}

/// Where `Link: </api/v1/…>; rel="next"` leads.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let (target, _) = headers.get(LINK)?.to_str().ok()?.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
    target.strip_prefix(PREFIX).map(str::to_owned)
}

fn no_socket(socket: &std::path::Path, error: &io::Error) -> Failure {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::nobody_there(format!("no proxy runs at `{socket}`"))
                .hint("start it: `hallpass serve`; or name another with `--config` or `--url`")
        }
        io::ErrorKind::PermissionDenied => Failure::failed(format!("`{socket}` is for the OS user who runs the proxy"))
            .hint("use `--url` with a token, or become that user"),
        _ => Failure::failed(format!("`{socket}`: {error}")),
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|error| Failure::failed(format!("this cannot be asked: {error}")))
}

fn not_ours(error: &serde_json::Error) -> Failure {
    Failure::failed(format!("the answer is not of this version of hallpass: {error}"))
}
