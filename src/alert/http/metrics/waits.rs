//! Which places have a series of their own, where there are more than there may be: those that were waited for longest, and the others as one.
//!
//! A series that falls looks like a restart, and one that jumps looks like an incident. So a place that gets a series later begins at zero, and
//! what was counted among the others stays there.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::labels::label;
use crate::report::vitals::WaitTotalsView;

/// Most places of a target that have a series of their own.
pub(super) const MOST: usize = 50;
/// A place takes the series of another if it was waited for this many times as long.
const FAR_MORE: u32 = 2;

/// The labels of a place: kind, where it was made, who waits, where those were spawned.
pub(super) type Place = [String; 4];

/// Which places have a series of their own, for each target.
#[derive(Debug, Default)]
pub(in crate::alert::http) struct Selection {
    targets: BTreeMap<String, Chosen>,
}

impl Selection {
    /// The series of a target: each place with seconds waited.
    pub(super) fn series(&mut self, target: &str, waits: &WaitTotalsView) -> Vec<(Place, Duration)> {
        self.targets.entry(target.to_owned()).or_default().series(waits)
    }

    /// Forgets the targets that are not among these.
    pub(super) fn keep(&mut self, targets: &[String]) {
        self.targets.retain(|target, _| targets.contains(target));
    }
}

/// The places of one target.
#[derive(Debug, Default)]
struct Chosen {
    /// What each place had come to when it was last asked for.
    last: BTreeMap<Place, Duration>,
    /// Those with a series, and how much of each was counted among the others before.
    shown: BTreeMap<Place, Duration>,
    other: Duration,
    last_rest: Duration,
}

impl Chosen {
    fn series(&mut self, waits: &WaitTotalsView) -> Vec<(Place, Duration)> {
        let mut now: BTreeMap<Place, Duration> = BTreeMap::new();
        for row in &waits.rows {
            let place = &row.place;
            let labels = [place.kind.as_str(), place.made_at.as_str(), &*place.name, place.spawned_at.as_str()];
            *now.entry(labels.map(label)).or_default() += row.waited;
        }
        // A place that was forgotten and comes back has begun anew.
        self.last.retain(|place, last| now.get(place).is_some_and(|waited| waited >= last));
        self.shown.retain(|place, _| self.last.contains_key(place));
        self.choose(&now);
        for (place, waited) in now.iter().filter(|(place, _)| !self.shown.contains_key(*place)) {
            self.other += waited.saturating_sub(self.counted(place));
        }
        self.other += waits.rest.saturating_sub(self.last_rest);
        self.last_rest = waits.rest;
        let of_place =
            |(place, before): (&Place, &Duration)| Some((place.clone(), now.get(place)?.saturating_sub(*before)));
        let mut series: Vec<_> = self.shown.iter().filter_map(of_place).collect();
        if !self.other.is_zero() {
            series.push((["other", "", "", ""].map(str::to_owned), self.other));
        }
        self.last = now;
        series
    }

    /// Gives a series to those that were waited for longest.
    fn choose(&mut self, now: &BTreeMap<Place, Duration>) {
        let mut candidates: Vec<(&Place, Duration)> =
            now.iter().filter(|(place, _)| !self.shown.contains_key(*place)).map(|(place, it)| (place, *it)).collect();
        candidates.sort_by_key(|(_, waited)| Reverse(*waited));
        let mut candidates = candidates.into_iter();
        for (place, _) in candidates.by_ref().take(MOST.saturating_sub(self.shown.len())) {
            self.shown.insert(place.clone(), self.counted(place));
        }
        // At most one at a time changes places.
        let waited = |place: &Place| now.get(place).copied().unwrap_or_default();
        let least = self.shown.keys().min_by_key(|place| waited(place)).cloned();
        if let (Some((place, much)), Some(least)) = (candidates.next(), least)
            && much > FAR_MORE * waited(&least)
        {
            self.shown.remove(&least);
            self.shown.insert(place.clone(), self.counted(place));
        }
    }

    /// What of a place has been counted already.
    fn counted(&self, place: &Place) -> Duration {
        self.last.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let series = selection.series("a", &waits(&[5, 9], 0));
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
        let series = selection.series("a", &waits(&seconds, 7));
        assert_eq!(series.len(), MOST + 1);
        assert_eq!(of(&series, "other"), Some((1..=10).sum::<u64>() + 7));
        assert_eq!(of(&series, "src/a.rs:059:1"), Some(60));
    }

    #[test]
    fn no_series_falls_or_jumps_when_a_place_gets_its_own() {
        let mut selection = Selection::default();
        let mut seconds = vec![100; MOST];
        seconds.push(20);
        let before = selection.series("a", &waits(&seconds, 0));
        assert_eq!((of(&before, "other"), of(&before, "src/a.rs:050:1")), (Some(20), None));
        seconds[MOST] = 250;
        let after = selection.series("a", &waits(&seconds, 0));
        assert_eq!((of(&after, "other"), of(&after, "src/a.rs:050:1")), (Some(20), Some(230)));
        assert_eq!(after.len(), MOST + 1, "another has lost its series");
        seconds[MOST] = 260;
        let later = selection.series("a", &waits(&seconds, 0));
        assert_eq!((of(&later, "other"), of(&later, "src/a.rs:050:1")), (Some(20), Some(240)));
    }

    #[test]
    fn a_place_that_comes_back_begins_anew() {
        let mut selection = Selection::default();
        selection.series("a", &waits(&[50], 0));
        selection.series("a", &waits(&[0], 0));
        assert_eq!(of(&selection.series("a", &waits(&[3], 0)), "src/a.rs:000:1"), Some(3));
        selection.keep(&[]);
        assert!(selection.targets.is_empty());
    }
}
