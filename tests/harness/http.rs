//! A small HTTP/1.1 client, one connection a question, that shows an answer as it comes. Knows nothing of the API but
//! that it speaks JSON.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// From `/` on.
    pub path: &'a str,
    /// A bearer token.
    pub token: Option<&'a str>,
    /// `Accept`.
    pub accept: &'a str,
    /// The body; null: none.
    pub body: &'a Value,
}

/// An answer whose head is there.
#[derive(Debug)]
pub struct Coming {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
    chunked: bool,
    length: usize,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's text.
    pub text: String,
}

/// Asks, and waits for the head of the answer.
#[track_caller]
pub fn ask(port: u16, question: Question<'_>) -> Coming {
    let mut stream = send(port, question);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream.flush().expect("a socket is flushed");
    let mut stream = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).expect("the head of an answer");
        line.trim_end().to_owned()
    };
    let first = line();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP: {first:?}"));
    let mut headers = Vec::new();
    loop {
        let line = line();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let of = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let chunked = of("transfer-encoding") == Some("chunked");
    let length = of("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Coming { status, headers, stream, chunked, length }
}

/// Sends a question and waits for nothing.
#[track_caller]
pub fn send(port: u16, question: Question<'_>) -> TcpStream {
    let Question { method, path, token, accept, body } = question;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the API listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\
         Content-Length: {length}\r\n{token}\r\n"
    );
    stream.write_all((head + &body).as_bytes()).expect("the API reads");
    stream
}

impl Coming {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The next chunk's bytes; `None` at the end.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        assert!(self.chunked, "the answer comes in one piece");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a chunk");
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {line:?}"));
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).expect("a whole chunk");
        bytes.truncate(length);
        (length > 0).then_some(bytes)
    }

    /// All of it.
    #[track_caller]
    pub fn whole(mut self) -> Answer {
        let mut bytes = Vec::new();
        if self.chunked {
            while let Some(chunk) = self.chunk() {
                bytes.extend(chunk);
            }
        } else {
            bytes.resize(self.length, 0);
            self.stream.read_exact(&mut bytes).expect("a whole body");
        }
        let text = String::from_utf8(bytes).expect("UTF-8");
        Answer { status: self.status, headers: self.headers, text }
    }
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text))
    }

    /// The body's lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"));
        self.text.lines().map(parse).collect()
    }
}
