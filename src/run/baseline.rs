//! The baseline of a run: which of its entries are out of date, and the file written anew.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::notes::note;
use crate::config::baseline::{Accepted, Baseline};
use crate::config::{Config, Origin};
use crate::detect::suppression::is_suppressible;
use crate::diagnosis::Criteria;
use crate::fleet::{Change, Fleet, Member, Step};
use crate::report::Snapshot;
use crate::report::finding::FindingView;
use crate::report::outcome::DetectorRow;
use crate::report::verdict::VerdictView;
use crate::words;

/// The baseline of a run.
#[derive(Debug)]
pub(super) struct Known {
    baseline: Baseline,
    is_updated: bool,
    criteria: Criteria,
    /// The day on which the run began.
    day: String,
    /// What fired and is not in the baseline, in words, by fingerprint.
    seen: BTreeMap<String, String>,
}

impl Known {
    /// The baseline of a configuration, if it has one.
    pub(super) fn of(config: &Config, criteria: Criteria) -> Option<Self> {
        let (baseline, is_updated) = (config.baseline()?.clone(), config.updates_baseline());
        let at = humantime::format_rfc3339_seconds(config.now()).to_string();
        let day = at.split('T').next().unwrap_or_default().to_owned();
        Some(Self { baseline, is_updated, criteria, day, seen: BTreeMap::new() })
    }

    /// Takes in what has happened.
    pub(super) fn take(&mut self, step: &Step, fleet: &Fleet) {
        let Step::Arrived { target, changes, .. } = step else { return };
        let Some(member) = fleet.member(*target).filter(|_| self.is_updated) else { return };
        for change in changes {
            if let Change::Finding(transition) = change
                && transition.finding.is_shown()
            {
                let view: FindingView = Snapshot::new(fleet, member).transition(transition);
                let finding = match view.subject_in_words() {
                    place if place.is_empty() => view.row.detector.to_owned(),
                    place => format!("{} at {place}", view.row.detector),
                };
                self.seen.insert(view.fingerprint, finding);
            }
        }
    }

    /// Writes the file if that was asked for, or else says which entries did not fire.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn conclude(self, verdicts: &[(&Member, VerdictView)], is_interrupted: bool) -> anyhow::Result<()> {
        let is_judged = !verdicts.is_empty() && verdicts.iter().all(|(_, verdict)| verdict.reasons.is_empty());
        let is_gone = |accepted: &Accepted| is_judged && is_stale(accepted, verdicts);
        if !self.is_updated {
            let stale: Vec<_> = self.baseline.accepted.iter().filter(|it| is_gone(it)).collect();
            self.say_stale(&stale);
            return Ok(());
        }
        let path = self.baseline.path.display();
        if is_interrupted || verdicts.iter().all(|(member, _)| member.diagnosis().updates() == 0) {
            note(&format!("{path} is left as it is: the run could not judge what it should contain."));
            return Ok(());
        }
        let (stale, kept): (Vec<_>, Vec<_>) = self.baseline.accepted.iter().cloned().partition(is_gone);
        let new = self.new_entries(verdicts, &kept);
        let (added, removed) = (new.len(), stale.len());
        let mut accepted = [kept, new].concat();
        accepted.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        let count = words::count(accepted.len(), "accepted finding");
        let written = Baseline { path: self.baseline.path.clone(), accepted };
        written.write().with_context(|| format!("Cannot write the baseline {path}"))?;
        note(&format!(
            "Wrote {path}: {count}, {added} of them new, {removed} removed. Say in each `statement` why it is acceptable."
        ));
        Ok(())
    }

    /// What counts and is not accepted yet.
    fn new_entries(&self, verdicts: &[(&Member, VerdictView)], kept: &[Accepted]) -> Vec<Accepted> {
        let is_new = |fingerprint: &str| kept.iter().all(|it| it.fingerprint != fingerprint);
        let counted = verdicts.iter().flat_map(|(member, _)| {
            let diagnosis = member.diagnosis();
            diagnosis.counted().filter(|(fingerprint, ..)| !diagnosis.expectations().is_expected(fingerprint))
        });
        let counted = counted.filter(|(fingerprint, detector, severity)| {
            *severity >= self.criteria.fail_on && is_suppressible(detector) && is_new(fingerprint)
        });
        let fingerprints: BTreeSet<&str> = counted.map(|(fingerprint, ..)| fingerprint).collect();
        let entry = |fingerprint: &str| Accepted {
            fingerprint: fingerprint.to_owned(),
            finding: self.seen.get(fingerprint).cloned(),
            statement: format!("Not reviewed; found on {}.", self.day),
            expires: None,
            origin: Origin::Default,
        };
        fingerprints.into_iter().map(entry).collect()
    }

    fn say_stale(&self, stale: &[&Accepted]) {
        if stale.is_empty() {
            return;
        }
        let list: Vec<String> = stale.iter().map(|it| format!("{} ({})", it.fingerprint, it.origin)).collect();
        note(&format!(
            "{} of {} did not fire: {}. If it is repaired, `--update-baseline` removes it.",
            words::count(stale.len(), "accepted finding"),
            self.baseline.path.display(),
            list.join(", ")
        ));
    }
}

/// Whether an entry has not fired although it could have on every target. One that has expired may have fired and counted.
fn is_stale(accepted: &Accepted, verdicts: &[(&Member, VerdictView)]) -> bool {
    let id = accepted.fingerprint.split(':').next().unwrap_or_default();
    let has_fired = |member: &Member| {
        let diagnosis = member.diagnosis();
        diagnosis.suppressor().has_suppressed(&accepted.fingerprint)
            || diagnosis.counted().any(|(fingerprint, ..)| fingerprint == accepted.fingerprint)
    };
    let has_judged = |member: &Member| {
        let rows = DetectorRow::all(member.diagnosis());
        rows.iter().any(|row| row.id == id && row.not_evaluated.is_none())
    };
    verdicts.iter().all(|(member, _)| !has_fired(member) && has_judged(member))
}
