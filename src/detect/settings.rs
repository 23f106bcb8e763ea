//! The thresholds of detectors: typed, each with a default, and changed by whoever runs the tool.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use crate::words;

/// A share of something, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// Names, of which there are none unless set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// What somebody wrote for a setting, before its type has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A text: a flag, a variable, or a quoted string in a file.
    Text(String),
    /// A bare word of a file: a number, `true` or `false`.
    Bare(String),
    /// Several texts.
    List(Vec<String>),
}

/// The value of a setting, whatever its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, where a value may be left out.
    Unset,
    /// A length of time.
    Duration(Duration),
    /// A number of things.
    Count(usize),
    /// A rate, or a multiple of something.
    Number(f64),
    /// A share from 0 to 1.
    Share(f64),
    /// Yes or no.
    Switch(bool),
    /// Names.
    Names(Vec<String>),
    /// One of a few words, or another text that its type understands.
    Text(String),
    /// A file or folder.
    Path(PathBuf),
}

/// A type that a setting can have.
pub trait Type: Clone + Debug + PartialEq + Sync + 'static {
    /// Reads a value as a user writes it.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn parse(text: &str) -> Result<Self, String>;
    /// Reads a value in whatever form it was given.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) | Given::Bare(text) => Self::parse(text.trim()),
            Given::List(_) => Err("takes one value, not a list".to_owned()),
        }
    }
    /// The value as its user would write it.
    fn written(&self) -> String;
    /// The value in a sentence.
    fn in_words(&self) -> String {
        self.written()
    }
    /// The value without its type; a text unless the type has a form of its own.
    fn erase(self) -> Value {
        Value::Text(self.written())
    }
    /// The value of this type, if it is one.
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Self::parse(text).ok() } else { None }
    }
}

/// One threshold of a detector.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    /// Its name, in kebab case.
    pub key: &'static str,
    /// Its value unless set.
    pub default: T,
    /// What it is: a noun phrase that stands alone.
    pub help: &'static str,
}

impl<T> Setting<T> {
    /// A setting.
    pub const fn new(key: &'static str, default: T, help: &'static str) -> Self {
        Self { key, default, help }
    }
}

/// A setting of any type, as a registry holds it.
pub trait AnySetting: Debug + Sync {
    /// Its name.
    fn key(&self) -> &'static str;
    /// What it is.
    fn help(&self) -> &'static str;
    /// Its value unless set.
    fn default(&self) -> Value;
    /// Reads a value of its type.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn read(&self, given: &Given) -> Result<Value, String>;
    /// Reads a value of its type from a text.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn parse(&self, text: &str) -> Result<Value, String> {
        self.read(&Given::Text(text.to_owned()))
    }
    /// A value as its user would write it.
    fn written(&self, value: &Value) -> String;
    /// A value in a sentence.
    fn in_words(&self, value: &Value) -> String;
}

impl<T: Type> AnySetting for Setting<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn default(&self) -> Value {
        self.default.clone().erase()
    }

    fn read(&self, given: &Given) -> Result<Value, String> {
        T::read(given).map(T::erase)
    }

    fn written(&self, value: &Value) -> String {
        T::from_value(value).map_or_else(String::new, |value| value.written())
    }

    fn in_words(&self, value: &Value) -> String {
        T::from_value(value).map_or_else(String::new, |value| value.in_words())
    }
}

/// Whether a detector runs: every detector has this setting.
pub static ENABLED: Setting<bool> = Setting::new("enabled", true, "whether the detector runs");

/// The same for a detector that reports what is true of most programs: it is off unless asked for.
pub static DISABLED: Setting<bool> = Setting::new("enabled", false, "whether the detector runs");

/// All settings that are not at their defaults, by detector and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    changed: BTreeMap<(&'static str, &'static str), Value>,
}

impl Settings {
    /// Changes a setting of a detector.
    pub fn change(&mut self, detector: &'static str, setting: &'static dyn AnySetting, value: Value) {
        self.changed.insert((detector, setting.key()), value);
    }

    /// The value in force of a setting of a detector.
    pub fn value(&self, detector: &'static str, setting: &dyn AnySetting) -> Value {
        self.changed.get(&(detector, setting.key())).cloned().unwrap_or_else(|| setting.default())
    }

    /// The settings as one detector sees them.
    pub fn of(&self, detector: &'static str) -> Scoped<'_> {
        Scoped { settings: self, detector }
    }
}

/// The settings of one detector.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<'a> {
    settings: &'a Settings,
    detector: &'static str,
}

impl Scoped<'_> {
    /// The value in force.
    pub fn get<T: Type>(&self, setting: &Setting<T>) -> T {
        let changed = self.settings.changed.get(&(self.detector, setting.key));
        changed.and_then(T::from_value).unwrap_or_else(|| setting.default.clone())
    }
}

impl Type for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is not a duration; write it like 500ms, 10s or 2m"))
    }

    fn written(&self) -> String {
        humantime::format_duration(*self).to_string()
    }

    fn in_words(&self) -> String {
        words::limit(*self)
    }

    fn erase(self) -> Value {
        Value::Duration(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Duration(duration) = value { Some(*duration) } else { None }
    }
}

impl Type for usize {
    fn parse(text: &str) -> Result<Self, String> {
        text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number of zero or more"))
    }

    fn written(&self) -> String {
        self.to_string()
    }

    fn erase(self) -> Value {
        Value::Count(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Count(count) = value { Some(*count) } else { None }
    }
}

impl Type for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number: &Self| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| format!("`{text}` is not a number of zero or more"))
    }

    fn written(&self) -> String {
        self.to_string()
    }

    fn erase(self) -> Value {
        Value::Number(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { Some(*number) } else { None }
    }
}

impl Type for Share {
    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent.trim_end(), 100.0));
        let share = number.parse().ok().map(|number: f64| number / unit).filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| format!("`{text}` is not a share; write it like 0.3 or 30%"))
    }

    fn written(&self) -> String {
        self.0.to_string()
    }

    fn in_words(&self) -> String {
        words::percent(self.0)
    }

    fn erase(self) -> Value {
        Value::Share(self.0)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Share(share) = value { Some(Self(*share)) } else { None }
    }
}

impl Type for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
    }

    fn written(&self) -> String {
        self.to_string()
    }

    fn erase(self) -> Value {
        Value::Switch(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Switch(on) = value { Some(*on) } else { None }
    }
}

impl Type for Names {
    fn parse(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::parse(text),
            Given::Bare(word) => Err(format!("`{word}` is not a list of names; write it like [\"one\", \"two\"]")),
            Given::List(names) => {
                let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
                Ok(Self(names.map(str::to_owned).collect()))
            }
        }
    }

    fn written(&self) -> String {
        self.0.join(",")
    }

    fn erase(self) -> Value {
        Value::Names(self.0)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Names(names) = value { Some(Self(names.clone())) } else { None }
    }
}

impl<T: Type> Type for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn read(given: &Given) -> Result<Self, String> {
        T::read(given).map(Some)
    }

    fn written(&self) -> String {
        self.as_ref().map_or_else(String::new, T::written)
    }

    fn erase(self) -> Value {
        self.map_or(Value::Unset, T::erase)
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Unset => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl Type for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::parse(text.trim()),
            Given::Bare(_) | Given::List(_) => Err("takes a path in quotes".to_owned()),
        }
    }

    fn written(&self) -> String {
        self.display().to_string()
    }

    fn erase(self) -> Value {
        Value::Path(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Path(path) = value { Some(path.clone()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_what_it_writes_and_says_what_is_wrong() {
        fn round_trip<T: Type>(value: T, wrong: &str, says: &str) {
            assert_eq!(T::parse(&value.written()), Ok(value.clone()));
            assert_eq!(T::from_value(&value.clone().erase()), Some(value));
            let error = T::parse(wrong).expect_err(wrong);
            assert!(error.contains(says), "{error}");
        }
        round_trip(Duration::from_millis(90_500), "fast", "not a duration");
        round_trip(7_usize, "-1", "whole number");
        round_trip(2.5, "inf", "zero or more");
        round_trip(Share(0.3), "30", "like 0.3 or 30%");
        round_trip(true, "maybe", "neither true nor false");
        assert_eq!((Share::parse("30 %"), usize::parse("10_000")), (Ok(Share(0.3)), Ok(10_000)));
        assert_eq!(
            Names::parse("listener, src/main.rs:7,"),
            Ok(Names(vec!["listener".into(), "src/main.rs:7".into()]))
        );
    }

    #[test]
    fn values_are_read_in_the_form_in_which_a_file_gives_them() {
        #[expect(clippy::needless_pass_by_value, reason = "the cases read better so")]
        fn read<T: Type>(given: Given) -> Result<T, String> {
            T::read(&given)
        }
        let (text, bare) = (|it: &str| Given::Text(it.to_owned()), |it: &str| Given::Bare(it.to_owned()));
        let list = |it: &[&str]| Given::List(it.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(read(bare("10000")), Ok(10_000_usize));
        assert_eq!(read(bare("0.5")), Ok(0.5));
        assert_eq!((read(bare("0.3")), read(text(" 30% "))), (Ok(Share(0.3)), Ok(Share(0.3))));
        assert_eq!((read(bare("true")), read(text("true"))), (Ok(true), Ok(true)));
        let names = |names: &[&str]| Ok(Names(names.iter().map(|&it| it.to_owned()).collect()));
        assert_eq!(read(list(&["a, b", " c ", ""])), names(&["a, b", "c"]), "a comma in a list is part of the name");
        assert_eq!(read(text("a, b")), names(&["a", "b"]));
        assert_eq!(read(text("a.log")), Ok(PathBuf::from("a.log")));
        assert_eq!(read(bare("2")), Ok(Some(2_usize)));

        assert!(read::<Duration>(bare("2")).is_err_and(|it| it.contains("`2` is not a duration")));
        assert!(read::<Duration>(list(&["2s"])).is_err_and(|it| it.contains("not a list")));
        assert!(read::<usize>(bare("1.5")).is_err_and(|it| it.contains("not a whole number")));
        assert!(read::<bool>(bare("1")).is_err_and(|it| it.contains("neither true nor false")));
        assert!(read::<Names>(bare("5")).is_err_and(|it| it.contains("not a list of names")));
        assert!(read::<PathBuf>(bare("5")).is_err_and(|it| it.contains("in quotes")));
    }

    #[test]
    fn what_may_be_left_out_is_unset() {
        assert_eq!((None::<usize>.erase(), Some(3_usize).erase()), (Value::Unset, Value::Count(3)));
        assert_eq!(Option::<usize>::from_value(&Value::Unset), Some(None));
        assert_eq!(Option::<usize>::from_value(&Value::Count(3)), Some(Some(3)));
    }

    #[test]
    fn a_changed_setting_is_seen_by_its_detector_alone() {
        static LIMIT: Setting<Duration> = Setting::new("limit", Duration::from_secs(1), "a limit");
        let mut settings = Settings::default();
        settings.change("one", &LIMIT, Value::Duration(Duration::from_secs(2)));
        assert_eq!(settings.of("one").get(&LIMIT), Duration::from_secs(2));
        assert_eq!(settings.of("other").get(&LIMIT), Duration::from_secs(1));
    }
}
