//! What the tool says about processes that do not run: simulated ones, and real ones whose feeds were recorded. Each scenario and each
//! recording is a test of its own name; words select by name, `-- --list` tells the names.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table that was asked for")]

mod blame;
mod compare;
mod folders;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../patients/labels.rs"]
mod labels;
mod recordings;
#[path = "../patients/replay.rs"]
mod replay;
mod scenarios;
#[path = "../integration/support/simulator/mod.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod simulator;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use libtest_mimic::{Failed, Trial};

/// Judges the corpus; takes the usual flags of a test program.
#[derive(Parser)]
struct Corpus {
    #[command(flatten)]
    flags: harness::Flags,
    /// Judges the recordings in this folder by their labels there, and nothing else.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Compares each pair of programs so many times, prints how often it got which verdict, and does nothing else.
    #[arg(long, value_name = "RUNS")]
    rates: Option<u64>,
}

fn main() -> ExitCode {
    let Corpus { flags, folder, rates } = Corpus::parse();
    if let Some(runs) = rates {
        println!("{}", compare::rates(runs));
        return ExitCode::SUCCESS;
    }
    let trials = match folder {
        Some(folder) => recordings::trials_of(&folder).collect(),
        None => scenarios::trials().chain(recordings::trials()).chain(compare::trials()).collect(),
    };
    flags.run(trials, None).exit_code()
}

/// A test that passes if there is nothing to complain about.
fn trial(name: impl Into<String>, test: impl FnOnce() -> Vec<String> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let complaints = test();
        if complaints.is_empty() { Ok(()) } else { Err(Failed::from(complaints.join("\n"))) }
    })
}

/// A path below the root of the repository.
fn in_repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}
