//! What the targets of a run come to, with what the run knows beyond their diagnoses: how it ended, and what was expected.

use super::locked::Locked;
use crate::config::Config;
use crate::detect::doubt::Doubt;
use crate::detect::selector::Selector;
use crate::diagnosis::Criteria;
use crate::fleet::{Fleet, Member, Step, TargetId};
use crate::report::verdict::VerdictView;

/// What the targets of a run are judged by.
#[derive(Debug)]
pub(super) struct Judge {
    criteria: Criteria,
    /// What has to fire on one of them.
    expected: Vec<Selector>,
    /// The structure that targets may have.
    locked: Option<Locked>,
}

impl Judge {
    /// The judge of a run with this configuration.
    pub(super) fn new(config: &Config, criteria: Criteria) -> Self {
        Self { criteria, expected: config.findings().fire.clone(), locked: None }
    }

    /// The same, which fails targets whose structure is not in a lockfile.
    pub(super) fn locked(self, locked: Option<Locked>) -> Self {
        Self { locked, ..self }
    }

    /// Takes in what has happened.
    pub(super) fn take(&mut self, step: &Step, fleet: &Fleet) {
        self.locked.iter_mut().for_each(|locked| locked.take(step, fleet));
    }

    /// Drops what is remembered of a target that left, and whose last verdict has been given.
    pub(super) fn forget(&mut self, target: TargetId) {
        self.locked.iter_mut().for_each(|locked| locked.forget(target));
    }

    /// The verdict on each of these targets; `doubts` are what the run itself knows against a target.
    pub(super) fn verdicts<'a>(
        &self,
        members: impl Iterator<Item = &'a Member> + Clone,
        doubts: impl Fn(TargetId) -> Vec<Doubt>,
    ) -> Vec<(&'a Member, VerdictView)> {
        let missing = self.missing(&members);
        let verdict =
            |member: &'a Member| (member, self.verdict(member).failing(missing.clone()).doubting(doubts(member.id())));
        members.map(verdict).collect()
    }

    /// The verdict on one target by itself.
    pub(super) fn verdict(&self, member: &Member) -> VerdictView {
        let verdict = VerdictView::of(member.diagnosis(), self.criteria);
        match &self.locked {
            Some(locked) => verdict.locked(locked.view(member)),
            None => verdict,
        }
    }

    /// A clause about each finding that has to fire and has not, on any target.
    fn missing<'a>(&self, members: &(impl Iterator<Item = &'a Member> + Clone)) -> Vec<String> {
        let is_met = |index| members.clone().any(|member| member.diagnosis().expectations().is_met(index));
        let missing = self.expected.iter().enumerate().filter(|(index, _)| !is_met(*index));
        missing.map(|(_, selector)| not_fired(selector, members.clone())).collect()
    }
}

/// That a finding did not fire, and what speaks for a wrong place or a short run.
fn not_fired<'a>(selector: &Selector, mut members: impl Iterator<Item = &'a Member> + Clone) -> String {
    let detector = selector.detector();
    let expectations = members.clone().map(|member| member.diagnosis().expectations());
    let mut elsewhere = expectations.flat_map(|it| it.elsewhere(detector));
    if let Some(place) = elsewhere.next() {
        return format!("{selector} did not fire, but {detector} fired at {place}");
    }
    let is_short = |member: &'a Member| member.diagnosis().warming_up().any(|(it, _)| it.id == detector);
    if members.any(is_short) {
        return format!("{selector} did not fire, and the run was too short for it");
    }
    format!("{selector} did not fire")
}
