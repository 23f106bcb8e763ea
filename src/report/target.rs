//! A target as a whole: the connection, how long it has been watched, how complete its feed is, and what it comes to so far.

use std::time::{Duration, SystemTime};

use super::attachment::AttachmentView;
use super::connection::ConnectionView;
use super::snapshot::Snapshot;
use super::verdict::VerdictView;
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Diagnosis, Withheld};
use crate::fleet::TargetId;
use crate::words;

/// A target as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetView {
    /// Which target.
    pub id: TargetId,
    /// Its name, as the user wrote it.
    pub name: String,
    /// The connection to it.
    pub connection: ConnectionView,
    /// How long it has been watched, by its own clock.
    pub watched: Duration,
    /// How late we attached.
    pub attachment: AttachmentView,
    /// How many updates have arrived.
    pub updates: u64,
    /// How many tasks are alive.
    pub tasks_alive: usize,
    /// How many tasks are listed, ended ones included.
    pub tasks: usize,
    /// How many resources are listed, dropped ones included.
    pub resources: usize,
    /// How many findings there are at present.
    pub findings: usize,
    /// The worst severity among them.
    pub worst: Option<Severity>,
    /// What the feed withholds.
    pub quality: QualityView,
    /// The detectors that need more history.
    pub warm_up: WarmUp,
    /// What it comes to so far.
    pub verdict: VerdictView,
}

/// What a feed withholds at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityView {
    /// How late new tasks and waits are reported, where that hurts.
    pub lag: Option<Duration>,
    /// Each thing that is withheld; empty if the feed is complete.
    pub withheld: Vec<Withheld>,
    /// What is missing from the feed, apart from being late or silent, in words; empty if nothing is.
    pub missing: String,
}

/// The detectors that need more history than there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// Their ids, and how much longer each has to watch; the next one first.
    pub waiting: Vec<(&'static str, Duration)>,
    /// How many detectors run.
    pub detectors: usize,
}

impl QualityView {
    /// What the feed of a diagnosis withholds at present.
    pub fn of(diagnosis: &Diagnosis) -> Self {
        let quality = diagnosis.model().quality();
        let withheld = diagnosis.withheld();
        let missing = withheld.iter().filter_map(|it| match it {
            // These have a place of their own beside it.
            Withheld::Paused | Withheld::Quiet | Withheld::Lagging => None,
            Withheld::DroppedEvents => Some("dropped events"),
            Withheld::NeverIntroduced => Some("missing introductions"),
            Withheld::Malformed => Some("malformed messages"),
            Withheld::Clock => Some("a running clock"),
        });
        Self {
            lag: quality.lag.filter(|_| quality.is_lagging()),
            missing: missing.collect::<Vec<_>>().join(", "),
            withheld,
        }
    }
}

impl WarmUp {
    fn of(diagnosis: &Diagnosis) -> Self {
        let mut waiting: Vec<_> = diagnosis.warming_up().map(|(detector, left)| (detector.id, left)).collect();
        waiting.sort_by_key(|(_, left)| *left);
        Self { waiting, detectors: diagnosis.detectors().count() }
    }

    /// How many detectors wait for what; nothing if none does.
    pub fn sentence(&self) -> Option<String> {
        let (next, left) = self.waiting.first()?;
        let (waiting, need) = (self.waiting.len(), words::agree(self.waiting.len(), "needs", "need"));
        let seconds = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
        Some(format!(
            "Warming up: {waiting} of {} {need} more history (next: {next} in {}).",
            words::count(self.detectors, "detector"),
            words::age(seconds)
        ))
    }
}

impl Snapshot<'_> {
    /// The target as a whole, measured by these criteria; the connection as of a time by our clock.
    pub fn target(&self, criteria: Criteria, now: SystemTime) -> TargetView {
        let diagnosis = self.diagnosis();
        let (tasks_alive, findings) = self.activity();
        let model = diagnosis.model();
        TargetView {
            id: self.member.id(),
            name: diagnosis.target().to_owned(),
            connection: ConnectionView::of(diagnosis, now),
            watched: diagnosis.engine().observed(),
            attachment: AttachmentView::of(diagnosis),
            updates: diagnosis.updates(),
            tasks_alive,
            tasks: model.tasks().len(),
            resources: model.resources().len(),
            findings,
            worst: self.worst(),
            quality: QualityView::of(diagnosis),
            warm_up: WarmUp::of(diagnosis),
            verdict: VerdictView::of(diagnosis, criteria, false),
        }
    }

    /// The worst severity of the findings that there are at present.
    pub fn worst(&self) -> Option<Severity> {
        self.diagnosis().findings().iter().map(|finding| finding.severity()).max()
    }

    /// How many tasks are alive, and how many findings there are at present.
    pub fn activity(&self) -> (usize, usize) {
        let alive = self.evidence.sites().map(|(_, site)| site.live.len()).sum();
        (alive, self.diagnosis().findings().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warming_up_is_said_with_what_comes_next() {
        let second = Duration::from_secs(1);
        let of = |waiting: &[(&'static str, Duration)]| WarmUp { waiting: waiting.to_vec(), detectors: 31 }.sentence();
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("full-channel", Duration::from_millis(3_100))]).as_deref(),
            Some("Warming up: 1 of 31 detectors needs more history (next: full-channel in 4 s).")
        );
        assert_eq!(
            of(&[("full-channel", second), ("task-pileup", 70 * second)]).as_deref(),
            Some("Warming up: 2 of 31 detectors need more history (next: full-channel in 1 s).")
        );
    }
}
