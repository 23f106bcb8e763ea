//! The alerts that fire, so that each ends with the labels with which it began.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::alert::{Alert, RECORDING};
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
            EventKind::Left => return self.leave(&event.target, now),
            _ => return Entry::default(),
        };
        if view.row.state == State::Pending {
            return Entry::default();
        }
        let key = (event.target.clone(), view.fingerprint.clone());
        let mut alert = Alert::firing(event, view, &self.extra, now);
        let known = self.open.get(&key);
        // Only the event with which a finding fires has a recording, and that stays worth a look.
        if let Some(recording) = known.and_then(|known| known.annotations.get(RECORDING)) {
            alert.annotations.entry(RECORDING).or_insert_with(|| recording.clone());
        }
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

    /// What a target has that is gone, nobody has to mend.
    fn leave(&mut self, target: &str, now: SystemTime) -> Entry {
        let gone = self.open.extract_if(.., |(it, _), _| it == target);
        Entry { changed: gone.map(|(_, alert)| Alert { ends: Some(now), ..alert }).collect(), ..Entry::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::settings::Settings;
    use crate::detect::severity::Severity;
    use crate::diagnosis::{Arrived, Diagnosis};
    use crate::feed::{FeedEvent, Status};
    use crate::fleet::Fleet;
    use crate::model::DEFAULT_RETENTION;
    use crate::report::finding::FindingView;

    /// A target that says nothing any more, as an event.
    fn quiet() -> Event {
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new("http://a:1".to_owned(), Settings::default(), DEFAULT_RETENTION));
        let mut events = Vec::new();
        for event in [FeedEvent::Status(Status::Live), FeedEvent::Quiet(Duration::from_secs(6))] {
            let step = fleet.apply(target, Arrived { at: SystemTime::UNIX_EPOCH, event });
            events.extend(Event::of(&step, &fleet));
        }
        events.into_iter().find(|it| matches!(it.kind, EventKind::Finding(_))).expect("a finding")
    }

    /// The event with changes to its finding.
    fn changed(event: &Event, change: impl FnOnce(&mut FindingView)) -> Event {
        let mut event = event.clone();
        if let EventKind::Finding(view) = &mut event.kind {
            change(view);
        }
        event
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_alert_ends_with_the_labels_with_which_it_began() {
        let mut ledger = Ledger::new(vec![("team".to_owned(), "a".to_owned())]);
        let firing = quiet();
        let pending = changed(&firing, |view| view.row.state = State::Pending);
        assert_eq!(ledger.take(&pending, at(90)), Entry::default());
        let recorded = changed(&firing, |view| view.recording = Some("boxes/a.mcap".into()));
        let opened = ledger.take(&recorded, at(100)).changed;
        let [alert] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!((alert.labels["team"].as_str(), alert.labels["instance"].as_str()), ("a", "a:1"));
        assert!(!alert.labels.contains_key("location"), "an empty label is none: {alert:?}");
        let moved = changed(&firing, |view| {
            view.row.state = State::Resolved;
            view.subject.location = "elsewhere.rs:1:1".to_owned();
        });
        let ended = ledger.take(&moved, at(200)).changed;
        let [ended] = ended.as_slice() else { panic!("{ended:?}") };
        assert_eq!((&ended.labels, ended.ends), (&alert.labels, Some(at(200))));
        assert_eq!(ended.annotations["recording"], "boxes/a.mcap");
        assert_eq!(ledger.take(&moved, at(300)), Entry::default(), "it is over");
    }

    #[test]
    fn another_severity_is_another_alert() {
        let mut ledger = Ledger::new(Labels::new());
        let firing = quiet();
        ledger.take(&firing, at(100));
        let again = ledger.take(&firing, at(110)).changed;
        assert_eq!((again.len(), again[0].ends), (1, None));
        let worse = changed(&firing, |view| view.row.severity = Severity::Critical);
        let entry = ledger.take(&worse, at(120));
        let said: Vec<_> = entry.changed.iter().map(|it| (it.status(), it.labels["severity"].as_str())).collect();
        assert_eq!(said, [("resolved", "warning"), ("firing", "critical")]);
    }

    #[test]
    fn a_clock_that_is_ahead_begins_nothing_in_the_future() {
        let firing = changed(&quiet(), |view| view.since = at(9_000));
        let entry = Ledger::new(Labels::new()).take(&firing, at(100));
        assert_eq!(entry.changed[0].starts, at(100));
    }

    #[test]
    fn the_alerts_of_a_target_that_left_end_and_more_than_fit_in_are_lost() {
        let mut ledger = Ledger::new(Labels::new());
        let firing = quiet();
        for number in 0..MOST {
            ledger.take(&changed(&firing, |view| view.fingerprint = number.to_string()), at(100));
        }
        assert_eq!(ledger.take(&firing, at(100)), Entry { lost: 1, ..Entry::default() });
        let left = Event { kind: EventKind::Left, ..firing.clone() };
        assert_eq!(ledger.take(&Event { target: "b".to_owned(), ..left.clone() }, at(200)), Entry::default());
        let ended = ledger.take(&left, at(200)).changed;
        assert!(ended.len() == MOST && ended.iter().all(|alert| alert.ends == Some(at(200))));
        assert_eq!(ledger.take(&firing, at(300)).changed.len(), 1);
    }
}
