//! Tries whether a finding still shows in less, as long as there is budget for it.

use std::collections::BTreeSet;

use super::ddmin::Outcome;
use super::sighting::{Sighting, diagnosis};
use crate::detect::settings::Settings;
use crate::detect::severity::Severity;
use crate::diagnosis::{Arrived, Diagnosis};
use crate::feed::FeedEvent;
use crate::feed::recording::Playback;
use crate::wire::Survey;

/// What an event costs besides what is in it, in the unit of [`Budget`]: the detectors look at everything after it.
const EVENT: u64 = 20;

/// How much may be tried. It is counted in what is played and not in time, so that the same recording is cut to the same witness everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Entities in updates that may be played, over all tries.
    pub entities: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { entities: 5_000_000 }
    }
}

/// Plays events and looks for one finding.
pub(super) struct Lab<'a> {
    goal: &'a Sighting,
    settings: &'a Settings,
    /// Findings that count, and may show besides.
    known: BTreeSet<&'a str>,
    left: u64,
    tries: u32,
}

impl<'a> Lab<'a> {
    pub(super) fn new(goal: &'a Sighting, sightings: &'a [Sighting], settings: &'a Settings, budget: Budget) -> Self {
        let counts = sightings.iter().filter(|it| it.severity >= Severity::Warning);
        let known = counts.map(|it| it.fingerprint.as_str()).collect();
        Self { goal, settings, known, left: budget.entities, tries: 0 }
    }

    /// How often it has tried.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether the finding shows at the end of these events, and nothing has shown that the recording does not show; `None` if the budget is
    /// used up.
    pub(super) fn shows(&mut self, events: impl IntoIterator<Item = Arrived>) -> Outcome {
        if self.left == 0 {
            return None;
        }
        self.tries += 1;
        let (mut diagnosis, mut playback) = (diagnosis(self.settings), Playback::default());
        for event in events {
            self.left = self.left.saturating_sub(weight(&event));
            for arrived in playback.unfold(event) {
                diagnosis.apply(arrived);
            }
            if self.has_other(&diagnosis) {
                return Some(false);
            }
        }
        Some(diagnosis.engine().findings().any(|finding| self.goal.is(finding)))
    }

    /// Whether leaving something out has made a finding of something else.
    fn has_other(&self, diagnosis: &Diagnosis) -> bool {
        let counts = diagnosis.engine().findings().filter(|it| it.is_shown() && it.severity() >= Severity::Warning);
        let is_new = |fingerprint: &str| fingerprint != self.goal.fingerprint && !self.known.contains(fingerprint);
        counts.map(|it| it.fingerprint.as_str()).any(is_new)
    }
}

fn weight(event: &Arrived) -> u64 {
    let FeedEvent::Update(update) = &event.event else { return EVENT };
    let Survey { introduced, counted, poll_ops, .. } = Survey::of(&update.message);
    EVENT + u64::try_from(introduced + counted + poll_ops).unwrap_or(u64::MAX)
}
