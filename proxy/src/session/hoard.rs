//! What a session keeps by name or number for as long as its client likes: prepared statements, portals. Counted and
//! weighed, so that one client cannot fill the proxy with them. Knows nothing of what they are.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use super::target::Understanding;
use crate::error::ClientError;

/// As many of a kind as a session may keep.
pub const MOST: usize = 10_000;

/// Bytes of text and parameters of a kind that a session may keep; what is understood of a text takes several times as
/// much. One that is longer by itself may be kept alone.
pub const MOST_BYTES: usize = 8 << 20;

/// What is kept in a [`Hoard`].
pub trait Weigh {
    /// Bytes that count. They may not change while it is kept.
    fn weight(&self) -> usize;
}

impl Weigh for Understanding {
    fn weight(&self) -> usize {
        self.text.len()
    }
}

/// Things of one kind.
#[derive(Debug)]
pub struct Hoard<K, V> {
    map: HashMap<K, V>,
    bytes: usize,
}

impl<K, V> Default for Hoard<K, V> {
    fn default() -> Self {
        Self { map: HashMap::new(), bytes: 0 }
    }
}

impl<K: Hash + Eq, V: Weigh> Hoard<K, V> {
    /// Whether there is room for something of this weight under `key`, in place of what is there. `what` says in an
    /// error what there is too much of.
    ///
    /// # Errors
    /// [`ClientError::HoldsTooMuch`].
    pub fn room<Q>(&self, key: &Q, weight: usize, what: &'static str) -> Result<(), ClientError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let replaced = self.map.get(key);
        let others = self.map.len() - usize::from(replaced.is_some());
        let bytes = self.bytes - replaced.map_or(0, Weigh::weight);
        let fits = others < MOST && (others == 0 || bytes.saturating_add(weight) <= MOST_BYTES);
        if fits { Ok(()) } else { Err(ClientError::HoldsTooMuch { what }) }
    }

    /// What is under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.get(key)
    }

    /// The same, to be changed in all but its weight.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.get_mut(key)
    }

    /// Whether something is under `key`.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.contains_key(key)
    }

    /// Puts `value` under `key`; hands back what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.bytes += value.weight();
        let before = self.map.insert(key, value);
        self.bytes -= before.as_ref().map_or(0, Weigh::weight);
        before
    }

    /// Takes out what is under `key`.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let gone = self.map.remove(key);
        self.bytes -= gone.as_ref().map_or(0, Weigh::weight);
        gone
    }

    /// Keeps what `stays`.
    pub fn retain(&mut self, stays: impl Fn(&K, &V) -> bool) {
        let bytes = &mut self.bytes;
        self.map.retain(|key, value| {
            let kept = stays(key, value);
            *bytes -= if kept { 0 } else { value.weight() };
            kept
        });
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Under what there is something.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.map.keys()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn weight_follows_what_is_kept() {
        let mut hoard = Hoard::<u32, usize>::default();
        assert!(hoard.room(&1, MOST_BYTES + 1, "things").is_ok(), "alone");
        hoard.insert(1, MOST_BYTES - 10);
        assert!(hoard.room(&2, 10, "things").is_ok());
        assert!(hoard.room(&2, 11, "things").is_err());
        assert!(hoard.room(&1, MOST_BYTES, "things").is_ok(), "in its place");
        hoard.insert(1, 5);
        hoard.insert(2, 7);
        assert_eq!(hoard.bytes, 12);
        hoard.remove(&2);
        hoard.remove(&3);
        hoard.insert(4, 9);
        hoard.retain(|key, _| *key != 1);
        assert_eq!(hoard.bytes, 9);
        hoard.clear();
        assert_eq!((hoard.bytes, hoard.is_empty()), (0, true));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut hoard = Hoard::<usize, usize>::default();
        (0..MOST).for_each(|key| assert!(hoard.room(&key, 0, "things").is_ok() && hoard.insert(key, 0).is_none()));
        assert!(hoard.room(&MOST, 0, "things").is_err());
        assert!(hoard.room(&0, 0, "things").is_ok());
    }
}
