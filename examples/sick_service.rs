//! A service that is ill in the ways its flags say, with a console feed to diagnose it by.
//!
//! `cargo run --example sick_service -- --list` tells which illnesses there are.

mod service;
#[path = "../tests/patients/sick/mod.rs"]
mod sick;

use std::process::ExitCode;

fn main() -> ExitCode {
    sick::program(std::env::args_os())
}
