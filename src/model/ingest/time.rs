//! Where an update stands in time, and whether what it says about time agrees with itself.

use super::changes::Changes;
use crate::model::health::clock::{Belief, LEAP};
use crate::model::health::quality::Quality;
use crate::model::store::Model;
use crate::model::time::Timestamp;

/// The latest times before an update: that of the target, and that of a poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    now: Timestamp,
    last_poll: Timestamp,
    is_continued: bool,
}

impl Model {
    /// Says when the next update has arrived, by our clock. Ages are not computed from it: it only shows whether the target's clock runs.
    pub fn arrive(&mut self, at: std::time::SystemTime) {
        self.clock.arrive(at);
    }

    /// Advances to the time of an update. After a jump of the clock everything is discarded: no age from before means anything.
    pub(super) fn move_on_to(&mut self, now: Timestamp, changes: &mut Changes) -> Before {
        let is_continued = self.clock.updates() > 1 && !self.clock.is_interrupted();
        let before = Before { now: self.clock.now(), last_poll: self.last_poll, is_continued };
        match self.clock.believe(now) {
            Belief::Taken => self.clock.advance(now),
            Belief::Instead(instead) => {
                self.quality.malformed += 1;
                self.clock.advance(instead);
            }
            Belief::Anew => {
                self.begin_anew();
                changes.restarted = true;
                return self.move_on_to(now, changes);
            }
        }
        before
    }

    /// Forgets everything but what the target does not repeat for itself: the names of its fields.
    fn begin_anew(&mut self) {
        let quality = Quality {
            malformed: self.quality.malformed,
            clock_resets: self.quality.clock_resets + 1,
            paused: self.quality.paused,
            ..Quality::default()
        };
        let (clock, epoch) = (self.clock.anew(), self.epoch + 1);
        // The malformed parts are among those of the next process.
        let totals = std::mem::take(&mut self.totals).carried_over(0);
        let (metadata, strings) = (std::mem::take(&mut self.metadata), std::mem::take(&mut self.strings));
        *self = Self { metadata, strings, clock, quality, totals, epoch, ..Self::new(self.retention) };
    }

    /// Whether the times in an update agree with its own: what changes between two updates did so between their times, nearly.
    pub(super) fn compare_stamps(&mut self, before: Before) {
        let now = self.now();
        let is_ahead = |stamp: Timestamp| stamp.since(now) > LEAP;
        let has_polled = before.is_continued && self.last_poll > before.last_poll;
        let is_old = has_polled && before.now.since(self.last_poll) > LEAP;
        if is_old || is_ahead(self.last_poll) || self.birth.is_some_and(is_ahead) {
            self.quality.malformed += 1;
        }
    }
}
