//! The alerts that fire, so that each ends with the labels with which it began.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::alert::Alert;
use crate::alert::event::{Event, EventKind};
use crate::config::receiver::Labels;
use crate::report::State;

/// The most alerts that are known at a time. A service with more has one problem, not a thousand.
pub(super) const MOST: usize = 1_000;

/// The alerts that fire.
#[derive(Debug)]
pub(super) struct Ledger {
    extra: Labels,
    /// By target and finding.
    open: BTreeMap<(String, String), Alert>,
}

/// What an event means for alerts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// Alerts that opened, changed or ended, in this order.
    pub(super) changed: Vec<Alert>,
    /// Alerts nothing more will be known of.
    pub(super) forgotten: Vec<Alert>,
    /// How many did not fit in.
    pub(super) lost: u64,
}

impl Ledger {
    /// Nothing fires. Every alert will have these labels too.
    pub(super) fn new(extra: Labels) -> Self {
        Self { extra, open: BTreeMap::new() }
    }

    /// Takes in an event.
    pub(super) fn take(&mut self, event: &Event, now: SystemTime) -> Entry {
        let view = match &event.kind {
            EventKind::Finding(view) => view,
            EventKind::Left => return self.leave(&event.target),
            _ => return Entry::default(),
        };
        let key = (event.target.clone(), view.fingerprint.clone());
        let alert = Alert::firing(event, view, &self.extra, now);
        let known = self.open.get(&key);
        match (view.row.state, known) {
            (State::Pending, _) | (State::Resolved, None) => Entry::default(),
            (State::Firing, None) if self.open.len() >= MOST => Entry { lost: 1, ..Entry::default() },
            (State::Firing, None) => {
                self.open.insert(key, alert.clone());
                Entry { changed: vec![alert], ..Entry::default() }
            }
            (State::Firing, Some(known)) => {
                // Another severity is another alert, because severities are what alerts are routed by.
                let is_same = known.labels.get("severity") == alert.labels.get("severity");
                let ended = (!is_same).then(|| Alert { ends: Some(now), ..known.clone() });
                let labels = if is_same { known.labels.clone() } else { alert.labels };
                let alert = Alert { labels, ..alert };
                self.open.insert(key, alert.clone());
                Entry { changed: ended.into_iter().chain([alert]).collect(), ..Entry::default() }
            }
            (State::Resolved, Some(known)) => {
                let ended = Alert { annotations: alert.annotations, ends: Some(now), ..known.clone() };
                self.open.remove(&key);
                Entry { changed: vec![ended], ..Entry::default() }
            }
        }
    }

    fn leave(&mut self, target: &str) -> Entry {
        let (gone, open) = std::mem::take(&mut self.open).into_iter().partition(|((it, _), _)| it == target);
        self.open = open;
        let gone: BTreeMap<(String, String), Alert> = gone;
        Entry { forgotten: gone.into_values().collect(), ..Entry::default() }
    }
}
