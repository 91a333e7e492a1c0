//! Sends what waits for one webhook, in order, and again while that may help: with longer and longer pauses, each of
//! them a little random, so that many proxies do not come back at once. Gives up on one notification after a few
//! minutes and goes on to the next.

use std::{sync::Arc, time::Duration};

use super::{Numbered, body, post, queue::Hook};
use crate::store::credentials::random;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, whatever the server wants.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often one notification is tried: about four minutes of pauses.
const TRIES: u32 = 11;

/// Sends for one webhook, until the future is dropped.
pub(super) async fn work(hook: Arc<Hook>) {
    loop {
        let next = hook.next().await;
        deliver(&hook, &next).await;
    }
}

async fn deliver(hook: &Hook, numbered: &Numbered) {
    let (number, id) = (hook.number, numbered.id.as_str());
    let body = match body::of(numbered, hook.webhook.format) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(webhook = number, %error, id, "the notification cannot be written down; it is dropped");
            return;
        }
    };
    for tried in 1..=TRIES {
        let Err(error) = post::post(&hook.webhook, body.clone()).await else {
            if tried > 1 {
                tracing::info!(webhook = number, id, tried, "the notification is delivered now");
            }
            return;
        };
        if !error.may_pass() || tried == TRIES {
            tracing::error!(webhook = number, %error, id, tried, "the notification was not delivered; it is dropped");
            return;
        }
        if tried == 1 {
            tracing::warn!(webhook = number, %error, id, "the notification is not delivered yet; trying again");
        }
        let random = random::<1>().map_or(u8::MAX, |[random]| random);
        tokio::time::sleep(pause(tried, error.wanted_delay(), random)).await;
    }
}

/// How long to wait after the `tried`th failure: twice as long each time, of which a `random` part of up to a half is
/// left out; but at least what the server `wanted`.
fn pause(tried: u32, wanted: Option<Duration>, random: u8) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST_PAUSE);
    let left_out = whole.mul_f64(f64::from(random) / f64::from(u8::MAX) / 2.0);
    whole.saturating_sub(left_out).max(wanted.unwrap_or_default()).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_not_all_the_same() {
        let ms = |tried, random| pause(tried, None, random).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 7, 8, 30, 100].map(|tried| ms(tried, 0)),
            [500, 1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]
        );
        assert_eq!([1, 2, 8].map(|tried| ms(tried, u8::MAX)), [250, 500, 30_000]);
        let wanted = |seconds| pause(1, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!((wanted(7), wanted(86_400)), (7, 60), "the server is listened to, within reason");
    }
}
