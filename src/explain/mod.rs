//! What `explain` prints: the page of a detector with the settings in force, or the list of detectors.

mod page;
mod table;
mod terminal;
mod wrap;

use std::fmt::Write;

pub use self::page::{links, markdown, prose, settings_section};
pub use self::terminal::{Look, page};

use crate::detect::detectors::DETECTORS;

/// The list of all detectors, one a line.
pub fn list() -> String {
    let width = DETECTORS.iter().map(|detector| detector.id.len()).max().unwrap_or(0);
    let mut text = String::from("Detectors (`tokio-canary explain DETECTOR` explains one):\n");
    for detector in DETECTORS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:width$}  {:12}  {}", detector.id, detector.family.as_str(), detector.title);
    }
    text
}
