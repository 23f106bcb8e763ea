//! See it work: starts a small faulty service with the real console-subscriber as a child process, and attaches to it.
//!
//! `cargo run --example demo`. In a terminal it shows the findings there, otherwise it prints a line for each. The service dies with it.
//! `cargo run --example demo -- record -o FILE --for 22s` records it instead.

mod service;
#[path = "../tests/patients/sick/mod.rs"]
mod sick;

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::process::{Child, Command, ExitCode, Stdio};

use clap::Parser;
use tokio_canary::cli::Cli;

/// Makes this program the service instead of its doctor.
const SERVE: &str = "--serve";
/// What the service suffers from.
const ILLNESSES: &str = "deadlock,blocked-worker,full-channel,contended-lock";

#[expect(clippy::print_stderr, reason = "a program that cannot start says why")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == SERVE) {
        let flags = ["demo-service", "--illness", ILLNESSES, "--bind", "127.0.0.1:0", "--die-with-parent"];
        return sick::program(flags.into_iter().map(Into::into));
    }
    match start() {
        Ok((mut service, target)) => {
            let code = diagnose(&target, &arguments[1..]);
            // It ends by itself when its standard input does; this only makes sure that it is gone before we are.
            let _ = service.kill();
            let _ = service.wait();
            code
        }
        Err(error) => {
            eprintln!("demo: the faulty service did not start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the service and waits until it says where its feed is.
fn start() -> io::Result<(Child, String)> {
    let mut service = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = service.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    for line in BufReader::new(output).lines() {
        if let Some(target) = line?.strip_prefix("listening on ") {
            return Ok((service, target.to_owned()));
        }
    }
    Err(io::Error::other("it ended before it said where it listens"))
}

/// Attaches the tool itself, as `tokio-canary TARGET` or `tokio-canary watch TARGET` would, or as a command that is the first argument.
/// Further arguments are passed on.
fn diagnose(target: &str, arguments: &[String]) -> ExitCode {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let given = arguments.split_first().filter(|(first, _)| !first.starts_with('-'));
    let (command, arguments) = match given {
        Some((command, rest)) => (Some(command.as_str()), rest),
        None => (if terminal { None } else { Some("watch") }, arguments),
    };
    let line = ["tokio-canary"].into_iter().chain(command).chain([target]).chain(arguments.iter().map(String::as_str));
    tokio_canary::run::main(&Cli::parse_from(line))
}
