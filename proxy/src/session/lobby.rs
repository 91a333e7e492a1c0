//! Connections on which nobody has logged in yet: bounded, so that half-open logins neither fill memory and descriptors
//! nor keep others out. When there are too many, the address with the most of them loses its oldest.
//! Ends a login only by telling it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::throttle::Network;

/// As many as may be under way at once.
const MOST: usize = 1000;

/// One login under way.
#[derive(Debug)]
struct Guest {
    number: u64,
    displaced: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Guests {
    /// By address, oldest first.
    of: HashMap<Network, VecDeque<Guest>>,
    count: usize,
    next: u64,
}

/// All logins under way. One for the whole proxy.
#[derive(Debug, Default)]
pub struct Lobby(Mutex<Guests>);

/// A login's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    lobby: Arc<Lobby>,
    network: Network,
    number: u64,
    displaced: Arc<Notify>,
}

impl Lobby {
    /// A login from `address` begins. Where there are too many, another one is told to end.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let (network, displaced) = (Network::from(address), Arc::new(Notify::new()));
        let mut guests = self.lock();
        guests.next += 1;
        let number = guests.next;
        guests.of.entry(network).or_default().push_back(Guest { number, displaced: Arc::clone(&displaced) });
        guests.count += 1;
        if guests.count > MOST {
            guests.displace();
        }
        drop(guests);
        Place { lobby: Arc::clone(self), network, number, displaced }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    /// The oldest login of the address with the most; among equals, the oldest of all.
    fn displace(&mut self) {
        let oldest = |all: &VecDeque<Guest>| std::cmp::Reverse(all.front().map(|guest| guest.number));
        let crowded = self.of.values_mut().max_by_key(|all| (all.len(), oldest(all)));
        if let Some(guest) = crowded.and_then(VecDeque::pop_front) {
            self.count -= 1;
            guest.displaced.notify_one();
        }
    }
}

impl Place {
    /// Resolves when the login has to end for others.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.lobby.lock();
        let Some(all) = guests.of.get_mut(&self.network) else { return };
        // Not there any more when it was displaced.
        let found = all.binary_search_by_key(&self.number, |guest| guest.number).ok();
        let gone = found.and_then(|at| all.remove(at)).is_some();
        if all.is_empty() {
            guests.of.remove(&self.network);
        }
        guests.count -= usize::from(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;

    fn is_displaced(place: &Place) -> bool {
        let mut told = std::pin::pin!(place.displaced());
        told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_crowded_address_loses_its_oldest() {
        let lobby = Arc::new(Lobby::default());
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let alone = lobby.enter(address(1));
        let crowd: Vec<_> = (0..MOST + 4).map(|_| lobby.enter(address(2))).collect();
        let displaced: Vec<_> = crowd.iter().map(is_displaced).collect();
        assert_eq!(displaced.iter().filter(|yes| **yes).count(), 5);
        assert!(displaced[..5].iter().all(|yes| *yes));
        assert!(!is_displaced(&alone));
        drop(crowd);
        drop(alone);
        let guests = lobby.lock();
        assert_eq!((guests.count, guests.of.len()), (0, 0));
    }
}
