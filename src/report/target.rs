//! A target as a whole: the connection, how long it has been watched, how complete its feed is, and what it comes to so far.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use super::attachment::AttachmentView;
use super::connection::ConnectionView;
use super::snapshot::Snapshot;
use super::verdict::VerdictView;
use crate::detect::describe;
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Diagnosis, Outlook, Status, Verdict, Withheld};
use crate::fleet::{Fleet, TargetId};
use crate::words;

/// The least share of a core for which the target works for us that is worth a word.
const WORTH_A_WORD: f64 = 0.01;

/// A target as a whole.
#[derive(Debug, Clone, PartialEq)]
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
    /// How many tasks are alive, as far as is known: while the target lags, those that it has not reported yet are missing, and those that
    /// it reports have ended meanwhile.
    pub tasks_alive: usize,
    /// How many tasks are listed, ended ones included.
    pub tasks: usize,
    /// How many resources are listed, dropped ones included,
    pub resources: usize,
    /// and how many of them are hidden by default: timers that are over.
    pub hidden_resources: usize,
    /// How many spawn sites were forgotten early, because there were too many.
    pub forgotten_sites: u64,
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
#[derive(Debug, Clone, PartialEq)]
pub struct QualityView {
    /// How late new tasks and waits are reported, where that hurts.
    pub lag: Option<Duration>,
    /// What becomes of the lag, where that can be told.
    pub outlook: Option<Outlook>,
    /// The detectors that are off until the feed is complete.
    pub held_back: Vec<&'static str>,
    /// The share of its time, about, that the target works on calls for its events, where it is worth a word.
    pub pumping: Option<f64>,
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
            outlook: diagnosis.outlook(),
            held_back: diagnosis.held_back().map(|detector| detector.id).collect(),
            pumping: Some(diagnosis.pumping()).filter(|share| *share >= WORTH_A_WORD),
            missing: missing.collect::<Vec<_>>().join(", "),
            withheld,
        }
    }
}

impl QualityView {
    /// The lag, what becomes of it and what is not judged because of it, as a sentence; nothing if there is none.
    pub fn lag_sentence(&self) -> Option<String> {
        let lag = words::duration(self.lag?);
        let outlook = match self.outlook_in_words() {
            Some(outlook) => format!(" ({outlook})"),
            None => String::new(),
        };
        let alive = "How many tasks are alive is unknown meanwhile, and waits shorter than the lag do not show";
        let off = match self.held_back.len() {
            0 => String::new(),
            1 => "; 1 detector that needs complete data is off".to_owned(),
            off => format!("; {} that need complete data are off", words::count(off, "detector")),
        };
        Some(format!("New tasks and waits are reported {lag} late{outlook}. {alive}{off}."))
    }

    /// What becomes of the lag, in a few words.
    pub fn outlook_in_words(&self) -> Option<String> {
        self.outlook.map(describe::outlook)
    }

    /// When the target has caught up, if it does.
    pub fn catches_up_in(&self) -> Option<Duration> {
        match self.outlook? {
            Outlook::CatchesUp(left) => Some(left),
            Outlook::FallsBehind(_) => None,
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
        let seconds = describe::whole_seconds(*left);
        Some(format!(
            "Warming up: {waiting} of {} {need} more history (next: {next} in {}).",
            words::count(self.detectors, "detector"),
            words::age(seconds)
        ))
    }
}

impl TargetView {
    /// What there is to say of its health, in a few words: never that it is healthy where that could not be judged.
    pub fn verdict_in_words(&self) -> String {
        let (verdict, is_judged) = (&self.verdict, self.verdict.reasons.is_empty());
        let worst = self.worst.map(|worst| format!("{}, {}", worst.as_str(), words::count(self.findings, "finding")));
        match worst {
            _ if self.updates == 0 => "nothing seen yet".to_owned(),
            Some(worst) if is_judged => worst,
            Some(worst) => format!("{worst}, not fully judged"),
            None if verdict.verdict == Verdict::Findings => format!("none now, {} so far", verdict.fired_in_words()),
            None if is_judged => "healthy".to_owned(),
            None => format!("not judged: {}", verdict.reasons_in_words()),
        }
    }

    /// What was forgotten because there was too much of it; nothing if nothing was.
    pub fn forgotten(&self) -> Option<String> {
        let sites = words::count(self.forgotten_sites, "spawn site");
        (self.forgotten_sites > 0).then(|| {
            format!("Forgot {sites} without tasks, most of them seen once: the target makes up a name for each task.")
        })
    }
}

/// The targets of a fleet, at most this many, as of a time by our clock: the worst findings first, and of equals those that are lost.
pub fn of_fleet(fleet: &Fleet, criteria: Criteria, now: SystemTime, most: usize) -> Vec<TargetView> {
    let mut targets: Vec<_> = fleet.members().map(|member| Snapshot::new(fleet, member)).collect();
    targets.sort_by_cached_key(|it| (Reverse(it.worst()), !it.is_lost(), it.member.id()));
    targets.iter().take(most).map(|target| target.target(criteria, now)).collect()
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
            connection: ConnectionView::of_member(self.member, now),
            watched: diagnosis.engine().observed(),
            attachment: AttachmentView::of(diagnosis),
            updates: diagnosis.updates(),
            tasks_alive,
            tasks: model.tasks().len(),
            resources: model.resources().len(),
            hidden_resources: model.ended_timers(),
            forgotten_sites: model.forgotten_sites(),
            findings,
            worst: self.worst(),
            quality: QualityView::of(diagnosis),
            warm_up: WarmUp::of(diagnosis),
            verdict: VerdictView::of(diagnosis, criteria),
        }
    }

    /// The worst severity of the findings that there are at present.
    pub fn worst(&self) -> Option<Severity> {
        self.diagnosis().findings().iter().map(|finding| finding.severity()).max()
    }

    /// Whether there is no connection to it, or something else answers.
    pub fn is_lost(&self) -> bool {
        self.diagnosis().ended().is_none()
            && matches!(self.diagnosis().status(), Status::Lost { .. } | Status::Stranger { .. })
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

    #[test]
    fn a_lag_is_said_with_what_becomes_of_it_and_what_is_off() {
        let second = Duration::from_secs(1);
        let of = |outlook, held_back: &[&'static str]| {
            let (held_back, withheld) = (held_back.to_vec(), vec![Withheld::Lagging]);
            let lag = Some(12 * second);
            QualityView { lag, outlook, held_back, pumping: None, withheld, missing: String::new() }.lag_sentence()
        };
        let alive = "How many tasks are alive is unknown meanwhile, and waits shorter than the lag do not show";
        let late = "New tasks and waits are reported 12.0 s late";
        assert_eq!(of(None, &[]), Some(format!("{late}. {alive}.")));
        assert_eq!(
            of(Some(Outlook::CatchesUp(second * 15 / 2)), &["deadlock"]),
            Some(format!("{late} (caught up in about 8 s). {alive}; 1 detector that needs complete data is off."))
        );
        assert_eq!(
            of(Some(Outlook::FallsBehind(second * 4 / 5)), &["deadlock", "permit-leak"]),
            Some(format!("{late} (growing by 800 ms a second). {alive}; 2 detectors that need complete data are off."))
        );
    }
}
