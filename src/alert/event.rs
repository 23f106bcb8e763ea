//! What sinks get: events while a run lasts, and a summary at its end. Each is complete in itself and created once for all sinks.

use std::time::{Duration, SystemTime};

use crate::diagnosis::Verdict;
use crate::fleet::{Change, Fleet, Member, Step, noun_of};
use crate::report::connection::ConnectionView;
use crate::report::finding::FindingView;
use crate::report::outcome::{DetectorRow, FiredFindings, NotEvaluated};
use crate::report::target::QualityView;
use crate::report::verdict::{Tally, VerdictView, fired_in_words, over_all};
use crate::report::{Severity, Snapshot};
use crate::words;

/// Something that happened to a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The target, as the user named it.
    pub target: String,
    /// When: for a finding by the target's clock, otherwise by ours.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// What can happen to a target.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// It is watched from now on.
    Hello,
    /// The connection to it changed, or its feed ended.
    Connection(ConnectionView),
    /// It is not watched any more.
    Left,
    /// What its feed withholds changed.
    Quality(QualityView),
    /// A finding opened, changed or was resolved.
    Finding(Box<FindingView>),
    /// What a rate limit has held back until now.
    Digest(Digest),
    /// Everything still works.
    Heartbeat {
        /// How many tasks are alive, as far as is known.
        tasks: usize,
        /// How many tasks are listed, ended ones included.
        listed: usize,
        /// How late new ones are reported, where that hurts: how many are alive is unknown then.
        lag: Option<Duration>,
        /// How many findings there are.
        findings: usize,
    },
}

/// What a rate limit has held back: findings of one detector that came and went. Those that fire now follow as events of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The detector.
    pub detector: &'static str,
    /// When the first of it happened, by the target's clock.
    pub since: SystemTime,
    /// How many times a finding fired.
    pub openings: u64,
    /// How many times one was resolved.
    pub resolutions: u64,
    /// How many findings these are.
    pub findings: usize,
    /// How many of them fire now.
    pub firing: usize,
    /// The worst severity among them.
    pub worst: Severity,
    /// How long findings of this detector are held back from now on, if they come back.
    pub next: Duration,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What each target came to.
    pub targets: Vec<TargetSummary>,
    /// What these are: pods, or targets of any kind.
    pub noun: &'static str,
    /// The lowest severity that counts.
    pub fail_on: Severity,
    /// Whether the run was asked for a verdict. If not, nothing but what fired is said about the targets.
    pub is_verdict: bool,
    /// What else is known of targets that were found.
    pub others: Others,
}

/// Targets that are not in a summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// How many were found and never watched, because others took all the room.
    pub unwatched: usize,
    /// Number of targets that left too long ago to be listed.
    pub left: usize,
    /// Whether one of those had findings that count.
    pub had_findings: bool,
}

/// What a target came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSummary {
    /// The target, as the user named it.
    pub target: String,
    /// Whether it left before the end of the run.
    pub has_left: bool,
    /// When the last event arrived from it, or else when the run ended.
    pub at: SystemTime,
    /// What it came to.
    pub verdict: VerdictView,
    /// The findings that fired.
    pub findings: FiredFindings,
    /// What became of each detector, in the order of the registry.
    pub detectors: Vec<DetectorRow>,
}

impl TargetSummary {
    /// The detectors that have not judged it, and why.
    pub fn not_evaluated(&self) -> impl Iterator<Item = (&'static str, NotEvaluated)> {
        self.detectors.iter().filter_map(|row| Some((row.id, row.not_evaluated?)))
    }

    /// The detectors that the run was too short for.
    pub fn too_short_for(&self) -> Vec<&'static str> {
        let is_short = |why| matches!(why, NotEvaluated::WarmingUp { .. } | NotEvaluated::TooFewUpdates);
        self.not_evaluated().filter(|(_, why)| is_short(*why)).map(|(id, _)| id).collect()
    }
}

impl Event {
    /// The events that a step means.
    pub fn of(step: &Step, fleet: &Fleet) -> Vec<Self> {
        match step {
            Step::Joined(target) => {
                fleet.member(*target).map(|it| Self::now(it, EventKind::Hello)).into_iter().collect()
            }
            Step::Arrived { target, at, changes } => match fleet.member(*target) {
                Some(member) => changes.iter().map(|change| Self::changed(fleet, member, *at, change)).collect(),
                None => Vec::new(),
            },
            Step::Closed(_) => Vec::new(),
            Step::Left(member) => vec![Self::now(member, EventKind::Left)],
        }
    }

    /// One for every target, to say that everything still works.
    pub fn heartbeats(fleet: &Fleet) -> Vec<Self> {
        let heartbeat = |member: &Member| {
            let (tasks, findings) = Snapshot::new(fleet, member).activity();
            let (listed, lag) = (member.diagnosis().model().tasks().len(), QualityView::of(member.diagnosis()).lag);
            Self::now(member, EventKind::Heartbeat { tasks, listed, lag, findings })
        };
        fleet.members().map(heartbeat).collect()
    }

    fn changed(fleet: &Fleet, member: &Member, at: SystemTime, change: &Change) -> Self {
        let (at, kind) = match change {
            Change::Connection | Change::Attempt => {
                (at, EventKind::Connection(ConnectionView::of(member.diagnosis(), at)))
            }
            Change::Quality => (at, EventKind::Quality(QualityView::of(member.diagnosis()))),
            Change::Finding(transition) => {
                let view = Snapshot::new(fleet, member).transition(transition);
                (transition.at.system_time(), EventKind::Finding(Box::new(view)))
            }
        };
        Self { target: member.diagnosis().target().to_owned(), at, kind }
    }

    fn now(member: &Member, kind: EventKind) -> Self {
        Self { target: member.diagnosis().target().to_owned(), at: last_heard(member), kind }
    }
}

impl Summary {
    /// A summary of a run over targets of a fleet.
    pub fn new(fleet: &Fleet, verdicts: Vec<(&Member, VerdictView)>, fail_on: Severity) -> Self {
        let target = |(member, verdict): (&Member, VerdictView)| {
            let snapshot = Snapshot::new(fleet, member);
            TargetSummary {
                target: member.diagnosis().target().to_owned(),
                has_left: fleet.member(member.id()).is_none(),
                at: last_heard(member),
                verdict,
                findings: snapshot.fired(),
                detectors: DetectorRow::all(member.diagnosis()),
            }
        };
        let noun = noun_of(verdicts.iter().map(|(member, _)| *member));
        let targets = verdicts.into_iter().map(target).collect();
        Self { targets, noun, fail_on, is_verdict: false, others: Others::default() }
    }

    /// The same with what is known of targets that are not in it.
    #[must_use]
    pub fn with_others(self, others: Others) -> Self {
        Self { others, ..self }
    }

    /// The same of a run that was asked for a verdict.
    #[must_use]
    pub fn as_verdict(self) -> Self {
        Self { is_verdict: true, ..self }
    }

    /// What the run came to in a line, without a full stop: `FAIL (exit 1): 2 targets, 1 with findings, 1 healthy; 1 critical, 2 warnings`.
    pub fn headline(&self) -> String {
        let sum = |count: fn(&VerdictView) -> usize| self.targets.iter().map(|it| count(&it.verdict)).sum();
        let fired = fired_in_words(&self.fired(), sum(|it| it.expected), sum(|it| it.suppressed));
        let said = if self.is_of_several() { format!("{}; {fired}", self.targets_in_words()) } else { fired };
        let verdict = self.verdict();
        if self.is_verdict { format!("{} (exit {}): {said}", verdict.headline(), verdict.exit_code()) } else { said }
    }

    /// Whether the run has more than one result.
    pub fn is_of_several(&self) -> bool {
        self.targets.len() != 1 || self.others != Others::default()
    }

    /// How many findings of each severity fired on all targets.
    pub fn fired(&self) -> Tally {
        let of = |tally: fn(&Tally) -> usize| self.targets.iter().map(|target| tally(&target.verdict.fired)).sum();
        Tally { critical: of(|it| it.critical), warning: of(|it| it.warning), info: of(|it| it.info) }
    }

    /// How many targets came to this.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.targets.iter().filter(|target| target.verdict.verdict == verdict).count()
    }

    fn targets_in_words(&self) -> String {
        let each = [
            (Verdict::Findings, "with findings"),
            (Verdict::Inconclusive, "inconclusive"),
            (Verdict::Healthy, "healthy"),
        ];
        let counts = each.map(|(verdict, words)| (self.count(verdict), words));
        let some = counts.iter().filter(|(count, _)| *count > 0 && self.is_verdict);
        let some = some.map(|(count, words)| format!("{count} {words}"));
        let Others { unwatched, left, had_findings } = self.others;
        let more = (left > 0).then(|| {
            let findings = if had_findings { " with findings" } else { "" };
            format!("{} more{findings} left earlier", words::number(left))
        });
        let unwatched = (unwatched > 0).then(|| format!("{} more not watched", words::number(unwatched)));
        let targets = match self.targets.len() {
            0 if more.is_none() => "no target was found".to_owned(),
            targets => words::count(targets, "target"),
        };
        [targets].into_iter().chain(some).chain(more).chain(unwatched).collect::<Vec<_>>().join(", ")
    }

    /// The verdict over all targets: what one of them found counts, and what one of them cannot say is not said of all.
    pub fn verdict(&self) -> Verdict {
        let targets = self.targets.iter().map(|target| (target.verdict.verdict, target.has_left));
        let left = self.others.had_findings.then_some((Verdict::Findings, true));
        let unwatched = (self.others.unwatched > 0).then_some((Verdict::Inconclusive, false));
        over_all(targets.chain(left).chain(unwatched))
    }
}

/// When the last event arrived from a target; in a replay that is long ago.
fn last_heard(member: &Member) -> SystemTime {
    member.diagnosis().arrived().unwrap_or_else(SystemTime::now)
}
