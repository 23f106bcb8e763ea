//! Programs to be recorded, with console-subscriber 0.2.

#[path = "../../programs/mod.rs"]
mod programs;

use std::process::ExitCode;

fn main() -> ExitCode {
    programs::main()
}
