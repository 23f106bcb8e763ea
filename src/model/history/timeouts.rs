//! How many of the timers that one line sets fire, and how many are dropped before. Each timer is used once, so only together they have a history.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::collections::SeededMap;
use crate::model::history::push_bounded;
use crate::model::keys::ResourceKey;
use crate::model::location::Location;
use crate::model::time::Timestamp;

/// Lines that are kept; a program that makes up more has no use for them.
const LINES: usize = 256;
/// Length of the parts of time in which ends are counted.
const PART: Duration = Duration::from_secs(5);
/// Number of parts that are kept.
const PARTS: usize = 9;
/// A part with fewer ends says nothing of what is usual.
const FEW: u32 = 5;
/// In a usual part at most one timer of this many fires.
const ONE_OF: u32 = 20;
/// Shorter timers collect what comes within a moment, longer ones wait for whoever may come.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(15);
/// A timer says how long it runs in whole milliseconds, rounded up.
const ROUNDED: Duration = Duration::from_millis(2);
/// A timer that lived this many times its duration was reset.
const RESET: f64 = 1.5;

/// How many timers ended in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// How many ended,
    pub ended: u32,
    /// and how many of them had run out.
    pub fired: u32,
}

/// The timers of one line.
#[derive(Debug, Clone, Default)]
pub struct Timeouts {
    /// The last whole parts, the oldest first.
    parts: VecDeque<Ends>,
    current: Ends,
    /// When the current part began.
    from: Timestamp,
    /// The ends in all parts in which hardly any fired, and how many parts these are.
    usual: (u32, u32),
    /// How long the last timer was to run.
    pub duration: Duration,
    /// That timer.
    pub last: ResourceKey,
}

impl Timeouts {
    /// The ends in the three thirds of the last time, the oldest first; nothing before all of it is known.
    pub fn thirds(&self) -> Option<[Ends; 3]> {
        let add = |sum: Ends, it: &Ends| Ends { ended: sum.ended + it.ended, fired: sum.fired + it.fired };
        let third = |n: usize| self.parts.iter().skip(n * PARTS / 3).take(PARTS / 3).fold(Ends::default(), add);
        (self.parts.len() == PARTS).then(|| [0, 1, 2].map(third))
    }

    /// How long that time is.
    pub fn window() -> Duration {
        PART * u32::try_from(PARTS).unwrap_or_default()
    }

    /// When it ended.
    pub fn until(&self) -> Timestamp {
        self.from
    }

    /// How many usually end in that time without having run out; nothing where that was never seen.
    pub fn usual(&self) -> Option<f64> {
        let (ended, parts) = self.usual;
        (parts > 0).then(|| f64::from(ended) / f64::from(parts) * Self::window().div_duration_f64(PART))
    }

    fn note(&mut self, key: ResourceKey, at: Timestamp, duration: Duration, fired: bool) {
        (self.duration, self.last) = (duration, key);
        while at.since(self.from) >= PART {
            let ends = std::mem::take(&mut self.current);
            if ends.ended >= FEW && ONE_OF * ends.fired <= ends.ended {
                self.usual = (self.usual.0.saturating_add(ends.ended), self.usual.1 + 1);
            }
            push_bounded(&mut self.parts, ends, PARTS);
            // What was before a long pause says nothing of now.
            let pause = at.since(self.from) > Self::window();
            self.from = if pause { at } else { self.from.plus(PART) };
        }
        self.current.ended += 1;
        self.current.fired += u32::from(fired);
    }
}

/// The timers of each line.
#[derive(Debug, Clone, Default)]
pub struct TimeoutsByLine {
    lines: SeededMap<Location, Timeouts>,
}

impl TimeoutsByLine {
    /// Every line that is known, and how its timers end.
    pub fn all(&self) -> impl Iterator<Item = (&Location, &Timeouts)> {
        self.lines.iter()
    }

    /// Counts a timer that was dropped after it had lived for `lived`. One that was reset is left out.
    pub(in crate::model) fn note(
        &mut self,
        line: &Location,
        key: ResourceKey,
        at: Timestamp,
        lived: Duration,
        duration: Duration,
    ) {
        if !TIMEOUT.contains(&duration) || lived > duration.mul_f64(RESET) {
            return;
        }
        let fired = lived + ROUNDED >= duration;
        if let Some(timeouts) = self.lines.get_mut(line) {
            timeouts.note(key, at, duration, fired);
        } else if self.lines.len() < LINES {
            let timeouts = self.lines.entry(line.clone()).or_default();
            timeouts.from = at;
            timeouts.note(key, at, duration, fired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos((100 + seconds) * 1_000_000_000)
    }

    /// The timers of one line, of which one ends each second until `to`, after these times to live.
    fn line(to: u64, lived: impl Fn(u64) -> u64) -> TimeoutsByLine {
        let mut all = TimeoutsByLine::default();
        for second in 0..to {
            let lived = Duration::from_millis(lived(second));
            all.note(
                &Location::parse("src/a.rs:1:1"),
                ResourceKey::default(),
                at(second),
                lived,
                Duration::from_secs(2),
            );
        }
        all
    }

    fn only(all: &TimeoutsByLine) -> &Timeouts {
        all.all().next().expect("one line").1
    }

    #[test]
    fn a_line_remembers_how_many_usually_end_and_whether_they_fire_now() {
        let all = line(80, |second| if second < 30 { 40 } else { 2_001 });
        assert_eq!(only(&all).usual(), Some(45.0));
        assert_eq!(only(&all).thirds(), Some([Ends { ended: 15, fired: 15 }; 3]));
        assert_eq!((only(&all).until(), Timeouts::window()), (at(75), Duration::from_secs(45)));
        assert_eq!(only(&line(40, |_| 40)).thirds(), None, "not all of the time is known");
    }

    #[test]
    fn what_is_reset_or_too_short_is_no_timeout() {
        let mut all = line(40, |_| 9_000);
        all.note(&Location::parse("src/b.rs:1:1"), ResourceKey::default(), at(1), PART, Duration::from_millis(20));
        assert_eq!(all.all().count(), 0);
    }

    #[test]
    fn parts_without_ends_count() {
        let mut all = line(60, |_| 2_001);
        let line = Location::parse("src/a.rs:1:1");
        all.note(&line, ResourceKey::default(), at(79), Duration::from_secs(2), Duration::from_secs(2));
        assert_eq!(only(&all).thirds().map(|thirds| thirds.map(|it| it.ended)), Some([15, 15, 0]));
        assert_eq!(only(&all).usual(), None);
    }
}
