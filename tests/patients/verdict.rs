//! The verdict on one examination: found, at the right place, in which time, and what was said without reason.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::Value;

use tokio_canary::detect::severity::Severity;

use crate::baseline::{self, Warning};
use crate::corpus::{Label, Patient};
use crate::examination::Report;
use crate::route::{Route, TARGET};

/// First line of the table.
pub(crate) const HEADING: &str = "patient                             found  place  seconds  false";

/// A row of the table, and what is wrong with it.
pub(crate) struct Verdict {
    /// Name of the test.
    pub(crate) name: String,
    /// The detector of the label and the severity that it has to reach; none for the healthy.
    pub(crate) expected: Option<(&'static str, Severity)>,
    /// Whether the labelled finding came in time, and was as bad as it had to be by then; nothing for the healthy.
    pub(crate) found: Option<bool>,
    /// Whether it came in time, however bad it was.
    pub(crate) noticed: bool,
    /// Whether it named the labelled place; nothing without one.
    pub(crate) place: Option<bool>,
    /// From the time at which the tool was attached and the fault visible, until the finding fired and was bad enough.
    pub(crate) delay: Option<Duration>,
    /// How many alarms came without reason.
    pub(crate) alarms: usize,
    /// What stock tokio-console says about the same feed, if it was recorded.
    pub(crate) console: Option<Console>,
    /// Everything that is not as it has to be, in sentences; a test passes if there is nothing.
    pub(crate) faults: Vec<String>,
}

/// What the warnings of stock tokio-console come to.
#[derive(Default)]
pub(crate) struct Console {
    /// Warnings at a labelled place.
    pub(crate) found_by: BTreeSet<&'static str>,
    /// Warnings elsewhere.
    pub(crate) alarms: BTreeSet<Warning>,
    /// How many places have warnings about the size of a future, which count for neither.
    pub(crate) sizes: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |answer: Option<bool>| answer.map_or("-", |yes| if yes { "yes" } else { "NO" });
        let delay = self.delay.map_or_else(|| "-".to_owned(), |delay| format!("{:.1}", delay.as_secs_f64()));
        let (found, place) = (word(self.found), word(self.place));
        write!(out, "{:<34}  {found:<5}  {place:<5}  {delay:>7}  {:>5}", self.name, self.alarms)?;
        if self.faults.is_empty() { Ok(()) } else { write!(out, "  FAILED") }
    }
}

/// A finding that fired.
struct Firing<'a> {
    after: Duration,
    line: &'a Value,
}

impl<'a> Firing<'a> {
    /// What a line tells, if it is that a finding fired.
    fn read(after: Duration, line: &'a Value) -> Option<Self> {
        (line["type"] == "finding" && line["state"] == "firing").then_some(Self { after, line })
    }

    fn text(&self, key: &str) -> &'a str {
        self.line[key].as_str().unwrap_or_default()
    }

    fn severity(&self) -> Option<Severity> {
        let all = [Severity::Info, Severity::Warning, Severity::Critical];
        all.into_iter().find(|it| it.as_str() == self.text("severity"))
    }

    fn is_alarm(&self) -> bool {
        self.severity() >= Some(Severity::Warning)
    }

    fn is_of(&self, label: &Label) -> bool {
        self.text("detector") == label.detector
            || label.families.iter().any(|family| family.as_str() == self.text("family"))
    }

    fn is_bad_enough(&self, label: &Label) -> bool {
        self.severity() >= Some(label.severity)
    }

    /// The place of the subject, or, if the subject is the runtime, that of the task that does it harm.
    fn location(&self) -> &'a str {
        let related = self.line["related"].as_array().map(Vec::as_slice).unwrap_or_default();
        let culprit =
            related.iter().find(|party| party["role"] == "culprit").and_then(|party| party["location"].as_str());
        self.line["subject"]["location"].as_str().filter(|place| !place.is_empty()).or(culprit).unwrap_or_default()
    }

    fn names(&self, label: &Label) -> bool {
        self.is_of(label) && (label.places.is_empty() || is_at(self.location(), &label.places))
    }

    fn is_explained_by(&self, label: &Label) -> bool {
        let place = self.location();
        let named = label.places.is_empty() || is_at(place, &label.places) || is_at(place, &label.other_places);
        let tolerated = label.also.contains(&self.text("detector")) && (named || place.is_empty());
        tolerated || (named && self.is_of(label))
    }
}

impl fmt::Display for Firing<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, detector, summary) = (self.text("severity"), self.text("detector"), self.text("summary"));
        write!(out, "{severity} {detector} at {:?} after {:.1} s: {summary}", self.location(), self.after.as_secs_f64())
    }
}

/// Whether a location is one of these places.
fn is_at(location: &str, places: &[String]) -> bool {
    places.iter().any(|place| location.ends_with(place) || location.contains(&format!("{place}:")))
}

/// Whether a line of the tool is the finding of a label at its place, and as bad as it has to be.
pub(crate) fn names(line: &Value, label: &Label) -> bool {
    Firing::read(Duration::ZERO, line).is_some_and(|firing| firing.names(label) && firing.is_bad_enough(label))
}

/// Compares what the tool said with the patient's label.
pub(crate) fn judge(patient: &Patient, report: io::Result<Report>) -> Verdict {
    let mut verdict = Verdict {
        name: patient.name.clone(),
        expected: patient.label.as_ref().map(|label| (label.detector, label.severity)),
        found: None,
        noticed: false,
        place: None,
        delay: None,
        alarms: 0,
        console: None,
        faults: Vec::new(),
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            verdict.found = patient.label.is_some().then_some(false);
            verdict.faults.push(format!("It could not be examined: {error}."));
            return verdict;
        }
    };
    let firings = firings(&report);
    if let Some(label) = &patient.label {
        verdict.compare(label, &firings);
    }
    let explained = |firing: &Firing| patient.label.as_ref().is_some_and(|label| firing.is_explained_by(label));
    let alarms: Vec<_> = firings.iter().filter(|firing| firing.is_alarm() && !explained(firing)).collect();
    verdict.alarms = alarms.len();
    verdict.faults.extend(alarms.iter().map(|firing| format!("A false alarm: {firing}")));
    verdict.faults.extend(contract_faults(patient, &report));
    if let Some(path) = &report.recording {
        match baseline::warnings(path) {
            Ok(warnings) => verdict.console = Some(consult(warnings, patient.label.as_ref())),
            Err(error) => verdict.faults.push(format!("Its recording cannot be read: {error}")),
        }
    }
    verdict
}

impl Verdict {
    fn compare(&mut self, label: &Label, firings: &[Firing]) {
        let of_label: Vec<_> = firings.iter().filter(|firing| firing.is_of(label)).collect();
        let bad_enough: Vec<_> = of_label.iter().filter(|firing| firing.is_bad_enough(label)).collect();
        let hit = bad_enough.iter().find(|firing| firing.names(label));
        let delay = |firing: &Firing| firing.after.saturating_sub(label.visible_after);
        self.delay = hit.map(|firing| delay(firing));
        let in_time = self.delay.is_none_or(|delay| delay <= label.within);
        self.found = Some(!bad_enough.is_empty() && in_time);
        self.noticed = of_label.iter().any(|firing| delay(firing) <= label.within);
        self.place = (!bad_enough.is_empty() && !label.places.is_empty()).then_some(hit.is_some());
        let (detector, severity, limit) = (label.detector, label.severity.as_str(), label.within.as_secs());
        let places = label.places.join(" or ");
        if hit.is_none() {
            self.faults.push(match (bad_enough.first(), of_label.first()) {
                (Some(firing), _) => format!("{detector} did not name {places}: {firing}"),
                (None, Some(firing)) => {
                    format!("{detector} did not become {severity} within {limit} s of the time at which it was to be seen: {firing}")
                }
                (None, None) => format!(
                    "{detector} did not fire within {limit} s of the time at which it was to be seen: {places}."
                ),
            });
        } else if !in_time {
            let delay = self.delay.unwrap_or_default().as_secs_f64();
            self.faults.push(format!("{detector} took {delay:.1} s to become {severity}, and {limit} s is the limit."));
        }
    }
}

/// Sorts the console's warnings into those that are deserved and those that are not.
fn consult(warnings: BTreeSet<Warning>, label: Option<&Label>) -> Console {
    let mut console = Console::default();
    for warning in warnings {
        let place = &warning.location;
        if warning.is_about_size() {
            console.sizes += 1;
        } else if label.is_some_and(|label| is_at(place, &label.places) || is_at(place, &label.other_places)) {
            console.found_by.insert(warning.lint);
        } else {
            console.alarms.insert(warning);
        }
    }
    console
}

/// The first time that each finding fired.
fn firings(report: &Report) -> Vec<Firing<'_>> {
    let mut firings: Vec<Firing> = Vec::new();
    for new in report.lines.iter().filter_map(|(after, line)| Firing::read(*after, line)) {
        let known = |firing: &Firing| {
            ["fingerprint", "severity"].iter().all(|key| firing.line[key] == new.line[key])
                && firing.line["subject"]["location"] == new.line["subject"]["location"]
        };
        if !firings.iter().any(known) {
            firings.push(new);
        }
    }
    firings
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
    if patient.route != Route::Direct {
        let names_pod =
            |line: &Value| line["place"].as_str().is_some_and(|it| it.starts_with("pod `web-1` in namespace"));
        if !report.lines.iter().any(|(_, line)| names_pod(line)) {
            faults.push("The pod was never named.".to_owned());
        }
        let others = report.lines.iter().filter(|(_, line)| line["target"].is_string() && line["target"] != TARGET);
        faults.extend(others.map(|(_, line)| format!("Another target than the pod: {line}")));
    }
    if !report.exit_code.is_some_and(|code| patient.exit_codes.contains(&code)) {
        let complaints = report.complaints.trim();
        let expected = patient.exit_codes;
        let doubts = report.lines.last().map_or(&Value::Null, |(_, line)| &line["inconclusive_because"]);
        let code = report.exit_code;
        faults
            .push(format!("The exit code is {code:?}, expected {expected:?}, with the doubts {doubts}; {complaints}"));
    }
    faults
}
