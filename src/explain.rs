//! What `explain` prints: a detector's docs page with its settings, or the list of detectors.

use std::fmt::Write;

use crate::detect::assignment::detector;
use crate::detect::detector::Detector;
use crate::detect::detectors::DETECTORS;

/// The text for a detector, or the list of all.
///
/// # Errors
/// There is no such detector; the sentence names the nearest.
pub fn text(id: Option<&str>) -> Result<String, String> {
    let Some(id) = id else { return Ok(list()) };
    detector(id).map(page)
}

fn list() -> String {
    let width = DETECTORS.iter().map(|detector| detector.id.len()).max().unwrap_or(0);
    let mut text = String::from("Detectors (tokio-canary explain DETECTOR tells all about one):\n");
    for detector in DETECTORS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:width$}  {:10}  {}", detector.id, detector.family.as_str(), detector.title);
    }
    text
}

fn page(detector: &Detector) -> String {
    let mut text = detector.explain.trim_end().to_owned();
    let _ = writeln!(text, "\n\n## Settings\n");
    for setting in detector.all_settings() {
        let _ = writeln!(
            text,
            "--set {}.{}={}\n    {}",
            detector.id,
            setting.key(),
            setting.written(&setting.default()),
            setting.help()
        );
    }
    text
}
