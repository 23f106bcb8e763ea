//! What a diagnosis comes to: which findings count, and why it could not be judged.

use std::time::Duration;

use super::activity::is_idle;
use super::{Criteria, Diagnosis, Ended, Status, Verdict};
use crate::detect::detector::Detector;
use crate::detect::detectors::DETECTORS;
use crate::detect::doubt::Doubt;
use crate::detect::finding::Finding;
use crate::detect::severity::{Family, Grade, Severity};

impl Diagnosis {
    /// Whether a finding that has fired counts for the verdict: it is still there, or was there after the warm-up.
    pub fn counts(&self, fingerprint: &str) -> bool {
        let is_shown = || self.engine.finding(fingerprint).is_some_and(Finding::is_shown);
        self.fired.contains_key(fingerprint) && (self.load.is_warm() || is_shown())
    }

    /// Everything that has fired and counts, expected or not: fingerprint, detector, and the worst severity.
    pub fn counted(&self) -> impl Iterator<Item = (&str, &'static Detector, Severity)> {
        let counted = self.fired.iter().filter(|(fingerprint, _)| self.counts(fingerprint));
        counted.map(|(fingerprint, (detector, severity))| (fingerprint.as_str(), *detector, *severity))
    }

    /// The worst severity with which a finding has fired.
    pub fn worst_of(&self, fingerprint: &str) -> Option<Severity> {
        self.fired.get(fingerprint).map(|(_, severity)| *severity)
    }

    /// The worst that fired so far, feed findings and what was expected left out.
    pub fn worst(&self) -> Option<Severity> {
        let judged = self.unexpected().filter(|(_, detector, _)| detector.family != Family::Feed);
        judged.map(|(.., severity)| severity).max()
    }

    /// A finding that counts against it, is proof and cannot recover, so that nothing can change the verdict any more.
    pub fn proof(&self, fail_on: Severity) -> Option<&Finding> {
        let is_final = |it: &&Finding| {
            let detector = it.detector;
            it.severity() >= fail_on
                && it.grade() == Grade::Proof
                && !(detector.recovers || detector.family == Family::Feed)
                && self.counts(&it.fingerprint)
                && !self.expectations.is_expected(&it.fingerprint)
        };
        self.findings().into_iter().find(is_final).filter(|_| self.is_warm())
    }

    /// How many findings of a severity have fired so far, feed findings included, what was expected left out.
    pub fn fired(&self, severity: Severity) -> usize {
        self.unexpected().filter(|(.., worst)| *worst == severity).count()
    }

    /// How many findings have fired so far that were expected.
    pub fn expected(&self) -> usize {
        self.counted().filter(|(fingerprint, ..)| self.expectations.is_expected(fingerprint)).count()
    }

    /// What has fired, counts and was not expected: fingerprint, detector, and the worst severity.
    pub fn unexpected(&self) -> impl Iterator<Item = (&str, &'static Detector, Severity)> {
        self.counted().filter(|(fingerprint, ..)| !self.expectations.is_expected(fingerprint))
    }

    /// Why it cannot be judged; empty if it can.
    pub fn inconclusive_reasons(&self, criteria: Criteria) -> Vec<Doubt> {
        let quality = self.model.quality();
        let is_lost = !matches!(self.status, Status::Live) && self.ended.is_none();
        let never = self.updates == 0;
        let shortfall = self.watch_time.shortfall();
        let (advanced, watched) = shortfall.unwrap_or_default();
        let idle = self.idle_time(criteria);
        let (polls, time) = idle.unwrap_or_default();
        let is_stranger = matches!(self.status, Status::Stranger { .. });
        let checks = [
            (never && !is_stranger, Doubt::NeverConnected),
            (never && is_stranger, Doubt::NotAConsole),
            ((is_lost || self.watch_time.is_mostly_lost()) && !never, Doubt::ConnectionLost),
            (matches!(self.ended, Some(Ended::Truncated { .. })), Doubt::RecordingTruncated),
            (quality.paused, Doubt::Paused),
            (self.was_malformed, Doubt::Malformed),
            (shortfall.is_some(), Doubt::Clock { advanced, watched }),
            (self.was_reset, Doubt::ClockReset),
            (!never && self.updates < criteria.min_updates, Doubt::TooFewUpdates { arrived: self.updates }),
            (idle.is_some(), Doubt::NoLoad { polls, watched: time }),
            (!never && !self.is_warm(), Doubt::WarmingUp),
            (self.evidence().has_unexplained_old_wait(), Doubt::OldWaits),
        ];
        let of_run = checks.into_iter().filter(|(holds, _)| *holds).map(|(_, doubt)| doubt);
        of_run.chain(self.unkept_silences()).chain(self.doubts_of_detectors(criteria)).collect()
    }

    /// The polls and the time in which there were too few of them, if there were: of all that was judged, or of the last of it.
    fn idle_time(&self, criteria: Criteria) -> Option<(u64, Duration)> {
        let (polls, time) = self.load.judged();
        // Of what has ended all is judged, however long it was.
        let window = criteria.load_window.filter(|window| self.ended.is_none() && *window < time);
        let lately = window.and_then(|window| self.model.totals().activity.lately(window));
        let (polls, time) = lately.map_or((polls, time), |(activity, time)| (activity.polls, time));
        is_idle(polls, time, criteria.min_activity).then_some((polls, time))
    }

    /// The detectors that must not fire, and have not looked for long enough.
    fn unkept_silences(&self) -> impl Iterator<Item = Doubt> {
        let silent: Vec<&str> = self.expectations.silent_detectors().collect();
        let short = self.warming_up().map(|(detector, _)| detector.id);
        short.filter(move |id| silent.contains(id)).map(|detector| Doubt::NotEvaluated { detector })
    }

    /// The doubts that findings cast, unless something else makes up for them.
    fn doubts_of_detectors(&self, criteria: Criteria) -> impl Iterator<Item = Doubt> {
        let quality = self.model.quality();
        let lost_some = quality.dropped() + quality.never_introduced + quality.malformed > 0;
        let told_enough = !lost_some && self.coverage.suffices();
        let cast = DETECTORS.iter().filter_map(|detector| detector.doubt.map(|doubt| (detector.id, doubt)));
        let has_fired = |id, least| self.counted().any(|(_, it, severity)| it.id == id && severity >= least);
        let doubts = cast.filter(move |(id, (least, _))| has_fired(*id, *least)).map(|(_, (_, doubt))| doubt);
        doubts.filter(move |doubt| match doubt {
            Doubt::Quiet => !quality.paused,
            Doubt::Partial => !told_enough && !criteria.partial_passes,
            _ => true,
        })
    }

    /// What it comes to.
    pub fn verdict(&self, criteria: Criteria) -> Verdict {
        if self.worst() >= Some(criteria.fail_on) {
            Verdict::Findings
        } else if self.inconclusive_reasons(criteria).is_empty() {
            Verdict::Healthy
        } else {
            Verdict::Inconclusive
        }
    }
}
