//! The configuration in force: of each value the strongest, and where it comes from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::baseline::Baseline;
use super::fault::{Fault, Faults};
use super::file::Candidate;
use super::layer::Layer;
use super::options::{BASELINE, LOG, LOG_FILE, TARGETS_FROM};
use super::origin::{Origin, Sourced};
use super::output::Output;
use super::pods::Pods;
use super::receiver::Receiver;
use super::sources::Sources;
use super::{environment, file};
use crate::detect::expectation::{Expectations, Expected};
use crate::detect::settings::{AnySetting, Setting, Settings, Type, Value};
use crate::detect::suppression::{Suppression, Suppressor};
use crate::feed::endpoint::Target;
use crate::feed::pod_target::PodTarget;

/// The section under which the options of the run are kept; no detector has this name.
const RUN: &str = "";

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct Config {
    options: Values,
    settings: Values,
    targets: Sourced<Vec<Target>>,
    outputs: Vec<Sourced<Output>>,
    receivers: Vec<Sourced<Receiver>>,
    suppressions: Vec<Sourced<Suppression>>,
    baseline: Option<Baseline>,
    updates_baseline: bool,
    findings: Arc<Expected>,
    pods: Pods,
    /// What every pod is watched of.
    whole: Vec<PodTarget>,
    files: Vec<PathBuf>,
    missing_files: Vec<PathBuf>,
    now: SystemTime,
}

/// Values, each with where it comes from.
#[derive(Debug, Clone, Default)]
struct Values {
    values: Settings,
    origins: BTreeMap<(&'static str, &'static str), Origin>,
}

impl Values {
    fn change(&mut self, section: &'static str, setting: &'static dyn AnySetting, value: Value, origin: Origin) {
        self.values.change(section, setting, value);
        self.origins.insert((section, setting.key()), origin);
    }

    fn value(&self, section: &'static str, setting: &dyn AnySetting) -> Sourced<Value> {
        let origin = self.origins.get(&(section, setting.key())).cloned().unwrap_or(Origin::Default);
        Sourced::new(self.values.value(section, setting), origin)
    }
}

impl Config {
    /// Reads every source and lets the strongest win.
    ///
    /// # Errors
    /// Everything that is wrong in any source.
    pub fn resolve(sources: Sources) -> Result<Self, Faults> {
        let (mut faults, mut later) = (Vec::new(), Vec::new());
        let Sources { mut flags, variables, own_file, local_file, now } = sources;
        let environment = environment::read(&variables, &mut later);
        let named = flags.config.take().or(environment.config);
        let isolated = flags.isolated;
        let (updates_baseline, findings) = (flags.updates_baseline, std::mem::take(&mut flags.findings));
        let pods = flags.pods.clone();
        let mut flags = flags.layer(&mut later);
        let mut environment = environment.layer;
        let is_set = |name: &str| variables.iter().any(|(it, value)| it == name && !value.is_empty());
        let unsectioned = environment.receivers.iter_mut().chain(&mut flags.receivers);
        unsectioned.for_each(|receiver| receiver.value.take_secrets(is_set));

        let mut config = Self::defaults(now);
        for Candidate { path, rights, is_required } in file::candidates(named, own_file, local_file, isolated) {
            if is_required || file::exists(&path) {
                config.lay(file::read(&path, rights, &mut faults));
                config.files.push(path);
            } else {
                config.missing_files.push(path);
            }
        }
        config.lay(environment);
        config.lay(flags);
        config.whole = pods.take_whole(&mut config.targets.value);
        config.pods = pods;
        faults.append(&mut later);
        let baseline = config.get(&BASELINE);
        config.baseline = baseline.map(|path| Baseline::read(path, updates_baseline, &mut faults));
        (config.updates_baseline, config.findings) = (updates_baseline, Arc::new(findings));
        faults.extend(config.log_without_file());
        faults.extend(config.update_without_baseline());
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }

    fn defaults(now: SystemTime) -> Self {
        Self {
            options: Values::default(),
            settings: Values::default(),
            targets: Sourced::new(vec![Target::default()], Origin::Default),
            outputs: vec![Sourced::new(Output::default(), Origin::Default)],
            receivers: Vec::new(),
            suppressions: Vec::new(),
            baseline: None,
            updates_baseline: false,
            findings: Arc::default(),
            pods: Pods::default(),
            whole: Vec::new(),
            files: Vec::new(),
            missing_files: Vec::new(),
            now,
        }
    }

    /// Lets a stronger source win over what is in force so far.
    fn lay(&mut self, layer: Layer) {
        for Sourced { value, origin } in layer.options {
            self.options.change(RUN, value.option, value.value, origin);
        }
        for Sourced { value, origin } in layer.settings {
            self.settings.change(value.detector.id, value.setting, value.value, origin);
        }
        if let Some(targets) = layer.targets {
            self.targets = targets;
        }
        if !layer.outputs.is_empty() {
            self.outputs = layer.outputs;
        }
        let is_replaced = |kind| layer.receivers.iter().any(|it| it.value.kind() == kind);
        self.receivers.retain(|it| !is_replaced(it.value.kind()));
        self.receivers.extend(layer.receivers);
        self.suppressions.extend(layer.suppressions);
    }

    fn log_without_file(&self) -> Option<Fault> {
        let log = self.option(&LOG);
        let is_lost = log.value != Value::Unset && self.get(&LOG_FILE).is_none();
        let what = "the log has no file: give one with --log-file, TOKIO_CANARY_LOG_FILE or `log-file`";
        is_lost.then(|| Fault::new(log.origin, what))
    }

    fn update_without_baseline(&self) -> Option<Fault> {
        let what = "there is no file to write: name it with --baseline FILE, TOKIO_CANARY_BASELINE or `baseline`";
        (self.updates_baseline && self.baseline.is_none()).then(|| Fault::new(Origin::Flag("--update-baseline"), what))
    }

    /// The value of an option.
    pub fn get<T: Type>(&self, option: &Setting<T>) -> T {
        self.options.values.of(RUN).get(option)
    }

    /// The thresholds of all detectors.
    pub fn settings(&self) -> &Settings {
        &self.settings.values
    }

    /// What to look at. Where targets are found, the default is not among them.
    pub fn targets(&self) -> &[Target] {
        let are_found = self.targets.origin == Origin::Default && self.finds_targets();
        if are_found { &[] } else { &self.targets.value }
    }

    /// Whether targets are found while a run lasts.
    pub fn finds_targets(&self) -> bool {
        self.get(&TARGETS_FROM).is_some() || !self.whole.is_empty()
    }

    /// Where a run without a terminal view writes.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().map(|output| &output.value)
    }

    /// Who gets alerts, with where that comes from.
    pub fn receivers(&self) -> &[Sourced<Receiver>] {
        &self.receivers
    }

    /// What keeps suppressed findings apart, for one target, with every suppression changed but for what is accepted by its fingerprint.
    ///
    /// # Errors
    /// What cannot be changed, with where it comes from.
    pub fn suppressor(
        &self,
        mut change: impl FnMut(&Suppression) -> Result<Suppression, String>,
    ) -> Result<Suppressor, Faults> {
        let (mut suppressions, mut faults) = (Vec::new(), Vec::new());
        for Sourced { value, origin } in &self.suppressions {
            match change(value) {
                Ok(changed) => suppressions.push(changed),
                Err(what) => faults.push(Fault::new(origin.clone(), what)),
            }
        }
        suppressions.extend(self.baseline.iter().flat_map(Baseline::suppressions).map(|it| it.value));
        if faults.is_empty() { Ok(Suppressor::new(suppressions.into(), self.now)) } else { Err(Faults(faults)) }
    }

    /// What is known and accepted, if there is a file of it.
    pub fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref()
    }

    /// Whether that file is to be written.
    pub fn updates_baseline(&self) -> bool {
        self.updates_baseline
    }

    /// The time at which the run begins.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// The findings that have to fire, and those that must not.
    pub fn findings(&self) -> &Expected {
        &self.findings
    }

    /// What is expected of one target.
    pub fn expectations(&self) -> Expectations {
        Expectations::new(Arc::clone(&self.findings))
    }

    /// A sentence about each suppression and each entry of the baseline that does not apply any more.
    pub fn expired(&self) -> Vec<String> {
        let accepted: Vec<_> = self.baseline.iter().flat_map(Baseline::suppressions).collect();
        let accepted = expired(&accepted, "accepted finding", self.now);
        expired(&self.suppressions, "suppression", self.now).into_iter().chain(accepted).collect()
    }

    /// The files that were read, from weakest to strongest.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The files that were looked for and are not there.
    pub fn missing_files(&self) -> &[PathBuf] {
        &self.missing_files
    }

    /// An option with where it comes from.
    pub(super) fn option(&self, option: &dyn AnySetting) -> Sourced<Value> {
        self.options.value(RUN, option)
    }

    /// A setting of a detector with where it comes from.
    pub(super) fn setting(&self, detector: &'static str, setting: &dyn AnySetting) -> Sourced<Value> {
        self.settings.value(detector, setting)
    }

    /// What every pod is watched of, as pods come and go.
    pub fn whole(&self) -> &[PodTarget] {
        &self.whole
    }

    /// What the command line says of pods.
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// What to look at, with where that comes from.
    pub(super) fn sourced_targets(&self) -> &Sourced<Vec<Target>> {
        &self.targets
    }

    /// Where to write, with where that comes from.
    pub(super) fn sourced_outputs(&self) -> &[Sourced<Output>] {
        &self.outputs
    }

    /// Suppressions, with where they come from, and whether they are expired.
    pub(super) fn sourced_suppressions(&self) -> impl Iterator<Item = (&Sourced<Suppression>, bool)> {
        self.suppressions.iter().map(|it| (it, it.value.is_expired(self.now)))
    }
}

/// A sentence about each suppression that does not apply any more.
pub(super) fn expired(suppressions: &[Sourced<Suppression>], noun: &str, now: SystemTime) -> Vec<String> {
    let expired = suppressions.iter().filter(|it| it.value.is_expired(now));
    let sentence = |Sourced { value, origin }: &Sourced<Suppression>| {
        let expires = value.expires.map(|at| humantime::format_rfc3339_seconds(at).to_string()).unwrap_or_default();
        format!(
            "{origin}: this {noun} expired at {expires}, so its findings count again: \"{}\". Renew it, or remove it.",
            value.statement
        )
    };
    expired.map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::config::flags::Flags;
    use crate::config::options::{FAIL_ON, RETAIN};
    use crate::detect::detectors::detector;
    use crate::detect::severity::Severity;

    /// Files, variables and flags of a test.
    struct Place {
        folder: tempfile::TempDir,
        variables: Vec<(&'static str, &'static str)>,
        flags: Flags,
    }

    impl Place {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().expect("a folder"), variables: Vec::new(), flags: Flags::default() }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            fs::write(&path, text).expect("it can be written");
            path
        }

        fn resolve(&self) -> Result<Config, Faults> {
            Config::resolve(Sources {
                flags: self.flags.clone(),
                variables: self.variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                own_file: Some(self.folder.path().join("own.toml")),
                local_file: self.folder.path().join("tokio-canary.toml"),
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
            })
        }

        /// The value of `blocked-worker.critical` in seconds, and where it comes from, without folders.
        fn critical(&self) -> (u64, String) {
            let config = self.resolve().expect("right");
            let detector = detector("blocked-worker").expect("it exists");
            let Sourced { value, origin } =
                config.setting(detector.id, detector.setting("critical").expect("it exists"));
            let origin = origin.to_string();
            let origin = origin.rsplit('/').next().unwrap_or_default().to_owned();
            match value {
                Value::Duration(critical) => (critical.as_secs(), origin),
                other => panic!("{other:?}"),
            }
        }
    }

    fn critical(seconds: u64) -> String {
        format!("\n[detectors.blocked-worker]\ncritical = \"{seconds}s\"\n")
    }

    #[test]
    fn the_stronger_source_wins_and_is_named() {
        let mut place = Place::new();
        assert_eq!(place.critical(), (1, "default".to_owned()));
        place.write("own.toml", &critical(2));
        assert_eq!(place.critical(), (2, "own.toml:3".to_owned()));
        place.write("tokio-canary.toml", &critical(3));
        assert_eq!(place.critical(), (3, "tokio-canary.toml:3".to_owned()));
        place.flags.config = Some(place.write("named.toml", &critical(4)));
        assert_eq!(place.critical(), (4, "named.toml:3".to_owned()));
        place.variables.push(("TOKIO_CANARY_BLOCKED_WORKER__CRITICAL", "5s"));
        assert_eq!(place.critical(), (5, "TOKIO_CANARY_BLOCKED_WORKER__CRITICAL".to_owned()));
        place.flags.settings.push("blocked-worker.critical=6s".to_owned());
        assert_eq!(place.critical(), (6, "--set".to_owned()));
        place.flags.settings.push("blocked-worker.critical=7s".to_owned());
        assert_eq!(place.critical(), (7, "--set".to_owned()), "of two flags the last");
    }

    #[test]
    fn options_targets_and_outputs_win_as_wholes() {
        let mut place = Place::new();
        place.write(
            "own.toml",
            "targets = [\"localhost:1\", \"localhost:2\"]\nfail-on = \"critical\"\nretain = \"20s\"\n\
             [[output]]\nformat = \"text\"\n[[output]]\nformat = \"ndjson\"\npath = \"a\"\n",
        );
        let config = place.resolve().expect("right");
        assert_eq!((config.targets().len(), config.outputs().count()), (2, 2));
        assert_eq!(config.get(&FAIL_ON), Some(Severity::Critical));
        place.variables.extend([("TOKIO_CANARY_OUTPUT", "ndjson"), ("TOKIO_CANARY_RETAIN", "30s")]);
        place.flags.targets.push("localhost:3".parse().expect("a target"));
        place.flags.option("--fail-on", &FAIL_ON, Some(Some(Severity::Info)));
        let config = place.resolve().expect("right");
        assert_eq!(config.targets(), place.flags.targets);
        assert_eq!(config.outputs().map(ToString::to_string).collect::<Vec<_>>(), ["ndjson"]);
        assert_eq!((config.get(&FAIL_ON), config.get(&RETAIN).0), (Some(Severity::Info), Duration::from_secs(30)));
        let nothing = Place::new().resolve().expect("right");
        assert_eq!(nothing.targets(), [Target::default()]);
        assert_eq!(nothing.outputs().cloned().collect::<Vec<_>>(), [Output::default()]);
    }

    #[test]
    fn which_files_are_read() {
        let names = |paths: &[PathBuf]| {
            let name = |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
            paths.iter().filter_map(name).collect::<Vec<_>>().join(" ")
        };
        let mut place = Place::new();
        let read = |place: &Place| {
            let config = place.resolve().expect("right");
            (names(config.files()), names(config.missing_files()))
        };
        assert_eq!(read(&place), (String::new(), "own.toml tokio-canary.toml".to_owned()));
        for name in ["own.toml", "tokio-canary.toml", "named.toml"] {
            place.write(name, "");
        }
        assert_eq!(read(&place).0, "own.toml tokio-canary.toml");
        place.variables.push(("TOKIO_CANARY_CONFIG", "no-such-file"));
        place.flags.config = Some(place.folder.path().join("named.toml"));
        assert_eq!(read(&place).0, "tokio-canary.toml named.toml", "the flag wins over the variable");
        place.flags.isolated = true;
        assert_eq!(read(&place).0, "named.toml");
        place.flags.config = None;
        let missing = place.resolve().expect_err("the variable names a file that is not there");
        assert!(missing.to_string().starts_with("no-such-file: cannot be read: "), "{missing}");
        place.variables.clear();
        assert_eq!(read(&place).0, "");
    }

    #[test]
    fn whoever_names_the_file_of_a_checkout_trusts_it() {
        let mut place = Place::new();
        let local = place.write("tokio-canary.toml", "fail-on = \"info\"");
        assert!(place.resolve().is_err());
        place.flags.config = Some(local);
        assert_eq!(place.resolve().expect("right").get(&FAIL_ON), Some(Severity::Info));
    }

    #[test]
    fn faults_of_all_sources_are_told_together() {
        let mut place = Place::new();
        place.write("own.toml", "a = 1\nb = 2");
        place.write("tokio-canary.toml", "targets = \"evil:1\"");
        place.variables.push(("TOKIO_CANARY_DEADLOK__ENABLED", "true"));
        place.flags.settings = vec!["deadlock.enabled".to_owned(), "deadlock.hld=1s".to_owned()];
        let faults = place.resolve().expect_err("wrong");
        let origins: Vec<String> = faults.0.iter().map(|fault| fault.origin.to_string()).collect();
        let origins: Vec<&str> = origins.iter().filter_map(|origin| origin.rsplit('/').next()).collect();
        let expected =
            ["own.toml:1", "own.toml:2", "tokio-canary.toml:1", "TOKIO_CANARY_DEADLOK__ENABLED", "--set", "--set"];
        assert_eq!(origins, expected);
        assert_eq!(faults.to_string().lines().count(), 6);
    }

    #[test]
    fn a_log_needs_a_file() {
        let mut place = Place::new();
        place.variables.push(("TOKIO_CANARY_LOG", "debug"));
        let fault = place.resolve().expect_err("no file").to_string();
        assert!(fault.starts_with("TOKIO_CANARY_LOG: the log has no file"), "{fault}");
        place.write("own.toml", "log-file = \"a.log\"");
        assert!(place.resolve().is_ok());
    }

    #[test]
    fn suppressions_of_all_files_apply_until_they_expire() {
        let place = Place::new();
        let suppress = |name: &str, day: &str| {
            format!("[[suppress]]\nname = \"{name}\"\nstatement = \"{name} is known\"\nexpired_at = {day}\n")
        };
        place.write("own.toml", &suppress("one", "2033-05-18T03:33:20Z"));
        place.write("tokio-canary.toml", &suppress("two", "2033-05-19"));
        let config = place.resolve().expect("right");
        assert_eq!(config.sourced_suppressions().map(|(_, over)| over).collect::<Vec<_>>(), [true, false]);
        let [sentence] = config.expired().try_into().expect("one is expired");
        assert!(
            sentence.ends_with(
                "own.toml:1: this suppression expired at 2033-05-18T03:33:20Z, so its findings count again: \"one is known\". \
                 Renew it, or remove it."
            ),
            "{sentence}"
        );
    }
}
