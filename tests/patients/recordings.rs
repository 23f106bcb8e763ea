//! Recorded feeds that are kept, with what has to be found in them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::corpus::Patient;
use crate::labels::{FILE, Labels, Recording};

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

fn labelled(patient: &Patient) -> Recording {
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
    let label = patient.label.as_ref();
    Recording {
        file: patient.recording(),
        program: patient.program.clone(),
        detector: label.map(|label| label.detector).unwrap_or_default().to_owned(),
        places: label.map(|label| label.places.clone()).unwrap_or_default(),
        other_places: label.map(|label| label.other_places.clone()).unwrap_or_default(),
        also: label.map(|label| words(label.also)).unwrap_or_default(),
    }
}
