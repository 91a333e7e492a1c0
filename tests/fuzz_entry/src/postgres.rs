//! Bytes as the Postgres protocol: of a client, of an upstream, before login. Decoders take a whole body or fail, lists
//! are as long as they say, and nobody logs in by accident.

use std::sync::Arc;

use hallpass::{
    config::Secret,
    store::credentials::Credentials,
    wire::postgres::{
        backend::{
            self, Authentication, CommandComplete, CopyResponse, Notification, Report, RowDescription,
            TransactionStatus,
        },
        codec::{self, Frame},
        error::scrub_error,
        frontend::{self, Bind, Execute, FunctionCall, Named, Parse},
        scram::{NONCE, Offered},
        settings,
        startup::{Offer, Opening, Step},
        upstream_login::{Action, Binding, Conversation},
    },
};
use hallpass_policy::ids::Timestamp;

use crate::bytes::Bytes;

/// The longest frame that a target takes.
const LONGEST: usize = 1 << 20;

/// Every whole frame at the start of `data`.
fn frames(data: &[u8], mut each: impl FnMut(Frame<'_>)) {
    let mut rest = data;
    while let Ok(Some(frame)) = codec::frame(rest, LONGEST) {
        assert!(frame.raw.len() >= 5 && rest.starts_with(frame.raw), "a frame is what stands at the start");
        each(frame);
        rest = &rest[frame.raw.len()..];
    }
}

/// Messages of a client that has logged in.
pub(crate) fn frontend(data: &[u8]) {
    frames(data, |frame| {
        let body = frame.body;
        if let Ok(bind) = Bind::decode(body) {
            assert_eq!(bind.parameters.iter().count(), bind.parameters.len());
            assert_eq!(bind.parameter_formats.codes().count(), bind.parameter_formats.len());
            assert_eq!(bind.result_formats.codes().count(), bind.result_formats.len());
        }
        if let Ok(parse) = Parse::decode(body) {
            assert!(!parse.text.contains(&0) && !parse.statement.contains(&0));
            assert_eq!(parse.types.iter().count(), parse.types.len());
        }
        if let Ok(text) = frontend::query(body) {
            assert!(!text.contains(&0));
        }
        let _ = (Execute::decode(body), FunctionCall::decode(body), Named::decode("Describe", body));
        let _ = (frontend::copy_fail(body), frontend::empty("Sync", body));
    });
}

/// Messages of an upstream.
pub(crate) fn backend(data: &[u8]) {
    frames(data, |frame| {
        let body = frame.body;
        if let Ok(row) = RowDescription::decode(body) {
            assert_eq!(row.iter().count(), row.len());
        }
        if let Ok(report) = Report::decode(body) {
            scrubbed(report, body);
        }
        if let Ok(complete) = CommandComplete::decode(body) {
            let _ = complete.rows();
        }
        if let Ok(copy) = CopyResponse::decode(body) {
            assert_eq!(copy.columns.codes().count(), copy.columns.len());
        }
        let _ = (TransactionStatus::decode(body), backend::backend_key_data(body), Notification::decode(body));
        let _ = (backend::parameter_description(body), backend::parameter_status(body), Authentication::decode(body));
    });
}

/// A report reduced to its kind keeps nothing but severity, SQLSTATE and our words.
fn scrubbed(report: Report<'_>, body: &[u8]) {
    let Ok(scrubbed) = scrub_error(b'E', body, "our words") else { return };
    let frame = codec::frame(&scrubbed, LONGEST).expect("a frame").expect("a whole one");
    let left = Report::decode(frame.body).expect("a report");
    for (code, text) in left.iter() {
        match code {
            b'M' => assert_eq!(text, b"our words"),
            b'S' => assert!(text.len() <= 32, "a severity"),
            b'V' => assert!(text.len() <= 12 && text.iter().all(u8::is_ascii_uppercase), "a severity"),
            b'C' => assert!(text.len() == 5 && text.iter().all(u8::is_ascii_alphanumeric), "an SQLSTATE"),
            other => panic!("field {} is left of {report:?}", char::from(other)),
        }
    }
}

/// What comes before a login, and the login: a byte for what the listener does about TLS, one for how many bytes are
/// the opening, then a first and a last message of SCRAM.
pub(crate) fn login(data: &[u8]) {
    let mut bytes = Bytes(data);
    let offer = *bytes.pick(&[Offer::Off, Offer::Prefer, Offer::Require]);
    opening(Opening::new(offer), bytes.piece());
    opening(Opening::encrypted(), bytes.piece());
    let text = String::from_utf8_lossy(bytes.piece());
    if let Ok(found) = settings::parse_options(&text) {
        for setting in &found {
            let _ = settings::startup_setting(&setting.name, &setting.value);
        }
        let _ = settings::check(&found);
    }
    scram(bytes.piece(), bytes.0);
}

fn opening(mut opening: Opening, data: &[u8]) {
    let mut rest = data;
    // Each request is answered once, so this ends.
    for _ in 0..4 {
        match opening.advance(rest) {
            Ok(Step::Decline { then, consumed }) => {
                assert!(consumed > 0);
                rest = &rest[consumed..];
                opening = then;
            }
            Ok(Step::Start { startup, consumed }) => {
                assert!(consumed <= rest.len());
                let _ = startup.setting("client_encoding");
                return;
            }
            Ok(Step::UpgradeToTls { consumed }) => return assert!(consumed > 0 && consumed <= rest.len()),
            Ok(Step::Wait(_) | Step::DirectTls | Step::Cancel(_)) | Err(_) => return,
        }
    }
    panic!("an opening that goes on for ever");
}

fn scram(first: &[u8], last: &[u8]) {
    for end_point in [None, Some(Arc::from(&b"a certificate's hash"[..]))] {
        let nobody = Credentials::unknown("ghost", &[7; 32]);
        if let Ok((challenged, challenge)) = Offered::new(end_point).first(first, nobody, &[9; NONCE]) {
            assert!(challenge.starts_with(b"r="));
            assert!(challenged.last(last, Timestamp(0)).is_err(), "nobody knows the password of nobody");
        }
    }
}

/// What an upstream says to the proxy that logs in there.
pub(crate) fn upstream(data: &[u8]) {
    let password = Secret::new("secret".into());
    let mut talk = Conversation::new("hallpass", Some(&password), Binding::Unsupported);
    let mut open = true;
    frames(data, |frame| {
        // A key is not derived: how often an upstream wants that is tested where it is bounded.
        open = open && matches!(talk.receive(frame), Ok(Action::Wait | Action::Send(_)));
    });
}
