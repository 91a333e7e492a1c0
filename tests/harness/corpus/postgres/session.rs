//! Plays the steps of a case on its connections and keeps all that came back. It judges nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    super::{
        case::{Case, Step, bytes, parameter, unhex},
        stage,
    },
    Fixture,
};
use crate::wire::postgres::{Client, NoMessage, Reply, Startup, frame};

/// A case's connections while it runs; they stay open until this is dropped.
pub struct Session<'a> {
    fixture: &'a Fixture,
    startup: Startup,
    patience: Duration,
    clients: BTreeMap<String, Client>,
    refused: Vec<Vec<u8>>,
    /// What came back after the logins, in order of arrival per step.
    replies: Vec<Reply>,
    elapsed: f64,
    late: bool,
}

impl<'a> Session<'a> {
    /// Plays a case. `control` is called for the orders to the proxy.
    pub fn play(fixture: &'a Fixture, startup: Startup, case: &Case, control: &mut dyn FnMut(&str)) -> Self {
        let mut startup = startup;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        startup.params.extend(case.startup.iter().map(|(name, value)| (name.clone(), text(value))));
        let mut session = Session {
            fixture,
            startup,
            patience: Duration::from_secs_f64(case.timeout.unwrap_or(10.0)),
            clients: BTreeMap::new(),
            refused: Vec::new(),
            replies: Vec::new(),
            elapsed: 0.0,
            late: false,
        };
        let start = Instant::now();
        for (conn, step) in case.steps() {
            match step {
                Step::Admin(sql) => {
                    fixture.client().query(&sql);
                }
                Step::Control(order) => control(&order),
                Step::Query(_) | Step::Prepared(..) | Step::Raw(_) => {
                    if !session.step(&conn, step) {
                        break;
                    }
                }
            }
        }
        session.elapsed = start.elapsed().as_secs_f64();
        if let Some(linger) = case.linger {
            session.clients.values_mut().for_each(|client| {
                client.drain(Duration::from_secs_f64(linger));
            });
        }
        session
    }

    /// Plays a step; `false` when the session is over.
    fn step(&mut self, conn: &str, step: Step) -> bool {
        if !self.clients.contains_key(conn) {
            match Client::connect(&self.startup) {
                Ok(client) => self.clients.insert(conn.to_owned(), client),
                Err(refused) => {
                    self.refused.push(refused.received);
                    return false;
                }
            };
        }
        let client = self.clients.get_mut(conn).expect("it was just put there");
        let mut player = Player { client, patience: self.patience, fixture: self.fixture, reply: Reply::default() };
        let in_time = match step {
            Step::Query(sql) => player.exchange(&frame::query(&sql), 1, CopyIn::Refuse { sync: false }),
            Step::Prepared(sql, params, format) => {
                let frames = prepared(&sql, &params, format);
                player.exchange(&frames, 1, CopyIn::Refuse { sync: true })
            }
            Step::Raw(frames) => player.frames(&frames),
            Step::Admin(_) | Step::Control(_) => true,
        };
        let reply = player.reply;
        self.late |= !in_time;
        self.replies.push(reply);
        !self.clients[conn].is_closed() && in_time
    }
}

impl stage::Session for Session<'_> {
    fn received(&self) -> Vec<&[u8]> {
        self.refused.iter().map(Vec::as_slice).chain(self.clients.values().map(Client::received)).collect()
    }

    fn streams(&self) -> Vec<(String, Vec<u8>)> {
        let streams = self.clients.iter();
        streams.map(|(name, client)| (name.clone(), client.received_after_login().to_vec())).collect()
    }

    fn refused(&self) -> bool {
        !self.refused.is_empty()
    }

    fn error_codes(&self) -> Vec<String> {
        self.replies.iter().flat_map(|reply| &reply.errors).map(|error| error.code().to_owned()).collect()
    }

    fn elapsed(&self) -> f64 {
        self.elapsed
    }

    fn late(&self) -> bool {
        self.late
    }

    fn describe(&self) -> Vec<String> {
        self.replies.iter().map(|reply| format!("{reply:?}")).collect()
    }
}

fn prepared(sql: &str, params: &[Option<Vec<u8>>], format: i16) -> Vec<u8> {
    let mut frames = frame::parse("", sql.as_bytes(), &[]);
    frames.extend(frame::bind("", "", params, &[], format));
    frames.extend(frame::name(b'D', b'P', ""));
    frames.extend(frame::execute("", 0));
    frames.extend(frame::sync());
    frames
}

/// What to do when the server asks for COPY data.
#[derive(Clone, Copy)]
enum CopyIn {
    /// The step brings data of its own.
    Sent,
    /// CopyFail, and a Sync if the step used the extended protocol (the server ignored the first one).
    Refuse { sync: bool },
}

struct Player<'a> {
    client: &'a mut Client,
    patience: Duration,
    fixture: &'a Fixture,
    reply: Reply,
}

impl Player<'_> {
    fn exchange(&mut self, bytes: &[u8], answers: usize, copy: CopyIn) -> bool {
        self.client.send(bytes);
        self.wait(answers, copy)
    }

    /// Reads until so many ReadyForQuery came; `false`: they did not come in time.
    fn wait(&mut self, answers: usize, copy: CopyIn) -> bool {
        let mut left = answers;
        while left > 0 {
            match self.client.next(self.patience) {
                Ok(message) => {
                    self.reply.add(&message);
                    match (message.tag, copy) {
                        (b'Z', _) => left -= 1,
                        (b'G', CopyIn::Refuse { sync }) => {
                            self.client.send(&frame::copy_fail("no data"));
                            if sync {
                                self.client.send(&frame::sync());
                            }
                        }
                        (b'W', _) => {
                            self.reply_for(Duration::from_secs(1));
                            self.client.send(&frame::copy_done());
                        }
                        _ => {}
                    }
                }
                Err(NoMessage::Closed) => return true,
                Err(NoMessage::Late) => return false,
            }
        }
        true
    }

    fn reply_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(message) = self.client.next(deadline.saturating_duration_since(Instant::now())) {
            self.reply.add(&message);
        }
    }

    fn frames(&mut self, frames: &[Value]) -> bool {
        let has_data = frames.iter().any(|frame| matches!(frame[0].as_str(), Some("d" | "c" | "f")));
        let sync = frames.iter().any(|frame| frame[0] == "S");
        let copy = if has_data { CopyIn::Sent } else { CopyIn::Refuse { sync } };
        let mut bytes = Vec::new();
        let mut pending = 0;
        for frame in frames {
            let kind = frame[0].as_str().expect("a frame's name");
            if let Some(message) = self.message(kind, frame) {
                pending += usize::from(matches!(kind, "Q" | "Qhex" | "S" | "F"));
                bytes.extend(message);
                continue;
            }
            self.client.send(&std::mem::take(&mut bytes));
            let seconds = Duration::from_secs_f64(frame[1].as_f64().unwrap_or(0.0));
            match kind {
                "wait" => {
                    let answers = frame[1].as_u64().map_or(pending.max(1), |count| count as usize);
                    if !self.wait(answers, copy) {
                        return false;
                    }
                }
                "drain" => {
                    while let Ok(message) = self.client.next(seconds) {
                        self.reply.add(&message);
                    }
                }
                "sleep" => std::thread::sleep(seconds),
                "nowait" => {}
                "cancel" => self.cancel(frame[1].as_str().expect("whose key")),
                other => panic!("unknown frame `{other}`"),
            }
            pending = 0;
        }
        self.exchange(&bytes, pending, copy)
    }

    fn cancel(&self, whose: &str) {
        let mut key = self.client.key_data().to_vec();
        match whose {
            "own" => {}
            "zero" => key.iter_mut().skip(4).for_each(|byte| *byte = 0),
            "near" => *key.last_mut().expect("a key") ^= 1,
            other => panic!("unknown key `{other}`"),
        }
        self.client.cancel(&key);
    }

    /// A protocol message, or `None` for a pause.
    fn message(&self, kind: &str, frame: &Value) -> Option<Vec<u8>> {
        let text = |at: usize| frame[at].as_str().unwrap_or_default();
        let number = |at: usize| frame[at].as_i64().unwrap_or(0);
        let list = |at: usize| frame[at].as_array().cloned().unwrap_or_default();
        let short = |value: i64| i16::try_from(value).expect("16 bits");
        Some(match kind {
            "Q" => frame::query(text(1).as_bytes()),
            "Qhex" => frame::message(b'Q', &unhex(text(1))),
            "P" => {
                let oid = |value: &Value| u32::try_from(value.as_u64().expect("an OID")).expect("32 bits");
                frame::parse(text(1), text(2).as_bytes(), &list(3).iter().map(oid).collect::<Vec<_>>())
            }
            "B" => {
                let params: Vec<_> = list(3).iter().map(parameter).collect();
                let formats: Vec<_> = list(5).iter().map(|value| short(value.as_i64().unwrap_or(0))).collect();
                frame::bind(text(1), text(2), &params, &formats, short(number(4)))
            }
            "D" | "C" => frame::name(kind.as_bytes()[0], text(1).as_bytes()[0], text(2)),
            "E" => frame::execute(text(1), u32::try_from(number(2)).expect("a row count")),
            "S" => frame::sync(),
            "H" => frame::flush(),
            "X" => frame::terminate(),
            "d" => frame::copy_data(&bytes(text(1))),
            "c" => frame::copy_done(),
            "f" => frame::copy_fail(text(1)),
            "F" => {
                let oid = frame[1].as_u64().map(|oid| u32::try_from(oid).expect("32 bits"));
                let oid = oid.unwrap_or_else(|| self.fixture.function(text(1)));
                let arguments: Vec<_> = list(2).iter().map(parameter).collect();
                frame::function_call(oid, &arguments, short(number(3)))
            }
            "bytes" => unhex(text(1)),
            _ => return None,
        })
    }
}
