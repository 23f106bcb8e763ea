//! The verdict on one examination: found or not, when, at the right place, and what was said without reason.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::Trial;
use super::examination::Report;
use crate::programs::{Program, Severity};
use crate::service::Variant;

/// A finding that fired.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// Seconds since the tool was started.
    pub(crate) after: Duration,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Its detector.
    pub(crate) detector: String,
    family: String,
    name: String,
    location: String,
    summary: String,
}

impl Finding {
    /// What a line of the tool tells, if it is that a finding fired.
    pub(crate) fn read(after: Duration, line: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if line["type"] != "finding" || line["state"] != "firing" {
            return None;
        }
        let severity = Severity::ALL.into_iter().find(|it| line["severity"] == it.as_str())?;
        let related = line["related"].as_array().map(Vec::as_slice).unwrap_or_default();
        // The place of the subject, or, if the subject is the runtime, that of the task that does it harm.
        let culprit = related.iter().find(|party| party["role"] == "culprit").map(|party| &party["location"]);
        let places = std::iter::once(&line["subject"]["location"]).chain(culprit);
        Some(Self {
            after,
            severity,
            detector: text(&line["detector"]),
            family: text(&line["family"]),
            name: text(&line["subject"]["name"]),
            location: places.map(text).find(|place| !place.is_empty()).unwrap_or_default(),
            summary: text(&line["summary"]),
        })
    }

    /// Whether it is of a family that the fault may show as.
    fn is_of(&self, program: &Program) -> bool {
        program.label.families.contains(&self.family.as_str())
    }

    /// Whether it names one of the right places.
    fn is_placed(&self, program: &Program) -> bool {
        let at = |place: String| self.location.ends_with(&place) || self.location.contains(&format!("{place}:"));
        program.label.names.contains(&self.name.as_str()) || program.own_places().any(at) || self.is_in_library(program)
    }

    fn is_in_library(&self, program: &Program) -> bool {
        program.label.libraries.iter().any(|part| self.location.contains(part))
    }

    /// Whether it is what the label of the program asks for.
    pub(crate) fn is_meant(&self, program: &Program) -> bool {
        self.is_of(program) && self.is_placed(program) && self.severity >= program.label.severity
    }

    fn is_alarm(&self) -> bool {
        self.severity >= Severity::Warning
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, severity, detector, name, location, summary, .. } = self;
        let (after, severity) = (after.as_secs_f64(), severity.as_str());
        write!(out, "{severity} {detector} of {name:?} at {location:?} after {after:.1} s: {summary}")
    }
}

/// What came of one examination.
pub(crate) struct Verdict {
    pub(crate) trial: Trial,
    /// The finding that the label asks for, or the nearest to it: at another place, or not as bad.
    pub(crate) found: Option<Finding>,
    /// Whether that one is as bad as the label asks, and in time.
    pub(crate) is_found: bool,
    /// Whether that one names the right place.
    pub(crate) is_placed: bool,
    /// Warnings that the label does not explain; on a repaired service any.
    pub(crate) alarms: Vec<Finding>,
    /// How long it was watched.
    pub(crate) watched: Duration,
    /// Why it could not be examined.
    pub(crate) failure: Option<String>,
}

impl Verdict {
    /// Whether all is as it has to be.
    pub(crate) fn is_right(&self) -> bool {
        let is_found = self.trial.variant == Variant::Healthy || (self.is_found && self.is_placed);
        self.failure.is_none() && is_found && self.alarms.is_empty()
    }

    /// The file that the finding names, if it is one of a library of the label: a label asks for the library, whatever its version.
    pub(crate) fn file_of_library(&self) -> Option<String> {
        let found = self.found.as_ref().filter(|found| found.is_in_library(self.trial.program))?;
        found.location.rsplitn(3, ':').last().map(str::to_owned)
    }
}

/// Compares what the tool said with the program's label.
pub(crate) fn judge(trial: Trial, report: anyhow::Result<Report>) -> Verdict {
    let program = trial.program;
    let (findings, watched, failure) = match report {
        Ok(report) => (firings(&report), report.watched, None),
        Err(error) => (Vec::new(), Duration::ZERO, Some(format!("{error:#}"))),
    };
    let mut verdict =
        Verdict { trial, found: None, is_found: false, is_placed: false, alarms: Vec::new(), watched, failure };
    if trial.variant == Variant::Faulty {
        let of_family: Vec<_> = findings.iter().filter(|finding| finding.is_of(program)).collect();
        let bad_enough: Vec<_> =
            of_family.iter().copied().filter(|finding| finding.severity >= program.label.severity).collect();
        let placed = |all: &[&Finding]| all.iter().find(|finding| finding.is_placed(program)).map(|&it| it.clone());
        let first = |all: &[&Finding]| all.first().map(|&it| it.clone());
        verdict.found = placed(&bad_enough)
            .or_else(|| first(&bad_enough))
            .or_else(|| placed(&of_family))
            .or_else(|| first(&of_family));
    }
    if let Some(found) = &verdict.found {
        // The first update comes a publish interval after the tool was started, at the latest.
        let limit = Duration::from_secs(program.label.within + 1);
        verdict.is_placed = found.is_placed(program);
        verdict.is_found = found.severity >= program.label.severity && found.after <= limit;
    }
    let is_explained = |finding: &Finding| trial.variant == Variant::Faulty && finding.is_of(program);
    verdict.alarms = findings.into_iter().filter(|finding| finding.is_alarm() && !is_explained(finding)).collect();
    verdict
}

/// The first time that each finding fired so.
fn firings(report: &Report) -> Vec<Finding> {
    let mut firings: Vec<Finding> = Vec::new();
    for new in report.lines.iter().filter_map(|(after, line)| Finding::read(*after, line)) {
        let is_known = |known: &Finding| {
            known.detector == new.detector
                && known.severity == new.severity
                && known.location == new.location
                && known.name == new.name
        };
        if !firings.iter().any(is_known) {
            firings.push(new);
        }
    }
    firings
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trial { program, variant, subscriber } = self.trial;
        let name = format!("{} ({}, {})", program.id, variant.as_str(), subscriber.as_str());
        let word = if self.is_right() { "as it has to be" } else { "NOT AS IT HAS TO BE" };
        write!(out, "{name:<48} {word}, watched for {:.0} s", self.watched.as_secs_f64())?;
        if let Some(failure) = &self.failure {
            write!(out, "\n  - {failure}")?;
        }
        if let Some(found) = &self.found {
            let remark = match (self.is_found, self.is_placed) {
                (true, true) => "found",
                (true, false) => "at another place",
                (false, _) => "not bad enough or too late",
            };
            write!(out, "\n  - {remark}: {found}")?;
        } else if self.trial.variant == Variant::Faulty && self.failure.is_none() {
            write!(out, "\n  - nothing of {}", self.trial.program.label.families.join(" or "))?;
        }
        for alarm in &self.alarms {
            write!(out, "\n  - without reason: {alarm}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::programs::PROGRAMS;
    use crate::service::Subscriber;

    fn program(id: &str) -> &'static Program {
        PROGRAMS.iter().flat_map(|file| file.iter()).find(|program| program.id == id).unwrap()
    }

    fn line(family: &str, severity: &str, name: &str, location: &str) -> Value {
        json!({
            "type": "finding", "state": "firing", "family": family, "severity": severity, "detector": "some",
            "subject": { "name": name, "location": location }, "related": [], "summary": "It is so.",
        })
    }

    fn verdict(id: &str, variant: Variant, lines: Vec<(u64, Value)>) -> Verdict {
        let lines = lines.into_iter().map(|(after, line)| (Duration::from_secs(after), line)).collect();
        let report = Report { lines, watched: Duration::from_secs(60) };
        judge(Trial { program: program(id), variant, subscriber: Subscriber::Console }, Ok(report))
    }

    #[test]
    fn a_fault_is_found_by_its_family_at_its_place_in_time_and_severe_enough() {
        let outcomes = [
            (5, line("stuck", "warning", "render-page", ""), (true, true)),
            (5, line("stuck", "critical", "render-page", ""), (true, true)),
            (5, line("stuck", "info", "render-page", ""), (false, true)),
            (90, line("stuck", "warning", "render-page", ""), (false, true)),
            (5, line("stuck", "warning", "another", "src/programs/pools.rs:1:1"), (true, false)),
        ];
        for (after, line, (is_found, is_placed)) in outcomes {
            let verdict = verdict("moka-loader-hangs", Variant::Faulty, vec![(after, line.clone())]);
            assert_eq!((verdict.is_found, verdict.is_placed), (is_found, is_placed), "{line}");
            assert_eq!(verdict.is_right(), is_found && is_placed, "{line}");
        }
    }

    #[test]
    fn marked_lines_and_libraries_are_places() {
        let lock_order = program("axum-lock-order");
        let places: Vec<_> = lock_order.own_places().collect();
        assert_eq!(places.len(), 2, "{places:?}");
        for location in [format!("tests/services/src/{}:9", places[0]), "axum-0.8.9/src/serve/mod.rs:389:5".to_owned()]
        {
            let line = line("stuck", "critical", "", &location);
            assert!(Finding::read(Duration::ZERO, &line).unwrap().is_meant(lock_order), "{location}");
        }
    }

    #[test]
    fn a_kept_label_names_the_file_of_the_library_that_was_found() {
        let location = "tower-0.5.3/src/buffer/service.rs:120:24";
        let found =
            verdict("tonic-channel-of-start-up", Variant::Faulty, vec![(5, line("stuck", "warning", "", location))]);
        assert_eq!(found.file_of_library().as_deref(), Some("tower-0.5.3/src/buffer/service.rs"));
        let own = vec![(5, line("stuck", "warning", "check-quota", "src/programs/runtimes.rs:1:1"))];
        assert_eq!(verdict("tonic-channel-of-start-up", Variant::Faulty, own).file_of_library(), None);
    }

    #[test]
    fn what_the_label_does_not_explain_is_a_false_alarm() {
        let blocking =
            || vec![(5, line("stuck", "warning", "render-page", "")), (6, line("blocking", "warning", "", ""))];
        assert_eq!(verdict("moka-loader-hangs", Variant::Faulty, blocking()).alarms.len(), 1);
        assert_eq!(verdict("moka-loader-hangs", Variant::Healthy, blocking()).alarms.len(), 2);
        let mild = vec![(5, line("stuck", "info", "render-page", ""))];
        assert!(verdict("moka-loader-hangs", Variant::Healthy, mild).is_right());
        assert!(!verdict("moka-loader-hangs", Variant::Faulty, Vec::new()).is_right());
    }
}
