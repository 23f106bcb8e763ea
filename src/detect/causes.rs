//! What explains what: a cause hides the symptoms that follow from it. Each detector's row says by what it is explained.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::severity::Severity;
use super::symptom::Scope;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// What had made no progress for longer than this when a cause began is not explained by it.
const SHORTLY_BEFORE: Duration = Duration::from_secs(5);

/// How far a cause reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What shares a lock, a channel or a task with it.
    Involved,
    /// What shares a spawn site with it.
    Site,
    /// What has made no progress since the cause began to stall others, but did shortly before.
    Stalled,
    /// Everything.
    All,
}

/// A detector whose findings explain those of another, and how far they reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The id of the detector.
    pub detector: &'static str,
    /// How far its findings reach.
    pub reach: Reach,
    /// How severe they have to be.
    pub min_severity: MinSeverity,
}

/// How severe a finding has to be to explain another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinSeverity {
    /// Information may explain something critical.
    Any,
    /// At least as severe as what it explains.
    Equal,
    /// More severe than what it explains. Of two detectors that explain each other one needs it, or both findings would be hidden.
    Higher,
}

impl Cause {
    /// It explains what shares a lock, a channel or a task with it.
    pub const fn involved(detector: &'static str) -> Self {
        Self { detector, reach: Reach::Involved, min_severity: MinSeverity::Any }
    }

    /// It explains what shares a spawn site with it.
    pub const fn at_site(detector: &'static str) -> Self {
        Self { detector, reach: Reach::Site, min_severity: MinSeverity::Any }
    }

    /// It explains what stopped when it began to stall others.
    pub const fn stalling(detector: &'static str) -> Self {
        Self { detector, reach: Reach::Stalled, min_severity: MinSeverity::Any }
    }

    /// It explains everything.
    pub const fn of_all(detector: &'static str) -> Self {
        Self { detector, reach: Reach::All, min_severity: MinSeverity::Any }
    }

    /// It explains only what is not more severe than it is: information does not hide a warning.
    #[must_use]
    pub const fn if_as_severe(self) -> Self {
        Self { min_severity: MinSeverity::Equal, ..self }
    }

    /// It explains only what is less severe than it is.
    #[must_use]
    pub const fn if_more_severe(self) -> Self {
        Self { min_severity: MinSeverity::Higher, ..self }
    }
}

/// What a finding touches, as a key to look it up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Touched {
    Resource(ResourceKey),
    Task(TaskKey),
    Site(SiteKey),
}

/// The findings that may explain others, by detector and by what they touch: looking one up costs what it touches, not how many there are.
#[derive(Debug, Default)]
pub(super) struct CauseIndex<'a> {
    touched: FxHashMap<(&'static str, Touched), &'a str>,
    severities: FxHashMap<&'a str, Severity>,
    stalls: BTreeMap<&'static str, BTreeMap<Timestamp, &'a str>>,
    any: BTreeMap<&'static str, &'a str>,
}

impl<'a> CauseIndex<'a> {
    /// Adds a finding. Of several that touch the same thing, the first counts.
    pub(super) fn add(&mut self, detector: &'static str, severity: Severity, fingerprint: &'a str, scope: &Scope) {
        self.severities.insert(fingerprint, severity);
        for touched in touched(scope) {
            self.touched.entry((detector, touched)).or_insert(fingerprint);
        }
        if let Some(since) = scope.stalls_since {
            self.stalls.entry(detector).or_default().entry(since).or_insert(fingerprint);
        }
        self.any.entry(detector).or_insert(fingerprint);
    }

    /// The fingerprint of a finding that explains one that touches this and is explained by these.
    pub(super) fn explaining(&self, causes: &[Cause], severity: Severity, scope: &Scope) -> Option<&'a str> {
        let counts = |cause: &Cause, found: &&str| {
            let found = self.severities.get(found);
            match cause.min_severity {
                MinSeverity::Any => true,
                MinSeverity::Equal => found >= Some(&severity),
                MinSeverity::Higher => found > Some(&severity),
            }
        };
        causes.iter().find_map(|cause| self.by(*cause, scope).filter(|found| counts(cause, found)))
    }

    fn by(&self, cause: Cause, scope: &Scope) -> Option<&'a str> {
        let sharing = |touched: Touched| self.touched.get(&(cause.detector, touched)).copied();
        match cause.reach {
            Reach::Involved => {
                let involved = touched(scope).filter(|it| !matches!(it, Touched::Site(_)));
                involved.filter_map(sharing).min()
            }
            Reach::Site => scope.sites.iter().map(|site| Touched::Site(*site)).filter_map(sharing).min(),
            Reach::Stalled => {
                let stalls = self.stalls.get(cause.detector)?;
                // The first that began after the last progress, but not long after it.
                let mut stalls = match scope.last_progress {
                    Some(last) => stalls.range(last..=last.plus(SHORTLY_BEFORE)),
                    None => stalls.range(..),
                };
                stalls.next().map(|(_, fingerprint)| *fingerprint)
            }
            Reach::All => self.any.get(cause.detector).copied(),
        }
    }
}

fn touched(scope: &Scope) -> impl Iterator<Item = Touched> + '_ {
    let resources = scope.resources.iter().map(|key| Touched::Resource(*key));
    let tasks = scope.tasks.iter().map(|key| Touched::Task(*key));
    resources.chain(tasks).chain(scope.sites.iter().map(|key| Touched::Site(*key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_blocked_worker_explains_only_what_stopped_with_it() {
        let cause = Scope { stalls_since: Some(at(100)), ..Scope::default() };
        let mut index = CauseIndex::default();
        index.add("blocked-worker", Severity::Critical, "the cause", &cause);
        for (last, explained) in [(200, false), (99, true), (40, false)] {
            let effect = Scope { last_progress: Some(at(last)), ..Scope::default() };
            let found = index.explaining(&[Cause::stalling("blocked-worker")], Severity::Warning, &effect);
            assert_eq!(found.is_some(), explained, "{last}");
        }
    }

    #[test]
    fn what_shares_nothing_is_not_explained() {
        let mut keys = slotmap::SlotMap::<TaskKey, ()>::with_key();
        let (one, other) = (keys.insert(()), keys.insert(()));
        let mut index = CauseIndex::default();
        index.add("deadlock", Severity::Critical, "the cause", &Scope { tasks: vec![one], ..Scope::default() });
        let of = |task| Scope { tasks: vec![task], ..Scope::default() };
        assert_eq!(index.explaining(&[Cause::involved("deadlock")], Severity::Warning, &of(one)), Some("the cause"));
        assert_eq!(index.explaining(&[Cause::involved("deadlock")], Severity::Warning, &of(other)), None);
        assert_eq!(index.explaining(&[Cause::at_site("deadlock")], Severity::Warning, &of(one)), None);
        assert_eq!(index.explaining(&[Cause::of_all("deadlock")], Severity::Warning, &of(other)), Some("the cause"));
        index.add("permit-leak", Severity::Info, "a hint", &of(other).clone());
        assert_eq!(index.explaining(&[Cause::involved("permit-leak")], Severity::Warning, &of(other)), Some("a hint"));
        assert_eq!(
            index.explaining(&[Cause::involved("permit-leak").if_as_severe()], Severity::Warning, &of(other)),
            None
        );
        let by_more_severe = [Cause::involved("deadlock").if_more_severe()];
        assert_eq!(index.explaining(&by_more_severe, Severity::Warning, &of(one)), Some("the cause"));
        assert_eq!(index.explaining(&by_more_severe, Severity::Critical, &of(one)), None);
    }
}
