//! Tasks that are alive, in the order of their births.

use std::collections::BTreeSet;

use crate::model::keys::TaskKey;
use crate::model::time::Timestamp;

/// So many tasks are kept in one list: most sites have fewer, and there may be many sites.
const FEW: usize = 16;

/// Tasks in the order of their births. Where there are many they are kept in two halves, so that the middle one is at hand.
#[derive(Debug, Clone, Default)]
pub struct TasksByAge {
    /// All of them, as long as they are few.
    few: Vec<(Timestamp, TaskKey)>,
    older: BTreeSet<(Timestamp, TaskKey)>,
    /// As many as the older ones, or one more.
    younger: BTreeSet<(Timestamp, TaskKey)>,
}

impl TasksByAge {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.few.len() + self.older.len() + self.younger.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.few.is_empty() && self.younger.is_empty()
    }

    /// Births and tasks, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, TaskKey)> {
        self.few.iter().chain(&self.older).chain(&self.younger)
    }

    /// The birth of the middle one.
    pub fn median(&self) -> Option<Timestamp> {
        self.few.get(self.few.len() / 2).or(self.younger.first()).map(|(born, _)| *born)
    }

    /// The first birth at a time or later.
    pub fn first_since(&self, at: Timestamp) -> Option<Timestamp> {
        let from = (at, TaskKey::default());
        let few = self.few.get(self.few.partition_point(|it| *it < from));
        let first = few.or_else(|| self.older.range(from..).next()).or_else(|| self.younger.range(from..).next());
        first.map(|(born, _)| *born)
    }

    pub(in crate::model) fn insert(&mut self, born: Timestamp, task: TaskKey) {
        let new = (born, task);
        if self.younger.is_empty() {
            if let Err(place) = self.few.binary_search(&new) {
                self.few.insert(place, new);
            }
            if self.few.len() > FEW {
                self.younger = std::mem::take(&mut self.few).into_iter().collect();
                self.balance();
            }
            return;
        }
        let half = if self.younger.first() <= Some(&new) { &mut self.younger } else { &mut self.older };
        half.insert(new);
        self.balance();
    }

    pub(in crate::model) fn remove(&mut self, born: Timestamp, task: TaskKey) {
        if let Ok(place) = self.few.binary_search(&(born, task)) {
            self.few.remove(place);
        } else if self.older.remove(&(born, task)) || self.younger.remove(&(born, task)) {
            self.balance();
        }
    }

    fn balance(&mut self) {
        while self.older.len() > self.younger.len() {
            self.younger.extend(self.older.pop_last());
        }
        while self.older.len() + 1 < self.younger.len() {
            self.older.extend(self.younger.pop_first());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slotmap::SlotMap;

    use super::*;

    proptest! {
        #[test]
        fn it_is_one_sorted_list_with_its_middle_at_hand(steps in prop::collection::vec((prop::bool::weighted(0.7), 0..20_u64, 0..8_usize), 0..120)) {
            let mut keys: SlotMap<TaskKey, ()> = SlotMap::with_key();
            let keys: Vec<TaskKey> = (0..8).map(|_| keys.insert(())).collect();
            let (mut tasks, mut expected) = (TasksByAge::default(), BTreeSet::new());
            for (add, born, key) in steps {
                let (born, key) = (Timestamp::from_nanos(born), keys[key]);
                if add {
                    tasks.insert(born, key);
                    expected.insert((born, key));
                } else {
                    tasks.remove(born, key);
                    expected.remove(&(born, key));
                }
                prop_assert!(tasks.iter().eq(&expected));
                prop_assert_eq!((tasks.len(), tasks.is_empty()), (expected.len(), expected.is_empty()));
                let since = (Timestamp::from_nanos(7), TaskKey::default());
                prop_assert_eq!(tasks.first_since(since.0), expected.range(since..).next().map(|(born, _)| *born));
                prop_assert_eq!(tasks.median(), expected.iter().nth(expected.len() / 2).map(|(born, _)| *born));
            }
        }
    }
}
