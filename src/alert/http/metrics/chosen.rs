//! Which places have a series of their own, where there are more than there may be: those that were waited for longest, and the others as one.
//!
//! A series that falls looks like a restart, and one that jumps looks like an incident. So a place that gets a series later begins at zero, and
//! what was counted among the others stays there.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most places of a target that have a series of their own.
pub(super) const MOST: usize = 50;
/// A place takes the series of another if it was waited for this many times as long.
const FAR_MORE: u32 = 2;

/// The places of one target, by their labels.
#[derive(Debug)]
pub(super) struct Chosen<const N: usize> {
    /// What each place had come to when it was last asked for.
    last: BTreeMap<[String; N], Duration>,
    /// Those with a series, and how much of each was counted among the others before.
    shown: BTreeMap<[String; N], Duration>,
    other: Duration,
    last_rest: Duration,
}

impl<const N: usize> Default for Chosen<N> {
    fn default() -> Self {
        Self { last: BTreeMap::new(), shown: BTreeMap::new(), other: Duration::ZERO, last_rest: Duration::ZERO }
    }
}

impl<const N: usize> Chosen<N> {
    /// The series, from what each place has come to now, and what places that have been forgotten had come to.
    pub(super) fn series(
        &mut self,
        now: BTreeMap<[String; N], Duration>,
        rest: Duration,
    ) -> Vec<([String; N], Duration)> {
        // A place that was forgotten and comes back has begun anew.
        self.last.retain(|place, last| now.get(place).is_some_and(|waited| waited >= last));
        self.shown.retain(|place, _| self.last.contains_key(place));
        self.choose(&now);
        for (place, waited) in now.iter().filter(|(place, _)| !self.shown.contains_key(*place)) {
            self.other += waited.saturating_sub(self.counted(place));
        }
        self.other += rest.saturating_sub(self.last_rest);
        self.last_rest = rest;
        let of_place =
            |(place, before): (&[String; N], &Duration)| Some((place.clone(), now.get(place)?.saturating_sub(*before)));
        let mut series: Vec<_> = self.shown.iter().filter_map(of_place).collect();
        if !self.other.is_zero() {
            let other = std::array::from_fn(|label| if label == 0 { "other" } else { "" }.to_owned());
            series.push((other, self.other));
        }
        self.last = now;
        series
    }

    /// Gives a series to those that were waited for longest.
    fn choose(&mut self, now: &BTreeMap<[String; N], Duration>) {
        let mut candidates: Vec<(&[String; N], Duration)> =
            now.iter().filter(|(place, _)| !self.shown.contains_key(*place)).map(|(place, it)| (place, *it)).collect();
        candidates.sort_by_key(|(_, waited)| Reverse(*waited));
        let mut candidates = candidates.into_iter();
        for (place, _) in candidates.by_ref().take(MOST.saturating_sub(self.shown.len())) {
            self.shown.insert(place.clone(), self.counted(place));
        }
        // At most one at a time changes places.
        let waited = |place: &[String; N]| now.get(place).copied().unwrap_or_default();
        let least = self.shown.keys().min_by_key(|place| waited(place)).cloned();
        if let (Some((place, much)), Some(least)) = (candidates.next(), least)
            && much > FAR_MORE * waited(&least)
        {
            self.shown.remove(&least);
            self.shown.insert(place.clone(), self.counted(place));
        }
    }

    /// What of a place has been counted already.
    fn counted(&self, place: &[String; N]) -> Duration {
        self.last.get(place).copied().unwrap_or_default()
    }
}
