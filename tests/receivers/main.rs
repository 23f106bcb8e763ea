//! Real receivers of what the tool says: each test starts one, and asks it what it got. And a client of Kubernetes that is not ours.
//!
//! They need Debian's packages `prometheus` and `prometheus-alertmanager`, and the package `kubernetes` of `PyPI`: `.ci/receivers` installs
//! them and runs this. Without them the tests fail. The program that is watched is this one, started again.

mod alertmanager;
#[cfg(feature = "k8s")]
#[expect(dead_code, clippy::expect_used, reason = "shared with tests that need more of it, and fail by it")]
#[path = "../integration/support/cluster/mod.rs"]
mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(feature = "k8s")]
mod kubernetes;
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
    let trials = alertmanager::trials().into_iter().chain(prometheus::trials());
    #[cfg(feature = "k8s")]
    let trials = trials.chain(kubernetes::trials());
    let trials: Vec<Trial> = trials.collect();
    Examination::parse().flags.run(trials, None).exit_code()
}

/// Starts the program that is watched. Returns it with the address of its feed.
fn watched() -> io::Result<(Ward, String)> {
    start_patient(&[program::FLAG, "--bind", "127.0.0.1:0", "--publish-interval", "200ms"].map(str::to_owned))
}
