//! Plays the steps of a case on its connections and keeps all that came back. It judges nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use super::{
    super::{
        case::{Case, Step, parameter, pieces},
        stage,
    },
    Fixture,
};
use crate::wire::mysql::{Client, Fault, Prepared, Reply, Rows, Startup, Value, command, flags, packet};

/// A case's connections while it runs; they stay open until this is dropped.
pub struct Session {
    startup: Startup,
    init: Option<String>,
    files: BTreeMap<String, Vec<u8>>,
    patience: Duration,
    clients: BTreeMap<String, Player>,
    refused: Vec<Vec<u8>>,
    replies: Vec<Reply>,
    elapsed: f64,
    late: bool,
}

/// One connection, and the statement that it prepared last.
struct Player {
    client: Client,
    prepared: Option<Prepared>,
}

/// The other side did not answer in time, or closed.
struct Over {
    late: bool,
}

impl Session {
    /// Plays a case. `control` is called for the orders to the proxy.
    pub fn play(fixture: &Fixture, startup: Startup, case: &Case, control: &mut dyn FnMut(&str)) -> Self {
        let mut session = Session {
            startup: configured(startup, case),
            init: case.startup.get("init").and_then(Json::as_str).map(str::to_owned),
            files: named_files(case),
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
                Step::Admin(sql) => drop(fixture.client().query(&sql)),
                Step::Control(order) => control(&order),
                Step::Query(_) | Step::Prepared(..) | Step::Raw(_) => {
                    if let Err(over) = session.step(&conn, step) {
                        session.late |= over.late;
                        break;
                    }
                }
            }
        }
        session.elapsed = start.elapsed().as_secs_f64();
        if let Some(linger) = case.linger {
            session.clients.values_mut().for_each(|player| {
                player.client.drain(Duration::from_secs_f64(linger));
            });
        }
        session
    }

    fn step(&mut self, conn: &str, step: Step) -> Result<(), Over> {
        if !self.clients.contains_key(conn) {
            match Client::connect(&self.startup) {
                Ok(mut client) => {
                    client.set_patience(self.patience);
                    // What comes may be numbered for another command than the one under way: cases send several at once.
                    client.ignore_sequence();
                    client.files.clone_from(&self.files);
                    let mut player = Player { client, prepared: None };
                    if let Some(init) = &self.init {
                        self.replies.push(player.query(init.as_bytes())?);
                    }
                    self.clients.insert(conn.to_owned(), player);
                }
                Err(refused) => {
                    self.refused.push(refused.received);
                    return Err(Over { late: false });
                }
            }
        }
        let player = self.clients.get_mut(conn).expect("it was just put there");
        match step {
            Step::Query(sql) => self.replies.push(player.query(&sql)?),
            Step::Prepared(sql, params, _) => self.replies.extend(player.run(&sql, &params)?),
            Step::Raw(frames) => {
                for frame in &frames {
                    self.replies.extend(player.frame(frame, &self.startup)?);
                }
            }
            Step::Admin(_) | Step::Control(_) => {}
        }
        if player.client.is_closed() { Err(Over { late: false }) } else { Ok(()) }
    }
}

/// The files that a case names, with a line in each: the only ones that a client gives away.
fn named_files(case: &Case) -> BTreeMap<String, Vec<u8>> {
    let texts = case.session.iter().filter_map(Json::as_str);
    let names = texts.filter_map(|sql| sql.split_once("LOCAL INFILE '")?.1.split('\'').next());
    names.map(|name| (name.to_owned(), b"a line of the client\n".to_vec())).collect()
}

/// The options of a connection.
fn configured(mut startup: Startup, case: &Case) -> Startup {
    for (name, value) in &case.startup {
        match (name.as_str(), value) {
            ("database", Json::String(database)) => database.clone_into(&mut startup.database),
            ("charset", Json::String(charset)) => {
                assert_eq!(charset, "sjis", "the only one here");
                startup.charset = 13;
            }
            ("multi", Json::Bool(true)) => startup.flags |= flags::MULTI_STATEMENTS,
            ("compress", Json::Bool(true)) => startup.flags |= flags::COMPRESS,
            ("client_flag", flag) => startup.flags |= flag.as_u64().expect("flags"),
            ("init", Json::String(_)) => {}
            other => panic!("{}: the option {other:?} is not known", case.id),
        }
    }
    startup
}

impl stage::Session for Session {
    fn received(&self) -> Vec<&[u8]> {
        let open = self.clients.values().map(|player| player.client.received());
        self.refused.iter().map(Vec::as_slice).chain(open).collect()
    }

    fn streams(&self) -> Vec<(String, Vec<u8>)> {
        let streams = self.clients.iter();
        streams.map(|(name, player)| (name.clone(), player.client.received_after_login().to_vec())).collect()
    }

    fn refused(&self) -> bool {
        !self.refused.is_empty()
    }

    fn error_codes(&self) -> Vec<String> {
        self.replies.iter().flat_map(|reply| &reply.errors).map(|error| error.code.to_string()).collect()
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

impl Player {
    /// The answer to what was sent; an answer that stays away ends the session instead of the test.
    fn answered(&mut self, rows: Rows) -> Result<Reply, Over> {
        let known = self.prepared.as_ref().map(|prepared| prepared.columns.clone()).unwrap_or_default();
        self.client.try_reply(rows, &known).map_err(|_| Over { late: true })
    }

    fn query(&mut self, sql: &[u8]) -> Result<Reply, Over> {
        self.client.start(sql);
        self.answered(Rows::Text)
    }

    fn prepare(&mut self, sql: &str) -> Vec<Reply> {
        match self.client.prepare(sql) {
            Ok(prepared) => {
                self.prepared = Some(prepared);
                Vec::new()
            }
            Err(error) => vec![failed(error)],
        }
    }

    fn execute(&mut self, params: &[Value], cursor: u8) -> Result<Vec<Reply>, Over> {
        // What was not prepared cannot be executed, but a client may try.
        let id = self.prepared.as_ref().map_or(1, |prepared| prepared.id);
        let attributes = self.client.capabilities() & flags::QUERY_ATTRIBUTES != 0;
        self.client.send_command(&command::execute(id, params, cursor, attributes));
        Ok(vec![self.answered(Rows::Binary)?])
    }

    fn run(&mut self, sql: &str, params: &[Option<Vec<u8>>]) -> Result<Vec<Reply>, Over> {
        let failed = self.prepare(sql);
        if !failed.is_empty() {
            return Ok(failed);
        }
        self.execute(&values(params), 0)
    }

    fn frame(&mut self, frame: &Json, startup: &Startup) -> Result<Vec<Reply>, Over> {
        let kind = frame[0].as_str().expect("a frame's name");
        let number = |at: usize| u8::try_from(frame[at].as_u64().expect("a number")).expect("a byte");
        let idle = |at: usize| Duration::from_secs_f64(frame[at].as_f64().unwrap_or(0.25));
        let text = |at: usize| frame[at].as_str().unwrap_or_default();
        let list = |at: usize| frame[at].as_array().cloned().unwrap_or_default();
        match kind {
            "query" => return Ok(vec![self.query(text(1).as_bytes())?]),
            "com" => {
                let payload = match text(2) {
                    "prev_id" => (self.client.connection() - 1).to_le_bytes().to_vec(),
                    _ => pieces(&frame[2]),
                };
                self.client.send_command(&command::command(number(1), &payload));
                return Ok(self.listen(idle(3)));
            }
            "prepare" => return Ok(self.prepare(text(1))),
            "execute" => {
                let params: Vec<_> = list(1).iter().map(parameter).collect();
                let cursor = frame[2].as_u64().map_or(0, |_| number(2));
                return self.execute(&values(&params), cursor);
            }
            "execute_long" => {
                let count = frame[1].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count");
                return self.execute(&vec![Value::Long; count], 0);
            }
            "close_stmt" => {
                if let Some(prepared) = self.prepared.take() {
                    self.client.close(&prepared);
                }
            }
            "long" => {
                let id = self.prepared.as_ref().map_or(1, |prepared| prepared.id);
                let param = u16::try_from(frame[1].as_u64().expect("a number")).expect("16 bits");
                self.client.send_command(&command::long_data(id, param, text(2).as_bytes()));
            }
            "fetch" => {
                let id = self.prepared.as_ref().map_or(1, |prepared| prepared.id);
                self.client.send_command(&command::fetch(id, u32::from(number(1))));
                return Ok(self.listen(Duration::from_millis(250)));
            }
            "pipe" => {
                let one = |pair: &Json| {
                    let number = u8::try_from(pair[0].as_u64().expect("a number")).expect("a byte");
                    packet::packet(0, &command::command(number, &pieces(&pair[1])))
                };
                self.client.send(&list(1).iter().flat_map(one).collect::<Vec<_>>());
                return Ok(self.listen(Duration::from_millis(400)));
            }
            "packets" => {
                let one = |pair: &Json| {
                    let sequence = u8::try_from(pair[0].as_u64().expect("a number")).expect("a byte");
                    packet::packet(sequence, &pieces(&pair[1]))
                };
                self.client.send(&list(1).iter().flat_map(one).collect::<Vec<_>>());
                return Ok(self.listen(idle(2)));
            }
            "bytes" => {
                self.client.send(&pieces(&frame[1]));
                return Ok(self.listen(Duration::from_millis(250)));
            }
            "change_user" => {
                let [user, password, database] = [1, 2, 3].map(|at| text(at).to_owned());
                let other = Startup { user, password, database, ..startup.clone() };
                if let Err(refused) = self.client.change_user(&other) {
                    return Ok(refused.error.map(failed).into_iter().collect());
                }
            }
            "sleep" => std::thread::sleep(idle(1)),
            other => panic!("unknown frame `{other}`"),
        }
        Ok(Vec::new())
    }

    /// What comes until the line is idle for so long. The first byte may take longer, unless none is due.
    fn listen(&mut self, idle: Duration) -> Vec<Reply> {
        let mut replies = Vec::new();
        let mut wait = idle.max(Duration::from_secs(1));
        while let Ok(payload) = self.client.next(wait) {
            wait = idle;
            match payload.first() {
                Some(0xFF) => replies.push(failed(Fault::read(&payload))),
                Some(0xFB) => self.client.send_payload(&[]),
                _ => {}
            }
        }
        replies
    }
}

fn failed(error: Fault) -> Reply {
    Reply { errors: vec![error], shape: "E".to_owned(), ..Reply::default() }
}

fn values(params: &[Option<Vec<u8>>]) -> Vec<Value> {
    let value = |param: &Option<Vec<u8>>| match param {
        None => Value::Null,
        Some(bytes) => match String::from_utf8(bytes.clone()) {
            Ok(text) => Value::Text(text),
            Err(_) => Value::Bytes(bytes.clone()),
        },
    };
    params.iter().map(value).collect()
}
