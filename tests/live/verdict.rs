//! The verdict on one examination: found, at the right place, in which time, and what was said without reason.

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::examination::Report;
use crate::patients::{Label, Patient};

/// First line of the table.
pub(crate) const HEADING: &str = "patient                       found  place  seconds  false";

/// A row of the table, and what is wrong with it.
pub(crate) struct Verdict {
    /// Name of the test.
    pub(crate) name: String,
    /// Whether the labelled finding came; nothing for the healthy.
    found: Option<bool>,
    /// Whether it named the labelled place; nothing without one.
    place: Option<bool>,
    /// From the start of the tool until the finding fired.
    delay: Option<Duration>,
    /// Alarms without reason.
    alarms: usize,
    /// Everything that is not as it has to be, in sentences; a test passes if there is nothing.
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |answer: Option<bool>| answer.map_or("-", |yes| if yes { "yes" } else { "NO" });
        let delay = self.delay.map_or_else(|| "-".to_owned(), |delay| format!("{:.1}", delay.as_secs_f64()));
        let (found, place) = (word(self.found), word(self.place));
        write!(out, "{:<28}  {found:<5}  {place:<5}  {delay:>7}  {:>5}", self.name, self.alarms)?;
        if self.faults.is_empty() { Ok(()) } else { write!(out, "  FAILED") }
    }
}

/// A finding that fired.
struct Firing<'a> {
    after: Duration,
    line: &'a Value,
}

impl<'a> Firing<'a> {
    fn text(&self, key: &str) -> &'a str {
        self.line[key].as_str().unwrap_or_default()
    }

    fn is_alarm(&self) -> bool {
        matches!(self.text("severity"), "warning" | "critical")
    }

    /// The place of the subject, or, if the subject is the runtime, that of the task that does it harm.
    fn location(&self) -> &'a str {
        let related = self.line["related"].as_array().map(Vec::as_slice).unwrap_or_default();
        let culprit =
            related.iter().find(|party| party["role"] == "culprit").and_then(|party| party["location"].as_str());
        self.line["subject"]["location"].as_str().or(culprit).unwrap_or_default()
    }

    fn is_at(&self, places: &[String]) -> bool {
        places.iter().any(|place| self.location().ends_with(place) || self.location().contains(&format!("{place}:")))
    }

    fn is_explained_by(&self, label: &Label) -> bool {
        let named = label.places.is_empty() || self.is_at(&label.places) || self.is_at(&label.other_places);
        let tolerated = label.also.contains(&self.text("detector")) && (named || self.location().is_empty());
        tolerated || (named && self.text("detector") == label.detector)
    }
}

impl fmt::Display for Firing<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, detector, summary) = (self.text("severity"), self.text("detector"), self.text("summary"));
        write!(out, "{severity} {detector} at {:?} after {:.1} s: {summary}", self.location(), self.after.as_secs_f64())
    }
}

/// Compares what the tool said with the patient's label.
pub(crate) fn judge(patient: &Patient, report: io::Result<Report>) -> Verdict {
    let name = patient.name.clone();
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let faults = vec![format!("It could not be examined: {error}.")];
            return Verdict { name, found: None, place: None, delay: None, alarms: 0, faults };
        }
    };
    let firings = firings(&report);
    let mut faults = Vec::new();
    let (mut found, mut place, mut delay) = (None, None, None);
    if let Some(label) = &patient.label {
        let of_label: Vec<_> = firings.iter().filter(|firing| firing.text("detector") == label.detector).collect();
        let hit = of_label.iter().find(|firing| label.places.is_empty() || firing.is_at(&label.places));
        found = Some(!of_label.is_empty());
        place = (found == Some(true) && !label.places.is_empty()).then_some(hit.is_some());
        delay = hit.map(|firing| firing.after);
        if hit.is_none() {
            faults.push(missing(label, patient.watch, of_label.first().copied()));
        }
    }
    let explained = |firing: &Firing| patient.label.as_ref().is_some_and(|label| firing.is_explained_by(label));
    let alarms: Vec<_> = firings.iter().filter(|firing| firing.is_alarm() && !explained(firing)).collect();
    faults.extend(alarms.iter().map(|firing| format!("A false alarm: {firing}")));
    faults.extend(contract_faults(patient, &report));
    Verdict { name, found, place, delay, alarms: alarms.len(), faults }
}

/// The first time that each finding fired.
fn firings(report: &Report) -> Vec<Firing<'_>> {
    let mut firings: Vec<Firing> = Vec::new();
    for (after, line) in &report.lines {
        if line["type"] != "finding" || line["state"] != "firing" {
            continue;
        }
        let known = |firing: &Firing| {
            ["fingerprint", "severity"].iter().all(|key| firing.line[key] == line[key])
                && firing.line["subject"]["location"] == line["subject"]["location"]
        };
        if !firings.iter().any(known) {
            firings.push(Firing { after: *after, line });
        }
    }
    firings
}

fn missing(label: &Label, watch: Duration, elsewhere: Option<&Firing>) -> String {
    let (detector, seconds, places) = (label.detector, watch.as_secs(), label.places.join(" or "));
    match elsewhere {
        Some(firing) => format!("{detector} did not name {places}: {firing}"),
        None if label.places.is_empty() => format!("{detector} did not fire within {seconds} s."),
        None => format!("{detector} did not fire within {seconds} s, at {places}."),
    }
}

/// What the output and the exit code have to be whatever was found.
fn contract_faults(patient: &Patient, report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    let kinds: Vec<_> = report.lines.iter().map(|(_, line)| line["type"].as_str().unwrap_or_default()).collect();
    if kinds.first() != Some(&"hello") {
        faults.push("The first line is no greeting.".to_owned());
    }
    match report.lines.last() {
        Some((_, line)) if line["type"] == "summary" => {
            let verdict = match report.exit_code {
                Some(0) => "healthy",
                Some(1) => "findings",
                _ => "inconclusive",
            };
            if line["verdict"] != verdict || line["exit_code"].as_i64() != report.exit_code.map(i64::from) {
                faults.push(format!("The exit code {:?} does not go with the last line: {line}", report.exit_code));
            }
        }
        _ => faults.push("The last line is no summary.".to_owned()),
    }
    if !report.exit_code.is_some_and(|code| patient.exit_codes.contains(&code)) {
        let complaints = report.complaints.trim();
        let expected = patient.exit_codes;
        faults.push(format!("The exit code is {:?}, expected {expected:?}; {complaints}", report.exit_code));
    }
    faults
}
