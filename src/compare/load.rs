//! How much the two sides had to do, so that a canary under more load is not blamed for it.

use super::metric::{Metric, Subject, What};
use super::observer::Observer;
use super::statistics::median;

/// A side that does less than this share of what the other does is idle.
const IDLE: f64 = 0.05;
/// A side of which fewer tasks a second are polled than this does nothing that could be compared.
const LEAST_POLLS: f64 = 1.0;
/// Rates below these say nothing of the load.
const LEAST: (f64, f64) = (0.5, 5.0);
/// Where a spawn site does all but this share of the work, the load cannot be told without it.
const LEAST_REST: f64 = 0.2;

/// What a target does in a second, as the median of its blocks and of the targets of its side: but for the console's own tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Tasks started.
    pub started: f64,
    /// Polls.
    pub polls: f64,
}

impl Load {
    /// The load of a side.
    pub fn of(side: &[&Observer]) -> Self {
        Self { started: total(side, What::Started, None), polls: total(side, What::Polls, None) }
    }

    /// The same without a spawn site, unless that does nearly everything.
    fn without(self, side: &[&Observer], subject: &Subject) -> Self {
        let rest = |what: What, all: f64| {
            let rest = total(side, what, Some(subject));
            if rest >= LEAST_REST * all { rest } else { all }
        };
        Self { started: rest(What::Started, self.started), polls: rest(What::Polls, self.polls) }
    }

    /// How many times the load of the other this is. What rises more counts, of tasks started and polls.
    pub fn over(self, other: Self) -> f64 {
        let ratio = |one: f64, other: f64, least: f64| (other >= least).then(|| one / other);
        let started = ratio(self.started, other.started, LEAST.0);
        let polls = ratio(self.polls, other.polls, LEAST.1);
        started.into_iter().chain(polls).reduce(f64::max).unwrap_or(1.0)
    }

    /// Whether this does nothing worth comparing.
    pub fn is_nothing(self) -> bool {
        self.polls < LEAST_POLLS
    }

    /// Whether this is idle while the other is busy.
    pub fn is_idle_beside(self, other: Self) -> bool {
        !other.is_nothing() && self.over(other) < IDLE
    }
}

/// How many times the load of stable the canary has, but for what the metric itself is about: that may be the very thing that went wrong.
pub(super) fn ratio(metric: &Metric, canary: (&[&Observer], Load), stable: (&[&Observer], Load)) -> f64 {
    match &metric.subject {
        Subject::Site(_) => {
            let of = |(side, load): (&[&Observer], Load)| load.without(side, &metric.subject);
            of(canary).over(of(stable))
        }
        Subject::Target | Subject::Thing(_) => canary.1.over(stable.1),
    }
}

/// A rate summed over all spawn sites but one: the median over blocks, and over targets.
fn total(side: &[&Observer], what: What, without: Option<&Subject>) -> f64 {
    let of = |observer: &&Observer| {
        let series = observer.series();
        let mut sums = vec![0.0; series.blocks()];
        for metric in series.metrics().filter(|it| it.what == what && Some(&it.subject) != without) {
            sums.iter_mut().zip(series.values(metric)).for_each(|(sum, value)| *sum += value);
        }
        median(&sums)
    };
    median(&side.iter().filter(|it| it.series().blocks() > 0).map(of).collect::<Vec<f64>>())
}
