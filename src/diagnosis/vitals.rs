//! Vital signs over time: one sample a second for the last ten minutes, and coarser ones for what was before.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::evidence::Evidence;
use crate::evidence::delays::DelayQuantiles;
use crate::evidence::numbers::number;
use crate::model::history::activity::Activity;
use crate::model::time::Timestamp;

/// The least time between two samples: a little less than the usual publish interval, which is never exactly 1 s.
const LEAST_SPAN: Duration = Duration::from_millis(900);
/// The time over which a pulse is taken: short enough to show a change at once, long enough for slow publish intervals.
const LATELY: Duration = Duration::from_secs(10);
/// Samples that are kept as they were taken.
const FINE: usize = 600;
/// Older samples, each of at least this time, and how many of them: two hours and a half.
const COARSE_SPAN: Duration = Duration::from_secs(15);
const COARSE: usize = 600;

/// What a target did and was like for about a second, or for longer where that is long past or updates are rare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitalSample {
    /// The time that it covers, by the arrival of updates.
    pub from: SystemTime,
    /// Its end.
    pub to: SystemTime,
    /// Tasks alive at its end; at most, where several samples were merged.
    pub live_tasks: usize,
    /// What the async tasks did in it, the time of polls that ran on included,
    pub activity: Activity,
    /// and in what time, by the target's clock; zero where that is not known.
    pub time: Duration,
    /// Worker threads that are known.
    pub workers: usize,
    /// How long woken tasks waited for a worker in it; the longest times, where several samples were merged.
    pub delays: Option<DelayQuantiles>,
    /// Waits for a lock, a semaphore or room in a channel at its end; at most, where several samples were merged.
    pub waiting: u64,
    /// How late new tasks and waits were reported, where that was known.
    pub lag: Option<Duration>,
    /// Events that the target dropped in it.
    pub lost: u64,
}

impl VitalSample {
    /// Both as one sample: sums of what happened, and the largest of what was.
    fn merged(self, later: Self) -> Self {
        Self {
            from: self.from,
            to: later.to,
            live_tasks: self.live_tasks.max(later.live_tasks),
            activity: self.activity.plus(&later.activity),
            time: self.time + later.time,
            workers: self.workers.max(later.workers),
            delays: match (self.delays, later.delays) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            },
            waiting: self.waiting.max(later.waiting),
            lag: self.lag.max(later.lag),
            lost: self.lost + later.lost,
        }
    }

    fn span(&self) -> Duration {
        self.to.duration_since(self.from).unwrap_or_default()
    }
}

/// The samples of a target, bounded however long it is watched.
#[derive(Debug, Clone, Default)]
pub(super) struct VitalsLog {
    fine: VecDeque<VitalSample>,
    coarse: VecDeque<VitalSample>,
    /// Where the next sample begins.
    last: Option<Mark>,
}

/// The sums at the end of a sample.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: SystemTime,
    now: Timestamp,
    activity: Activity,
    lost: u64,
}

/// What the async tasks of a process did lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulse {
    /// Polls a second.
    pub polls_per_second: f64,
    /// Cores that their polls take.
    pub busy_cores: f64,
    /// The share of the workers' time that their polls take, where the workers are known: those of a current-thread runtime are not reported.
    pub busy_share: Option<f64>,
}

impl Pulse {
    fn of(activity: &Activity, time: Duration, workers: usize) -> Self {
        let seconds = time.as_secs_f64();
        let busy_cores = activity.busy.as_secs_f64() / seconds;
        let busy_share = (workers > 0).then(|| busy_cores / number(workers));
        Self { polls_per_second: number(activity.polls) / seconds, busy_cores, busy_share }
    }
}

impl VitalsLog {
    /// The samples, oldest first.
    pub(super) fn samples(&self) -> impl DoubleEndedIterator<Item = &VitalSample> {
        self.coarse.iter().chain(&self.fine)
    }

    /// What was done lately; nothing before the second update.
    pub(super) fn pulse(&self) -> Option<Pulse> {
        let (mut lately, mut next): (Option<VitalSample>, _) = (None, None);
        for sample in self.samples().rev() {
            // What is before an interruption is another time.
            if next.is_some_and(|from| from != sample.to) || lately.is_some_and(|it| it.time >= LATELY) {
                break;
            }
            next = Some(sample.from);
            lately = Some(lately.map_or(*sample, |it| sample.merged(it)));
        }
        let lately = lately.filter(|it| !it.time.is_zero())?;
        let workers = self.fine.back().map_or(0, |latest| latest.workers);
        Some(Pulse::of(&lately.activity, lately.time, workers))
    }

    /// Nothing is known of the time until the next update.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    /// Takes a sample after an update, if one is due.
    pub(super) fn note(&mut self, at: SystemTime, evidence: &Evidence<'_>) {
        let span = self.last.map(|last| at.duration_since(last.at).unwrap_or_default());
        if span.is_some_and(|span| span < LEAST_SPAN) {
            return;
        }
        let (totals, now) = (evidence.totals(), evidence.now());
        let activity = Activity { busy: evidence.busy_so_far(), ..*totals.activity.total() };
        let lost = totals.lost.all();
        let before = self.last.replace(Mark { at, now, activity, lost });
        let before = before.unwrap_or(Mark { at, now, activity, lost });
        let time = now.since(before.now);
        let after = before.now.plus(Duration::from_nanos(1));
        self.push(VitalSample {
            from: before.at,
            to: at,
            live_tasks: evidence.sites().map(|(_, site)| site.live.len()).sum(),
            activity: activity.without(&before.activity),
            time,
            workers: evidence.workers(),
            delays: if time.is_zero() { None } else { evidence.delay_quantiles_since(after) },
            waiting: totals.waits.waiting(),
            lag: evidence.quality().lag,
            lost: lost - before.lost,
        });
    }

    fn push(&mut self, sample: VitalSample) {
        self.fine.push_back(sample);
        if self.fine.len() <= FINE {
            return;
        }
        let Some(oldest) = self.fine.pop_front() else { return };
        match self.coarse.back_mut() {
            // What is between two connections belongs to neither.
            Some(last) if last.span() < COARSE_SPAN && last.to == oldest.from => *last = last.merged(oldest),
            _ => self.coarse.push_back(oldest),
        }
        if self.coarse.len() > COARSE {
            self.coarse.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn sample(second: u64) -> VitalSample {
        VitalSample {
            from: at(second),
            to: at(second + 1),
            live_tasks: usize::try_from(second % 7).unwrap_or_default(),
            activity: Activity { polls: 10, ..Activity::default() },
            time: Duration::from_secs(1),
            workers: 2,
            delays: None,
            waiting: second % 5,
            lag: second.is_multiple_of(2).then_some(Duration::from_millis(second)),
            lost: 1,
        }
    }

    #[test]
    fn the_past_becomes_coarser_and_its_peaks_stay() {
        let mut log = VitalsLog::default();
        (0..1_000).for_each(|second| log.push(sample(second)));
        assert_eq!((log.fine.len(), log.coarse.len()), (FINE, 400_usize.div_ceil(15)));
        let oldest = log.samples().next().copied().expect("there are samples");
        assert_eq!((oldest.from, oldest.to), (at(0), at(15)));
        assert_eq!((oldest.live_tasks, oldest.waiting, oldest.lag), (6, 4, Some(Duration::from_millis(14))));
        assert_eq!((oldest.activity.polls, oldest.time, oldest.lost), (150, Duration::from_secs(15), 15));
        assert!(log.samples().zip(log.samples().skip(1)).all(|(one, next)| one.to == next.from), "nothing is left out");
    }

    #[test]
    fn a_week_takes_no_more_room_than_three_hours() {
        let mut log = VitalsLog::default();
        (0..7 * 86_400).for_each(|second| log.push(sample(second)));
        assert_eq!((log.fine.len(), log.coarse.len()), (FINE, COARSE));
    }

    #[test]
    fn what_is_between_two_connections_is_in_no_sample() {
        let mut log = VitalsLog::default();
        let seconds = (0..5).chain(100..1_000);
        seconds.for_each(|second| log.push(sample(second)));
        assert!(log.samples().all(|it| it.to <= at(5) || it.from >= at(100)));
    }
}
