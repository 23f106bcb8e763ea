//! What tasks spend their time on, as counters: a bounded number of sites for each cause, the others as one.
//!
//! Blame is worked out anew each time: what was unknown may turn out to have been a wait. A counter keeps what it has shown, and shows more only when
//! there is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chosen::Chosen;
use super::labels::label;
use crate::report::Cause;
use crate::report::blame::TimesView;

/// The labels of a time: cause, name of the tasks, where they were spawned.
pub(super) type Spent = [String; 3];

/// Sites of earlier processes that are remembered.
const EARLIER: usize = 512;

/// The name and the place of a site's tasks.
type Site = [String; 2];

/// What the tasks of one target spend their time on.
#[derive(Debug, Default)]
pub(super) struct Times {
    epoch: u32,
    causes: BTreeMap<Cause, OfCause>,
}

/// The time spent on one cause.
#[derive(Debug, Default)]
struct OfCause {
    /// What sites had come to in earlier processes.
    earlier: BTreeMap<Site, Duration>,
    /// What they have come to in this one, as far as was shown.
    shown: BTreeMap<Site, Duration>,
    chosen: Chosen<2>,
}

impl Times {
    /// The series: each cause and site with its time.
    pub(super) fn series(&mut self, times: &TimesView) -> Vec<(Spent, Duration)> {
        if std::mem::replace(&mut self.epoch, times.epoch) != times.epoch {
            self.causes.values_mut().for_each(OfCause::begin_anew);
        }
        let mut series = Vec::new();
        for cause in Cause::ALL {
            let mut now: BTreeMap<Site, Duration> = BTreeMap::new();
            for row in times.rows.iter().filter(|row| row.cause == cause) {
                *now.entry([&row.name, &row.location].map(|text| label(text))).or_default() += row.time;
            }
            let known = self.causes.entry(cause).or_default();
            let times = known.series(now).into_iter();
            series.extend(times.map(|([task, place], time)| ([cause.as_str().to_owned(), task, place], time)));
        }
        series
    }
}

impl OfCause {
    fn series(&mut self, mut now: BTreeMap<Site, Duration>) -> Vec<(Site, Duration)> {
        for (site, time) in &mut now {
            *time = (*time).max(self.shown.get(site).copied().unwrap_or_default());
        }
        self.shown.clone_from(&now);
        for (site, earlier) in &self.earlier {
            *now.entry(site.clone()).or_default() += *earlier;
        }
        self.chosen.series(now, Duration::ZERO)
    }

    /// Another process begins, whose sites begin at zero.
    fn begin_anew(&mut self) {
        for (site, time) in std::mem::take(&mut self.shown) {
            if self.earlier.len() < EARLIER || self.earlier.contains_key(&site) {
                *self.earlier.entry(site).or_default() += time;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::blame::TimesRow;

    fn view(epoch: u32, times: &[(&str, Cause, u64)]) -> TimesView {
        let row = |(name, cause, seconds): &(&str, Cause, u64)| TimesRow {
            cause: *cause,
            name: (*name).to_owned(),
            location: "src/a.rs:1:1".to_owned(),
            time: Duration::from_secs(*seconds),
        };
        TimesView { epoch, rows: times.iter().map(row).collect() }
    }

    fn of(series: &[(Spent, Duration)], cause: &str, task: &str) -> Option<u64> {
        series.iter().find(|(it, _)| it[0] == cause && it[1] == task).map(|(_, time)| time.as_secs())
    }

    #[test]
    fn no_counter_falls_when_blame_is_anew_or_the_target_restarts() {
        let mut times = Times::default();
        let first = times.series(&view(0, &[("a", Cause::Lock, 5), ("a", Cause::Unknown, 9)]));
        assert_eq!((of(&first, "lock", "a"), of(&first, "unknown", "a")), (Some(5), Some(9)));
        let anew = times.series(&view(0, &[("a", Cause::Lock, 8), ("a", Cause::Unknown, 7)]));
        assert_eq!((of(&anew, "lock", "a"), of(&anew, "unknown", "a")), (Some(8), Some(9)));
        let restarted = times.series(&view(1, &[("a", Cause::Lock, 1)]));
        assert_eq!((of(&restarted, "lock", "a"), of(&restarted, "unknown", "a")), (Some(9), Some(9)));
        let later = times.series(&view(1, &[("a", Cause::Lock, 3)]));
        assert_eq!(of(&later, "lock", "a"), Some(11));
    }

    #[test]
    fn sites_are_bounded_for_each_cause() {
        let names: Vec<String> = (0..200).map(|nth| format!("task-{nth}")).collect();
        let many: Vec<_> = names.iter().flat_map(|name| [(&**name, Cause::Lock, 2), (name, Cause::Timer, 3)]).collect();
        let series = Times::default().series(&view(0, &many));
        assert_eq!(series.len(), 2 * 51);
        let sum =
            |cause: &str| series.iter().filter(|(it, _)| it[0] == cause).map(|(_, time)| time.as_secs()).sum::<u64>();
        assert_eq!((sum("lock"), sum("timer")), (400, 600));
    }
}
