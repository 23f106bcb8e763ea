//! Recorded feeds that are kept, with what has to be found in them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::corpus::Patient;
use crate::labels::{Expected, FILE, Labels, Recording};
use crate::replay;

/// Makes the folder, and removes the recordings that will be made anew, since the tool overwrites none.
///
/// # Errors
///
/// When the folder cannot be made or an old recording not removed.
pub(crate) fn make_room(folder: &Path, patients: &[Arc<Patient>]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for patient in patients {
        match fs::remove_file(folder.join(patient.recording())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes down what has to be found in the recordings. Labels of recordings that were made otherwise stay.
///
/// # Errors
///
/// When the labels cannot be read or written.
pub(crate) fn label(folder: &Path, patients: &[Arc<Patient>]) -> io::Result<()> {
    let new: Vec<_> = patients.iter().map(|patient| labelled(patient)).collect();
    let files: BTreeSet<_> = new.iter().map(|row| row.file.as_str()).collect();
    let mut labels = Labels::read(folder, FILE)?;
    labels.recording.retain(|row| !files.contains(row.file.as_str()) && folder.join(&row.file).exists());
    labels.recording.extend(new);
    labels.recording.sort_by(|one, other| one.file.cmp(&other.file));
    let text = toml::to_string_pretty(&labels).map_err(io::Error::other)?;
    fs::write(folder.join(FILE), text)
}

/// What is not as it has to be when the recording of a patient is played.
pub(crate) fn faults(folder: &Path, patient: &Patient) -> Vec<String> {
    let label = labelled(patient);
    let faults = replay::judge(&folder.join(&label.file), &label);
    faults.into_iter().map(|fault| format!("Played from {}: {fault}", label.file)).collect()
}

fn labelled(patient: &Patient) -> Recording {
    Recording {
        file: patient.recording(),
        program: patient.program.clone(),
        finding: patient.label.as_ref().map(|label| Expected {
            detector: label.detector.to_owned(),
            severity: label.severity,
            // The first update comes a publish interval after the tool has attached, at the latest.
            within: (label.visible_after + label.within).as_secs() + 1,
            places: label.places.clone(),
            other_places: label.other_places.clone(),
            also: label.also.iter().map(|&id| id.to_owned()).collect(),
        }),
    }
}
