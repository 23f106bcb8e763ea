//! The command line tool: reads the arguments and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser;
use tokio_canary::cli::Cli;

fn main() -> ExitCode {
    tokio_canary::run::main(Cli::parse())
}
