//! Real receivers of what the tool says: each test starts one, and asks it what it got.
//!
//! They need Debian's packages `prometheus` and `prometheus-alertmanager`: `.ci/receivers` installs them and runs this. Without
//! them the tests fail. The programs that are watched are this one, started again.

#[path = "../harness/mod.rs"]
mod harness;

use std::process::ExitCode;

use clap::Parser;
use libtest_mimic::Trial;

/// Runs the tests; takes the usual flags of a test program.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: harness::Flags,
}

fn main() -> ExitCode {
    let trials: Vec<Trial> = Vec::new();
    Arguments::parse().flags.run(trials, None).exit_code()
}
