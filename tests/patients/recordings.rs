//! Recorded feeds that are kept, with what has to be found in them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::corpus::Patient;
use crate::labels::{Expected, FILE, Labels, Recording};
use crate::{pack, replay};

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
    let known = Labels::read(folder, FILE)?.recording.into_iter().map(|row| (row.file.clone(), row));
    let mut rows: BTreeMap<_, _> = known.filter(|(file, _)| folder.join(file).exists()).collect();
    for new in patients.iter().map(|patient| labelled(patient)) {
        let why = rows.remove(&new.file).map(|known| known.why).unwrap_or_default();
        rows.insert(new.file.clone(), Recording { why, ..new });
    }
    let labels = Labels { recording: rows.into_values().collect() };
    let text = toml::to_string_pretty(&labels).map_err(io::Error::other)?;
    fs::write(folder.join(FILE), text)
}

/// Makes the recording of a patient small, and returns what is not as it has to be when it is played.
pub(crate) fn pack_and_judge(folder: &Path, patient: &Patient) -> Vec<String> {
    let label = labelled(patient);
    if let Err(error) = pack::pack(&folder.join(&label.file)) {
        return vec![format!("{} cannot be made small: {error}", label.file)];
    }
    let faults = replay::judge(&folder.join(&label.file), &label);
    faults.into_iter().map(|fault| format!("Played from {}: {fault}", label.file)).collect()
}

fn labelled(patient: &Patient) -> Recording {
    Recording {
        file: patient.recording(),
        program: patient.program.clone(),
        why: String::new(),
        known_missed: false,
        finding: patient.label.as_ref().map(|label| Expected {
            detector: label.detector.to_owned(),
            families: label.families.iter().map(|family| family.as_str().to_owned()).collect(),
            severity: label.severity,
            // The first update comes a publish interval after the tool has attached, at the latest.
            within: (label.visible_after + label.within).as_secs() + 1,
            places: label.places.clone(),
            names: Vec::new(),
            other_places: label.other_places.clone(),
            also: label.also.iter().map(|&id| id.to_owned()).collect(),
        }),
    }
}
