//! Tasks that are alive, in the order of their births.

use crate::model::keys::TaskKey;
use crate::model::time::Timestamp;

/// A birth and the task.
type Born = (Timestamp, TaskKey);

/// Tasks in a chunk, at most.
const CHUNK: usize = 128;

/// Tasks in the order of their births: a sorted list, cut into chunks, so that adding one moves few of them and finding the middle one, or as many
/// as are older than an age, looks at none.
#[derive(Debug, Clone, Default)]
pub struct TasksByAge {
    /// None is empty.
    chunks: Vec<Vec<Born>>,
    /// For each chunk a task than which none in it is older, and none before is younger: found without a look at the chunks themselves, of which
    /// hardly one is in the processor's cache.
    starts: Vec<Born>,
    len: usize,
}

impl TasksByAge {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Births and tasks, oldest first. Steps over many of them cost little.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Born> {
        self.chunks.iter().flatten()
    }

    /// The birth of the middle one.
    pub fn median(&self) -> Option<Timestamp> {
        self.iter().nth(self.len / 2).map(|(born, _)| *born)
    }

    /// The first birth at a time or later.
    pub fn first_since(&self, at: Timestamp) -> Option<Timestamp> {
        let chunk = self.chunks.get(self.chunks.partition_point(|chunk| chunk.last().is_some_and(|it| it.0 < at)))?;
        Some(chunk.get(chunk.partition_point(|(born, _)| *born < at))?.0)
    }

    /// How many are old, which holds up to some birth and for none after it, and a sample of them of at most this size, oldest first: all of
    /// them, or half from either end.
    pub fn sample_oldest(&self, most: usize, is_old: impl Fn(Timestamp) -> bool) -> (usize, Vec<Born>) {
        let begun = self.chunks.partition_point(|chunk| chunk.first().is_some_and(|it| is_old(it.0)));
        let (whole, last) = self.chunks[..begun].split_at(begun.saturating_sub(1));
        let in_last = last.first().map_or(0, |chunk| chunk.partition_point(|(born, _)| is_old(*born)));
        let old = whole.iter().map(Vec::len).sum::<usize>() + in_last;
        let size = old.min(most);
        let oldest = self.iter().take(size.div_ceil(2));
        let youngest = self.iter().skip(old - size / 2).take(size / 2);
        (old, oldest.chain(youngest).copied().collect())
    }

    pub(in crate::model) fn insert(&mut self, born: Timestamp, task: TaskKey) {
        let new = (born, task);
        if self.chunks.is_empty() {
            (self.chunks, self.starts) = (vec![Vec::new()], vec![new]);
        }
        let mut index = self.chunk_of(&new);
        let Err(place) = self.chunks[index].binary_search(&new) else {
            return;
        };
        self.len += 1;
        self.starts[index] = self.starts[index].min(new);
        if self.chunks[index].len() < CHUNK {
            self.chunks[index].insert(place, new);
        } else if place == CHUNK {
            // Most are younger than all before, whose chunks stay full.
            self.chunks.insert(index + 1, vec![new]);
            self.starts.insert(index + 1, new);
        } else {
            let upper = self.chunks[index].split_off(CHUNK / 2);
            self.starts.insert(index + 1, upper[0]);
            self.chunks.insert(index + 1, upper);
            index += usize::from(place > CHUNK / 2);
            let place = if place > CHUNK / 2 { place - CHUNK / 2 } else { place };
            self.chunks[index].insert(place, new);
        }
    }

    pub(in crate::model) fn remove(&mut self, born: Timestamp, task: TaskKey) {
        let index = self.chunk_of(&(born, task));
        let Some(chunk) = self.chunks.get_mut(index) else {
            return;
        };
        let Ok(place) = chunk.binary_search(&(born, task)) else {
            return;
        };
        chunk.remove(place);
        self.len -= 1;
        self.merge(index);
    }

    /// The chunk that a task is in, if it is there, and into which it belongs.
    fn chunk_of(&self, it: &Born) -> usize {
        self.starts.partition_point(|start| start <= it).saturating_sub(1)
    }

    /// Joins a chunk with the one before or after it where both have become small.
    fn merge(&mut self, index: usize) {
        let len = |index: usize| self.chunks.get(index).map(Vec::len);
        let both = |first: usize| Some(len(first)? + len(first + 1)?);
        let small = |first: &usize| both(*first).is_some_and(|len| len <= CHUNK / 2);
        if len(index) == Some(0) {
            self.chunks.remove(index);
            self.starts.remove(index);
        } else if let Some(first) = [index, index.wrapping_sub(1)].into_iter().find(small) {
            let next = self.chunks.remove(first + 1);
            self.starts.remove(first + 1);
            self.chunks[first].extend(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn many_tasks_are_one_sorted_list() {
        let mut keys: SlotMap<TaskKey, ()> = SlotMap::with_key();
        let (mut tasks, mut expected) = (TasksByAge::default(), BTreeSet::new());
        // Each before the last, then in order, then in between, then gone but for a few.
        for step in 0..8_000_u64 {
            let born = Timestamp::from_nanos(match step {
                0..2_000 => 20_000 - 10 * step,
                2_000..4_000 => 10 * step,
                _ => step * 7_919 % 40_000,
            });
            let new = (born, keys.insert(()));
            tasks.insert(new.0, new.1);
            expected.insert(new);
        }
        let all: Vec<_> = expected.iter().copied().collect();
        for (place, (born, task)) in all.into_iter().enumerate() {
            if place % 200 == 0 {
                assert!(tasks.iter().eq(&expected));
                assert_eq!(tasks.len(), expected.len());
                assert_eq!(tasks.median(), expected.iter().nth(expected.len() / 2).map(|(born, _)| *born));
                let since = Timestamp::from_nanos(20_000);
                let mut births = expected.iter().map(|(born, _)| *born);
                assert_eq!(
                    tasks.sample_oldest(0, |born| born < since).0,
                    births.clone().filter(|it| *it < since).count()
                );
                assert_eq!(tasks.first_since(since), births.find(|it| *it >= since));
            } else {
                tasks.remove(born, task);
                expected.remove(&(born, task));
            }
        }
        assert_eq!((tasks.len(), tasks.chunks.len(), tasks.starts.len()), (40, 1, 1));
    }

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
                let since = Timestamp::from_nanos(7);
                let mut births = expected.iter().map(|(born, _)| *born);
                prop_assert_eq!(tasks.first_since(since), births.find(|it| *it >= since));
                let old: Vec<_> = expected.iter().filter(|(born, _)| *born < since).copied().collect();
                let (first, last) = (old.iter().take(2), old.iter().skip(2.max(old.len().saturating_sub(2))));
                let sampled = first.chain(last).copied().collect();
                prop_assert_eq!(tasks.sample_oldest(4, |born| born < since), (old.len(), sampled));
                prop_assert_eq!(tasks.median(), expected.iter().nth(expected.len() / 2).map(|(born, _)| *born));
            }
        }
    }
}
