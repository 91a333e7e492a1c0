//! A web server that takes webhooks: it keeps every request byte for byte and answers as a test tells it to, or not at
//! all. Speaks plain HTTP or TLS, one connection a request.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    process::{free_port, wait_for},
    tls::Authority,
};

/// What in every URL of [`Webhook`] nobody else may see.
pub const URL_TOKEN: &str = "url-token-canary";

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// The connection is closed without an answer.
    Close,
    /// Nothing, for as long as the other side waits or the server lives.
    Hang,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// What became of it.
    pub answer: Answer,
}

impl Received {
    /// The body as JSON; panics when it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// `event/action` of a generic body.
    #[track_caller]
    pub fn what(&self) -> String {
        let body = self.json();
        let part = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("no `{key}`: {body}")).to_owned();
        format!("{}/{}", part("event"), part("action"))
    }
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    /// What the next requests get.
    next: VecDeque<Answer>,
    /// What all others get.
    usual: Option<Answer>,
    over: bool,
}

/// A web server on 127.0.0.1.
#[derive(Debug)]
pub struct Webhook {
    port: u16,
    folder: TempDir,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<Mutex<State>>,
}

impl Webhook {
    /// A server that answers 200 to everything.
    pub fn start() -> Self {
        let server = Self::absent();
        server.listen();
        server
    }

    /// The same under TLS, with a certificate of an authority of its own.
    pub fn with_tls() -> Self {
        let authority = Authority::new("webhook authority");
        let identity = authority.server(&["127.0.0.1"]);
        let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).expect("our own certificate");
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("our own key");
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they belong together");
        let mut server = Self::absent();
        crate::tls::write(server.folder.path(), "ca.crt", authority.pem());
        server.tls = Some(Arc::new(config));
        server.listen();
        server
    }

    /// A server that does not listen yet: connections are refused.
    pub fn absent() -> Self {
        let folder = tempfile::Builder::new().prefix("hallpass-webhook-").tempdir().expect("a temporary folder");
        Self { port: free_port(), folder, tls: None, state: Arc::default() }
    }

    /// Takes requests from now on.
    pub fn listen(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("the port was free");
        let (state, tls) = (Arc::clone(&self.state), self.tls.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if lock(&state).over {
                    return;
                }
                let (state, tls) = (Arc::clone(&state), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(socket, &state),
                    Some(config) => {
                        let session = ServerConnection::new(config).expect("a session");
                        serve(StreamOwned::new(session, socket), &state);
                    }
                });
            }
        });
    }

    /// What the next requests get; those after them get 200.
    pub fn next(&self, answers: &[Answer]) {
        lock(&self.state).next.extend(answers);
    }

    /// What all requests get from now on.
    pub fn always(&self, answer: Answer) {
        lock(&self.state).usual = Some(answer);
    }

    /// Its `[[notify]]`, with more lines. The URL is in a file.
    pub fn section(&self, more: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}/hooks/{URL_TOKEN}?key={URL_TOKEN}\n", self.port);
        let url = crate::tls::write(self.folder.path(), "url", &url);
        format!("\n[[notify]]\nurl = {{ file = \"{}\" }}\n{more}\n", url.display())
    }

    /// The line that trusts its certificate.
    pub fn trusted(&self) -> String {
        format!("ca = \"{}\"\n", self.folder.path().join("ca.crt").display())
    }

    /// Every request so far, also those that were not answered.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// Waits until `find` finds what it looks for in the requests.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&[Received]) -> Option<T>) -> T {
        wait_for(&format!("the webhook has {what}"), Duration::from_secs(20), || find(&self.received()))
    }

    /// Waits for a generic body with this `event/action`.
    #[track_caller]
    pub fn wait_for(&self, what: &str) -> Value {
        self.wait(what, |all| all.iter().find(|received| received.what() == what).map(Received::json))
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        lock(&self.state).over = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: impl Read + Write, state: &Mutex<State>) {
    let Some((head, body)) = request(&mut stream) else { return };
    let answer = {
        let mut state = lock(state);
        let answer = state.next.pop_front().or(state.usual).unwrap_or(Answer::Status(200));
        state.received.push(Received { head, body, answer });
        answer
    };
    match answer {
        Answer::Status(status) => {
            let text = format!("HTTP/1.1 {status} Told\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        }
        Answer::Close => {}
        Answer::Hang => {
            // Until the other side has enough.
            let _ = stream.read(&mut [0]);
        }
    }
}

/// Head and body of one request; `None` when the connection ends before that.
fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let body = &bytes[end + 4..];
            if body.len() >= length.unwrap_or_default() {
                return Some((head, body.to_vec()));
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}
