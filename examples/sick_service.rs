//! A service that is ill in the ways its flags say, with a console feed to diagnose it by.
//!
//! `cargo run --example sick_service -- --list` tells which illnesses there are.

mod illnesses;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    illnesses::program(std::env::args_os())
}
