//! What a witness is of: a note in its file, written when it is cut and read when it is verified.

use std::collections::BTreeMap;
use std::path::Path;

use super::sighting::Sighting;
use crate::detect::detectors::DETECTORS;
use crate::detect::settings::Settings;
use crate::detect::severity::Severity;
use crate::feed::recording::{Note, OpenError};

/// The name of the note.
const NAME: &str = "tokio-canary.witness";

/// What a witness is of. From a file, so hostile until escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The id of the detector.
    pub detector: String,
    /// How bad the finding was.
    pub severity: Severity,
    /// The grade of the finding.
    pub grade: String,
    /// The fingerprint of the finding.
    pub fingerprint: String,
    /// The name of what the finding is about.
    pub name: String,
    /// The place of what the finding is about.
    pub place: String,
    /// Settings that were not at their defaults, as `detector.key=value`.
    pub settings: Vec<String>,
    /// The version of the tool that cut it.
    pub tool_version: String,
    /// Whether names were replaced.
    pub is_redacted: bool,
}

impl Statement {
    /// What a witness of this is to say.
    pub fn of(sighting: &Sighting, settings: &Settings, is_redacted: bool) -> Self {
        Self {
            detector: sighting.detector.id.to_owned(),
            severity: sighting.severity,
            grade: sighting.grade.as_str().to_owned(),
            fingerprint: sighting.fingerprint.clone(),
            name: sighting.name.clone(),
            place: sighting.place.clone(),
            settings: written(settings),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            is_redacted,
        }
    }

    /// What a file says that it is a witness of; `None` if it is not a witness.
    ///
    /// # Errors
    /// The file cannot be read, or is not a recording.
    pub fn read(path: &Path) -> Result<Option<Self>, OpenError> {
        Ok(Note::read(path, NAME)?.and_then(|note| Self::parse(&note.entries)))
    }

    fn parse(entries: &BTreeMap<String, String>) -> Option<Self> {
        let entry = |key: &str| entries.get(key).cloned();
        let severity = entry("severity")?;
        let severities = [Severity::Info, Severity::Warning, Severity::Critical];
        Some(Self {
            detector: entry("detector")?,
            severity: severities.into_iter().find(|it| it.as_str() == severity)?,
            grade: entry("grade").unwrap_or_default(),
            fingerprint: entry("fingerprint").unwrap_or_default(),
            name: entry("name").unwrap_or_default(),
            place: entry("place").unwrap_or_default(),
            settings: entry("settings").unwrap_or_default().lines().map(str::to_owned).collect(),
            tool_version: entry("tool-version").unwrap_or_default(),
            is_redacted: entry("redacted").as_deref() == Some("true"),
        })
    }

    /// The note that says it.
    pub fn note(&self) -> Note {
        let entries = [
            ("detector", self.detector.clone()),
            ("severity", self.severity.as_str().to_owned()),
            ("grade", self.grade.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("name", self.name.clone()),
            ("place", self.place.clone()),
            ("settings", self.settings.join("\n")),
            ("tool-version", self.tool_version.clone()),
            ("redacted", self.is_redacted.to_string()),
        ];
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Note { name: NAME.to_owned(), entries }
    }

    /// The finding that a playback shows again, if it does: of the same detector, no less bad, at the same place.
    pub fn find<'a>(&self, sightings: &'a [Sighting]) -> Option<&'a Sighting> {
        let is_it =
            |it: &&Sighting| it.detector.id == self.detector && it.severity >= self.severity && it.place == self.place;
        let mut found = sightings.iter().filter(is_it).collect::<Vec<_>>();
        // Where several are at one place, the very same goes first.
        found.sort_by_key(|it| it.fingerprint != self.fingerprint);
        found.first().copied()
    }
}

/// The settings that are not at their defaults, as `--set` takes them.
fn written(settings: &Settings) -> Vec<String> {
    let mut written = Vec::new();
    for detector in DETECTORS {
        for setting in detector.all_settings() {
            let value = settings.value(detector.id, setting);
            if value != setting.default() {
                written.push(format!("{}.{}={}", detector.id, setting.key(), setting.written(&value)));
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_as_it_was_written() {
        let statement = Statement {
            detector: "deadlock".to_owned(),
            severity: Severity::Critical,
            grade: "proof".to_owned(),
            fingerprint: "deadlock:0123".to_owned(),
            name: "transfer".to_owned(),
            place: "src/bank.rs:41:9".to_owned(),
            settings: vec!["deadlock.hold=2s".to_owned(), "long-polls.polls=4".to_owned()],
            tool_version: "0.1.0".to_owned(),
            is_redacted: true,
        };
        assert_eq!(Statement::parse(&statement.note().entries), Some(statement));
        assert_eq!(Statement::parse(&BTreeMap::new()), None);
    }
}
