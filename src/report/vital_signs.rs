//! Vital signs over time, in as many columns as there is room for.

use std::time::{Duration, SystemTime};

use super::snapshot::Snapshot;
use crate::diagnosis::VitalSample;
use crate::words;

/// A number that says how a target does, whether or not something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitalSign {
    /// Tasks alive.
    LiveTasks,
    /// Polls of async tasks a second.
    PollsPerSecond,
    /// The share of the workers' time that polls took, where the workers are known.
    BusyShare,
    /// The cores that polls took: 1 is one core.
    BusyCores,
    /// The median time between a wake and the poll that followed, in seconds.
    SchedulingMedian,
    /// The same time that all but one in a hundred stay below.
    SchedulingP99,
    /// Waits for locks, semaphores and room in channels.
    Waiters,
    /// How late new tasks and waits are reported, in seconds.
    Lag,
    /// Events that the target dropped a second.
    Lost,
}

impl VitalSign {
    /// Every one of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::LiveTasks,
        Self::PollsPerSecond,
        Self::BusyShare,
        Self::BusyCores,
        Self::SchedulingMedian,
        Self::SchedulingP99,
        Self::Waiters,
        Self::Lag,
        Self::Lost,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::LiveTasks => "live tasks",
            Self::PollsPerSecond => "polls/s",
            Self::BusyShare => "busy",
            Self::BusyCores => "core use",
            Self::SchedulingMedian => "sched p50",
            Self::SchedulingP99 => "sched p99",
            Self::Waiters => "waiters",
            Self::Lag => "feed lag",
            Self::Lost => "dropped/s",
        }
    }

    /// A value of it in words.
    pub fn in_words(self, value: f64) -> String {
        match self {
            Self::LiveTasks | Self::PollsPerSecond | Self::Waiters | Self::Lost => words::number(whole(value)),
            Self::BusyShare | Self::BusyCores => words::percent(value),
            Self::SchedulingMedian | Self::SchedulingP99 | Self::Lag => {
                words::duration(Duration::try_from_secs_f64(value).unwrap_or_default())
            }
        }
    }

    /// Its value in a sample, if that has one.
    #[expect(clippy::cast_precision_loss, reason = "a value of a few digits")]
    fn of(self, sample: &VitalSample) -> Option<f64> {
        let seconds = sample.time.as_secs_f64();
        let rate = |value: f64| (seconds > 0.0).then(|| value / seconds);
        let cores = || rate(sample.activity.busy.as_secs_f64());
        match self {
            Self::LiveTasks => Some(sample.live_tasks as f64),
            Self::PollsPerSecond => rate(sample.activity.polls as f64),
            Self::BusyShare if sample.workers == 0 => None,
            Self::BusyShare => cores().map(|cores| cores / sample.workers as f64),
            Self::BusyCores => cores(),
            Self::SchedulingMedian => sample.delays.map(|it| it.median.as_secs_f64()),
            Self::SchedulingP99 => sample.delays.map(|it| it.p99.as_secs_f64()),
            Self::Waiters => Some(sample.waiting as f64),
            Self::Lag => sample.lag.map(|lag| lag.as_secs_f64()),
            Self::Lost => rate(sample.lost as f64),
        }
    }
}

/// A vital sign over time.
#[derive(Debug, Clone, PartialEq)]
pub struct SignRow {
    /// Which one.
    pub sign: VitalSign,
    /// The highest value in each column; none where nothing is known.
    pub values: Vec<Option<f64>>,
    /// The newest value, if the last sample has one.
    pub latest: Option<f64>,
}

impl SignRow {
    /// The highest value of all.
    pub fn highest(&self) -> Option<f64> {
        self.values.iter().flatten().copied().reduce(f64::max)
    }
}

/// The vital signs of a target over the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct VitalSigns {
    /// Where the first column begins, by the arrival of updates.
    pub from: SystemTime,
    /// Where the last one ends.
    pub to: SystemTime,
    /// Each sign that ever had a value in this time.
    pub rows: Vec<SignRow>,
}

impl VitalSigns {
    /// The column, of this many, that a time falls into; none outside of them.
    pub fn column(&self, at: SystemTime, columns: usize) -> Option<usize> {
        Columns::of(self.from, self.to, columns).at(at).filter(|_| at <= self.to)
    }

    /// A sign, if it ever had a value.
    pub fn row(&self, sign: VitalSign) -> Option<&SignRow> {
        self.rows.iter().find(|row| row.sign == sign)
    }
}

impl Snapshot<'_> {
    /// The vital signs over the last `window`, or over all that is kept, in this many columns; nothing before the first update.
    pub fn vital_signs(&self, window: Option<Duration>, columns: usize) -> Option<VitalSigns> {
        let samples: Vec<&VitalSample> = self.diagnosis().vital_samples().collect();
        let (first, last) = (samples.first()?, samples.last()?);
        let (from, to) = (window.and_then(|window| last.to.checked_sub(window)).unwrap_or(first.from), last.to);
        let columns = Columns::of(from, to, columns);
        let row = |sign: VitalSign| SignRow { sign, values: columns.fill(sign, &samples), latest: sign.of(last) };
        let rows = VitalSign::ALL.into_iter().map(row).filter(|row| row.highest().is_some());
        Some(VitalSigns { from, to, rows: rows.collect() })
    }
}

/// Columns of equal width in time.
#[derive(Debug, Clone, Copy)]
struct Columns {
    from: SystemTime,
    width: Duration,
    count: usize,
}

impl Columns {
    fn of(from: SystemTime, to: SystemTime, count: usize) -> Self {
        Self { from, width: to.duration_since(from).unwrap_or_default().div_f64(whole_f64(count)), count }
    }

    /// The column in which a time is; the one before, where it is the very end of that. None before the first.
    fn at(&self, time: SystemTime) -> Option<usize> {
        let since = time.duration_since(self.from).ok()?;
        let column = since.as_nanos().saturating_sub(1) / self.width.as_nanos().max(1);
        Some(usize::try_from(column).unwrap_or(usize::MAX).min(self.count.saturating_sub(1)))
    }

    /// The column that begins with a time, or in which what follows it is; the first one for times before that.
    fn after(&self, time: SystemTime) -> usize {
        let since = time.duration_since(self.from).unwrap_or_default();
        usize::try_from(since.as_nanos() / self.width.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    fn fill(&self, sign: VitalSign, samples: &[&VitalSample]) -> Vec<Option<f64>> {
        let mut values: Vec<Option<f64>> = vec![None; self.count];
        for sample in samples {
            let (Some(value), Some(last)) = (sign.of(sample), self.at(sample.to)) else { continue };
            // Columns narrower than the time between two updates belong to the sample that covers them.
            let first = self.after(sample.from).min(last);
            for column in first..=last {
                if let Some(known) = values.get_mut(column) {
                    *known = Some(known.map_or(value, |known| known.max(value)));
                }
            }
        }
        values
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of columns")]
fn whole_f64(number: usize) -> f64 {
    number.max(1) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that was a whole number, or nearly"
)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history::activity::Activity;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn sample(from: u64, to: u64, waiting: u64) -> VitalSample {
        let time = Duration::from_millis(to - from);
        let activity = Activity { polls: to - from, busy: time / 2, ..Activity::default() };
        let (from, to) = (at(from), at(to));
        VitalSample { from, to, live_tasks: 3, activity, time, workers: 2, delays: None, waiting, lag: None, lost: 0 }
    }

    fn waiters(samples: &[VitalSample], columns: usize) -> Vec<Option<f64>> {
        let samples: Vec<&VitalSample> = samples.iter().collect();
        let (from, to) = (samples[0].from, samples[samples.len() - 1].to);
        Columns::of(from, to, columns).fill(VitalSign::Waiters, &samples)
    }

    #[test]
    fn a_column_has_the_peak_of_its_samples_and_a_long_sample_has_several_columns() {
        let second = |n: u64| sample(n * 1_000, (n + 1) * 1_000, n);
        let four: Vec<_> = (0..4).map(second).collect();
        assert_eq!(waiters(&four, 4), [0.0, 1.0, 2.0, 3.0].map(Some));
        assert_eq!(waiters(&four, 2), [1.0, 3.0].map(Some));
        assert_eq!(waiters(&four[..2], 4), [0.0, 0.0, 1.0, 1.0].map(Some));
        assert_eq!(waiters(&[four[0], sample(3_000, 4_000, 9)], 4), [Some(0.0), None, None, Some(9.0)]);
    }

    #[test]
    fn updates_that_are_a_little_early_or_late_leave_no_hole() {
        let ends: Vec<u64> =
            (0..=60).map(|n| n * 1_000 + [0, 40, 980, 30][usize::try_from(n).unwrap_or(0) % 4] / 3).collect();
        let samples: Vec<_> = ends.windows(2).map(|it| sample(it[0], it[1], 1)).collect();
        assert!(waiters(&samples, 60).iter().all(Option::is_some));
    }

    #[test]
    fn rates_are_those_of_the_targets_clock_and_unknown_workers_have_no_share() {
        let one = sample(0, 2_000, 0);
        assert_eq!((VitalSign::PollsPerSecond.of(&one), VitalSign::BusyShare.of(&one)), (Some(1_000.0), Some(0.25)));
        let unknown = VitalSample { workers: 0, time: Duration::ZERO, ..one };
        assert_eq!((VitalSign::PollsPerSecond.of(&unknown), VitalSign::BusyShare.of(&unknown)), (None, None));
        assert_eq!(VitalSign::SchedulingP99.in_words(0.0123), "12 ms");
        assert_eq!(VitalSign::PollsPerSecond.in_words(1_234.4), words::number(1_234_u64));
    }
}
