//! A recording while it is played: where it stands, and what can be asked of it.

use std::time::{Duration, SystemTime};

/// The speeds between which `slower` and `faster` go, as factors.
const SPEEDS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// A recording while it is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Playing {
    /// When it was begun.
    pub begins: SystemTime,
    /// When it ends, as far as the file can be read.
    pub ends: SystemTime,
    /// How fast it is played, as a factor; nothing for as fast as possible.
    pub speed: Option<f64>,
    /// Whether it is paused.
    pub is_paused: bool,
}

/// What can be asked of a recording that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Pause, or continue.
    Toggle,
    /// The next update, and no more.
    Step,
    /// A lower speed.
    Slower,
    /// A higher speed.
    Faster,
    /// The state this much earlier.
    Back(Duration),
    /// The state this much later.
    Forward(Duration),
    /// The state at a time.
    To(SystemTime),
    /// The last opening of a finding before this.
    PreviousOpening,
    /// The next opening of a finding.
    NextOpening,
}

impl Playing {
    /// How long it lasts.
    pub fn length(&self) -> Duration {
        self.since_begin(self.ends)
    }

    /// How long after its begin a time is; at its begin, for what is before.
    pub fn since_begin(&self, at: SystemTime) -> Duration {
        at.duration_since(self.begins).unwrap_or_default()
    }

    /// A time within it.
    pub fn within(&self, at: SystemTime) -> SystemTime {
        at.clamp(self.begins, self.ends.max(self.begins))
    }

    /// The next lower speed; the lowest stays.
    pub fn slower(&self) -> Option<f64> {
        let below = |speed: &&f64| self.speed.is_none_or(|now| **speed < now);
        SPEEDS.iter().rev().find(below).copied().or(self.speed)
    }

    /// The next higher speed; the highest stays, and so does one beyond.
    pub fn faster(&self) -> Option<f64> {
        let above = |speed: &&f64| self.speed.is_some_and(|now| **speed > now);
        SPEEDS.iter().find(above).copied().or(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(speed: Option<f64>) -> Playing {
        let begins = SystemTime::UNIX_EPOCH;
        Playing { begins, ends: begins + Duration::from_secs(19), speed, is_paused: false }
    }

    #[test]
    fn speeds_go_step_by_step_and_stay_at_both_ends() {
        for (now, slower, faster) in [
            (Some(1.0), Some(0.5), Some(2.0)),
            (Some(3.0), Some(2.0), Some(5.0)),
            (Some(0.25), Some(0.25), Some(0.5)),
            (Some(100.0), Some(50.0), Some(100.0)),
            (Some(1_000.0), Some(100.0), Some(1_000.0)),
            (None, Some(100.0), None),
        ] {
            assert_eq!((at(now).slower(), at(now).faster()), (slower, faster), "{now:?}");
        }
    }

    #[test]
    fn a_time_outside_is_its_begin_or_its_end() {
        let playing = at(None);
        let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(playing.within(second(99)), second(19));
        assert_eq!(playing.within(second(0) - Duration::from_secs(9)), second(0));
        assert_eq!(playing.since_begin(second(7)), Duration::from_secs(7));
    }
}
