//! How long woken tasks waited for a worker: a sample over all tasks, bounded however many there are.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::history::push_bounded;
use crate::model::keys::SiteKey;
use crate::model::time::Timestamp;

/// Samples that are taken in a second; more would tell no more.
const EACH_SECOND: usize = 128;
/// Samples that are kept.
const SAMPLES: usize = 20 * EACH_SECOND;

/// The mean time between a wake and the poll that followed, of one task between two updates.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// When it was reported.
    pub at: Timestamp,
    /// Where the task was spawned.
    pub site: SiteKey,
    /// How long it waited for each of its polls.
    pub mean: Duration,
}

/// The last delays that were sampled.
#[derive(Debug, Clone, Default)]
pub struct Delays {
    ring: VecDeque<Delay>,
    second: Timestamp,
    taken: usize,
}

impl Delays {
    /// The samples reported at `from` or later, newest first.
    pub fn since(&self, from: Timestamp) -> impl Iterator<Item = &Delay> {
        self.ring.iter().rev().take_while(move |delay| delay.at >= from)
    }

    pub(in crate::model) fn note(&mut self, delay: Delay) {
        if delay.at.since(self.second) >= Duration::from_secs(1) {
            self.second = delay.at;
            self.taken = 0;
        }
        if self.taken < EACH_SECOND {
            self.taken += 1;
            push_bounded(&mut self.ring, delay, SAMPLES);
        }
    }
}
