//! How the number behind a finding developed while the finding lasted.

use super::symptom::{Fact, Symptom};
use crate::model::time::Timestamp;

/// Most samples that are kept. When there are as many, every second one goes, and the next ones come half as often.
const SAMPLES: usize = 96;

/// The values of one fact over time: of the first one that fired when the finding was first seen.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    newest: Option<Fact>,
    samples: Vec<(Timestamp, f64)>,
    /// Samples that are skipped after each one that is kept.
    skip: usize,
    skipped: usize,
}

impl Trace {
    /// The trace of a finding that begins with this symptom.
    pub(super) fn begin(symptom: &Symptom, now: Timestamp) -> Self {
        let facts = &symptom.facts;
        let with_limit = || facts.iter().find(|fact| fact.threshold.is_some());
        let telling =
            facts.iter().find(|fact| fact.fired() == Some(true)).or_else(with_limit).or_else(|| facts.first());
        let samples = telling.map(|fact| (now, fact.observed)).into_iter().collect();
        Self { newest: telling.cloned(), samples, skip: 0, skipped: 0 }
    }

    /// Takes in another sighting.
    pub(super) fn note(&mut self, symptom: &Symptom, now: Timestamp) {
        let metric = self.newest.as_ref().map(|fact| fact.metric);
        let Some(fact) = symptom.facts.iter().find(|fact| Some(fact.metric) == metric) else { return };
        self.newest = Some(fact.clone());
        if self.skipped < self.skip {
            self.skipped += 1;
            // The last sample is the present one until the next is kept.
            if let Some(last) = self.samples.last_mut() {
                *last = (now, fact.observed);
            }
            return;
        }
        self.skipped = 0;
        if self.samples.len() >= SAMPLES {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.skip = self.skip * 2 + 1;
        }
        self.samples.push((now, fact.observed));
    }

    /// The fact as it was last seen; nothing of a finding without numbers.
    pub fn fact(&self) -> Option<&Fact> {
        self.newest.as_ref()
    }

    /// Its values, oldest first.
    pub fn samples(&self) -> &[(Timestamp, f64)] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::describe;

    fn symptom(depth: usize) -> Symptom {
        let facts = [Fact::count("receivers", "tasks", 1), Fact::count("depth", "entries", depth).from(10)];
        facts.into_iter().fold(Symptom::about(describe::feed_subject()), Symptom::because)
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(second))
    }

    #[test]
    fn the_fact_that_fired_is_followed() {
        let mut trace = Trace::begin(&symptom(12), at(1));
        trace.note(&symptom(15), at(2));
        assert_eq!(trace.fact().map(|fact| (fact.metric, fact.observed)), Some(("depth", 15.0)));
        assert_eq!(trace.samples(), [(at(1), 12.0), (at(2), 15.0)]);
    }

    #[test]
    fn a_long_life_is_kept_from_its_beginning_to_its_end() {
        let mut trace = Trace::begin(&symptom(0), at(0));
        for second in 1..=10_000_usize {
            trace.note(&symptom(second), at(u64::try_from(second).expect("a number of seconds")));
            assert!(trace.samples().len() <= SAMPLES);
        }
        let samples = trace.samples();
        assert_eq!((samples.first(), samples.last()), (Some(&(at(0), 0.0)), Some(&(at(10_000), 10_000.0))));
        assert!(samples.len() > SAMPLES / 3 && samples.is_sorted_by(|one, other| one.0 < other.0));
    }
}
