//! How long it takes until the end of a grant is felt: 200 sessions of 20 users run what takes long, half of them in
//! transactions, a grant is revoked, and two clocks run from the moment its revocation is answered: until the server itself shows nothing of
//! the statement any more, and until the client has its error. Prints a table; asserts no time.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use hallpass_tests::{
    protocol::{Client as _, Direct as _, MySql, Postgres, Protocol},
    proxy::PASSWORD,
    shop::Shop,
};

/// An end that takes longer is a fault.
const PATIENCE: Duration = Duration::from_secs(15);

/// Users, among whom the sessions are dealt out.
const USERS: usize = 20;

/// What is asked for on the command line.
struct Plan {
    sessions: usize,
    /// Every so many sessions one scans, the others sleep.
    scans: usize,
    /// How often the grant of all is ended.
    rounds: usize,
    /// What those do that do not scan.
    wait: Wait,
}

/// What a session does that does not scan.
#[derive(Clone, Copy)]
enum Wait {
    /// It waits for a row that somebody else has locked.
    Lock,
    /// It sleeps. All sleepers of a MariaDB share one lock, and KILLs that meet there hold each other up.
    Sleep,
}

/// One client was told of the end of its grant.
struct Told {
    session: usize,
    at: Instant,
    message: String,
}

/// Times from the answer to the revocation.
#[derive(Default)]
struct Times {
    upstream: Vec<Duration>,
    client: Vec<Duration>,
}

impl Times {
    /// Waits until `sessions`, whose grant's revocation was answered, are over on both sides.
    fn add<P: Protocol>(
        &mut self,
        answered: Instant,
        eyes: &mut P::Client,
        told: &Receiver<Told>,
        sessions: &HashSet<usize>,
    ) {
        let unseen = gone::<P>(eyes, sessions);
        self.upstream.extend(unseen.into_iter().map(|at| at.saturating_duration_since(answered)));
        for _ in sessions {
            let told = told.recv_timeout(PATIENCE).expect("the client is told");
            // Whose grant ends between two statements hears of it as a denial of the next.
            let fits = told.message.contains("was revoked") || told.message.starts_with("no grant allows");
            assert!(sessions.contains(&told.session) && fits, "{}", told.message);
            self.client.push(told.at.saturating_duration_since(answered));
        }
    }
}

fn main() {
    let mut plan = Plan { sessions: 200, scans: 20, rounds: 2, wait: Wait::Lock };
    let mut protocols = vec!["postgres".to_owned(), "mysql".to_owned()];
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} wants a number, not {value}"));
        match name.as_str() {
            "--sessions" => plan.sessions = number(),
            "--scans" => plan.scans = number(),
            "--rounds" => plan.rounds = number(),
            "--wait" if value == "lock" => plan.wait = Wait::Lock,
            "--wait" if value == "sleep" => plan.wait = Wait::Sleep,
            "--protocol" => protocols = vec![value],
            _ => panic!("unknown: {name}"),
        }
    }
    println!(
        "{} sessions, half of them in transactions, one of {} scanning, the others waiting; ms from the answer to the revocation",
        plan.sessions, plan.scans
    );
    println!("{:<9} {:<12} {:<9} {:>5} {:>7} {:>7} {:>7}", "protocol", "ended", "until", "ends", "p50", "p99", "max");
    for protocol in protocols {
        match protocol.as_str() {
            "postgres" => measure::<Postgres>(&plan),
            "mysql" => measure::<MySql>(&plan),
            other => panic!("no protocol: {other}"),
        }
    }
}

fn measure<P: Protocol>(plan: &Plan) {
    let shop = Shop::<P>::new("grant_end");
    let users: Vec<String> = (0..USERS).map(|number| format!("user{number}")).collect();
    users.iter().for_each(|user| shop.proxy.user(user, &[]));
    shop.proxy.user("everybody", &[]);
    print::<P>("one by one", &one_by_one(&shop, plan, &users));
    print::<P>("all at once", &all_at_once(&shop, plan));
}

fn print<P: Protocol>(ended: &str, times: &Times) {
    for (until, times) in [("upstream", &times.upstream), ("client", &times.client)] {
        let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let at =
            |part: usize| times.get((times.len() * part).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        println!(
            "{:<9} {ended:<12} {until:<9} {:>5} {:>7.1} {:>7.1} {:>7.1}",
            P::NAME,
            times.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}

/// Each user has a grant; they are ended one after the other while all others' sessions go on.
fn one_by_one<P: Protocol>(shop: &Shop<P>, plan: &Plan, users: &[String]) -> Times {
    let mut grants: Vec<u64> = users.iter().map(|user| grant(&shop.proxy.data(), user)).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).cycle().take(plan.sessions).collect();
    busy(shop, plan, &names, |told, again| {
        let mut times = Times::default();
        let mut eyes = shop.database.client();
        for (number, user) in users.iter().enumerate() {
            let theirs: HashSet<usize> = (number..plan.sessions).step_by(users.len()).collect();
            let answered = revoke(&shop.proxy.data(), grants[number]);
            times.add::<P>(answered, &mut eyes, told, &theirs);
            grants[number] = grant(&shop.proxy.data(), user);
            theirs.iter().for_each(|session| again[*session].send(()).expect("the session goes on"));
            thread::sleep(Duration::from_millis(300));
        }
        times
    })
}

/// All sessions are one user's, whose grant is ended.
fn all_at_once<P: Protocol>(shop: &Shop<P>, plan: &Plan) -> Times {
    let mut held = grant(&shop.proxy.data(), "everybody");
    busy(shop, plan, &vec!["everybody"; plan.sessions], |told, again| {
        let mut times = Times::default();
        let mut eyes = shop.database.client();
        let all = (0..plan.sessions).collect();
        for _ in 0..plan.rounds {
            let answered = revoke(&shop.proxy.data(), held);
            times.add::<P>(answered, &mut eyes, told, &all);
            held = grant(&shop.proxy.data(), "everybody");
            again.iter().for_each(|again| again.send(()).expect("the session goes on"));
            thread::sleep(Duration::from_secs(2));
        }
        times
    })
}

/// Runs `work` while every user's session is busy.
fn busy<P: Protocol>(
    shop: &Shop<P>,
    plan: &Plan,
    users: &[&str],
    work: impl FnOnce(&Receiver<Told>, &[Sender<()>]) -> Times,
) -> Times {
    let mut holder = shop.database.client();
    holder.query("BEGIN").ok();
    holder.query("SELECT id FROM shop.orders WHERE id = 7 FOR UPDATE").ok();
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let mut again = Vec::new();
        for (number, user) in users.iter().enumerate() {
            let (sender, go) = mpsc::channel();
            again.push(sender);
            let client = shop.log_in(user, PASSWORD, "shop").unwrap_or_else(|refused| panic!("{refused:?}"));
            let sql = statement::<P>(plan, number);
            let tell = tell.clone();
            scope.spawn(move || session::<P>(client, number, &sql, &tell, &go));
        }
        thread::sleep(Duration::from_secs(3));
        let times = work(&told, &again);
        // Their statements end by the end of their connections.
        drop(again);
        shop.proxy.json(&["grants"]).as_array().into_iter().flatten().for_each(|grant| {
            let id = grant["id"].as_u64().expect("a number");
            revoke(&shop.proxy.data(), id);
        });
        times
    })
}

/// What a session runs, with its number for whoever looks at the server.
fn statement<P: Protocol>(plan: &Plan, number: usize) -> String {
    let wait = match plan.wait {
        Wait::Lock => "SELECT id FROM shop.orders WHERE id = 7 FOR UPDATE",
        Wait::Sleep => P::pick("SELECT pg_sleep(8)", "SELECT sleep(8)"),
    };
    let scan = P::pick(
        "SELECT count(*) FROM generate_series(1, 3000000) g, shop.orders o WHERE o.id = 1 AND g < 0",
        "SELECT count(*) FROM shop.orders a JOIN shop.orders b JOIN shop.orders c WHERE a.id + b.id + c.id = 0",
    );
    format!("{} /* s{number} */", if number.is_multiple_of(plan.scans) { scan } else { wait })
}

/// Runs one long statement after the other until its grant ends; then waits to begin again.
fn session<P: Protocol>(mut client: P::Client, number: usize, sql: &str, tell: &Sender<Told>, go: &Receiver<()>) {
    let (in_transaction, prepared) = (number.is_multiple_of(2), number % 4 < 2);
    loop {
        if in_transaction {
            client.query("BEGIN").ok();
        }
        let message = loop {
            let answer = if prepared { client.prepared(sql, &[]) } else { client.query(sql) };
            if let Some(error) = answer.errors.first() {
                break error.message.clone();
            }
        };
        // Nobody listens any more when the work is done.
        let _ = tell.send(Told { session: number, at: Instant::now(), message });
        client.query("ROLLBACK");
        if go.recv().is_err() {
            return;
        }
    }
}

/// Looks at the server until none of these sessions' statements is running; the moments at which each was first not seen.
fn gone<P: Protocol>(eyes: &mut P::Client, sessions: &HashSet<usize>) -> Vec<Instant> {
    let look = P::pick(
        "SELECT substring(query FROM '/[*] s([0-9]+) [*]/') FROM pg_stat_activity \
         WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE 'SELECT %'",
        "SELECT REGEXP_SUBSTR(INFO, '[0-9]+ [*]/$') FROM information_schema.PROCESSLIST \
         WHERE ID <> CONNECTION_ID() AND INFO LIKE 'SELECT %'",
    );
    let (start, mut found) = (Instant::now(), Vec::new());
    let mut left = sessions.clone();
    while !left.is_empty() {
        assert!(start.elapsed() < PATIENCE, "still running: {left:?}");
        let rows = eyes.query(look).ok().rows;
        let at = Instant::now();
        let number = |text: &String| text.trim_end_matches(" */").parse::<usize>().ok();
        let running: HashSet<usize> = rows.iter().filter_map(|row| number(row[0].as_ref()?)).collect();
        found.extend(left.iter().filter(|session| !running.contains(*session)).map(|_| at));
        left.retain(|session| running.contains(session));
        // Looking takes the locks of those that are looked at: not all the time.
        thread::sleep(Duration::from_millis(1));
    }
    found
}

/// Revokes a grant; the moment at which the proxy answered.
fn revoke(data: &Path, grant: u64) -> Instant {
    post(data, &format!("grants/{grant}/revoke"), "{}").0
}

/// Gives a user the role of everything. Returns the grant.
fn grant(data: &Path, user: &str) -> u64 {
    let body = format!(
        r#"{{"user":"{user}","role":"owner","databases":["shop"],"duration":"1h","reason":"how long its end takes"}}"#
    );
    let asked = post(data, "requests", &body).1["id"].as_u64().expect("a request");
    let approved = post(data, &format!("requests/{asked}/approve"), "{}").1;
    approved["grant"]["id"].as_u64().unwrap_or_else(|| panic!("no grant: {approved}"))
}

/// One call over the proxy's socket: when its answer began, and what it was.
fn post(data: &Path, path: &str, body: &str) -> (Instant, serde_json::Value) {
    let mut socket = UnixStream::connect(data.join("api.sock")).expect("the proxy's socket");
    let head = format!("POST /api/v1/{path} HTTP/1.1\r\nHost: hallpass\r\nConnection: close\r\n");
    let content = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    socket.write_all(format!("{head}{content}").as_bytes()).expect("sent");
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).expect("an answer");
    let answered = Instant::now();
    socket.read_to_end(&mut answer).expect("the rest of it");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 20"), "{text}");
    let json = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (answered, serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}")))
}
