//! The findings of a run, those of one class on several targets as one.

use std::cmp::Reverse;

use crate::alert::event::Summary;
use crate::report::finding::FindingView;
use crate::report::outcome::FiredView;
use crate::report::repository::{Elsewhere, Repository, RepositoryPlace};
use crate::report::{Severity, State};

/// Targets that are named in a sentence; the others are counted.
const NAMED: usize = 8;

/// A finding, and the targets on which it fired.
#[derive(Debug)]
pub(super) struct Class<'a> {
    /// The finding on one of the targets, where it was at its worst.
    pub(super) finding: &'a FindingView,
    /// How bad it was at its worst.
    pub(super) worst: Severity,
    /// Whether it makes the verdict.
    pub(super) counts: bool,
    /// Whether the user expects it, wherever it fired.
    pub(super) is_expected: bool,
    /// The targets.
    pub(super) targets: Vec<&'a str>,
    /// How many targets the run had, and what they are: pods, or targets of any kind.
    of: (usize, &'static str),
}

/// How much a finding weighs in the tools that read documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It makes the verdict.
    Error,
    /// It does not, and is worth a look.
    Warning,
    /// It is worth knowing, or expected.
    Note,
}

/// The findings of a run, in the order in which they are read, and how many more there were that are forgotten.
pub(super) fn classes(summary: &Summary) -> (Vec<Class<'_>>, usize) {
    let mut classes: Vec<Class<'_>> = Vec::new();
    let of = (summary.targets.len(), summary.noun);
    for target in &summary.targets {
        for fired in &target.findings.known {
            let known = classes.iter_mut().find(|it| it.finding.fingerprint == fired.finding.fingerprint);
            match known {
                Some(class) => class.add(fired, &target.target, summary.fail_on),
                None => classes.push(Class {
                    finding: &fired.finding,
                    worst: fired.worst,
                    counts: fired.counts(summary.fail_on),
                    is_expected: fired.is_expected,
                    targets: vec![&target.target],
                    of,
                }),
            }
        }
    }
    classes.sort_by_key(|class| (Reverse(class.counts), Reverse(class.worst)));
    (classes, summary.targets.iter().map(|target| target.findings.forgotten).sum())
}

/// The findings that several targets share, in the order in which they are read.
pub(super) fn shared(summary: &Summary) -> Vec<Class<'_>> {
    let (mut classes, _) = classes(summary);
    classes.retain(|class| class.targets.len() > 1);
    classes
}

impl<'a> Class<'a> {
    fn add(&mut self, fired: &'a FiredView, target: &'a str, fail_on: Severity) {
        if fired.worst > self.worst {
            (self.finding, self.worst) = (&fired.finding, fired.worst);
        }
        self.counts |= fired.counts(fail_on);
        self.is_expected &= fired.is_expected;
        self.targets.push(target);
    }

    /// How much it weighs.
    pub(super) fn level(&self) -> Level {
        match self.worst {
            _ if self.counts => Level::Error,
            Severity::Critical | Severity::Warning if !self.is_expected => Level::Warning,
            _ => Level::Note,
        }
    }

    /// Its place in the repository.
    pub(super) fn place(&self, repository: &Repository) -> Result<RepositoryPlace, Elsewhere> {
        repository.place(&self.finding.row.location)
    }

    /// A paragraph about it: what is wrong, what else it could be, where, and what to do.
    pub(super) fn paragraph(&self, elsewhere: Option<Elsewhere>) -> String {
        let mut said = vec![self.finding.headline.clone()];
        said.extend(self.finding.look_alikes.iter().map(|it| (*it).to_owned()));
        said.extend(self.finding.cause.iter().map(|cause| format!("Cause: {cause}")));
        said.extend((self.finding.row.state == State::Resolved).then(|| "It was resolved since.".to_owned()));
        said.extend(self.is_expected.then(|| "It was expected to fire.".to_owned()));
        if let Some(elsewhere) = elsewhere {
            let place = self.finding.row.place();
            said.push(elsewhere.sentence().to_owned());
            said.extend((!place.is_empty()).then(|| format!("It is about {place}.")));
        }
        said.push(format!("Next: {}", self.finding.advice));
        said.join(" ")
    }

    /// What it is, where, and on which targets: `critical deadlock at transfer (src/bank.rs:41:9) on 3 of 5 pods: a, b, c`.
    pub(super) fn spread(&self) -> String {
        let (severity, detector) = (self.worst.as_str(), self.finding.row.detector);
        let place = match self.finding.subject_in_words() {
            place if place.is_empty() => place,
            place => format!(" at {place}"),
        };
        let named = self.targets.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = match self.targets.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{severity} {detector}{place} on {} of {}: {named}{more}", self.targets.len(), self.all())
    }

    /// The targets in words, where there are several.
    pub(super) fn on_targets(&self) -> Option<String> {
        (self.of.0 > 1).then(|| format!("On {} of {}: {}.", self.targets.len(), self.all(), self.targets.join(", ")))
    }

    /// All targets of the run, counted: `5 pods`.
    fn all(&self) -> String {
        format!("{} {}", self.of.0, self.of.1)
    }
}
