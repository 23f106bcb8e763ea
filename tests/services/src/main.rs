//! Small services on published crates, each with a fault that somebody reported in public and repaired, and the score of the tool on
//! them: `run` starts one, `score` judges all.

mod peers;
mod programs;
mod score;
mod service;
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::programs::PROGRAMS;

/// Small services on published crates, faulty and repaired, and the score of tokio-canary on them.
#[derive(Parser)]
#[command(name = "services")]
enum Command {
    /// Run one service until it is stopped.
    Run {
        /// Which service.
        program: String,
        #[command(flatten)]
        options: service::Options,
    },
    /// List the services: the fault of each, what its rate and size mean, and what has to be found.
    List,
    /// Watch each faulty service and its repaired twin with the tool, and print what it found.
    Score(score::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Run { program, options } => run(&program, &options).map(|()| true),
        Command::List => list().map(|()| true),
        Command::Score(options) => score::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => service::give_up(&format!("{error:#}")),
    }
}

fn run(id: &str, options: &service::Options) -> anyhow::Result<()> {
    let Some(program) = PROGRAMS.iter().flat_map(|file| file.iter()).find(|program| program.id == id) else {
        anyhow::bail!("there is no service {id}; `services list` names them");
    };
    service::run(program, options)
}

fn list() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for program in PROGRAMS.iter().flat_map(|file| file.iter()) {
        let label = &program.label;
        writeln!(out, "{} ({}; {}; {})", program.id, program.crates, program.way.as_str(), program.issue)?;
        writeln!(out, "    {}", program.fault)?;
        writeln!(out, "    --rate: {} a second (default {})", program.rate_of, program.rate)?;
        writeln!(out, "    --size: {} (default {})", program.size_of, program.size)?;
        let (families, severity) = (label.families.join(" or "), label.severity.as_str());
        let places = program.all_places().join(" or ");
        writeln!(out, "    to be found within {} s: {families} at {severity}, at {places}", label.within)?;
    }
    Ok(())
}
