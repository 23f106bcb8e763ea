//! A setting of a detector and the value given to it: the one place in which names are looked up and values are read.

use super::detector::Detector;
use super::detectors::{self, DETECTORS};
use super::settings::{AnySetting, Given, Settings, Value};
use crate::spelling;

/// A setting of a detector with the value that somebody gave it.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Whose setting.
    pub detector: &'static Detector,
    /// Which setting.
    pub setting: &'static dyn AnySetting,
    /// Its value, of the setting's own type.
    pub value: Value,
}

impl Assignment {
    /// Reads `DETECTOR.KEY=VALUE`.
    ///
    /// # Errors
    /// What is wrong, and the nearest right word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not of the form DETECTOR.KEY=VALUE, for example blocked-worker.critical=2s");
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        let (id, key) = name.split_once('.').ok_or_else(form)?;
        Self::new(detector(id.trim())?, key.trim(), &Given::Text(value.to_owned()))
    }

    /// Gives a value to a setting of a detector.
    ///
    /// # Errors
    /// What is wrong, and the nearest right word.
    pub fn new(detector: &'static Detector, key: &str, given: &Given) -> Result<Self, String> {
        let id = detector.id;
        let setting = detector.setting(key).ok_or_else(|| {
            let keys: Vec<&str> = detector.all_settings().map(|setting| setting.key()).collect();
            let hint = spelling::hint(key, keys.iter().copied(), || format!("it has {}", keys.join(", ")));
            format!("{id} has no setting `{key}`{hint}")
        })?;
        let value = setting.read(given).map_err(|error| format!("{id}.{key}: {error}"))?;
        Ok(Self { detector, setting, value })
    }

    /// Puts the value into force.
    pub fn apply(self, settings: &mut Settings) {
        settings.change(self.detector.id, self.setting, self.value);
    }
}

/// The detector of this name.
///
/// # Errors
/// There is none; the sentence names the nearest.
pub fn detector(id: &str) -> Result<&'static Detector, String> {
    detectors::detector(id).ok_or_else(|| {
        let ids = DETECTORS.iter().map(|detector| detector.id);
        let hint = spelling::hint(id, ids, || "`tokio-canary explain` lists them".to_owned());
        format!("there is no detector `{id}`{hint}")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_assignment_changes_its_setting() {
        let mut settings = Settings::default();
        for text in ["blocked-worker.critical=250ms", " deadlock.enabled = false "] {
            Assignment::parse(text).expect("right").apply(&mut settings);
        }
        let value = |id: &str, key: &str| {
            let detector = detector(id).expect("it exists");
            settings.value(detector.id, detector.setting(key).expect("it exists"))
        };
        assert_eq!(value("blocked-worker", "critical"), Value::Duration(Duration::from_millis(250)));
        assert_eq!(value("deadlock", "enabled"), Value::Switch(false));
    }

    #[test]
    fn whatever_is_wrong_is_named_with_the_nearest_right_word() {
        for (wrong, says) in [
            (
                "blocked-worker",
                "`blocked-worker` is not of the form DETECTOR.KEY=VALUE, for example blocked-worker.critical=2s",
            ),
            (
                "blocked-worker=2s",
                "`blocked-worker=2s` is not of the form DETECTOR.KEY=VALUE, for example blocked-worker.critical=2s",
            ),
            ("blocked.critical=1s", "there is no detector `blocked`; did you mean `blocked-worker`?"),
            ("mutex.critical=1s", "there is no detector `mutex`; `tokio-canary explain` lists them"),
            ("blocked-worker.criticl=1s", "blocked-worker has no setting `criticl`; did you mean `critical`?"),
            ("blocked-worker.x=1s", "blocked-worker has no setting `x`; it has enabled, critical, start-up"),
            (
                "blocked-worker.critical=fast",
                "blocked-worker.critical: `fast` is not a duration; write it like 500ms, 10s or 2m",
            ),
            ("deadlock.enabled=maybe", "deadlock.enabled: `maybe` is neither true nor false"),
        ] {
            assert_eq!(Assignment::parse(wrong).expect_err(wrong), says);
        }
    }
}
