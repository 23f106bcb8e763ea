//! How long was waited at each place, and which places and sites have series of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chosen::Chosen;
use super::labels::label;
use super::times::{Spent, Times};
use crate::report::blame::TimesView;
use crate::report::vitals::WaitTotalsView;

/// The labels of a place where tasks wait: kind, where it was made, who waits, where those were spawned.
pub(super) type Place = [String; 4];

/// Which places have a series of their own, for each target.
#[derive(Debug, Default)]
pub(in crate::alert::http) struct Selection {
    targets: BTreeMap<String, (Chosen<4>, Times)>,
}

impl Selection {
    /// The series of a target: each place with seconds waited.
    pub(super) fn waits(&mut self, target: &str, waits: &WaitTotalsView) -> Vec<(Place, Duration)> {
        let mut now: BTreeMap<Place, Duration> = BTreeMap::new();
        for row in &waits.rows {
            let place = &row.place;
            let labels = [place.kind.as_str(), place.made_at.as_str(), &*place.name, place.spawned_at.as_str()];
            *now.entry(labels.map(label)).or_default() += row.waited;
        }
        self.targets.entry(target.to_owned()).or_default().0.series(now, waits.rest)
    }

    /// The series of a target: each cause and site with the time that its tasks spent on it.
    pub(super) fn times(&mut self, target: &str, times: &TimesView) -> Vec<(Spent, Duration)> {
        self.targets.entry(target.to_owned()).or_default().1.series(times)
    }

    /// Forgets the targets that are not among these.
    pub(super) fn keep(&mut self, targets: &[String]) {
        self.targets.retain(|target, _| targets.contains(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::http::metrics::chosen::MOST;
    use crate::model::history::waited::WaitPlace;
    use crate::model::location::Location;
    use crate::model::tokio::ResourceKind;
    use crate::report::vitals::WaitTotalRow;

    fn waits(seconds: &[u64], rest: u64) -> WaitTotalsView {
        let row = |(line, seconds): (usize, &u64)| WaitTotalRow {
            place: WaitPlace {
                kind: ResourceKind::Mutex,
                made_at: Location::parse(&format!("src/a.rs:{line:03}:1")),
                name: "worker".into(),
                spawned_at: Location::parse("src/b.rs:1:1"),
            },
            waited: Duration::from_secs(*seconds),
        };
        let rows = seconds.iter().enumerate().filter(|(_, seconds)| **seconds > 0).map(row);
        WaitTotalsView { rows: rows.collect(), rest: Duration::from_secs(rest) }
    }

    fn of(series: &[(Place, Duration)], place: &str) -> Option<u64> {
        series.iter().find(|(it, _)| it[0] == place || it[1] == place).map(|(_, waited)| waited.as_secs())
    }

    #[test]
    fn few_places_have_a_series_each_and_there_is_no_other() {
        let mut selection = Selection::default();
        let series = selection.waits("a", &waits(&[5, 9], 0));
        assert_eq!(series.len(), 2);
        assert_eq!(
            (of(&series, "src/a.rs:000:1"), of(&series, "src/a.rs:001:1"), of(&series, "other")),
            (Some(5), Some(9), None)
        );
    }

    #[test]
    fn of_many_places_the_longest_have_a_series_and_the_others_are_one() {
        let mut selection = Selection::default();
        let seconds: Vec<u64> = (1..=60).collect();
        let series = selection.waits("a", &waits(&seconds, 7));
        assert_eq!(series.len(), MOST + 1);
        assert_eq!(of(&series, "other"), Some((1..=10).sum::<u64>() + 7));
        assert_eq!(of(&series, "src/a.rs:059:1"), Some(60));
    }

    #[test]
    fn no_series_falls_or_jumps_when_a_place_gets_its_own() {
        let mut selection = Selection::default();
        let mut seconds = vec![100; MOST];
        seconds.push(20);
        let before = selection.waits("a", &waits(&seconds, 0));
        assert_eq!((of(&before, "other"), of(&before, "src/a.rs:050:1")), (Some(20), None));
        seconds[MOST] = 250;
        let after = selection.waits("a", &waits(&seconds, 0));
        assert_eq!((of(&after, "other"), of(&after, "src/a.rs:050:1")), (Some(20), Some(230)));
        assert_eq!(after.len(), MOST + 1, "another has lost its series");
        seconds[MOST] = 260;
        let later = selection.waits("a", &waits(&seconds, 0));
        assert_eq!((of(&later, "other"), of(&later, "src/a.rs:050:1")), (Some(20), Some(240)));
    }

    #[test]
    fn a_place_that_comes_back_begins_anew() {
        let mut selection = Selection::default();
        selection.waits("a", &waits(&[50], 0));
        selection.waits("a", &waits(&[0], 0));
        assert_eq!(of(&selection.waits("a", &waits(&[3], 0)), "src/a.rs:000:1"), Some(3));
        selection.keep(&[]);
        assert!(selection.targets.is_empty());
    }
}
