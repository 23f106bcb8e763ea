//! Recorded feeds that are kept, with what has to be found in them, so that `cargo test --test corpus` can judge them again.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use toml::{Table, Value};

use super::{Trial, Verdict};
use crate::service::Variant;

/// The file with the labels, in the format of those in tests/recordings.
const FILE: &str = "labels.toml";

/// What one recording has to be found to hold.
#[derive(Serialize)]
struct Recording {
    file: String,
    program: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<Expected>,
}

#[derive(Serialize)]
struct Expected {
    families: &'static [&'static str],
    severity: &'static str,
    within: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    names: &'static [&'static str],
}

/// Makes the folder, and removes the recordings that will be made anew, since the tool overwrites none.
///
/// # Errors
///
/// When the folder cannot be made or an old recording not removed.
pub(crate) fn make_room(folder: &Path, trials: &[Trial]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for trial in trials {
        match fs::remove_file(folder.join(trial.recording())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Writes down what has to be found in the recordings. Labels of others stay.
///
/// # Errors
///
/// When the labels cannot be read or written.
pub(crate) fn label(folder: &Path, verdicts: &[Verdict]) -> anyhow::Result<()> {
    let path = folder.join(FILE);
    let known: Table = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Table::new(),
        Err(error) => return Err(error.into()),
    };
    let new = verdicts.iter().filter(|verdict| folder.join(verdict.trial.recording()).exists());
    let new: Vec<_> = new.map(|verdict| Value::try_from(labelled(verdict))).collect::<Result<_, _>>()?;
    let file = |row: &Value| row.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = known.get("recording").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_new = |row: &Value| new.iter().any(|it| file(it) == file(row));
    let mut rows: Vec<_> = known.into_iter().filter(|row| !is_new(row)).collect();
    rows.extend(new.iter().cloned());
    rows.sort_by_key(file);
    let labels = Table::from_iter([("recording".to_owned(), Value::Array(rows))]);
    fs::write(&path, toml::to_string_pretty(&labels)?)?;
    Ok(())
}

fn labelled(verdict: &Verdict) -> Recording {
    let trial = verdict.trial;
    let label = &trial.program.label;
    let expected = || Expected {
        families: label.families,
        severity: label.severity.as_str(),
        // The first update comes a publish interval after the tool has attached, at the latest.
        within: label.within + 1,
        places: trial.program.own_places().chain(verdict.file_of_library()).collect(),
        names: label.names,
    };
    Recording {
        file: trial.recording(),
        program: trial.program.id,
        finding: (trial.variant == Variant::Faulty).then(expected),
    }
}
