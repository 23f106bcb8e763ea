//! Canary against stable in words: one sentence that says what it comes to, and a sentence for each difference.

use std::time::Duration;

use super::comparison_method::{describe, method};
use super::measurement::MeasurementRow;
use crate::compare::{Change, Comparison, Conclusion, Coverage, Kind, NewFinding, NewItem, Standing, Subject, Unit};
use crate::detect::fingerprint;
use crate::words;

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonView {
    /// `regression`, `same` or `not_enough_data`.
    pub verdict: &'static str,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// The verdict in a sentence or two.
    pub sentence: String,
    /// How it was judged, in a sentence or more.
    pub method: String,
    /// Why nothing could be said, a word and a sentence each.
    pub reasons: Vec<(&'static str, String)>,
    /// What died on the canary alone, in clauses.
    pub deaths: Vec<String>,
    /// `pod` or `block`.
    pub unit: &'static str,
    /// The canary.
    pub canary: SideView,
    /// Stable.
    pub stable: SideView,
    /// How many times the load of stable the canary has; `None` if a side was not measured.
    pub load_ratio: Option<f64>,
    /// What differs: what counts first.
    pub differences: Vec<DifferenceView>,
    /// The numbers of both sides, be they different or not: those that are a regression first, then the greatest ratio.
    pub measurements: Vec<MeasurementRow>,
    /// How many numbers were compared.
    pub compared: usize,
    /// How many were not, because the canary had more load.
    pub not_compared: usize,
}

/// What is known of a side.
#[derive(Debug, Clone, PartialEq)]
pub struct SideView {
    /// Targets that sent updates.
    pub targets: usize,
    /// How many of them came after the others.
    pub late: usize,
    /// How many of them were taken away before their time was over.
    pub taken_away: usize,
    /// The longest time that one of them was watched.
    pub watched: Duration,
    /// Blocks of ten seconds that count.
    pub blocks: usize,
    /// Blocks that do not, because something of them is missing.
    pub spoilt: usize,
    /// Tasks started a second; `None` if no block counts.
    pub started: Option<f64>,
    /// Polls a second, likewise.
    pub polls: Option<f64>,
}

/// Something that is new or higher on the canary.
#[derive(Debug, Clone, PartialEq)]
pub struct DifferenceView {
    /// `finding`, `structure`, `rate` or `time`.
    pub kind: &'static str,
    /// Whether it is a regression by itself.
    pub counts: bool,
    /// The detector, the kind of structure or the metric.
    pub name: &'static str,
    /// What it is about.
    pub subject: String,
    /// A short name for it that is the same in every comparison: lines and numbers are not in it.
    pub fingerprint: String,
    /// A place of it on the canary, with its line; empty if none is known.
    pub location: String,
    /// The difference in a clause.
    pub summary: String,
    /// More about it: what a finding says.
    pub details: String,
    /// The name of the finding on the canary, if it is one.
    pub finding: Option<String>,
    /// The numbers, where there are any.
    pub numbers: Option<Numbers>,
}

/// Two numbers compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// On the canary, typically.
    pub canary: f64,
    /// On stable.
    pub stable: f64,
    /// Their unit.
    pub unit: &'static str,
    /// How many times that is, after allowing for the load.
    pub ratio: f64,
    /// The ratio that it had to exceed.
    pub least_ratio: f64,
    /// The chance of such a difference between equal sides.
    pub chance: f64,
}

impl ComparisonView {
    /// A comparison in words.
    pub fn of(comparison: &Comparison) -> Self {
        let (verdict, exit_code) = match comparison.conclusion {
            Conclusion::Regression => ("regression", 1),
            Conclusion::Same => ("same", 0),
            Conclusion::NotEnoughData => ("not_enough_data", 3),
        };
        let findings = comparison.findings.iter().map(DifferenceView::of_finding);
        let structure = comparison.structure.iter().map(DifferenceView::of_item);
        let changes = comparison.changes.iter().map(DifferenceView::of_change);
        let mut differences: Vec<DifferenceView> = findings.chain(structure).chain(changes).collect();
        differences.sort_by_key(|it| !it.counts);
        let mut view = Self {
            verdict,
            exit_code,
            sentence: String::new(),
            method: method(comparison),
            reasons: comparison.reasons.iter().map(describe).collect(),
            deaths: comparison.deaths().map(|it| describe(it).1).collect(),
            unit: match comparison.unit {
                Unit::Pod => "pod",
                Unit::Block => "block",
            },
            canary: SideView::of(&comparison.canary),
            stable: SideView::of(&comparison.stable),
            load_ratio: [&comparison.canary, &comparison.stable]
                .iter()
                .all(|it| it.blocks > 0)
                .then_some(comparison.load_ratio),
            differences,
            measurements: comparison.measurements.iter().map(MeasurementRow::of).collect(),
            compared: comparison.compared,
            not_compared: comparison.not_compared,
        };
        view.sentence = view.say(comparison.conclusion);
        view
    }

    /// The verdict with numbers alone, without a full stop: nothing in it comes from a target.
    pub fn headline(&self) -> String {
        let count = |counts: bool| self.differences.iter().filter(|it| it.counts == counts).count();
        let (word, counting, new) = (self.word(), count(true), count(false));
        let differences = match counting {
            0 => "no difference counts".to_owned(),
            1 => "1 difference counts".to_owned(),
            some => format!("{} differences count", words::number(some)),
        };
        let new = if new == 0 { String::new() } else { format!(", {} not counted", words::number(new)) };
        format!("{word} (exit {}): {differences}{new}", self.exit_code)
    }

    /// The verdict in capitals.
    fn word(&self) -> &'static str {
        match self.exit_code {
            0 => "SAME",
            1 => "REGRESSION",
            _ => "NOT ENOUGH DATA",
        }
    }

    /// The verdict in a sentence or two; what died is in the first.
    fn say(&self, conclusion: Conclusion) -> String {
        let count = |counts: bool| self.differences.iter().filter(|it| it.counts == counts).count();
        let new = match count(false) {
            0 => String::new(),
            new => format!(" New here, not counted: {}.", words::count(new, "part")),
        };
        match conclusion {
            Conclusion::Regression => format!("REGRESSION (exit 1): {}{new}", self.worse()),
            Conclusion::Same => {
                let watched = words::duration(self.canary.watched.min(self.stable.watched));
                format!("SAME (exit 0): the canary does not differ from stable in {watched}.{new}")
            }
            Conclusion::NotEnoughData => format!("NOT ENOUGH DATA (exit 3): {}{new}", self.why_open()),
        }
    }

    /// What is worse on the canary, what died first, in sentences of which the first begins in lower case.
    pub fn worse(&self) -> String {
        let worst = self.differences.first().map(|it| it.summary.as_str()).unwrap_or_default();
        let all: Vec<&str> = self.deaths.iter().map(String::as_str).chain([worst]).collect();
        let others = match self.differences.iter().filter(|it| it.counts).count() {
            0 | 1 => String::new(),
            2 => " 1 more difference counts.".to_owned(),
            all => format!(" {} more differences count.", words::number(all - 1)),
        };
        format!("{}.{others}", all.join("; "))
    }

    /// Why nothing can be said, and what was seen all the same, in the same form.
    pub fn why_open(&self) -> String {
        let seen = self.differences.iter().find(|it| it.kind == "finding").map(|it| it.summary.as_str());
        let seen = seen.map_or_else(String::new, |seen| format!(" Seen so far: {seen}."));
        format!("{}.{seen}", self.reasons_in_words())
    }

    /// Why nothing can be said, as one clause.
    pub fn reasons_in_words(&self) -> String {
        self.reasons.iter().map(|(_, sentence)| sentence.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// What each side did, in a sentence.
    pub fn load(&self) -> String {
        let side = |side: &SideView| {
            let load = side.polls.zip(side.started).map_or_else(
                || "load not measured".to_owned(),
                |(polls, started)| {
                    format!("{} polls/s, {} tasks started/s", words::decimal(polls), words::decimal(started))
                },
            );
            format!("{} for {}, {load}", side.targets(), words::duration(side.watched))
        };
        let ratio = self.load_ratio.map_or_else(|| "unknown".to_owned(), words::decimal);
        format!("Canary: {}. Stable: {}. Load ratio: {ratio}.", side(&self.canary), side(&self.stable))
    }
}

impl SideView {
    fn of(coverage: &Coverage) -> Self {
        Self {
            targets: coverage.targets,
            late: coverage.late,
            taken_away: coverage.taken_away,
            watched: coverage.watched,
            blocks: coverage.blocks,
            spoilt: coverage.spoilt,
            started: (coverage.blocks > 0).then_some(coverage.load.started),
            polls: (coverage.blocks > 0).then_some(coverage.load.polls),
        }
    }

    /// Its targets, and how many of them came and went.
    fn targets(&self) -> String {
        let of = |count: usize, what: &str| (count > 0).then(|| format!("{} {what}", words::number(count)));
        let parts = [of(self.late, "joined later"), of(self.taken_away, "left before the end")];
        let (all, parts) = (words::count(self.targets, "target"), parts.into_iter().flatten().collect::<Vec<_>>());
        if parts.is_empty() { all } else { format!("{all} ({})", parts.join(", ")) }
    }
}

impl DifferenceView {
    fn of_finding(it: &NewFinding) -> Self {
        let place = match (it.key.name.as_str(), it.sighted.location.as_str()) {
            ("", "") => String::new(),
            (name, "") => format!(" of {name}"),
            ("", place) => format!(" at {place}"),
            (name, place) => format!(" of {name} ({place})"),
        };
        let severity = it.sighted.shown.map_or("", |severity| severity.as_str());
        let (who, rest) = match it.standing {
            Standing::Counts => ("only the canary", ""),
            Standing::OfLoad => ("only the canary", ", which more load may explain"),
            Standing::Open => ("the canary", ", and whether stable has it is not known"),
        };
        Self {
            kind: "finding",
            counts: it.standing == Standing::Counts,
            name: it.key.detector,
            subject: place.trim_start_matches(" at ").trim_start_matches(" of ").to_owned(),
            fingerprint: fingerprint("finding", &[it.key.detector, &it.key.name, &it.key.file]),
            location: it.sighted.location.clone(),
            summary: format!("{who} has the {severity} {}{place}{rest}", it.key.detector),
            details: it.sighted.summary.clone(),
            finding: Some(it.sighted.fingerprint.clone()),
            numbers: None,
        }
    }

    fn of_item(it: &NewItem) -> Self {
        let start = if it.is_of_start { ", perhaps at every start, which was not watched on stable" } else { "" };
        let times = words::count(it.exercise.times, "time");
        Self {
            kind: "structure",
            counts: it.counts,
            name: it.item.word(),
            subject: it.item.to_string(),
            fingerprint: fingerprint("structure", &[&it.item.to_string()]),
            location: it.exercise.place.as_ref().map_or_else(String::new, |place| place.as_str().to_owned()),
            summary: format!("only on the canary, {} (seen {times}){start}", it.item),
            details: String::new(),
            finding: None,
            numbers: None,
        }
    }

    fn of_change(it: &Change) -> Self {
        let what = it.metric.what;
        let value = |value: f64| words::measure(value, what.unit());
        let ratio =
            if it.stable > 0.0 { format!(", {} times as much", words::decimal(it.ratio)) } else { String::new() };
        let of = match &it.metric.subject {
            Subject::Target => String::new(),
            subject => format!(" of {subject}"),
        };
        let load = if what.kind() == Kind::Rate { " for the same load" } else { "" };
        let kind = match what.kind() {
            Kind::Rate => "rate",
            Kind::Time => "time",
        };
        Self {
            kind,
            counts: true,
            name: what.as_str(),
            subject: it.metric.subject.to_string(),
            fingerprint: fingerprint(kind, &[what.as_str(), &it.metric.subject.to_string()]),
            location: it.place.as_ref().map_or_else(String::new, |place| place.as_str().to_owned()),
            summary: format!(
                "{}{of}: {} on the canary, {} on stable{ratio}{load}",
                what.describe(),
                value(it.canary),
                value(it.stable)
            ),
            details: String::new(),
            finding: None,
            numbers: Some(Numbers {
                canary: it.canary,
                stable: it.stable,
                unit: what.unit(),
                ratio: it.ratio,
                least_ratio: it.least_ratio,
                chance: it.chance,
            }),
        }
    }
}

/// The name of a difference of a kind, apart from those of findings.
fn fingerprint(kind: &str, parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    fingerprint::named(&format!("compare-{kind}"), &parts)
}
