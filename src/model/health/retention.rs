//! What the target keeps of the tasks that have ended: nothing says for how long, so it is learned from what it still knows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::time::Timestamp;

/// Ends are counted in steps of this many seconds.
const STEP: u64 = 10;
/// What ended longer ago than this is not counted any more: the retention that a subscriber has unless told otherwise.
const LONGEST: Duration = Duration::from_secs(3_600);
/// From so many ends on it is worth asking for how long they are kept.
const WORTH_ASKING: u64 = 5_000;

/// A task that has ended and that the target is asked about, to see whether it still keeps it.
#[derive(Debug, Clone, Copy)]
struct Witness {
    id: u64,
    ended: Timestamp,
}

/// The ended tasks of a target, and for how long it is known to keep them.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    reach: Duration,
    ends: BTreeMap<u64, u64>,
    told: u64,
    witness: Option<Witness>,
}

impl Retention {
    /// For how long the target keeps what has ended, at least.
    pub fn reach(&self) -> Duration {
        self.reach
    }

    /// How many ended tasks the target keeps, at least: those that ended no longer ago than its memory is known to reach.
    pub fn kept(&self, now: Timestamp) -> u64 {
        // A step that began earlier ends within the reach only in part.
        let from = now.minus(self.reach.min(LONGEST));
        self.ends.range(step(from) + 1..).map(|(_, ends)| ends).sum()
    }

    /// The span id of an ended task whose details stream tells how far the target's memory reaches: it lasts for as long as the target
    /// keeps the task. None while few tasks have ended.
    pub fn witness(&self) -> Option<u64> {
        self.witness.map(|witness| witness.id)
    }

    /// Says that what ended so long ago is still kept.
    pub(in crate::model) fn reaches(&mut self, reach: Duration) {
        self.reach = self.reach.max(reach);
    }

    /// Notes the end of a task.
    pub(in crate::model) fn note_end(&mut self, id: u64, at: Timestamp, now: Timestamp) {
        self.told += 1;
        if self.told >= WORTH_ASKING {
            self.witness.get_or_insert(Witness { id, ended: at });
        }
        *self.ends.entry(step(at)).or_default() += 1;
        let oldest = step(now.minus(LONGEST));
        while self.ends.first_key_value().is_some_and(|(first, _)| *first < oldest) {
            self.ends.pop_first();
        }
    }

    /// Notes that an id stands for a new task: whoever had it before can no longer be asked for.
    pub(in crate::model) fn note_birth(&mut self, id: u64) {
        self.witness = self.witness.filter(|witness| witness.id != id);
    }

    /// Notes that the target knows about a task at a time.
    pub(in crate::model) fn hear(&mut self, id: u64, at: Timestamp) {
        if let Some(witness) = self.witness.filter(|witness| witness.id == id) {
            self.reaches(at.since(witness.ended));
        }
    }
}

fn step(at: Timestamp) -> u64 {
    at.since(Timestamp::default()).as_secs() / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    /// A hundred tasks a second end, for two minutes.
    fn busy() -> Retention {
        let mut retention = Retention::default();
        for end in 0..12_000 {
            retention.note_end(end, at(1_000 + end / 100), at(1_000 + end / 100));
        }
        retention
    }

    #[test]
    fn nothing_is_known_to_be_kept_until_the_target_proves_it() {
        let mut retention = busy();
        assert_eq!(retention.kept(at(1_120)), 0);
        retention.reaches(Duration::from_secs(30));
        assert!((2_000..=3_000).contains(&retention.kept(at(1_120))), "{}", retention.kept(at(1_120)));
    }

    #[test]
    fn an_answer_about_a_task_that_ended_proves_how_far_the_memory_reaches() {
        let mut retention = busy();
        assert_eq!(retention.witness(), Some(4_999));
        retention.hear(17, at(1_119));
        assert_eq!(retention.reach(), Duration::ZERO);
        retention.hear(4_999, at(1_119));
        assert_eq!(retention.reach(), Duration::from_secs(70));
        assert!((6_000..=7_100).contains(&retention.kept(at(1_119))), "{}", retention.kept(at(1_119)));
    }

    #[test]
    fn an_id_that_was_used_again_is_no_witness() {
        let mut retention = busy();
        retention.note_birth(4_999);
        retention.hear(4_999, at(1_120));
        assert_eq!((retention.witness(), retention.reach()), (None, Duration::ZERO));
        retention.note_end(7, at(1_120), at(1_120));
        assert_eq!(retention.witness(), Some(7));
    }

    #[test]
    fn a_few_tasks_are_not_worth_asking_about() {
        let mut retention = Retention::default();
        retention.note_end(1, at(5), at(5));
        assert_eq!(retention.witness(), None);
    }
}
