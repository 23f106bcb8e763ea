//! Recorded feeds of sick and healthy programs, judged through the real path: the labelled finding at its place, and no alarm besides.

#[path = "../patients/labels.rs"]
mod labels;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tokio_canary::detect::finding::Finding;
use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::detect::subject::Role;
use tokio_canary::diagnosis::{Diagnosis, Ended};
use tokio_canary::feed::recording::{Speed, open};
use tokio_canary::model::DEFAULT_RETENTION;

use self::labels::{FILE, Labels, Recording};
use crate::source::in_repository;

/// How to make the recordings anew.
const COMMAND: &str = "see tests/recordings/README.md";
/// Labels of recordings of the programs in `tests/older`.
const OLDER: &str = "older.toml";

/// The labels of all recordings.
fn labels(folder: &Path) -> Vec<Recording> {
    let read = |file| Labels::read(folder, file).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
    let files = [FILE, OLDER].map(|file| read(file).recording);
    assert!(files.iter().all(|labels| !labels.is_empty()), "there are no recordings: {COMMAND}");
    files.concat()
}

#[tokio::test]
async fn every_recording_is_judged_as_its_label_says() {
    let folder = in_repository("tests/recordings");
    let mut faults = Vec::new();
    for label in &labels(&folder) {
        let found = judge(&folder.join(&label.file), label).await;
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", label.file)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_recording_has_a_label() {
    let folder = in_repository("tests/recordings");
    let labels = labels(&folder);
    let labelled: BTreeSet<_> = labels.iter().map(|label| label.file.clone()).collect();
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let recorded: BTreeSet<_> = names.filter(|name| name.ends_with(".mcap")).collect();
    assert_eq!(labelled, recorded, "{COMMAND}");
    assert_eq!(labelled.len(), labels.len(), "a recording has two labels");
}

/// What the sources call their programs is what was recorded.
#[test]
fn every_program_was_recorded() {
    let labels = labels(&in_repository("tests/recordings"));
    let recorded: BTreeSet<_> = labels.iter().map(|label| label.program.as_str()).collect();
    let mut programs = Vec::new();
    for folder in ["tests/patients/sick", "tests/patients/healthy"] {
        for source in fs::read_dir(in_repository(folder)).expect("the folder is there") {
            let text = fs::read_to_string(source.expect("it can be listed").path()).expect("it can be read");
            programs.extend(text.split("id: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    assert!(programs.len() > 50, "the programs were not found: {programs:?}");
    let missing: Vec<_> = programs.iter().filter(|program| !recorded.contains(program.as_str())).collect();
    assert!(missing.is_empty(), "not recorded: {missing:?}; {COMMAND}");
}

/// A label that is not met must not pass.
#[tokio::test]
async fn a_wrong_label_is_found() {
    let folder = in_repository("tests/recordings");
    let labels = labels(&folder);
    let sick = labels.iter().find(|label| label.detector == "deadlock" && label.also.is_empty()).unwrap();
    let healthy = Recording { detector: String::new(), places: Vec::new(), ..sick.clone() };
    let elsewhere = Recording { places: vec!["elsewhere.rs:1".to_owned()], ..sick.clone() };
    let otherwise = Recording { detector: "lost-waker".to_owned(), ..sick.clone() };
    for label in [healthy, elsewhere, otherwise] {
        assert!(!judge(&folder.join(&label.file), &label).await.is_empty(), "{label:?}");
    }
}

/// Plays a recording as fast as it can be judged, and returns what is not as its label says.
async fn judge(path: &Path, label: &Recording) -> Vec<String> {
    let mut feed = match open(path, Speed::Max) {
        Ok(feed) => feed,
        Err(error) => return vec![error.to_string()],
    };
    let mut diagnosis = Diagnosis::new(label.file.clone(), Settings::default(), DEFAULT_RETENTION);
    let mut faults = Vec::new();
    let mut found = label.detector.is_empty();
    while let Some(arrived) = feed.events.recv().await {
        for transition in diagnosis.apply(arrived) {
            let finding = &transition.finding;
            if finding.state != State::Firing {
                continue;
            }
            found |=
                finding.detector.id == label.detector && (label.places.is_empty() || is_at(finding, &label.places));
            if finding.severity() >= Severity::Warning && !is_explained(finding, label) {
                faults.push(format!("{} at {:?}: {}", finding.detector.id, place(finding), finding.symptom.summary));
            }
        }
    }
    if !found {
        faults.push(format!("{} did not fire at {}", label.detector, label.places.join(" or ")));
    }
    if diagnosis.ended() != Some(&Ended::Complete) {
        faults.push(format!("the recording ends with {:?}", diagnosis.ended()));
    }
    faults
}

/// The place of the subject, or, if it has none, that of what does it harm.
fn place(finding: &Finding) -> &str {
    let symptom = &finding.symptom;
    let culprit = symptom.related.iter().find(|party| party.role == Role::Culprit);
    let places = std::iter::once(&symptom.subject.location).chain(culprit.map(|party| &party.location));
    places.map(String::as_str).find(|place| !place.is_empty()).unwrap_or_default()
}

fn is_at(finding: &Finding, places: &[String]) -> bool {
    let location = place(finding);
    places.iter().any(|place| location.ends_with(place.as_str()) || location.contains(&format!("{place}:")))
}

fn is_explained(finding: &Finding, label: &Recording) -> bool {
    let id = finding.detector.id;
    let named = label.places.is_empty() || is_at(finding, &label.places) || is_at(finding, &label.other_places);
    let is_the_one = id == label.detector && named;
    let is_tolerated = label.also.iter().any(|also| also == id) && (named || place(finding).is_empty());
    is_the_one || is_tolerated
}
