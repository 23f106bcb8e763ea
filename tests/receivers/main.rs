//! Real receivers of what the tool says: each test starts one, and asks it what it got.
//!
//! They need Debian's packages `prometheus` and `prometheus-alertmanager`: `.ci/receivers` installs them and runs this. Without
//! them the tests fail. The program that is watched is this one, started again.

mod alertmanager;
#[path = "../harness/mod.rs"]
mod harness;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../patients/process.rs"]
mod process;
mod program;
mod prometheus;
#[expect(dead_code, reason = "shared with programs that need more of it")]
#[path = "../../examples/service/mod.rs"]
mod service;
mod steps;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use libtest_mimic::Trial;

use self::process::{Ward, start_patient};

/// Runs the tests; takes the usual flags of a test program.
#[derive(Parser)]
struct Examination {
    #[command(flatten)]
    flags: harness::Flags,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == program::FLAG) {
        return program::program(arguments);
    }
    let trials: Vec<Trial> = alertmanager::trials().into_iter().chain(prometheus::trials()).collect();
    Examination::parse().flags.run(trials, None).exit_code()
}

/// Starts the program that is watched. Returns it with the address of its feed.
fn watched() -> io::Result<(Ward, String)> {
    start_patient(&[program::FLAG, "--bind", "127.0.0.1:0", "--publish-interval", "200ms"].map(str::to_owned))
}
