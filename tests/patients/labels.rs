//! What a recorded feed has to be found to hold, in a file beside the recordings.
//!
//! Labels of living programs are lines of their sources; these are what those lines were when the feed was recorded.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Name of the file for the programs in this folder.
pub(crate) const FILE: &str = "labels.toml";

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Labels {
    /// A row for each recording.
    #[serde(default)]
    pub(crate) recording: Vec<Recording>,
}

/// What one recording has to be found to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// Name of the recording in the same folder.
    pub(crate) file: String,
    /// The program that was recorded.
    pub(crate) program: String,
    /// The detector that has to fire; empty for a healthy program.
    pub(crate) detector: String,
    /// Places of which it has to name one, as `file:line`.
    pub(crate) places: Vec<String>,
    /// Further places that it may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_places: Vec<String>,
    /// Detectors that may fire as well at any of these places, or without one.
    pub(crate) also: Vec<String>,
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
