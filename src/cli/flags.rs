//! What the command line says about the configuration: the groups of options that each command has, as flags.

use super::args::{Configuration, CriteriaArgs, Files, Finding, GateArgs, Judging, Keeping, Logging, Playback};
use super::doctor::DoctorArgs;
use super::feeding::Feeding;
use super::reading::Reading;
use super::{BlameArgs, Cli, Command, Compare, ConfigCommand, Record, WitnessArgs};
use crate::config::Flags;
use crate::config::headers::Headers;
use crate::config::options::{
    BASELINE, CA, DECODE_LIMIT, EARLY_EXIT, EXIT_ZERO, FAIL_ON, HEADER, HEARTBEAT, LISTEN, LOG, LOG_FILE, MIN_ACTIVITY,
    MIN_UPDATES, PARTIAL, PUMP, RETAIN, WAIT_FOR_TARGET, WARMUP,
};
use crate::detect::expectation::Expected;

/// The groups of options that a command has.
#[derive(Debug, Clone, Copy, Default)]
struct Groups<'a> {
    judging: Option<&'a Judging>,
    files: Option<&'a Files>,
    feeding: Option<&'a Feeding>,
    keeping: Option<&'a Keeping>,
    logging: Option<&'a Logging>,
}

impl<'a> Groups<'a> {
    fn of(cli: &'a Cli) -> Self {
        match &cli.command {
            None => Self::all(&cli.attaching.configuration),
            Some(Command::Watch(watch)) => Self::all(&watch.attaching.configuration),
            Some(Command::Check(check)) => Self::all(&check.attaching.configuration),
            Some(
                Command::Record(Record { reading, .. })
                | Command::Doctor(DoctorArgs { reading, .. })
                | Command::Blame(BlameArgs { reading, .. }),
            ) => Self::reading(reading, None),
            Some(
                Command::Compare(Compare { judging, reading, .. })
                | Command::Witness(WitnessArgs { judging, reading, .. }),
            ) => Self::reading(reading, Some(judging)),
            Some(Command::Verify { judging, .. }) => Self { judging: Some(judging), ..Self::default() },
            Some(Command::Explain { judging, files, .. }) => {
                Self { judging: Some(judging), files: Some(files), ..Self::default() }
            }
            Some(Command::Config {
                command: ConfigCommand::Show { shown: all, .. } | ConfigCommand::Check { checked: all, .. },
            }) => Self::all(all),
            Some(Command::Config { command: ConfigCommand::PrometheusRules }) => Self::default(),
            Some(Command::Completions { .. } | Command::Demo(_) | Command::Skill | Command::Man { .. }) => {
                Self::default()
            }
        }
    }

    fn reading(Reading { files, feeding, logging }: &'a Reading, judging: Option<&'a Judging>) -> Self {
        Self { judging, files: Some(files), feeding: Some(feeding), keeping: None, logging: Some(logging) }
    }

    fn all(all: &'a Configuration) -> Self {
        Self {
            judging: Some(&all.judging),
            files: Some(&all.files),
            feeding: Some(&all.feeding),
            keeping: Some(&all.keeping),
            logging: Some(&all.logging),
        }
    }

    /// Puts what they say into the flags.
    fn apply(self, flags: &mut Flags) {
        if let Some(Judging { settings, expected }) = self.judging {
            flags.settings.clone_from(settings);
            flags.expected.clone_from(expected);
        }
        if let Some(Files { config, isolated }) = self.files {
            flags.config.clone_from(config);
            flags.isolated = *isolated;
        }
        if let Some(Feeding { no_pump, decode_limit, ca, headers, pods }) = self.feeding {
            flags.pods = pods.pods();
            flags.option("--no-pump", &PUMP, no_pump.then_some(false));
            flags.option("--decode-limit", &DECODE_LIMIT, *decode_limit);
            flags.option("--ca", &CA, ca.clone().map(Some));
            flags.option("--header", &HEADER, (!headers.is_empty()).then(|| Some(Headers(headers.clone()))));
        }
        if let Some(Keeping { retain }) = self.keeping {
            flags.option("--retain", &RETAIN, *retain);
        }
        if let Some(Logging { log, log_file }) = self.logging {
            flags.option("--log", &LOG, log.clone().map(Some));
            flags.option("--log-file", &LOG_FILE, log_file.clone().map(Some));
        }
    }
}

impl Cli {
    /// What the command line says about the configuration.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        Groups::of(self).apply(&mut flags);
        match &self.command {
            None => {
                flags.targets.clone_from(&self.targets);
                self.finding.apply(&mut flags);
                flags.outputs.clone_from(&self.outputs);
                self.looks.apply(&mut flags);
                flags.receivers = self.receivers.all();
            }
            Some(Command::Watch(watch)) => {
                flags.targets.clone_from(&watch.targets.targets);
                watch.targets.finding.apply(&mut flags);
                watch.outputs.apply(&mut flags);
                flags.receivers = watch.receivers.all();
                flags.option("--listen", &LISTEN, watch.serving.listen.map(Some));
                flags.option("--heartbeat", &HEARTBEAT, watch.heartbeat);
                watch.rate.apply(&mut flags);
                watch.black_box.apply(&mut flags);
                criteria(&watch.criteria, &mut flags);
            }
            Some(Command::Check(check)) => {
                flags.targets.clone_from(&check.targets.targets);
                check.targets.finding.apply(&mut flags);
                check.outputs.apply(&mut flags);
                flags.receivers = check.receivers.all();
                flags.option("--listen", &LISTEN, check.serving.listen.map(Some));
                criteria(&check.criteria, &mut flags);
                gate(&check.gate, &mut flags);
            }
            Some(Command::Compare(compare)) => {
                flags.targets = compare.targets();
                compare.outputs.apply(&mut flags);
                compare.drawing.apply(&mut flags);
                flags.option("--fail-on", &FAIL_ON, compare.fail_on.map(Some));
            }
            Some(Command::Demo(demo)) => demo.outputs.apply(&mut flags),
            Some(Command::Doctor(doctor)) => flags.targets.clone_from(&doctor.targets),
            Some(Command::Blame(blame)) => flags.targets.extend(blame.target.clone()),
            Some(Command::Record(record)) => flags.targets.extend(record.target.clone()),
            Some(Command::Witness(witness)) => flags.targets = vec![witness.from.clone()],
            Some(_) => {}
        }
        flags
    }

    /// How a running service is read, by commands that may read one.
    pub fn feeding(&self) -> Option<&Feeding> {
        Groups::of(self).feeding
    }

    /// How targets are found, by commands that may find some.
    pub fn finding(&self) -> Option<&Finding> {
        match &self.command {
            None => Some(&self.finding),
            Some(Command::Watch(watch)) => Some(&watch.targets.finding),
            Some(Command::Check(check)) => Some(&check.targets.finding),
            Some(_) => None,
        }
    }

    /// The options of recording and playback of commands that attach and judge.
    pub fn playback(&self) -> Option<&Playback> {
        match &self.command {
            None => Some(&self.attaching.playback),
            Some(Command::Watch(watch)) => Some(&watch.attaching.playback),
            Some(Command::Check(check)) => Some(&check.attaching.playback),
            Some(_) => None,
        }
    }
}

fn criteria(criteria: &CriteriaArgs, flags: &mut Flags) {
    let CriteriaArgs { fail_on, min_updates, min_activity, warmup, partial, baseline } = criteria;
    flags.option("--fail-on", &FAIL_ON, fail_on.map(Some));
    flags.option("--min-updates", &MIN_UPDATES, *min_updates);
    flags.option("--min-activity", &MIN_ACTIVITY, *min_activity);
    flags.option("--warmup", &WARMUP, *warmup);
    flags.option("--partial", &PARTIAL, *partial);
    flags.option("--baseline", &BASELINE, baseline.clone().map(Some));
}

fn gate(gate: &GateArgs, flags: &mut Flags) {
    let GateArgs { wait_for_target, fire, silent, update_baseline, exit_zero, no_early_exit } = gate;
    flags.option("--wait-for-target", &WAIT_FOR_TARGET, wait_for_target.map(Some));
    flags.option("--exit-zero", &EXIT_ZERO, exit_zero.then_some(true));
    flags.option("--no-early-exit", &EARLY_EXIT, no_early_exit.then_some(false));
    flags.findings = Expected { fire: fire.clone(), silent: silent.clone() };
    flags.updates_baseline = *update_baseline;
}
