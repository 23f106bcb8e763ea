//! Real programs with a real console feed, sick and healthy, judged by the real tool: every illness has to be found at its place, and no
//! healthy habit may raise an alarm.
//!
//! `cargo test --test patients` runs the fast selection, each program a test of its own name; words select by name, `-- --list` tells the
//! names. `--help` tells what else there is: the score over everything, recordings, and the soak. The program under observation is this
//! one, started again.

mod baseline;
#[path = "../integration/support/cluster/mod.rs"]
#[expect(dead_code, clippy::expect_used, reason = "the tests of Kubernetes use all of it")]
mod cluster;
mod corpus;
mod examination;
mod gate;
#[path = "../harness/mod.rs"]
mod harness;
mod healthy;
mod labels;
mod machine;
mod pack;
mod page;
mod pairs;
mod process;
mod recordings;
mod replay;
mod route;
mod score;
#[path = "../../examples/service/mod.rs"]
mod service;
mod sick;
mod soak;
mod verdict;

use std::cmp::Reverse;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use libtest_mimic::{Failed, Trial};

use crate::corpus::{Patient, Selection};
use crate::machine::{Demand, Machine};
use crate::verdict::Verdict;

/// How many patients are examined at a time: most of them wait most of the time.
const AT_A_TIME: usize = 20;

/// Runs the live tests; takes the usual flags of a test program.
#[derive(Parser)]
struct Examination {
    #[command(flatten)]
    flags: harness::Flags,
    /// The build of the tool that examines them.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tokio-canary"))]
    tool: PathBuf,
    /// What serves the feeds of the programs. The scores of both are to be compared; recordings and baselines are of the first.
    #[arg(long, value_enum, default_value_t)]
    subscriber: service::Subscriber,
    #[command(flatten)]
    beyond: Beyond,
}

/// What can be done beyond the fast selection.
#[derive(clap::Args)]
#[command(next_help_heading = "Beyond the fast selection")]
struct Beyond {
    /// Examines every program under every condition, and each healthy one alone and for long.
    #[arg(long)]
    all: bool,
    /// As --all, and writes the score to this file, and its totals into the README.
    #[arg(long, value_name = "FILE")]
    score: Option<PathBuf>,
    /// Keeps the recorded feeds and their labels in this folder, and judges them once more, as they are played; without --all or --score,
    /// those of each program alone.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Writes these recordings again as small as they get, without what the recorder leaves out today, such as the folders of the
    /// machine that built the program; does nothing else.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pack: Vec<PathBuf>,
    /// How long each healthy program is watched when it is alone.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    healthy_for: Duration,
    /// How long each sick program is watched at least for --all and --score.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    sick_for: Duration,
    /// Watches healthy habits in one process for so long, while that is killed, stopped and made to lose events: fails at an alarm, and,
    /// from 20 minutes on, if the tool's resident memory rises over the second half by more than 10 % and 4 MiB.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    soak: Option<Duration>,
    /// Watches a healthy service and one whose fault comes and goes for so long, each with a black box, and prints memory, CPU and the
    /// number of notifications: fails at an alarm about the healthy one, and if repeats were not held back or a recording does not show
    /// its finding again.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    notifications: Option<Duration>,
    /// Number of times to compare each pair of programs, canary against stable, with the tool's `compare`. Prints a table of the verdicts, and
    /// fails if one is wrong. Words select pairs.
    #[arg(long, value_name = "TIMES")]
    compare: Option<usize>,
    /// With --compare, writes the table into docs/guides/compare.md.
    #[arg(long, requires = "compare")]
    write: bool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == corpus::FLAG) {
        return become_patient(arguments.collect());
    }
    match run(Examination::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            service::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments say, and returns whether all is as it has to be.
fn run(arguments: Examination) -> io::Result<bool> {
    let selection = arguments.selection();
    let Examination { flags, tool, subscriber, beyond } = arguments;
    if let Some(length) = beyond.soak {
        return soak::run(length, &tool);
    }
    if let Some(length) = beyond.notifications {
        return soak::notifications::run(length, &tool);
    }
    if let Some(times) = beyond.compare {
        return pairs::run(times, &tool, |pair| flags.selects(pair), beyond.write);
    }
    if !beyond.pack.is_empty() {
        return beyond.pack.iter().try_for_each(|recording| pack::pack(recording)).map(|()| true);
    }
    let chosen = corpus::patients(selection).into_iter().filter(|patient| flags.selects(&patient.name));
    let served = chosen.filter_map(|patient| patient.served_by(subscriber));
    let mut chosen: Vec<Arc<Patient>> = served.map(Arc::new).collect();
    chosen.sort_by_key(|patient| {
        (patient.demand != Demand::Everything, Reverse(patient.head_start + patient.longest_watch()))
    });
    let scratch = tempfile::tempdir()?;
    let recordings = beyond.keep.clone().or(beyond.score.as_ref().map(|_| scratch.path().to_owned()));
    let only_listed = flags.usual.list;
    if let Some(folder) = beyond.keep.as_ref().filter(|_| !only_listed) {
        recordings::make_room(folder, &chosen)?;
    }
    let at_a_time = flags.usual.test_threads.unwrap_or(AT_A_TIME);
    let talks =
        !only_listed && (flags.usual.nocapture || beyond.all || beyond.score.is_some() || beyond.keep.is_some());
    if talks {
        writeln!(io::stderr(), "{}", verdict::HEADING)?;
    }
    let machine = Machine::new(at_a_time);
    let clinic =
        Arc::new(Clinic { tool, recordings, kept: beyond.keep.clone(), machine, talks, verdicts: Mutex::default() });
    let mut trials: Vec<Trial> = chosen.iter().enumerate().map(|(rank, patient)| clinic.trial(rank, patient)).collect();
    if matches!(selection, Selection::Fast) {
        trials.extend(machine::trials());
        trials.extend(gate::trials(&clinic.tool));
        trials.extend(pairs::trials());
    }
    // All of them wait for their place on the machine, which knows better than a number who may run beside whom.
    let threads = if at_a_time == 1 { 1 } else { trials.len() };
    let conclusion = flags.run(trials, Some(threads));
    let verdicts = std::mem::take(&mut *clinic.verdicts.lock().unwrap_or_else(PoisonError::into_inner));
    if !only_listed {
        if let Some(folder) = &beyond.keep {
            recordings::label(folder, &chosen)?;
        }
        if let Some(file) = &beyond.score {
            score::publish(file, &verdicts, beyond.healthy_for, beyond.sick_for)?;
        }
    }
    Ok(!conclusion.has_failed())
}

impl Examination {
    fn selection(&self) -> Selection {
        let &Beyond { healthy_for, sick_for, .. } = &self.beyond;
        if self.beyond.all || self.beyond.score.is_some() {
            Selection::Everything { healthy_for, sick_for }
        } else if self.beyond.keep.is_some() {
            Selection::Bases { healthy_for }
        } else {
            Selection::Fast
        }
    }
}

/// Where patients are examined, and what came of it.
struct Clinic {
    tool: PathBuf,
    /// Where the feeds are recorded, if they are.
    recordings: Option<PathBuf>,
    /// Where those recordings stay that are to be judged again, if there are any.
    kept: Option<PathBuf>,
    machine: Machine,
    /// Whether the outcome is told, as a row of a table, as soon as it is known.
    talks: bool,
    verdicts: Mutex<Vec<Verdict>>,
}

impl Clinic {
    /// The test that examines a patient, which is the next one if no other of a lower rank can be.
    fn trial(self: &Arc<Self>, rank: usize, patient: &Arc<Patient>) -> Trial {
        let (clinic, patient) = (Arc::clone(self), Arc::clone(patient));
        Trial::test(patient.name.clone(), move || {
            let faults = clinic.examine(rank, &patient);
            if faults.is_empty() { Ok(()) } else { Err(Failed::from(faults.join("\n"))) }
        })
    }

    /// Examines a patient, says what came of it, and returns what is wrong with that.
    fn examine(&self, rank: usize, patient: &Patient) -> Vec<String> {
        let place = self.machine.place_for(rank, patient.demand);
        let report = examination::examine(patient, &self.tool, self.recordings.as_deref());
        drop(place);
        let mut verdict = verdict::judge(patient, report);
        if let Some(folder) = &self.kept {
            verdict.faults.extend(recordings::pack_and_judge(folder, patient));
        }
        let faults = verdict.faults.clone();
        if self.talks {
            let faults = verdict.faults.iter().map(|fault| format!("\n  - {fault}"));
            // Nobody may be left to tell.
            let _ = writeln!(io::stderr(), "{verdict}{}", faults.collect::<String>());
        }
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
        faults
    }
}

fn become_patient(arguments: Vec<OsString>) -> ExitCode {
    match arguments.first().and_then(|program| program.to_str()) {
        Some(gate::BUILDER) => gate::program(arguments.get(1).is_some_and(|word| word == gate::STUBBORN)),
        Some(pairs::shop::PROGRAM) => pairs::shop::program(arguments.into_iter()),
        Some(corpus::HEALTHY) => healthy::program(arguments.into_iter()),
        Some(soak::flapping::PROGRAM) => soak::flapping::program(arguments.into_iter()),
        _ => sick::program(arguments.into_iter()),
    }
}
