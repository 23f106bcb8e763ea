//! Every detector against processes that are sick and others that only look so, in simulated time.
//!
//! A scenario is a file below `tests/scenarios`; the README there tells how to write one. Everything that fires must be expected by the
//! scenario's own file, and the whole timeline, with its sentences, is kept as a snapshot beside it.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use tokio_canary::detect::detector::Detector;
use tokio_canary::detect::detectors::DETECTORS;
use tokio_canary::detect::doubt::Doubt;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::diagnosis::Criteria;

use crate::blame;
use crate::simulator::scenario::{Expectation, Scenario};
use crate::simulator::timeline::{Entry, Timeline, Told, play, seconds, worst};
use crate::{in_repository, trial};

/// Updates come a little after the full second.
const TICK: f64 = 0.1;

fn root() -> PathBuf {
    in_repository("tests/scenarios")
}

/// The scenario files of a folder, in order.
fn scenarios(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    found.sort();
    found
}

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(root()).expect("the scenarios");
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a directory entry").path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The tests: each scenario as it is and told otherwise, and that every detector has its scenarios.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let files = folders().into_iter().flat_map(|folder| scenarios(&folder));
    let of_files = files.flat_map(|path| {
        // More to tell is told later where only so much is told in a turn.
        let is_timeless = Scenario::read(&path).drain == usize::MAX;
        let older: Option<Test> = is_timeless.then_some(("older-tokio", unfolds_alike_in_older_tokio));
        let tests: [Test; 3] =
            [("scenarios", unfolds_as_told), ("told-twice", unfolds_alike_told_twice), ("blame", blame::of_scenario)];
        tests.into_iter().chain(older).map(move |(kind, test)| {
            let folder = name(path.parent().unwrap_or(&path));
            let path = path.clone();
            trial(format!("{kind}::{folder}::{}", name(&path)), move || test(&path))
        })
    });
    let of_detectors =
        DETECTORS.iter().map(|detector| trial(format!("both-kinds::{}", detector.id), || missing_kinds(detector)));
    of_files.chain(of_detectors)
}

/// What is tested about each scenario: its name, and what finds faults.
type Test = (&'static str, fn(&Path) -> Vec<String>);

/// The expected findings and no others, and the timeline of the snapshot.
fn unfolds_as_told(path: &Path) -> Vec<String> {
    let scenario = Scenario::read(path);
    let timeline = play(&scenario, Told::Once);
    let mut complaints = unexpected(&scenario, &timeline);
    complaints.extend(missing(&scenario, &timeline));
    complaints.extend(wrong_verdict(&scenario, &timeline));
    complaints.extend(wrong_doubts(&scenario, &timeline));
    let kept = catch_unwind(AssertUnwindSafe(|| snapshot(path, &scenario, &timeline)));
    complaints.extend(kept.err().map(|_| "the timeline differs from its snapshot".to_owned()));
    if !complaints.is_empty() {
        complaints.push(timeline.text());
    }
    complaints
}

fn snapshot(path: &Path, scenario: &Scenario, timeline: &Timeline) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(path.parent().expect("a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&scenario.about);
    settings.bind(|| insta::assert_snapshot!(name(path), timeline.text()));
}

/// What fired and was not expected.
fn unexpected(scenario: &Scenario, timeline: &Timeline) -> Vec<String> {
    let fired = timeline.fired();
    let others = fired.values().filter(|entries| !scenario.expect.iter().any(|it| is_meant(it, entries)));
    others
        .map(|entries| {
            let finding = &entries[0].transition.finding;
            format!("{} fired unexpectedly at {}", finding.detector.id, finding.symptom.subject.location)
        })
        .collect()
}

/// Whether the verdict rests on old waits although it should not, or the other way round. Where something was found it does not matter.
fn wrong_verdict(scenario: &Scenario, timeline: &Timeline) -> Option<String> {
    let criteria = Criteria { min_updates: 0, ..Criteria::default() };
    let doubts = timeline.diagnosis.inconclusive_reasons(criteria).contains(&Doubt::OldWaits);
    let is_found = timeline.diagnosis.worst() >= Some(criteria.fail_on);
    let is_wrong = doubts != scenario.old_waits && (scenario.old_waits || !is_found);
    is_wrong.then(|| format!("old waits make the verdict inconclusive: {doubts}"))
}

/// Whether the clock and the messages of the target cast other doubts than they should.
fn wrong_doubts(scenario: &Scenario, timeline: &Timeline) -> Option<String> {
    let reasons = timeline.diagnosis.inconclusive_reasons(Criteria { min_updates: 0, ..Criteria::default() });
    let of_clock = |doubt: &Doubt| matches!(doubt, Doubt::Malformed | Doubt::Clock { .. } | Doubt::ClockReset);
    let doubts: BTreeSet<String> = reasons.into_iter().filter(of_clock).map(|it| it.as_str().to_owned()).collect();
    (doubts != scenario.doubts).then(|| format!("the clock and the messages cast the doubts {doubts:?}"))
}

fn is_meant(expected: &Expectation, entries: &[&Entry]) -> bool {
    let finding = &entries[0].transition.finding;
    let place = &finding.symptom.subject.location;
    finding.detector.id == expected.detector && place.contains(&expected.place)
}

/// What was expected and did not fire, or not so.
fn missing(scenario: &Scenario, timeline: &Timeline) -> Vec<String> {
    let fired = timeline.fired();
    let mut complaints = Vec::new();
    for expected in &scenario.expect {
        let title = format!("{} at {:?}", expected.detector, expected.place);
        let meant: Vec<_> = fired.iter().filter(|(_, entries)| is_meant(expected, entries)).collect();
        let [(fingerprint, entries)] = meant.as_slice() else {
            complaints.push(format!("{title} fired {} times", meant.len()));
            continue;
        };
        let began: Vec<f64> = beginnings(entries);
        let first = began.first().copied().unwrap_or_default();
        if first < seconds(expected.after.nanos()) || first > seconds(expected.by.nanos()) + TICK {
            complaints.push(format!("{title} fired at {first:.1} s"));
        }
        if worst(entries).map(Severity::as_str) != Some(&*expected.severity) {
            complaints.push(format!("{title} became {:?}", worst(entries)));
        }
        let cause = |it: &&Entry| it.transition.finding.symptom.cause.clone().unwrap_or_default();
        if !entries.iter().any(|it| cause(it).contains(&expected.cause)) {
            complaints.push(format!("{title} does not say {:?} of its cause", expected.cause));
        }
        if !entries.iter().any(|it| it.transition.finding.symptom.recommendation.contains(&expected.advice)) {
            complaints.push(format!("{title} does not advise {:?}", expected.advice));
        }
        if began.len() != expected.times {
            complaints.push(format!("{title} began {} times", began.len()));
        }
        let last = entries.last().expect("it fired");
        let over = last.transition.finding.state == State::Resolved;
        let in_time = expected.resolved_by.map(|limit| over && last.at <= limit.nanos());
        if in_time.unwrap_or(over) == expected.resolved_by.is_none() {
            complaints.push(format!(
                "{title} was last {:?} at {:.1} s",
                last.transition.finding.state,
                seconds(last.at)
            ));
        }
        let at_the_end = timeline.diagnosis.engine().finding(fingerprint).map(|finding| finding.severity().as_str());
        if expected.lasts && at_the_end != Some(&*expected.severity) {
            complaints.push(format!("{title} ends as {at_the_end:?}"));
        }
        let explained = timeline.explained.get(**fingerprint).cloned().unwrap_or_default();
        if explained != expected.explains.iter().map(String::as_str).collect() {
            complaints.push(format!("{title} explained {explained:?}"));
        }
    }
    complaints
}

/// When a finding began to fire, each time.
fn beginnings(entries: &[&Entry]) -> Vec<f64> {
    let mut began = Vec::new();
    let mut firing = false;
    for entry in entries {
        let fires = entry.transition.finding.state == State::Firing;
        if fires && !firing {
            began.push(seconds(entry.at));
        }
        firing = fires;
    }
    began
}

/// What is wrong with the scenarios of a detector: there are some in which it fires, and some in which it is quiet or at least quieter.
fn missing_kinds(detector: &Detector) -> Vec<String> {
    let files = scenarios(&root().join(detector.id));
    let of_kind = |kind: &str| -> Vec<Scenario> {
        files.iter().filter(|path| name(path).starts_with(kind)).map(|path| Scenario::read(path)).collect()
    };
    let (fires, quiet) = (of_kind("fires"), of_kind("quiet"));
    let own = |scenario: &Scenario| {
        let own = scenario.expect.iter().filter(|it| it.detector == detector.id);
        own.map(|it| severity(&it.severity)).max()
    };
    let least = fires.iter().map(own).min().flatten();
    let loudest = quiet.iter().filter_map(own).max();
    let faults = [
        (fires.is_empty(), "there is no scenario in which it fires"),
        (quiet.is_empty(), "there is no scenario in which it stays quiet"),
        (fires.len() + quiet.len() != files.len(), "a file is called neither fires nor quiet"),
        (fires.iter().any(|scenario| own(scenario).is_none()), "one that is called fires does not expect it"),
        (loudest >= least, "a quiet scenario expects no less than one that fires"),
    ];
    faults.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what.to_owned()).collect()
}

fn severity(word: &str) -> Severity {
    let all = [Severity::Info, Severity::Warning, Severity::Critical];
    all.into_iter().find(|it| it.as_str() == word).unwrap_or_else(|| panic!("{word} is no severity"))
}

/// An update that is told twice changes nothing.
fn unfolds_alike_told_twice(path: &Path) -> Vec<String> {
    let scenario = Scenario::read(path);
    let [once, twice] = [Told::Once, Told::Twice].map(|told| conclusions(&play(&scenario, told)));
    difference("told once", &once, "told twice", &twice)
}

/// In Tokio 1.42 every sleep reports an async op, which says nothing that its resource does not.
fn unfolds_alike_in_older_tokio(path: &Path) -> Vec<String> {
    let scenario = Scenario::read(path);
    let older = Scenario { older_tokio: true, ..Scenario::read(path) };
    let [today, before] = [scenario, older].map(|scenario| conclusions(&play(&scenario, Told::Once)));
    difference("today", &today, "before", &before)
}

fn difference(one: &str, ones: &BTreeSet<Conclusion>, other: &str, others: &BTreeSet<Conclusion>) -> Vec<String> {
    if ones == others { Vec::new() } else { vec![format!("{one}: {ones:#?}; {other}: {others:#?}")] }
}

/// What fired, where, and how bad it became.
type Conclusion = (&'static str, String, Option<Severity>);

fn conclusions(timeline: &Timeline) -> BTreeSet<Conclusion> {
    let conclusion = |entries: &Vec<&Entry>| {
        let finding = &entries[0].transition.finding;
        (finding.detector.id, finding.symptom.subject.location.clone(), worst(entries))
    };
    timeline.fired().values().map(conclusion).collect()
}
