//! Bytes as the MySQL protocol: of a client, of an upstream, before login, compressed. Decoders take a whole payload or
//! fail, a broken answer ends its reader, and nobody logs in by accident.

use std::sync::{Arc, LazyLock};

use hallpass::{
    config::Secret,
    wire::mysql::{
        auth::{Candidates, Channel, First, Login, Native, Step as Answer},
        backend::{Column, Default as Unset, EofPacket, ErrPacket, OkPacket, PrepareOk, Status, column_count},
        capability::Capabilities,
        codec::{self, MAX_PAYLOAD, Order, Sequence},
        compress::{Algorithm, Compressed},
        encode,
        error::scrub_error,
        execute::{Known, ParameterType, Sign},
        frontend::Command,
        hashes::MysqlSecret,
        reader::{Request, ResultReader},
        rsa::ServerKey,
        startup::{Greeting, Opening, Response, Scramble, Step},
        upstream_login::{Account, Action, Security, UpstreamLogin},
        value::Type,
    },
    wire::postgres::startup::Offer,
};

use crate::bytes::Bytes;

/// Every whole message at the start of `data`.
fn messages(data: &[u8], mut each: impl FnMut(&[u8])) {
    let (mut rest, mut sequence) = (data, Sequence::start(Order::Loose));
    while let Ok(Some(message)) = codec::message(rest, &mut sequence, 1 << 20) {
        assert!(message.raw.len() >= codec::HEADER && rest.starts_with(message.raw));
        each(&message.payload);
        rest = &rest[message.raw.len()..];
    }
}

/// Eight bytes of capabilities, one for how many parameters are known of statements, and commands.
pub(crate) fn frontend(data: &[u8]) {
    let mut bytes = Bytes(data);
    let held = Capabilities(bytes.word());
    let known = usize::from(bytes.byte() % 9);
    messages(bytes.0, |payload| match Command::decode(payload, held) {
        Ok(Command::Execute(execute)) => {
            let types = [ParameterType { kind: Type(8), sign: Sign::Signed }; 9];
            for types in [&[][..], &types[..known]] {
                let known = Known { parameters: known, types, long_data: &[false, true] };
                if let Ok(parameters) = execute.parameters(held, known) {
                    assert!(parameters.len() >= known.parameters);
                }
                let _ = (execute.binds_types(held, known), execute.with_types(payload, held, known));
            }
        }
        Ok(Command::BulkExecute(bulk)) => {
            let _ = bulk.parameters(Known { parameters: known, types: &[], long_data: &[] });
        }
        Ok(command) => {
            let _ = Request::of(&command);
        }
        Err(_) => {}
    });
}

/// Eight bytes of capabilities, one for what was asked, and packets of the answer.
pub(crate) fn backend(data: &[u8]) {
    let mut bytes = Bytes(data);
    let held = Capabilities(bytes.word());
    let request = *bytes.pick(&[
        Request::Simple,
        Request::Query,
        Request::Prepare,
        Request::Execute,
        Request::Fetch,
        Request::FieldList,
        Request::Statistics,
    ]);
    let mut reader = ResultReader::new(request, held);
    messages(bytes.0, |payload| {
        let _ = reader.is_row(payload.first().copied().unwrap_or_default(), payload.len());
        if reader.read(payload).is_err() {
            assert!(reader.is_done(), "a broken answer is over");
        }
        if let Ok(ok) = OkPacket::decode(payload, held) {
            let _ = ok.changes();
        }
        if let Ok(column) = Column::decode(payload, held, Unset::Follows) {
            let _ = column.extended().count();
        }
        let _ = (EofPacket::decode(payload), PrepareOk::decode(payload, held), column_count(payload, held));
        let _ = (
            encode::with_status(payload, Status(2)),
            encode::with_warnings(payload, held, |told| told.saturating_add(3)),
        );
        scrubbed(payload);
    });
}

/// An error reduced to its kind keeps nothing but number, SQLSTATE and our words.
fn scrubbed(payload: &[u8]) {
    let (mut out, mut sequence) = (Vec::new(), Sequence::start(Order::Loose));
    if scrub_error(&mut out, &mut sequence, payload, |_| "our words").is_ok() {
        let left = ErrPacket::decode(&out[codec::HEADER..]).expect("an error");
        assert_eq!(left.message, b"our words");
        assert!(left.sqlstate.iter().all(u8::is_ascii_alphanumeric));
    }
}

/// A listener's RSA key: made once, as that takes long.
static KEY: LazyLock<Arc<ServerKey>> = LazyLock::new(|| Arc::new(ServerKey::generate().expect("a key")));

/// Two bytes for the listener, eight of capabilities, a handshake response, then a plugin, a first answer, and packets
/// that answer what is asked next.
pub(crate) fn login(data: &[u8]) {
    let mut bytes = Bytes(data);
    let offer = *bytes.pick(&[Offer::Off, Offer::Prefer, Offer::Require]);
    let native = *bytes.pick(&[Native::Accepted, Native::TokensOnly]);
    let channel = match bytes.byte() % 3 {
        0 => Channel::Tls,
        1 => Channel::Plain(Arc::clone(&KEY)),
        _ => Channel::Local(Arc::clone(&KEY)),
    };
    let announced = Capabilities(bytes.word());
    let opening = bytes.piece();
    match Opening::new(announced, offer).advance(opening) {
        Ok(Step::Start { consumed, .. }) => assert!(consumed <= opening.len()),
        Ok(Step::UpgradeToTls { consumed, then }) => {
            assert!(consumed > 0);
            let _ = then.advance(&opening[consumed..]);
        }
        Ok(Step::Wait) | Err(_) => {}
    }
    let _ = (Response::decode(opening, announced), Greeting::decode(opening));
    let (plugin, auth) = (bytes.piece(), bytes.piece());
    let first = First { plugin: (!plugin.is_empty()).then_some(plugin), auth };
    let secrets = vec![(0, MysqlSecret::derive(b"a password that no bytes of a fuzzer hold"))];
    let scrambles = (Scramble::received([b'a'; 20]), Scramble::received([b'b'; 20]));
    let begun = Login::begin(first, Candidates { secrets }, scrambles.0, scrambles.1, channel, native);
    let Ok(mut step) = begun else { return };
    // Three answers at the most: a switch, the key, the sealed password.
    for _ in 0..4 {
        match step {
            Answer::Send(_, login) => step = login.answer(bytes.piece()),
            Answer::Verified { .. } => panic!("nobody knows the password"),
            Answer::Password(_) | Answer::Denied(_) | Answer::TooOld | Answer::Exposed => return,
        }
    }
    panic!("a login that goes on for ever");
}

/// What an upstream says to the proxy that logs in there: a byte for how the line is protected, then packets.
pub(crate) fn upstream(data: &[u8]) {
    let mut bytes = Bytes(data);
    let security = *bytes.pick(&[Security::Plain, Security::Local, Security::Tls]);
    let account = Account {
        user: "hallpass".into(),
        password: Some(Secret::new("a long secret".into())),
        database: Some("shop".into()),
        collation: 45,
        agreed: Capabilities::DEPRECATE_EOF,
        attributes: vec![("program_name".into(), "hallpass".into())],
    };
    let mut login = Some(UpstreamLogin::new(account, security));
    messages(bytes.0, |payload| {
        login = match login.take().map(|login| login.read(payload)) {
            Some(Ok(Action::Read(login))) => Some(login),
            Some(Ok(Action::Send(sent, login))) => {
                let plain = sent.windows(13).any(|part| part == b"a long secret");
                assert!(!plain || security != Security::Plain, "never in plain text over a network");
                Some(login)
            }
            Some(Ok(Action::StartTls(_, login))) => match login.encrypted() {
                Ok(Action::Send(_, login) | Action::Read(login)) => Some(login),
                _ => None,
            },
            Some(Ok(Action::Done(_)) | Err(_)) | None => None,
        };
    });
}

/// A byte for the algorithm, then compressed packets; and the same bytes there and back.
pub(crate) fn compressed(data: &[u8]) {
    let mut bytes = Bytes(data);
    let algorithm = *bytes.pick(&[Algorithm::Zlib, Algorithm::Zstd { level: 1 }, Algorithm::Zstd { level: 22 }]);
    let mut reader = Compressed::new(algorithm, Order::Loose);
    let (mut rest, mut plain) = (bytes.0, Vec::new());
    for _ in 0..8 {
        plain.clear();
        match reader.read(rest, &mut plain) {
            Ok(0) => assert!(plain.is_empty(), "nothing read is nothing given"),
            Ok(taken) => {
                assert!(plain.len() <= MAX_PAYLOAD, "{} bytes out of one packet", plain.len());
                rest = &rest[taken..];
                continue;
            }
            Err(_) => assert!(plain.len() <= MAX_PAYLOAD + 1, "a bomb stays small"),
        }
        break;
    }
    if matches!(algorithm, Algorithm::Zstd { level: 22 }) {
        return;
    }
    let (mut wire, mut back) = (Vec::new(), Vec::new());
    Compressed::new(algorithm, Order::Checked).write(bytes.0, &mut wire).expect("it compresses");
    let mut reader = Compressed::new(algorithm, Order::Checked);
    let taken = if wire.is_empty() { 0 } else { reader.read(&wire, &mut back).expect("what was written is read") };
    assert_eq!((taken, back.as_slice()), (wire.len(), bytes.0));
}
