//! The flags of the command line, as far as they are configuration.

use std::path::PathBuf;

use super::fault::Fault;
use super::layer::{Layer, OptionValue};
use super::origin::{Origin, Sourced};
use super::output::{Output, shared_place};
use super::pods::Pods;
use super::receiver::{Kind, Receiver};
use crate::detect::assignment::{Assignment, detector};
use crate::detect::expectation::Expected;
use crate::detect::settings::{Given, Setting, Type};
use crate::feed::endpoint::Target;

/// What the flags say.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: the file to read.
    pub config: Option<PathBuf>,
    /// `--isolated`: whether no other file is read.
    pub isolated: bool,
    /// What to look at.
    pub targets: Vec<Target>,
    /// Which pods of which cluster.
    pub pods: Pods,
    /// `--output`: where to write.
    pub outputs: Vec<Output>,
    /// `--set`: settings of detectors, not read yet.
    pub settings: Vec<String>,
    /// `--expect`: tasks that have to be there.
    pub expected: Vec<String>,
    /// `--alertmanager`, `--webhook` and `--on-transition`: who gets alerts.
    pub receivers: Vec<Receiver>,
    /// `--expect-finding` and `--expect-none`: findings that have to be there, or must not be.
    pub findings: Expected,
    /// `--update-baseline`: whether the baseline is written.
    pub updates_baseline: bool,
    options: Vec<Sourced<OptionValue>>,
}

impl Flags {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        let Self {
            config,
            isolated,
            targets,
            pods,
            outputs,
            settings,
            expected,
            receivers,
            findings,
            updates_baseline,
            options,
        } = self;
        config.is_none()
            && !isolated
            && (targets.is_empty() && outputs.is_empty() && settings.is_empty() && expected.is_empty())
            && (findings.fire.is_empty() && findings.silent.is_empty() && !updates_baseline)
            && *pods == Pods::default()
            && (receivers.is_empty() && options.is_empty())
    }

    /// Gives an option the value of a flag, if the flag was given.
    pub fn option<T: Type>(&mut self, flag: &'static str, option: &'static Setting<T>, value: Option<T>) {
        let value = value.map(|value| OptionValue { option, value: value.erase() });
        self.options.extend(value.map(|value| Sourced::new(value, Origin::Flag(flag))));
    }

    /// What they say, as one source of the configuration.
    pub(super) fn layer(self, faults: &mut Vec<Fault>) -> Layer {
        let mut layer = Layer { options: self.options, ..Layer::default() };
        let mut setting = |flag: &'static str, assignment: Result<Assignment, String>| match assignment {
            Ok(assignment) => layer.settings.push(Sourced::new(assignment, Origin::Flag(flag))),
            Err(what) => faults.push(Fault::new(Origin::Flag(flag), what)),
        };
        for text in self.settings {
            setting("--set", Assignment::parse(&text));
        }
        if !self.expected.is_empty() {
            let expected = Given::List(self.expected);
            let singleton = detector("vanished-singleton");
            setting("--expect", singleton.and_then(|detector| Assignment::new(detector, "expect", &expected)));
        }
        if let Some((_, place)) = shared_place(&self.outputs) {
            let what =
                format!("two outputs write to {place}; write one to a file, as in --output ndjson=findings.ndjson");
            faults.push(Fault::new(Origin::Flag("--output"), what));
        }
        let selected = self.pods.target().filter(|_| self.targets.is_empty());
        layer.targets = match selected {
            Some(target) => Some(Sourced::new(vec![target], Origin::Flag("--selector"))),
            None => (!self.targets.is_empty()).then(|| Sourced::new(self.targets, Origin::Flag("TARGET"))),
        };
        layer.outputs = self.outputs.into_iter().map(|output| Sourced::new(output, Origin::Flag("--output"))).collect();
        let flag = |receiver: &Receiver| match receiver.kind() {
            Kind::Alertmanager => "--alertmanager",
            Kind::Webhook => "--webhook",
            Kind::OnTransition => "--on-transition",
        };
        let receivers = self.receivers.into_iter();
        layer.receivers =
            receivers.map(|it| (Origin::Flag(flag(&it)), it)).map(|(flag, it)| Sourced::new(it, flag)).collect();
        layer
    }
}
