//! Real programs with a real console feed, sick and healthy, judged by the real tool: every illness has to be found at its place, and no
//! healthy habit may raise an alarm.
//!
//! `cargo test --test live` runs all of them and prints a table; words select by name, `-- --list` tells the names. The program under
//! observation is this one, started again.

#[path = "../../examples/illnesses/mod.rs"]
mod illnesses;
#[path = "../../examples/patterns/mod.rs"]
mod patterns;
#[path = "../../examples/service/mod.rs"]
mod service;

mod examination;
mod patients;
mod verdict;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use clap::Parser;

use crate::patients::Patient;
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
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    test_threads: usize,
    /// The build of the tool that examines them.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tokio-canary"))]
    tool: PathBuf,
    /// Runs only tests that are otherwise ignored, of which there are none here.
    #[arg(long)]
    ignored: bool,
    #[command(flatten)]
    _unused: Unused,
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
    if arguments.next().is_some_and(|first| first == patients::FLAG) {
        return become_patient(arguments.collect());
    }
    let arguments = Arguments::parse();
    let chosen = patients::all().into_iter().filter(|patient| arguments.selects(&patient.name)).collect();
    let done = if arguments.list { list(chosen) } else { examine_all(chosen, &arguments) };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            service::complain(&error);
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn selects(&self, name: &str) -> bool {
        let fits = |word: &String| {
            if self.exact { name == word } else { name.contains(word.as_str()) }
        };
        let wanted = self.words.is_empty() || self.words.iter().any(fits);
        wanted && !self.skip.iter().any(fits) && !self.ignored
    }
}

fn become_patient(arguments: Vec<OsString>) -> ExitCode {
    if arguments.first().is_some_and(|program| program == patients::HEALTHY) {
        patterns::program(arguments.into_iter())
    } else {
        illnesses::program(arguments.into_iter())
    }
}

fn list(patients: Vec<Patient>) -> io::Result<usize> {
    let mut out = io::stdout().lock();
    for patient in patients {
        writeln!(out, "{}: test", patient.name)?;
    }
    Ok(0)
}

/// Examines the patients, the longest first, prints a row for each as it is done, and counts the failures.
fn examine_all(mut patients: Vec<Patient>, arguments: &Arguments) -> io::Result<usize> {
    patients.sort_by_key(|patient| patient.watch);
    let total = patients.len();
    let waiting = Mutex::new(patients);
    let (sender, verdicts) = mpsc::channel();
    let mut failed = Vec::new();
    writeln!(io::stdout(), "{}", verdict::HEADING)?;
    thread::scope(|scope| -> io::Result<()> {
        for _ in 0..arguments.test_threads.clamp(1, total.max(1)) {
            let (sender, waiting) = (sender.clone(), &waiting);
            scope.spawn(move || {
                // One at a time leaves the queue, so that the lock is free during the examination.
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(patient) = next() {
                    let judged = verdict::judge(&patient, examination::examine(&patient, &arguments.tool));
                    if sender.send(judged).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for verdict in verdicts {
            writeln!(io::stdout(), "{verdict}")?;
            if !verdict.faults.is_empty() {
                failed.push(verdict);
            }
        }
        Ok(())
    })?;
    report_failures(&failed)?;
    writeln!(io::stdout(), "\n{} passed, {} failed", total - failed.len(), failed.len())?;
    Ok(failed.len())
}

fn report_failures(failed: &[Verdict]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for verdict in failed {
        writeln!(out, "\n{} failed:", verdict.name)?;
        for fault in &verdict.faults {
            writeln!(out, "  - {fault}")?;
        }
    }
    Ok(())
}

/// Longer than any sensible answer takes on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(30);
