//! Recorded feeds of sick and healthy programs, judged through the real path: the labelled finding at its place, and no alarm besides.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use tokio_canary::detect::severity::Severity;

use crate::labels::{Expected, FILE, Labels, Recording};
use crate::replay::judge;
use crate::{blame, folders, in_repository, trial};

/// How to make the recordings anew.
const COMMAND: &str = "see tests/recordings/README.md";
/// What all recordings may take in a clone, in bytes.
const MOST: u64 = 4 << 20;
/// Labels of recordings of the programs in `tests/older`, and of services built on well-known crates.
const OTHERS: [&str; 2] = ["older.toml", "field.toml"];

/// The tests of the recordings in the repository: each as its label says, and that recordings and labels go together.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let of_all = [
        trial("every-recording-has-a-label", mismatches),
        trial("every-recording-is-kept-for-a-reason", unexplained),
        trial("recordings-stay-small", too_large),
        trial("a-wrong-label-is-found", wrong_labels_that_pass),
    ];
    of_folder(&kept(), labels()).chain(of_all)
}

/// The tests of the recordings in a folder with labels of its own.
pub(crate) fn trials_of(folder: &Path) -> impl Iterator<Item = Trial> + use<> {
    of_folder(folder, read(folder, FILE))
}

fn of_folder(folder: &Path, labels: Vec<Recording>) -> impl Iterator<Item = Trial> + use<> {
    let folder = folder.to_owned();
    labels.into_iter().flat_map(move |label| {
        let name = label.file.trim_end_matches(".mcap").replace('/', "::");
        let file = folder.join(&label.file);
        let (judged, blamed) = (file.clone(), file.clone());
        [
            trial(format!("recordings::{name}"), move || faults(&judged, &label)),
            trial(format!("blame::{name}"), move || blame::of_recording(&blamed)),
            trial(format!("folders::{name}"), move || folders::told(&file)),
        ]
    })
}

/// What is not as the label says, or as is known of it.
fn faults(file: &Path, label: &Recording) -> Vec<String> {
    let faults = judge(file, label);
    match (label.known_missed, faults.is_empty()) {
        (false, _) => faults,
        (true, false) => Vec::new(),
        (true, true) => vec!["it is judged as its label says now, so that `known_missed` has to go".to_owned()],
    }
}

fn kept() -> PathBuf {
    in_repository("tests/recordings")
}

/// The labels of all recordings in the repository.
fn labels() -> Vec<Recording> {
    std::iter::once(FILE).chain(OTHERS).flat_map(|file| read(&kept(), file)).collect()
}

fn read(folder: &Path, file: &str) -> Vec<Recording> {
    let labels = Labels::read(folder, file).unwrap_or_else(|error| panic!("{file} cannot be read: {error}")).recording;
    assert!(!labels.is_empty(), "there are no recordings in {} by {file}: {COMMAND}", folder.display());
    labels
}

/// Recordings without a label, and labels without a recording.
fn mismatches() -> Vec<String> {
    let labels = labels();
    let labelled: BTreeSet<_> = labels.iter().map(|label| label.file.clone()).collect();
    let recorded: BTreeSet<_> = ["", "field/"].into_iter().flat_map(recorded).collect();
    let apart = labelled.symmetric_difference(&recorded);
    let mut faults: Vec<_> = apart.map(|file| format!("{file} is not both recorded and labelled: {COMMAND}")).collect();
    if labelled.len() < labels.len() {
        faults.push("a recording has two labels".to_owned());
    }
    faults
}

/// The recordings in a folder of the kept ones.
fn recorded(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(kept().join(folder)).expect("the folder is there");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "mcap"))
        .map(|name| format!("{folder}{name}"))
        .collect()
}

/// Recordings of which nobody says why they are kept.
fn unexplained() -> Vec<String> {
    let without = labels().into_iter().filter(|label| label.why.is_empty());
    without
        .map(|label| format!("{} has no reason to be kept: most recordings are made anew instead", label.file))
        .collect()
}

/// What to do about recordings that take too much room.
fn too_large() -> Vec<String> {
    let size = |label: &Recording| fs::metadata(kept().join(&label.file)).map_or(0, |file| file.len());
    let sum: u64 = labels().iter().map(size).sum();
    let (sum, most) = (sum / 1024, MOST / 1024);
    let too_large = (sum > most).then(|| format!("the recordings take {sum} KiB, of {most}: pack them, or keep fewer"));
    too_large.into_iter().collect()
}

/// A label that is not met must not pass, and neither must a mark that is no longer true.
fn wrong_labels_that_pass() -> Vec<String> {
    let labels = labels();
    let met = labels.iter().filter(|label| !label.known_missed);
    let findings: Vec<_> = met.filter_map(|label| Some((label, label.finding.as_ref()?))).collect();
    let by_detector =
        findings.iter().find(|(_, finding)| finding.detector == "deadlock" && finding.families.is_empty());
    let by_family = findings.iter().find(|(_, finding)| finding.detector.is_empty());
    let ((lock, deadlock), (crowd, growth)) =
        by_detector.copied().zip(by_family.copied()).expect("both ways to name a finding are in use");
    let elsewhere = || vec!["elsewhere.rs:1".to_owned()];
    let wrong = [
        Recording { finding: None, ..lock.clone() },
        Recording { finding: Some(Expected { places: elsewhere(), ..deadlock.clone() }), ..lock.clone() },
        Recording { finding: Some(Expected { detector: "lost-waker".to_owned(), ..deadlock.clone() }), ..lock.clone() },
        Recording { finding: Some(Expected { within: 1, ..deadlock.clone() }), ..lock.clone() },
        Recording { known_missed: true, ..lock.clone() },
        Recording {
            finding: Some(Expected { places: elsewhere(), names: Vec::new(), ..growth.clone() }),
            ..crowd.clone()
        },
        Recording { finding: Some(Expected { families: vec!["spin".to_owned()], ..growth.clone() }), ..crowd.clone() },
        Recording { finding: Some(Expected { severity: Severity::Critical, ..growth.clone() }), ..crowd.clone() },
    ];
    let passed = wrong.iter().filter(|label| faults(&kept().join(&label.file), label).is_empty());
    passed.map(|label| format!("this passed: {label:?}")).collect()
}
