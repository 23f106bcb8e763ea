//! The thresholds of detectors, and how a user changes them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::detectors::{DETECTORS, Detector};

/// The value of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A length of time, such as `500ms`.
    Duration(Duration),
    /// A number of things.
    Count(u64),
    /// A share from 0 to 1, or a rate.
    Number(f64),
    /// Yes or no.
    Switch(bool),
    /// Names, in a list with commas: none here, those that were set are kept apart.
    Names,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => humantime::format_duration(*duration).fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Switch(on) => on.fmt(f),
            Self::Names => Ok(()),
        }
    }
}

/// One threshold of a detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Its name, in kebab case.
    pub key: &'static str,
    /// Its value unless set.
    pub default: Value,
    /// What it does.
    pub help: &'static str,
}

impl Setting {
    /// A length of time.
    pub const fn duration(key: &'static str, default: Duration, help: &'static str) -> Self {
        Self { key, default: Value::Duration(default), help }
    }

    /// A number of things.
    pub const fn count(key: &'static str, default: u64, help: &'static str) -> Self {
        Self { key, default: Value::Count(default), help }
    }

    /// A share or a rate.
    pub const fn number(key: &'static str, default: f64, help: &'static str) -> Self {
        Self { key, default: Value::Number(default), help }
    }

    /// A list of names, which is empty unless set.
    pub const fn names(key: &'static str, help: &'static str) -> Self {
        Self { key, default: Value::Names, help }
    }

    /// Reads a value of this setting's type.
    fn parse(&self, text: &str) -> Result<Value, String> {
        match self.default {
            Value::Duration(_) => {
                let parsed = humantime::parse_duration(text);
                parsed
                    .map(Value::Duration)
                    .map_err(|_| format!("`{text}` is not a duration; write it like 500ms, 10s or 2m"))
            }
            Value::Count(_) => {
                text.parse().map(Value::Count).map_err(|_| format!("`{text}` is not a whole number of zero or more"))
            }
            Value::Number(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(Value::Number(number)),
                _ => Err(format!("`{text}` is not a number of zero or more")),
            },
            Value::Switch(_) => {
                text.parse().map(Value::Switch).map_err(|_| format!("`{text}` is neither true nor false"))
            }
            Value::Names => Ok(Value::Names),
        }
    }
}

/// The same for a detector that says what is true of most programs: it is off unless it is asked for.
pub const DISABLED: Setting = Setting { default: Value::Switch(false), ..ENABLED };

/// Every detector has this one: whether it runs at all.
pub const ENABLED: Setting =
    Setting { key: "enabled", default: Value::Switch(true), help: "whether this detector runs" };

/// All settings that are not at their defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    changed: BTreeMap<(&'static str, &'static str), Value>,
    names: BTreeMap<(&'static str, &'static str), Vec<String>>,
}

impl Settings {
    /// Applies one `DETECTOR.KEY=VALUE`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what the right ones are.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let form =
            || format!("`{assignment}` is not of the form DETECTOR.KEY=VALUE, for example blocked-worker.critical=2s");
        let (name, text) = assignment.split_once('=').ok_or_else(form)?;
        let (id, key) = name.split_once('.').ok_or_else(form)?;
        let detector = DETECTORS.iter().find(|detector| detector.id == id).ok_or_else(|| {
            let ids: Vec<_> = DETECTORS.iter().map(|detector| detector.id).collect();
            format!("there is no detector `{id}`; the detectors are {}", ids.join(", "))
        })?;
        let setting = detector.all_settings().find(|setting| setting.key == key).ok_or_else(|| {
            let keys: Vec<_> = detector.all_settings().map(|setting| setting.key).collect();
            format!("detector {id} has no setting `{key}`; it has {}", keys.join(", "))
        })?;
        let value = setting.parse(text.trim()).map_err(|error| format!("{id}.{key}: {error}"))?;
        if value == Value::Names {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
            self.names.insert((detector.id, setting.key), names.collect());
        }
        self.changed.insert((detector.id, setting.key), value);
        Ok(())
    }

    /// The settings as one detector sees them.
    pub fn of(&self, detector: &Detector) -> Scoped<'_> {
        Scoped { settings: self, detector: detector.id }
    }
}

/// The settings of one detector.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<'a> {
    settings: &'a Settings,
    detector: &'static str,
}

impl<'a> Scoped<'a> {
    fn get(&self, setting: &Setting) -> Value {
        self.settings.changed.get(&(self.detector, setting.key)).copied().unwrap_or(setting.default)
    }

    /// A length of time; zero for a setting of another type.
    pub fn duration(&self, setting: &Setting) -> Duration {
        match self.get(setting) {
            Value::Duration(duration) => duration,
            _ => Duration::ZERO,
        }
    }

    /// A number of things; zero for a setting of another type.
    pub fn count(&self, setting: &Setting) -> usize {
        match self.get(setting) {
            Value::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// A share or rate; zero for a setting of another type.
    pub fn number(&self, setting: &Setting) -> f64 {
        match self.get(setting) {
            Value::Number(number) => number,
            _ => 0.0,
        }
    }

    /// The names of a list; none for a setting of another type.
    pub fn names(&self, setting: &Setting) -> &'a [String] {
        self.settings.names.get(&(self.detector, setting.key)).map_or(&[], Vec::as_slice)
    }

    /// Whether a switch is on.
    pub fn switch(&self, setting: &Setting) -> bool {
        self.get(setting) == Value::Switch(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_validated() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("blocked-worker.critical=250ms"), Ok(()));
        for (wrong, says) in [
            ("blocked-worker", "DETECTOR.KEY=VALUE"),
            ("blocked.critical=1s", "there is no detector `blocked`; the detectors are"),
            ("blocked-worker.criticl=1s", "it has"),
            ("blocked-worker.critical=fast", "not a duration"),
            ("deadlock.enabled=maybe", "neither true nor false"),
        ] {
            let error = settings.set(wrong).expect_err(wrong);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_setting_reads_its_own_default_back() {
        for detector in DETECTORS {
            for setting in detector.all_settings() {
                assert_eq!(
                    setting.parse(&setting.default.to_string()),
                    Ok(setting.default),
                    "{}.{}",
                    detector.id,
                    setting.key
                );
                assert!(setting.key.chars().all(|it| it.is_ascii_lowercase() || it == '-'), "{}", setting.key);
                assert!(!setting.help.is_empty());
            }
        }
    }
}
