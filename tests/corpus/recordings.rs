//! Recorded feeds of sick and healthy programs, judged through the real path: the labelled finding at its place, and no alarm besides.

use std::collections::BTreeSet;
use std::fs;

use libtest_mimic::Trial;

use crate::labels::{Expected, FILE, Labels, Recording};
use crate::replay::judge;
use crate::{in_repository, trial};

/// Where the recordings are.
const FOLDER: &str = "tests/recordings";
/// How to make the recordings anew.
const COMMAND: &str = "see tests/recordings/README.md";
/// Labels of recordings of the programs in `tests/older`.
const OLDER: &str = "older.toml";

/// The tests: each recording as its label says, and that recordings and labels go together.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let of_files = labels().into_iter().map(|label| {
        let name = label.file.trim_end_matches(".mcap").to_owned();
        trial(format!("recordings::{name}"), move || judge(&in_repository(FOLDER).join(&label.file), &label))
    });
    let of_all =
        [trial("every-recording-has-a-label", unlabelled), trial("a-wrong-label-is-found", wrong_labels_that_pass)];
    of_files.chain(of_all)
}

/// The labels of all recordings.
fn labels() -> Vec<Recording> {
    let folder = in_repository(FOLDER);
    let read = |file| Labels::read(&folder, file).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
    let files = [FILE, OLDER].map(|file| read(file).recording);
    assert!(files.iter().all(|labels| !labels.is_empty()), "there are no recordings: {COMMAND}");
    files.concat()
}

fn unlabelled() -> Vec<String> {
    let labels = labels();
    let labelled: BTreeSet<_> = labels.iter().map(|label| label.file.clone()).collect();
    let entries = fs::read_dir(in_repository(FOLDER)).expect("the folder is there");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let recorded: BTreeSet<_> = names.filter(|name| name.ends_with(".mcap")).collect();
    let apart = labelled.symmetric_difference(&recorded);
    let mut faults: Vec<_> = apart.map(|file| format!("{file} is not both recorded and labelled: {COMMAND}")).collect();
    if labelled.len() < labels.len() {
        faults.push("a recording has two labels".to_owned());
    }
    faults
}

/// A label that is not met must not pass.
fn wrong_labels_that_pass() -> Vec<String> {
    let labels = labels();
    let mut deadlocks = labels.iter().filter_map(|label| Some((label, label.finding.as_ref()?)));
    let (label, deadlock) =
        deadlocks.find(|(_, finding)| finding.detector == "deadlock").expect("there is a recorded deadlock");
    let wrong = [
        None,
        Some(Expected { places: vec!["elsewhere.rs:1".to_owned()], ..deadlock.clone() }),
        Some(Expected { detector: "lost-waker".to_owned(), ..deadlock.clone() }),
        Some(Expected { within: 1, ..deadlock.clone() }),
    ];
    let wrong = wrong.map(|finding| Recording { finding, ..label.clone() });
    let file = in_repository(FOLDER).join(&label.file);
    let passed = wrong.iter().filter(|label| judge(&file, label).is_empty());
    passed.map(|label| format!("this passed: {label:?}")).collect()
}
