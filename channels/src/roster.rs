//! Things that are known only as long as somebody else keeps them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Fewer entries than this are never looked through for dead ones.
const SMALL: usize = 64;

/// A list of weak references. It never holds more than twice the living, plus a few, and an entry costs a constant time on average:
/// those who come and go quickly need not strike themselves out.
#[derive(Debug)]
pub(crate) struct Roster<T>(Mutex<Entries<T>>);

#[derive(Debug)]
struct Entries<T> {
    all: Vec<Weak<T>>,
    /// At this length the dead are struck out.
    full: usize,
}

impl<T> Roster<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Entries { all: Vec::new(), full: SMALL }))
    }

    /// Adds one. Returns whether there was none before.
    pub(crate) fn add(&self, entry: &Arc<T>) -> bool {
        let mut entries = self.entries();
        if entries.all.len() >= entries.full {
            entries.strike_out_dead();
        }
        entries.all.push(Arc::downgrade(entry));
        entries.all.len() == 1
    }

    /// Those who live, in the order in which they came.
    pub(crate) fn living(&self) -> Vec<Arc<T>> {
        let mut entries = self.entries();
        entries.strike_out_dead();
        entries.all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether nobody is in it; the dead count until they are struck out.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries().all.is_empty()
    }

    fn entries(&self) -> MutexGuard<'_, Entries<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entries<T> {
    fn strike_out_dead(&mut self) {
        // Upgrading could make this the last owner, and what is dropped then could come back here while the list is locked.
        self.all.retain(|entry| entry.strong_count() > 0);
        self.full = SMALL.max(2 * self.all.len());
        self.all.shrink_to(self.full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_come_and_go_do_not_fill_the_list() {
        let roster = Roster::new();
        let kept: Vec<_> = (0..10).map(Arc::new).collect();
        assert!(roster.is_empty() && roster.add(&kept[0]) && !roster.add(&kept[1]));
        kept[2..].iter().for_each(|entry| _ = roster.add(entry));
        let mut longest = 0;
        for number in 0..10_000 {
            roster.add(&Arc::new(number));
            longest = longest.max(roster.entries().all.len());
        }
        assert!(longest <= SMALL, "{longest}");
        assert!(roster.living().iter().map(|entry| **entry).eq(0..10));
        drop(kept);
        assert!(roster.living().is_empty() && roster.is_empty());
    }
}
