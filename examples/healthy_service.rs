//! A service with nothing but healthy habits, some of which look like faults, with a console feed that must raise no alarm.
//!
//! `cargo run --example healthy_service -- --list` tells which habits there are.

#[path = "../tests/patients/healthy/mod.rs"]
mod healthy;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    healthy::program(std::env::args_os())
}
