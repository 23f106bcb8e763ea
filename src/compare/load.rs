//! How much the two sides had to do, so that a canary under more load is not blamed for it.

use super::metric::{Metric, Subject, What};
use super::observer::Observer;
use super::series::Series;
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
    /// How many times the load of the other this is. What rises more counts, of tasks started and polls. What is next to nothing on both
    /// sides does not count, and on one side as the least that does.
    pub fn over(self, other: Self) -> f64 {
        let ratio = |one: f64, other: f64, least: f64| (one.max(other) >= least).then(|| one / other.max(least));
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
        !other.is_nothing() && self.polls < IDLE * other.polls && self.started <= IDLE * other.started
    }
}

/// What all spawn sites of a side do together, block by block, summed once for all that is asked of it.
pub(super) struct Work<'a> {
    /// Of each target, where there is a block.
    targets: Vec<OfTarget<'a>>,
    /// All of it.
    pub(super) load: Load,
}

struct OfTarget<'a> {
    series: &'a Series,
    started: Vec<f64>,
    polls: Vec<f64>,
}

impl<'a> Work<'a> {
    /// What a side does.
    pub(super) fn of(side: &[&'a Observer]) -> Self {
        let with_blocks = side.iter().map(|it| it.series()).filter(|series| series.blocks() > 0);
        let targets: Vec<OfTarget<'a>> = with_blocks.map(OfTarget::of).collect();
        let load = Load {
            started: median_of(&targets, |it| median(&it.started)),
            polls: median_of(&targets, |it| median(&it.polls)),
        };
        Self { targets, load }
    }

    /// The load without a spawn site, unless that does nearly everything.
    fn without(&self, subject: &Subject) -> Load {
        let rest = |what: What, all: f64| {
            let rest = median_of(&self.targets, |it| it.without(&Metric { subject: subject.clone(), what }));
            if rest >= LEAST_REST * all { rest } else { all }
        };
        Load { started: rest(What::Started, self.load.started), polls: rest(What::Polls, self.load.polls) }
    }
}

impl<'a> OfTarget<'a> {
    fn of(series: &'a Series) -> Self {
        let mut known = Self { series, started: vec![0.0; series.blocks()], polls: vec![0.0; series.blocks()] };
        for metric in series.metrics() {
            let sums = match metric.what {
                What::Started => &mut known.started,
                What::Polls => &mut known.polls,
                _ => continue,
            };
            sums.iter_mut().zip(series.values(metric)).for_each(|(sum, value)| *sum += value);
        }
        known
    }

    /// What all but one spawn site do, as a median of blocks.
    fn without(&self, metric: &Metric) -> f64 {
        let mut rest = if metric.what == What::Started { self.started.clone() } else { self.polls.clone() };
        rest.iter_mut().zip(self.series.values(metric)).for_each(|(sum, value)| *sum = (*sum - value).max(0.0));
        median(&rest)
    }
}

/// How many times the load of stable the canary has, but for what the metric itself is about: that may be the very thing that went wrong.
pub(super) fn ratio(metric: &Metric, canary: &Work<'_>, stable: &Work<'_>) -> f64 {
    match &metric.subject {
        Subject::Site(_) => canary.without(&metric.subject).over(stable.without(&metric.subject)),
        Subject::Target | Subject::Thing(_) => canary.load.over(stable.load),
    }
}

/// The median over the targets of a side.
fn median_of<'a>(targets: &[OfTarget<'a>], of: impl Fn(&OfTarget<'a>) -> f64) -> f64 {
    median(&targets.iter().map(of).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls and tasks started of two sides, how many times the load that is, and whether the first is idle beside the second.
    #[test]
    fn a_side_that_does_nothing_is_idle_and_not_the_same() {
        for ((polls, started), (other_polls, other_started), ratio, is_idle) in [
            ((200.0, 20.0), (2.0, 0.0), 40.0, false),
            ((2.0, 0.0), (200.0, 20.0), 0.01, true),
            ((0.0, 0.0), (4.0, 0.0), 1.0, true),
            ((0.0, 0.0), (0.5, 0.0), 1.0, false),
            ((4.0, 0.4), (2.0, 0.2), 1.0, false),
            ((2.0, 5.0), (200.0, 20.0), 0.25, false),
            ((600.0, 60.0), (200.0, 20.0), 3.0, false),
        ] {
            let (one, other) = (Load { started, polls }, Load { started: other_started, polls: other_polls });
            assert!((one.over(other) - ratio).abs() < 1e-9, "{one:?} over {other:?}: {}", one.over(other));
            assert_eq!(one.is_idle_beside(other), is_idle, "{one:?} beside {other:?}");
        }
    }
}
