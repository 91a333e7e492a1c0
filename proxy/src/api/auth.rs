//! Who calls: the OS user at the other end of the Unix socket, or the user of a bearer token. Everything else is 401.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{StatusCode, header, request::Parts},
};
use hallpass_audit::event::{Event, Kind, Origin};

use super::{Api, problem::Problem};
use crate::store::actor::Actor;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// The Unix socket; the kernel names the user.
    Local {
        /// `None` when the kernel did not say.
        uid: Option<u32>,
    },
    /// TCP.
    Remote(SocketAddr),
}

/// Somebody who was authenticated.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Actor);

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0);
        let Some(peer) = peer else { return Err(unauthorized()) };
        if let Some(header) = parts.headers.get(header::AUTHORIZATION) {
            // A token speaks for its user even on the socket: an operator may act as one.
            let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
            let (token, origin) = (token.trim().to_owned(), origin(peer));
            let from = origin.clone();
            let found = api.ledger.perform(move |ledger| ledger.bearer(&token, origin)).await?;
            return match found {
                Some(actor) => Ok(Self(actor)),
                None => Err(wrong_token(peer, from, api).await),
            };
        }
        match peer {
            Peer::Local { uid: Some(uid) } if uid == 0 || uid == api.owner => Ok(Self(Actor::operator(&os_user(uid)))),
            Peer::Local { .. } | Peer::Remote(_) => Err(unauthorized()),
        }
    }
}

/// A token that is none: recorded, and from TCP slowed down and refused for a while like a wire's wrong passwords.
///
/// A token that works never waits: a portal asks for many users from one address, and tokens have 256 random bits, so
/// that there is nothing to be learnt from the difference.
async fn wrong_token(peer: Peer, origin: Origin, api: &Api) -> Problem {
    let mut event = Event::new(Kind::LoginFailed, api.shared.clock.now(), Arc::new(origin));
    event.reason = Some("no valid token".into());
    if let Err(error) = api.shared.journal.append(&[event]) {
        tracing::error!(%error, "a failed login could not be recorded");
    }
    let Peer::Remote(address) = peer else { return unauthorized() };
    let delay = api.shared.throttle.attempt(address.ip(), Instant::now());
    if delay.is_zero() {
        return unauthorized();
    }
    tokio::time::sleep(delay).await;
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens came from this address")
        .hint("use a token that works: `hallpass user token NAME` makes one")
        .retry_after(delay)
}

fn origin(peer: Peer) -> Origin {
    match peer {
        Peer::Local { .. } => Origin { protocol: Some("cli".into()), ..Origin::default() },
        Peer::Remote(address) => {
            Origin { protocol: Some("http".into()), client: Some(address.to_string().into()), ..Origin::default() }
        }
    }
}

fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "no valid token")
        .hint("set HALLPASS_TOKEN, or use the Unix socket as the OS user who runs the proxy")
}

/// The user's name in the system's list, or its number.
fn os_user(uid: u32) -> String {
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| format!("uid{uid}"))
}
