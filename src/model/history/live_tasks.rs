//! Tasks that are alive, in the order of their births.

use std::collections::BTreeSet;

use crate::model::keys::TaskKey;
use crate::model::time::Timestamp;

/// Tasks in the order of their births. Kept in two halves, so that the middle one is at hand however many there are.
#[derive(Debug, Clone, Default)]
pub struct TasksByAge {
    older: BTreeSet<(Timestamp, TaskKey)>,
    /// As many as the older ones, or one more.
    younger: BTreeSet<(Timestamp, TaskKey)>,
}

impl TasksByAge {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.older.len() + self.younger.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.younger.is_empty()
    }

    /// Births and tasks, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, TaskKey)> {
        self.older.iter().chain(&self.younger)
    }

    /// The birth of the middle one.
    pub fn median(&self) -> Option<Timestamp> {
        self.younger.first().map(|(born, _)| *born)
    }

    pub(in crate::model) fn insert(&mut self, born: Timestamp, task: TaskKey) {
        let new = (born, task);
        let half = if self.younger.first() <= Some(&new) { &mut self.younger } else { &mut self.older };
        half.insert(new);
        self.balance();
    }

    pub(in crate::model) fn remove(&mut self, born: Timestamp, task: TaskKey) {
        let _ = self.older.remove(&(born, task)) || self.younger.remove(&(born, task));
        self.balance();
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
        fn it_is_one_sorted_list_with_its_middle_at_hand(steps in prop::collection::vec((any::<bool>(), 0..20_u64, 0..8_usize), 0..60)) {
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
                prop_assert_eq!(tasks.median(), expected.iter().nth(expected.len() / 2).map(|(born, _)| *born));
            }
        }
    }
}
