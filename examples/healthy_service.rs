//! A service with nothing but healthy habits, some of which look like faults, with a console feed that must raise no alarm.
//!
//! `cargo run --example healthy_service -- --list` tells which habits there are.

mod patterns;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns::program(std::env::args_os())
}
