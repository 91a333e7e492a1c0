//! Lists, a page at a time. The order is the list's own and stands still: a page begins behind the last item of the page
//! before, whatever has come or gone since. Knows no store.

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page<K> {
    /// The key of the page before's last item; `None`: the first page.
    pub after: Option<K>,
    /// At most so many items, and at least one.
    pub limit: usize,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Whether others follow.
    pub more: bool,
}

/// The fewest items to ask for at once.
const LEAST: u32 = 100;

/// A page of a list of which somebody sees only a part: filled by chunks, until it is full or the list is over.
#[derive(Debug)]
pub(super) struct Filling<K, T> {
    items: Vec<T>,
    limit: usize,
    behind: Option<K>,
    over: bool,
}

impl<K: Copy, T> Filling<K, T> {
    /// Nothing yet.
    pub(super) fn new(page: Page<K>) -> Self {
        Self { items: Vec::new(), limit: page.limit.max(1), behind: page.after, over: false }
    }

    /// What is wanted next: behind which item, and how many.
    pub(super) fn wants(&self) -> Option<(Option<K>, u32)> {
        (!self.over && self.items.len() <= self.limit).then(|| (self.behind, self.chunk()))
    }

    /// One more than the page holds: whether others follow is known without another question. Not too few, for those
    /// who see little of a long list.
    fn chunk(&self) -> u32 {
        u32::try_from(self.limit + 1).unwrap_or(u32::MAX).max(LEAST)
    }

    /// Takes what was wanted.
    pub(super) fn fetched<E>(
        &mut self,
        chunk: Vec<T>,
        key: impl Fn(&T) -> K,
        mut shown: impl FnMut(&T) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.over = chunk.len() < usize::try_from(self.chunk()).unwrap_or(usize::MAX);
        self.behind = chunk.last().map(key).or(self.behind);
        for item in chunk {
            if shown(&item)? {
                self.items.push(item);
            }
        }
        Ok(())
    }

    /// The page, each item made what the caller wants.
    pub(super) fn done<U, E>(mut self, item: impl FnMut(T) -> Result<U, E>) -> Result<Paged<U>, E> {
        let more = self.items.len() > self.limit;
        self.items.truncate(self.limit);
        Ok(Paged { items: self.items.into_iter().map(item).collect::<Result<_, _>>()?, more })
    }
}

/// A page of a list that is in memory, ordered by `key`.
pub fn page_of<K: Ord, T>(items: Vec<T>, page: Page<K>, key: impl Fn(&T) -> K) -> Paged<T> {
    let mut rest = items.into_iter().filter(|item| page.after.as_ref().is_none_or(|after| key(item) > *after));
    let items = rest.by_ref().take(page.limit.max(1)).collect();
    Paged { items, more: rest.next().is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pages of those numbers below 300 that somebody sees.
    fn pages(limit: usize, seen: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let mut filling = Filling::new(Page { after, limit });
            while let Some((behind, most)) = filling.wants() {
                let chunk = (0..300).filter(|n| behind.is_none_or(|behind| *n > behind)).take(most as usize).collect();
                filling.fetched(chunk, |n| *n, |n| Ok::<_, ()>(seen(*n))).unwrap();
            }
            let page: Paged<u32> = filling.done(Ok::<_, ()>).unwrap();
            after = page.items.last().copied();
            all.push(page.items);
            if !page.more {
                return all;
            }
        }
    }

    #[test]
    fn pages_hold_everything_once_and_the_last_says_so() {
        for limit in [1, 3, 7, 99, 100, 299, 300, 301] {
            for step in [1, 2, 30, 99] {
                let found = pages(limit, |n| n % step == 0);
                let expected: Vec<_> = (0..300).filter(|n| n % step == 0).collect();
                assert_eq!(found.concat(), expected, "{limit} {step}");
                assert!(found.iter().rev().skip(1).all(|page| page.len() == limit), "{limit} {step}");
            }
        }
        assert_eq!(pages(5, |_| false), [Vec::<u32>::new()]);
    }

    #[test]
    fn a_list_in_memory_goes_on_behind_what_has_left() {
        let page = page_of(vec![1, 3, 5, 7], Page { after: Some(2), limit: 2 }, |n| *n);
        assert_eq!((page.items, page.more), (vec![3, 5], true));
        let page = page_of(vec![1, 3, 5, 7], Page { after: Some(5), limit: 2 }, |n| *n);
        assert_eq!((page.items, page.more), (vec![7], false));
    }
}
