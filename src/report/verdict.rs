//! What a target comes to: the verdict, what speaks for it, and what could not be judged, in words and for machines.

use std::cmp::Reverse;

use super::attachment::AttachmentView;
use super::lock::LockView;
use super::place::{lead, named_place};
use crate::detect::doubt::Doubt;
use crate::detect::finding::Finding;
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Diagnosis, Verdict};
use crate::words;

/// Expectations that are not kept and are listed; the others are counted. There may be one for each finding.
const MOST_UNMET: usize = 6;

/// What a target comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictView {
    /// The verdict.
    pub verdict: Verdict,
    /// How many findings have fired so far, also those that were resolved since.
    pub fired: Tally,
    /// How many findings have fired that the user has suppressed.
    pub suppressed: usize,
    /// How many findings have fired that were expected to.
    pub expected: usize,
    /// A clause about each expectation that is not kept: of what should fire and did not, or fired and should not.
    pub unmet: Vec<String>,
    /// What was seen of the lockfile, where there is one; what is not in it is unmet, too.
    pub lock: Option<LockView>,
    /// The worst of those that fired, where it is known still.
    pub worst: Option<Worst>,
    /// Why it could not be judged; empty if it could.
    pub reasons: Vec<Doubt>,
    /// How many updates have arrived.
    pub updates: u64,
    /// How late we attached.
    pub attachment: AttachmentView,
}

/// How many findings of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Critical ones.
    pub critical: usize,
    /// Warnings.
    pub warning: usize,
    /// Information.
    pub info: usize,
}

/// The worst finding of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worst {
    /// The detector that reported it.
    pub detector: &'static str,
    /// The name and the place of what it is about; empty if neither is known.
    pub place: String,
}

impl VerdictView {
    /// What a diagnosis comes to, measured by these criteria.
    pub fn of(diagnosis: &Diagnosis, criteria: Criteria) -> Self {
        let fired = |severity| diagnosis.fired(severity);
        let view = Self {
            verdict: diagnosis.verdict(criteria),
            fired: Tally {
                critical: fired(Severity::Critical),
                warning: fired(Severity::Warning),
                info: fired(Severity::Info),
            },
            suppressed: diagnosis.suppressed_so_far(),
            expected: diagnosis.expected(),
            unmet: Vec::new(),
            lock: None,
            worst: worst(diagnosis),
            reasons: diagnosis.inconclusive_reasons(criteria),
            updates: diagnosis.updates(),
            attachment: AttachmentView::of(diagnosis),
        };
        view.failing(diagnosis.expectations().broken())
    }

    /// The same with further reasons why it could not be judged: a target that would be healthy is not.
    #[must_use]
    pub fn doubting(mut self, reasons: impl IntoIterator<Item = Doubt>) -> Self {
        self.reasons.extend(reasons);
        if self.verdict == Verdict::Healthy && !self.reasons.is_empty() {
            self.verdict = Verdict::Inconclusive;
        }
        self
    }

    /// The same with expectations that are not kept: a target that would pass does not.
    #[must_use]
    pub fn failing(mut self, unmet: impl IntoIterator<Item = String>) -> Self {
        self.unmet.extend(unmet);
        if !self.unmet.is_empty() {
            self.verdict = Verdict::Findings;
        }
        self
    }

    /// The same measured by a lockfile: a target that would pass does not if it shows what is not in it.
    #[must_use]
    pub fn locked(self, lock: LockView) -> Self {
        let new: Vec<String> = lock.clauses().collect();
        Self { lock: Some(lock), ..self.failing(new) }
    }

    /// The same of a target that left: that its connection ended says nothing against it.
    #[must_use]
    pub fn having_left(mut self) -> Self {
        self.reasons.retain(|reason| !matches!(reason, Doubt::ConnectionLost | Doubt::Quiet));
        if self.verdict == Verdict::Inconclusive && self.reasons.is_empty() {
            self.verdict = Verdict::Healthy;
        }
        self
    }

    /// The verdict in a line: `FAIL (exit 1): 1 critical, 2 warnings. Worst: deadlock at transfer (src/bank.rs:41:9).`
    pub fn sentence(&self) -> String {
        format!("{} (exit {}): {}", self.verdict.headline(), self.verdict.exit_code(), self.reason())
    }

    /// What speaks for the verdict, as a sentence or more.
    pub fn reason(&self) -> String {
        let (fired, worst) = (self.fired_in_words(), self.worst_in_words());
        let lock = self.lock.as_ref().map_or_else(String::new, |lock| format!(" {}", lock.sentence()));
        match self.verdict {
            Verdict::Healthy => format!("{fired}.{lock}{worst}"),
            Verdict::Findings => {
                let doubts = match self.reasons_in_words() {
                    doubts if doubts.is_empty() => String::new(),
                    doubts => format!(" Not fully judged: {doubts}."),
                };
                let unmet = sentences(&self.unmet_beside_lock()).map(|sentence| format!(" {sentence}"));
                format!("{fired}.{lock}{}{worst}{doubts}", unmet.collect::<String>())
            }
            Verdict::Inconclusive => format!("{}; {fired}.{lock}{worst}", self.reasons_in_words()),
        }
    }

    /// Why it could not be judged, in words; empty if it could.
    pub fn reasons_in_words(&self) -> String {
        self.reasons.iter().map(|reason| reason.describe()).collect::<Vec<_>>().join(", ")
    }

    /// The expectations that are not kept, as far as they are listed, and how many more there are.
    pub fn unmet_listed(&self) -> (&[String], usize) {
        listed(&self.unmet)
    }

    /// The same as sentences.
    pub fn unmet_sentences(&self) -> impl Iterator<Item = String> {
        sentences(&self.unmet)
    }

    /// Those that are not about the lockfile, whose sentence counts them.
    fn unmet_beside_lock(&self) -> Vec<String> {
        let of_lock: Vec<String> = self.lock.iter().flat_map(LockView::clauses).collect();
        self.unmet.iter().filter(|clause| !of_lock.contains(clause)).cloned().collect()
    }

    /// The counts in words: `1 critical, 2 warnings, 1 suppressed`.
    pub fn fired_in_words(&self) -> String {
        fired_in_words(&self.fired, self.expected, self.suppressed)
    }

    /// The worst finding in words, to be put behind a sentence; empty if there is none.
    pub fn worst_in_words(&self) -> String {
        match &self.worst {
            Some(Worst { detector, place }) if place.is_empty() => format!(" Worst: {detector}."),
            Some(Worst { detector, place }) => format!(" Worst: {detector} at {place}."),
            None => String::new(),
        }
    }
}

/// The clauses that are listed, and how many more there are.
fn listed(unmet: &[String]) -> (&[String], usize) {
    let listed = &unmet[..unmet.len().min(MOST_UNMET)];
    (listed, unmet.len() - listed.len())
}

/// The same as sentences.
fn sentences(unmet: &[String]) -> impl Iterator<Item = String> + use<> {
    let (listed, more) = listed(unmet);
    let sentences: Vec<String> = listed.iter().map(|clause| format!("{clause}.")).collect();
    sentences.into_iter().chain((more > 0).then(|| format!("And {more} more.")))
}

/// The verdict over several targets, each with whether it left: what one of them found counts, and what one of them cannot say is not
/// said of all. One that left and showed too little stands in nobody's way, as long as another one could be judged.
pub fn over_all(verdicts: impl IntoIterator<Item = (Verdict, bool)>) -> Verdict {
    let (mut is_judged, mut is_doubtful) = (false, false);
    for (verdict, has_left) in verdicts {
        match verdict {
            Verdict::Findings => return Verdict::Findings,
            Verdict::Inconclusive => is_doubtful |= !has_left,
            Verdict::Healthy => is_judged = true,
        }
    }
    if is_judged && !is_doubtful { Verdict::Healthy } else { Verdict::Inconclusive }
}

/// How many findings fired, how many more as expected, and how many that are suppressed: `1 critical, 2 warnings, 1 suppressed`.
pub fn fired_in_words(fired: &Tally, expected: usize, suppressed: usize) -> String {
    let more = [(expected, "as expected"), (suppressed, "suppressed")].into_iter().filter(|(count, _)| *count > 0);
    let more = more.map(|(count, what)| format!(", {count} {what}")).collect::<Vec<_>>().concat();
    fired.in_words() + &more
}

impl Tally {
    /// The severities and their counts, worst first.
    pub fn by_severity(&self) -> [(Severity, usize); 3] {
        [(Severity::Critical, self.critical), (Severity::Warning, self.warning), (Severity::Info, self.info)]
    }

    /// The counts that are not zero in words: `1 critical, 2 warnings`.
    pub fn in_words(&self) -> String {
        let noun = |severity| if severity == Severity::Warning { "warning" } else { "" };
        let words =
            self.by_severity().into_iter().filter(|(_, count)| *count > 0).map(|(severity, count)| {
                match noun(severity) {
                    "" => format!("{count} {}", severity.as_str()),
                    noun => words::count(count, noun),
                }
            });
        match words.collect::<Vec<_>>() {
            words if words.is_empty() => "no findings".to_owned(),
            words => words.join(", "),
        }
    }
}

/// The worst finding that has fired and is known still.
fn worst(diagnosis: &Diagnosis) -> Option<Worst> {
    let counts =
        |it: &&Finding| diagnosis.counts(&it.fingerprint) && !diagnosis.expectations().is_expected(&it.fingerprint);
    let fired = diagnosis.findings().into_iter().chain(diagnosis.resolved()).filter(counts);
    // One that was critical and is information by now fired as critical.
    let at_worst = |finding: &Finding| diagnosis.worst_of(&finding.fingerprint);
    let worst: &Finding =
        fired.min_by_key(|finding| (Reverse(at_worst(finding)), finding.rank(), Reverse(finding.last_seen)))?;
    let (name, location) = lead(&worst.symptom);
    Some(Worst { detector: worst.detector.id, place: named_place(&name, &location) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::doubt::Failure;

    fn view(verdict: Verdict, fired: Tally, reasons: Vec<Doubt>) -> VerdictView {
        let worst = (fired != Tally::default())
            .then(|| Worst { detector: "deadlock", place: "transfer (src/bank.rs:41:9)".to_owned() });
        let attachment =
            AttachmentView { after_start: Duration::ZERO, remembers: Duration::ZERO, may_have_forgotten: false };
        VerdictView {
            verdict,
            fired,
            suppressed: 0,
            expected: 0,
            unmet: Vec::new(),
            lock: None,
            worst,
            reasons,
            updates: 3,
            attachment,
        }
    }

    #[test]
    fn a_verdict_is_one_sentence_that_begins_with_what_it_means() {
        let some = Tally { critical: 1, warning: 2, info: 0 };
        let none = Tally::default();
        for (view, sentence) in [
            (
                view(Verdict::Findings, some, vec![]),
                "FAIL (exit 1): 1 critical, 2 warnings. Worst: deadlock at transfer (src/bank.rs:41:9).",
            ),
            (
                view(Verdict::Findings, Tally { warning: 1, ..none }, vec![Doubt::ConnectionLost]),
                "FAIL (exit 1): 1 warning. Worst: deadlock at transfer (src/bank.rs:41:9). Not fully judged: the connection was \
                 lost.",
            ),
            (view(Verdict::Healthy, none, vec![]), "PASS (exit 0): no findings."),
            (
                view(Verdict::Inconclusive, none, vec![Doubt::TooFewUpdates { arrived: 3 }, Doubt::OldWaits]),
                "INCONCLUSIVE (exit 3): only 3 updates arrived, tasks have waited since before the attach, and who holds what they wait \
                 for is unknown; no findings.",
            ),
        ] {
            assert_eq!(view.sentence(), sentence);
        }
    }

    #[test]
    fn what_a_run_knows_beyond_the_diagnosis_changes_the_verdict() {
        let healthy = || view(Verdict::Healthy, Tally::default(), vec![]);
        let failed = healthy().doubting([Doubt::CommandFailed(Failure::Code(101))]);
        assert_eq!(failed.sentence(), "INCONCLUSIVE (exit 3): the command ended with exit code 101; no findings.");
        let unmet = VerdictView { expected: 1, ..failed }.failing(["deadlock@bank.rs did not fire".to_owned()]);
        assert_eq!(
            unmet.sentence(),
            "FAIL (exit 1): no findings, 1 as expected. deadlock@bank.rs did not fire. Not fully judged: the command ended with exit \
             code 101."
        );
        assert_eq!(healthy().doubting([]).failing([]), healthy());
    }

    #[test]
    fn a_lockfile_is_counted_in_the_sentence_and_not_listed() {
        let lock = |new: &[&str]| LockView {
            file: "a.lock".to_owned(),
            parts: 14,
            seen: 14,
            new: new.iter().map(|it| (*it).to_owned()).collect(),
        };
        let healthy = || view(Verdict::Healthy, Tally::default(), vec![]);
        let passed = healthy().locked(lock(&[]));
        assert_eq!(passed.sentence(), "PASS (exit 0): no findings. Lockfile a.lock: 14 of 14 parts seen, 0 new.");
        let failed = healthy().failing(["deadlock did not fire".to_owned()]).locked(lock(&["a", "b"]));
        assert_eq!(
            failed.sentence(),
            "FAIL (exit 1): no findings. Lockfile a.lock: 14 of 14 parts seen, 2 new. deadlock did not fire."
        );
        assert_eq!(failed.unmet, ["deadlock did not fire", "not in a.lock: a", "not in a.lock: b"]);
    }

    #[test]
    fn what_one_target_cannot_say_is_not_said_of_all_unless_it_left() {
        let (pass, fail, unknown) = (Verdict::Healthy, Verdict::Findings, Verdict::Inconclusive);
        for (verdicts, expected) in [
            (vec![], unknown),
            (vec![(pass, false), (pass, true)], pass),
            (vec![(pass, false), (unknown, false)], unknown),
            (vec![(pass, false), (unknown, true)], pass),
            (vec![(unknown, true)], unknown),
            (vec![(unknown, false), (fail, true)], fail),
        ] {
            assert_eq!(over_all(verdicts.iter().copied()), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn that_the_connection_of_a_target_that_left_ended_says_nothing_against_it() {
        let unknown = |reasons| view(Verdict::Inconclusive, Tally::default(), reasons).having_left();
        assert_eq!(unknown(vec![Doubt::ConnectionLost, Doubt::Quiet]).verdict, Verdict::Healthy);
        let few = Doubt::TooFewUpdates { arrived: 2 };
        assert_eq!(
            unknown(vec![Doubt::ConnectionLost, few]).sentence(),
            "INCONCLUSIVE (exit 3): only 2 updates arrived; no findings."
        );
    }

    #[test]
    fn of_many_expectations_that_are_not_kept_some_are_listed_and_the_others_counted() {
        let failing = |clauses: usize| {
            let healthy = view(Verdict::Healthy, Tally::default(), vec![]);
            healthy.failing((1..=clauses).map(|n| format!("clause {n}"))).sentence()
        };
        assert!(failing(MOST_UNMET).ends_with(" clause 5. clause 6."), "{}", failing(MOST_UNMET));
        assert!(failing(100).ends_with(" clause 5. clause 6. And 94 more."), "{}", failing(100));
    }
}
