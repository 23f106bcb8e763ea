//! Rate limits: findings that come and go are announced at once, then ever more seldom, and a digest says what was held back.

mod detector;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use self::detector::{DetectorLimiter, FindingEvent, Released};
use super::event::{Digest, Event, EventKind};
use crate::fleet::{Fleet, Step, TargetId};
use crate::report::{Family, Grade};

/// For how long the findings of a detector are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After the first alert.
    pub first: Duration,
    /// At most, however often they come back.
    pub longest: Duration,
}

/// What stands between the events of a run and its outputs. Time is that of the events, for each target its own.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    limits: Option<Limits>,
    limiters: BTreeMap<TargetId, TargetLimiter>,
}

/// The limiters of a target.
#[derive(Debug)]
struct TargetLimiter {
    target: String,
    at: SystemTime,
    by_detector: BTreeMap<&'static str, DetectorLimiter<Event>>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits: Some(limits), limiters: BTreeMap::new() }
    }

    /// Lets the events of a step pass or holds them back, and adds those whose time has come.
    pub(super) fn pass(&mut self, step: &Step, fleet: &Fleet, events: Vec<Event>) -> Vec<Event> {
        let Some(limits) = self.limits else { return events };
        match step {
            Step::Joined(_) => events,
            Step::Arrived { target, at, .. } => {
                let Some(member) = fleet.member(*target) else { return events };
                let name = || member.diagnosis().target().to_owned();
                let limiter = self.limiters.entry(*target).or_insert_with(|| TargetLimiter::new(name(), *at));
                limiter.pass(*at, events, limits)
            }
            Step::Closed(target) => [self.let_go(*target), events].concat(),
            Step::Left(member) => [self.let_go(member.id()), events].concat(),
        }
    }

    /// Everything that is held back, and a digest of it: nothing follows.
    pub(super) fn flush(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.limiters).into_values().flat_map(TargetLimiter::flush).collect()
    }

    fn let_go(&mut self, target: TargetId) -> Vec<Event> {
        self.limiters.remove(&target).map(TargetLimiter::flush).unwrap_or_default()
    }
}

impl TargetLimiter {
    fn new(target: String, at: SystemTime) -> Self {
        Self { target, at, by_detector: BTreeMap::new() }
    }

    fn pass(&mut self, at: SystemTime, events: Vec<Event>, limits: Limits) -> Vec<Event> {
        self.at = at;
        let mut passed = Vec::new();
        self.by_detector.retain(|detector, limiter| {
            if let Some(released) = limiter.release(at, limits) {
                passed.extend(announced(&self.target, at, detector, released));
            }
            !limiter.is_idle(at)
        });
        for event in events {
            let Some(detector) = detector_of(&event) else {
                passed.push(event);
                continue;
            };
            let limiter = self.by_detector.entry(detector).or_insert_with(|| DetectorLimiter::new(limits));
            passed.extend(finding_event(event).and_then(|finding| limiter.take(finding, at, limits)));
        }
        passed
    }

    fn flush(self) -> Vec<Event> {
        let Self { target, at, by_detector } = self;
        let released = by_detector.into_iter().filter_map(|(detector, mut limiter)| Some((detector, limiter.flush()?)));
        released.flat_map(|(detector, released)| announced(&target, at, detector, released)).collect()
    }
}

/// The digest first: what follows is where things stand after it.
fn announced(target: &str, at: SystemTime, detector: &'static str, released: Released<Event>) -> Vec<Event> {
    let Released { tally, firing, next, events } = released;
    let digest = Digest {
        detector,
        since: tally.since,
        openings: tally.openings,
        resolutions: tally.resolutions,
        findings: tally.classes.len(),
        firing,
        worst: tally.worst,
        next,
    };
    let digest = Event { target: target.to_owned(), at, kind: EventKind::Digest(digest) };
    [digest].into_iter().chain(events).collect()
}

fn detector_of(event: &Event) -> Option<&'static str> {
    match &event.kind {
        EventKind::Finding(view) => Some(view.row.detector),
        _ => None,
    }
}

/// What a limiter has to know of a finding.
fn finding_event(event: Event) -> Option<FindingEvent<Event>> {
    let EventKind::Finding(view) = &event.kind else { return None };
    let (class, row) = (view.fingerprint.clone(), &view.row);
    // That the feed is silent is sure, and no proof of a fault.
    let is_proof = row.grade == Grade::Proof && view.family != Family::Feed.as_str();
    let (state, severity) = (row.state, row.severity);
    Some(FindingEvent { class, state, severity, is_proof, at: event.at, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{ndjson, text};
    use crate::detect::settings::Settings;
    use crate::diagnosis::{Arrived, Diagnosis};
    use crate::feed::{FeedEvent, Status, Update};
    use crate::model::DEFAULT_RETENTION;
    use console_api::instrument;

    const LIMITS: Limits = Limits { first: Duration::from_secs(60), longest: Duration::from_secs(600) };

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// What arrives from a target that is silent for 6 s of every 10 s, and then for good.
    fn on_and_off(rounds: u64) -> impl Iterator<Item = Arrived> {
        let arrived = |seconds, event| Arrived { at: time(seconds), event };
        let update = move |seconds| {
            let message = instrument::Update { now: Some(time(seconds).into()), ..Default::default() };
            arrived(seconds, FeedEvent::Update(Box::new(Update::from(message))))
        };
        let round = move |round: u64| {
            let quiet = arrived(round * 10 + 9, FeedEvent::Quiet(Duration::from_secs(6)));
            (0..4).map(move |second| update(round * 10 + second)).chain([quiet])
        };
        [arrived(0, FeedEvent::Status(Status::Live))].into_iter().chain((0..rounds).flat_map(round))
    }

    /// What is delivered of that, and what is left for the end.
    fn delivered(limiter: &mut Limiter, rounds: u64) -> (Vec<Event>, Vec<Event>) {
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new("a\u{1b}b".to_owned(), Settings::default(), DEFAULT_RETENTION));
        let mut delivered = Vec::new();
        for arrived in on_and_off(rounds) {
            let step = fleet.apply(target, arrived);
            delivered.extend(limiter.pass(&step, &fleet, Event::of(&step, &fleet)));
        }
        (delivered, limiter.flush())
    }

    /// What became of the silence, a word for each event.
    fn said(events: &[Event]) -> Vec<String> {
        let word = |event: &Event| match &event.kind {
            EventKind::Finding(view) if view.row.detector == "quiet-feed" => Some(view.row.state.as_str().to_owned()),
            EventKind::Digest(digest) if digest.detector == "quiet-feed" => {
                Some(format!("+{} -{}, {} fires", digest.openings, digest.resolutions, digest.firing))
            }
            _ => None,
        };
        events.iter().filter_map(word).collect()
    }

    #[test]
    fn a_target_that_is_silent_now_and_then_is_reported_once_and_in_digests() {
        let (delivered, left) = delivered(&mut Limiter::new(LIMITS), 12);
        assert_eq!(said(&delivered), ["firing", "resolved", "+5 -5, 0 fires", "firing", "resolved"]);
        assert_eq!(said(&left), ["+5 -4, 1 fires", "firing"], "the state in the end is delivered");
        let is_digest =
            |event: &&Event| matches!(&event.kind, EventKind::Digest(digest) if digest.detector == "quiet-feed");
        let digest = delivered.iter().find(is_digest).unwrap();
        let line = text::line(digest).unwrap();
        assert!(
            line.contains(" digest quiet-feed: held back 5 openings and 5 resolutions of 1 finding since "),
            "{line}"
        );
        assert!(line.contains(", worst warning; none fires now. "), "{line}");
        let line = ndjson::line(digest);
        assert!(line.contains("\"openings\":5,\"resolutions\":5,") && line.contains("\"type\":\"digest\""), "{line}");
    }

    #[test]
    fn without_limits_everything_is_delivered() {
        let (delivered, left) = delivered(&mut Limiter::default(), 12);
        assert_eq!(said(&delivered).iter().filter(|it| *it == "firing").count(), 12);
        assert!(left.is_empty());
    }
}
