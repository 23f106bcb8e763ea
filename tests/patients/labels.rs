//! What a recorded feed has to be found to hold, in a file beside the recordings.
//!
//! Labels of living programs are lines of their sources; these are what those lines were when the feed was recorded.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio_canary::detect::severity::Severity;

/// Name of the file for the programs in this folder.
pub(crate) const FILE: &str = "labels.toml";

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    /// A row for each recording.
    #[serde(default)]
    pub(crate) recording: Vec<Recording>,
}

/// What one recording has to be found to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// Name of the recording in the same folder.
    pub(crate) file: String,
    /// The program that was recorded.
    pub(crate) program: String,
    /// Why it is kept, although most recordings are not: what it has that no simulation has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
    /// Whether it is known that the tool does not judge it so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) known_missed: bool,
    /// What has to be found; nothing for a healthy program, which must raise no alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finding: Option<Expected>,
}

/// The finding that a fault has to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The detector that has to fire; empty if any of the families will do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detector: String,
    /// Families any detector of which may fire in its stead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) families: Vec<String>,
    /// How bad it has to become at least.
    #[serde(with = "Written")]
    pub(crate) severity: Severity,
    /// How long it may take to become that bad, in seconds from the first update.
    pub(crate) within: u64,
    /// Places of which it has to name one, as `file:line`, or as a file;
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) places: Vec<String>,
    /// or tasks of one of these names. It has no place if there are neither.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) names: Vec<String>,
    /// Further places that it may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_places: Vec<String>,
    /// Detectors that may fire as well at any of these places, or without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<String>,
}

/// A severity as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Severity", rename_all = "lowercase")]
enum Written {
    Info,
    Warning,
    Critical,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(it: &bool) -> bool {
    !it
}

impl Labels {
    /// The labels in a file of a folder; none if there is no such file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no such file.
    pub(crate) fn read(folder: &Path, file: &str) -> io::Result<Self> {
        match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => toml::from_str(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }
}
