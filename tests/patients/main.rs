//! Real programs with a real console feed, sick and healthy, judged by the real tool: every illness has to be found at its place, and no
//! healthy habit may raise an alarm.
//!
//! `cargo test --test patients` runs the fast selection and prints a table; words select by name, `-- --list` tells the names. `--help`
//! tells what else there is: the score over everything, recordings, and the soak. The program under observation is this one, started again.

mod baseline;
mod corpus;
mod examination;
mod healthy;
mod labels;
mod process;
mod recordings;
mod score;
#[path = "../../examples/service/mod.rs"]
mod service;
mod sick;
mod soak;
mod verdict;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use clap::Parser;

use crate::corpus::{Patient, Selection};
use crate::verdict::Verdict;

/// Runs the live tests; takes the usual flags of a test program.
#[derive(Parser)]
struct Arguments {
    /// Runs the patients whose names contain one of these words.
    words: Vec<String>,
    /// Takes the words for whole names.
    #[arg(long)]
    exact: bool,
    /// Leaves out the patients whose names contain this word.
    #[arg(long, value_name = "WORD")]
    skip: Vec<String>,
    /// Lists the patients.
    #[arg(long)]
    list: bool,
    /// How many patients are examined at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    test_threads: usize,
    /// The build of the tool that examines them.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tokio-canary"))]
    tool: PathBuf,
    /// Runs only tests that are otherwise ignored, of which there are none here.
    #[arg(long)]
    ignored: bool,
    #[command(flatten)]
    beyond: Beyond,
    #[command(flatten)]
    _unused: Unused,
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
    /// Keeps the recorded feeds and their labels in this folder; without --all or --score, those of each program alone.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// How long each healthy program is watched when it is alone.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    healthy_for: Duration,
    /// How long each sick program is watched at least for --all and --score.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    sick_for: Duration,
    /// Watches all healthy habits in one process for so long, while that is killed, stopped and made to lose events.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    soak: Option<Duration>,
}

/// Flags of other test programs that change nothing here.
#[derive(clap::Args)]
#[command(next_help_heading = "Accepted without effect")]
struct Unused {
    #[arg(long)]
    include_ignored: bool,
    #[arg(long, alias = "no-capture")]
    nocapture: bool,
    #[arg(long)]
    show_output: bool,
    #[arg(long, short)]
    quiet: bool,
    #[arg(long)]
    color: Option<String>,
    #[arg(long)]
    format: Option<String>,
    #[arg(short = 'Z')]
    unstable: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == corpus::FLAG) {
        return become_patient(arguments.collect());
    }
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            service::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments say, and returns whether all is as it has to be.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let beyond = &arguments.beyond;
    if let Some(length) = beyond.soak {
        return soak::run(length, &arguments.tool);
    }
    let mut chosen = corpus::patients(arguments.selection());
    chosen.retain(|patient| arguments.selects(&patient.name));
    if arguments.list {
        return list(&chosen);
    }
    let scratch = tempfile::tempdir()?;
    let folder = match (&beyond.keep, &beyond.score) {
        (Some(folder), _) => {
            recordings::make_room(folder, &chosen)?;
            Some(folder.as_path())
        }
        (None, Some(_)) => Some(scratch.path()),
        (None, None) => None,
    };
    let verdicts = examine_all(&chosen, arguments, folder)?;
    if let Some(folder) = &beyond.keep {
        recordings::label(folder, &chosen)?;
    }
    if let Some(file) = &beyond.score {
        score::publish(file, &verdicts, beyond.healthy_for, beyond.sick_for)?;
    }
    Ok(verdicts.iter().all(|verdict| verdict.faults.is_empty()))
}

impl Arguments {
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

    fn selects(&self, name: &str) -> bool {
        let fits = |word: &String| {
            if self.exact { name == word } else { name.contains(word.as_str()) }
        };
        let wanted = self.words.is_empty() || self.words.iter().any(fits);
        wanted && !self.skip.iter().any(fits) && !self.ignored
    }
}

fn become_patient(arguments: Vec<OsString>) -> ExitCode {
    if arguments.first().is_some_and(|program| program == corpus::HEALTHY) {
        healthy::program(arguments.into_iter())
    } else {
        sick::program(arguments.into_iter())
    }
}

fn list(patients: &[Patient]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for patient in patients {
        writeln!(out, "{}: test", patient.name)?;
    }
    Ok(true)
}

/// Examines the patients, the longest first, prints a row for each as it is done with what is wrong with it, and in the end which failed.
fn examine_all(patients: &[Patient], arguments: &Arguments, folder: Option<&Path>) -> io::Result<Vec<Verdict>> {
    let total = patients.len();
    let mut waiting: Vec<_> = patients.iter().collect();
    waiting.sort_by_key(|patient| patient.head_start + patient.longest_watch());
    let waiting = Mutex::new(waiting);
    let (sender, verdicts) = mpsc::channel();
    let mut judged = Vec::new();
    writeln!(io::stdout(), "{}", verdict::HEADING)?;
    thread::scope(|scope| -> io::Result<()> {
        for _ in 0..arguments.test_threads.clamp(1, total.max(1)) {
            let (sender, waiting) = (sender.clone(), &waiting);
            scope.spawn(move || {
                // One at a time leaves the queue, so that the lock is free during the examination.
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(patient) = next() {
                    let report = examination::examine(patient, &arguments.tool, folder);
                    if sender.send(verdict::judge(patient, report)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for verdict in verdicts {
            writeln!(io::stdout(), "{verdict}")?;
            verdict.faults.iter().try_for_each(|fault| writeln!(io::stdout(), "  - {fault}"))?;
            judged.push(verdict);
        }
        Ok(())
    })?;
    report_failures(&judged)?;
    Ok(judged)
}

fn report_failures(verdicts: &[Verdict]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let failed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.faults.is_empty()).collect();
    writeln!(out, "\n{} passed, {} failed", verdicts.len() - failed.len(), failed.len())?;
    failed.iter().try_for_each(|verdict| writeln!(out, "- {}", verdict.name))
}
