//! Every detector against processes that are sick and others that only look so, in simulated time.
//!
//! A scenario is a file below `tests/scenarios`; the README there tells how to write one. Everything that fires must be expected by the
//! scenario's own file, and the whole timeline, with its sentences, is kept as a snapshot beside it.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tokio_canary::detect::detectors::DETECTORS;
use tokio_canary::detect::severity::{Severity, State};

use crate::source::{in_repository, read_sources};
use crate::support::simulator::{Entry, Expectation, Scenario, Timeline, Told, play, seconds, worst};

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

#[test]
fn every_scenario_unfolds_as_told() {
    let mut wrong = Vec::new();
    let only = std::env::var("SCENARIO").ok();
    for path in folders().iter().flat_map(|folder| scenarios(folder)) {
        if only.as_ref().is_some_and(|only| !path.to_string_lossy().contains(only.as_str())) {
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let scenario = Scenario::read(&path);
            let timeline = play(&scenario, Told::Once);
            let mut complaints = unexpected(&scenario, &timeline);
            complaints.extend(missing(&scenario, &timeline));
            let kept = catch_unwind(AssertUnwindSafe(|| snapshot(&path, &scenario, &timeline)));
            complaints.extend(kept.err().map(|_| "the timeline differs from its snapshot".to_owned()));
            (complaints, timeline.text())
        }));
        match outcome {
            Ok((complaints, _)) if complaints.is_empty() => {}
            Ok((complaints, text)) => wrong.push(format!("{}: {}\n{text}", path.display(), complaints.join("; "))),
            Err(_) => wrong.push(format!("{}: panicked, see above", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{} scenarios are not as told:\n\n{}", wrong.len(), wrong.join("\n"));
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

#[test]
fn every_detector_has_scenarios_of_both_kinds() {
    for detector in DETECTORS {
        let folder = root().join(detector.id);
        let files = scenarios(&folder);
        let of_kind = |kind: &str| -> Vec<Scenario> {
            files.iter().filter(|path| name(path).starts_with(kind)).map(|path| Scenario::read(path)).collect()
        };
        let (fires, quiet) = (of_kind("fires"), of_kind("quiet"));
        assert!(!fires.is_empty(), "{} has no scenario in which it fires", detector.id);
        assert!(!quiet.is_empty(), "{} has no scenario in which it stays quiet", detector.id);
        assert_eq!(fires.len() + quiet.len(), files.len(), "{}: a file is called neither fires nor quiet", detector.id);
        let own = |scenario: &Scenario| {
            let own = scenario.expect.iter().filter(|it| it.detector == detector.id);
            own.map(|it| severity(&it.severity)).max()
        };
        let least =
            fires.iter().map(|scenario| own(scenario).expect("a fires scenario expects its own detector")).min();
        let loudest = quiet.iter().filter_map(own).max();
        assert!(loudest < least, "{}: a quiet scenario expects no less than one that fires", detector.id);
    }
}

fn severity(word: &str) -> Severity {
    let all = [Severity::Info, Severity::Warning, Severity::Critical];
    all.into_iter().find(|it| it.as_str() == word).unwrap_or_else(|| panic!("{word} is no severity"))
}

#[test]
fn detectors_are_named_like_their_files() {
    let ids: BTreeSet<&str> = DETECTORS.iter().map(|detector| detector.id).collect();
    assert_eq!(ids.len(), DETECTORS.len(), "two detectors share an id");
    let folder = in_repository("src/detect/detectors");
    let files = read_sources(&folder).into_iter().filter_map(|source| {
        let module = source.module();
        let [family, detector] = module.as_slice() else { return None };
        Some((detector.replace('_', "-"), (*family).to_owned()))
    });
    let rows = DETECTORS.iter().map(|row| (row.id.to_owned(), row.family.as_str().to_owned()));
    assert_eq!(
        files.collect::<BTreeSet<_>>(),
        rows.collect(),
        "a detector is called otherwise, or in another family's folder"
    );
    for id in ids {
        let words_are_lower_case =
            id.split('-').all(|word| !word.is_empty() && word.chars().all(|it| it.is_ascii_lowercase()));
        assert!(words_are_lower_case, "{id} is not in kebab case");
    }
}

#[test]
fn an_update_told_twice_changes_nothing() {
    for path in folders().iter().flat_map(|folder| scenarios(folder)) {
        let scenario = Scenario::read(&path);
        let [once, twice] = [Told::Once, Told::Twice].map(|told| conclusions(&play(&scenario, told)));
        assert_eq!(twice, once, "{}", path.display());
    }
}

/// In Tokio 1.42 every sleep reports an async op, which says nothing that its resource does not.
#[test]
fn an_older_tokio_changes_nothing() {
    let mut wrong = Vec::new();
    for path in folders().iter().flat_map(|folder| scenarios(folder)) {
        let scenario = Scenario::read(&path);
        // More to tell is told later where only so much is told in a turn.
        if scenario.drain < usize::MAX {
            continue;
        }
        let older = Scenario { older_tokio: true, ..Scenario::read(&path) };
        let [today, before] = [scenario, older].map(|scenario| conclusions(&play(&scenario, Told::Once)));
        if today != before {
            wrong.push(format!("{}: {today:#?} today, {before:#?} before", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} scenarios differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What fired, where, and how bad it became.
fn conclusions(timeline: &Timeline) -> BTreeSet<(&'static str, String, Option<Severity>)> {
    let conclusion = |entries: &Vec<&Entry>| {
        let finding = &entries[0].transition.finding;
        (finding.detector.id, finding.symptom.subject.location.clone(), worst(entries))
    };
    timeline.fired().values().map(conclusion).collect()
}
