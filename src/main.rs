//! The command line tool: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokio_canary::run::main_of_process()
}
