//! Slows logins down for addresses from which they keep failing. Refuses nobody, and forgets with time.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// The first delay; each further failure doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// One failure is forgiven for each such time without an attempt.
const FORGIVEN_AFTER: Duration = Duration::from_secs(15);
/// Failures above this are not counted, so that an attacked address recovers within minutes.
const MOST_FAILURES: u32 = 20;
/// Addresses remembered at once.
const MOST_ADDRESSES: usize = 10_000;

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, as one customer holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4(Ipv4Addr),
    V6(u64),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(u64::try_from(u128::from(address) >> 64).unwrap_or(u64::MAX)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    /// Up to when forgiveness was counted.
    since: Instant,
}

impl Record {
    /// The record as it stands at `now`.
    fn at(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.since).as_secs() / FORGIVEN_AFTER.as_secs();
        let forgiven = u32::try_from(passed).unwrap_or(u32::MAX);
        if forgiven >= self.failures {
            return Self { failures: 0, since: now };
        }
        Self { failures: self.failures - forgiven, since: self.since + FORGIVEN_AFTER * forgiven }
    }
}

/// Failed logins by address. One for the whole proxy.
#[derive(Debug, Default)]
pub struct Throttle {
    records: Mutex<HashMap<Network, Record>>,
}

impl Throttle {
    /// Nothing has failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts an attempt from `address` as failed until [`Throttle::succeeded`] says otherwise, and tells how long its
    /// answer, whichever it is, has to wait. Counting first makes attempts at the same time wait for each other.
    pub fn attempt(&self, address: IpAddr, now: Instant) -> Duration {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Network::from(address);
        if records.len() >= MOST_ADDRESSES && !records.contains_key(&network) {
            make_room(&mut records, now);
        }
        let record = records.entry(network).or_insert(Record { failures: 0, since: now });
        *record = record.at(now);
        let delay = delay(record.failures);
        record.failures = (record.failures + 1).min(MOST_FAILURES);
        delay
    }

    /// Takes one attempt back. Not more: who holds one account must not buy guesses at others with it.
    pub fn succeeded(&self, address: IpAddr) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Network::from(address);
        if let Some(record) = records.get_mut(&network) {
            record.failures = record.failures.saturating_sub(1);
            if record.failures == 0 {
                records.remove(&network);
            }
        }
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => FIRST_DELAY.saturating_mul(1 << over.min(10)).min(LONGEST_DELAY),
    }
}

/// Forgets what is forgiven, and if that is not enough, the quarter with the fewest failures.
fn make_room(records: &mut HashMap<Network, Record>, now: Instant) {
    records.retain(|_, record| record.at(now).failures > 0);
    if records.len() < MOST_ADDRESSES {
        return;
    }
    let mut failures: Vec<_> = records.values().map(|record| record.at(now).failures).collect();
    failures.sort_unstable();
    let bar = failures.get(failures.len() / 4).copied().unwrap_or_default();
    let mut excess = records.len() / 4 + 1;
    records.retain(|_, record| {
        let goes = excess > 0 && record.at(now).failures <= bar;
        excess -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn delays_grow_and_fade() {
        let (throttle, start, ann) = (Throttle::new(), Instant::now(), address("192.0.2.1"));
        for _ in 0..FREE {
            assert_eq!(throttle.attempt(ann, start), Duration::ZERO);
        }
        let grown: Vec<_> = (0..6).map(|_| throttle.attempt(ann, start).as_millis()).collect();
        assert_eq!(grown, [200, 400, 800, 1600, 3200, 5000]);
        assert_eq!(throttle.attempt(address("192.0.2.2"), start), Duration::ZERO);
        assert_eq!(throttle.attempt(ann, start + FORGIVEN_AFTER * 12), Duration::ZERO);
    }

    #[test]
    fn a_success_takes_back_its_own_attempt_only() {
        let (throttle, now, ann) = (Throttle::new(), Instant::now(), address("192.0.2.1"));
        for _ in 0..FREE {
            throttle.attempt(ann, now);
        }
        for _ in 0..10 {
            assert_eq!(throttle.attempt(ann, now), FIRST_DELAY);
            throttle.succeeded(ann);
        }
        let many = Throttle::new();
        for _ in 0..100 {
            assert_eq!(many.attempt(ann, now), Duration::ZERO);
            many.succeeded(ann);
        }
        assert!(many.records.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_counts_as_one_and_the_table_is_bounded() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for host in 0..FREE {
            throttle.attempt(address(&format!("2001:db8::{host:x}")), now);
        }
        assert_eq!(throttle.attempt(address("2001:db8::ffff:1"), now), FIRST_DELAY);
        assert_eq!(throttle.attempt(address("2001:db8:0:1::1"), now), Duration::ZERO);
        for _ in 0..FREE {
            throttle.attempt(address("::ffff:192.0.2.1"), now);
        }
        assert_eq!(throttle.attempt(address("192.0.2.1"), now), FIRST_DELAY);
        for host in 0..30_000u32 {
            throttle.attempt(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host)), now);
        }
        assert!(throttle.records.lock().unwrap().len() <= MOST_ADDRESSES);
        assert!(throttle.attempt(address("192.0.2.1"), now) > FIRST_DELAY, "the worst are remembered");
    }
}
