//! Wires feeds to front ends, shuts both down, and turns what it comes to into an exit code.
//!
//! `watch` is the one loop; `headless`, `interactive` and `record` consume what it yields.

mod configuration;
mod exit;
mod explain;
mod headless;
mod interactive;
mod log;
mod notes;
mod record;
mod signals;
mod targets;
mod verify;
mod watch;
mod witness;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use self::exit::{INTERNAL, SUCCESS, USAGE, UsageError, is_usage, worst_of};
use self::headless::{Options, headless};
use self::interactive::interactive;
use self::notes::note;
use self::targets::{Opened, Recording};
use self::witness::WitnessDesk;
use crate::alert::Outputs;
use crate::cli::{Cli, Command, Common, Record};
use crate::config::{Config, Faults, Flags, Sources};
use crate::feed::recording::Speed;
use crate::{panics, words};

/// Runs what the command line asks for, and returns the exit code: 0 healthy (or simply done), 1 findings, 2 wrong usage, 3 could not
/// judge, 4 the tool itself failed.
pub fn main(cli: Cli) -> ExitCode {
    panics::hush();
    let outcome = dispatch(cli);
    if let Some(faults) = outcome.as_ref().err().and_then(|error| error.downcast_ref::<Faults>()) {
        return configuration::refuse(faults);
    }
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if is_usage(&error) => fail(&format!("{error:#}"), USAGE),
        Err(error) => fail(&format!("{error:#}"), INTERNAL),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    let flags = cli.flags();
    match cli.command {
        Some(Command::Explain { detector: None }) => print(&crate::explain::list()),
        Some(Command::Explain { detector: Some(id) }) => explain::run(&id, flags),
        Some(Command::Verify { file }) => verify::run(&file, flags),
        Some(Command::Config { command }) => configuration::run(command, flags),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tokio-canary", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&String::from_utf8_lossy(&page))
        }
        command => attach(command, &cli.common, flags),
    }
}

/// Runs something that attaches to targets.
fn attach(command: Option<Command>, common: &Common, flags: Flags) -> anyhow::Result<u8> {
    let config = Config::resolve(Sources::of_process(flags))?;
    config.expired().iter().for_each(|sentence| note(sentence));
    log::start(&config)?;
    // One thread reads the feeds while another draws or judges, so that neither waits for the other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(async {
        match command {
            Some(Command::Record(args)) => run_record(&args, &config, common).await,
            Some(Command::Witness(args)) => witness::run(&args, &config, common).await,
            Some(Command::Watch(_)) => run_headless(&config, common, Options::watch(&config)).await,
            Some(Command::Check(args)) => run_headless(&config, common, Options::check(&config, args.duration)).await,
            _ => run_interactive(&config, common).await,
        }
    });
    // Nothing that is still being looked up may hold up the end.
    runtime.shutdown_background();
    code
}

async fn run_record(args: &Record, config: &Config, common: &Common) -> anyhow::Result<u8> {
    let written = record::record(args, config, common).await?;
    let (updates, size) = (words::count(written.updates, "update"), words::bytes(written.bytes));
    note(&format!("Recorded {updates} ({size}) to {}.", written.path.display()));
    Ok(SUCCESS)
}

async fn run_headless(config: &Config, common: &Common, options: Options) -> anyhow::Result<u8> {
    let outputs = Outputs::open(config.outputs()).map_err(UsageError)?;
    let Opened { watch, recording, .. } = targets::open(config, common, Speed::Max).map_err(UsageError::from)?;
    let code = headless(watch, outputs, options).await?;
    Ok(close(recording, code).await)
}

async fn run_interactive(config: &Config, common: &Common) -> anyhow::Result<u8> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let hint = "Standard input and output are not both a terminal, so there is nothing to draw on. Use `tokio-canary watch TARGET` \
                    for a line per finding, or `tokio-canary check TARGET --for 60s` for a verdict.";
        return Err(UsageError(hint.to_owned()).into());
    }
    // The terminal is on standard output: outputs that write to it are for runs without one.
    let outputs = Outputs::open(config.outputs().filter(|output| output.path.is_some())).map_err(UsageError)?;
    let Opened { watch, recording, tapes } =
        targets::open(config, common, Speed::RECORDED).map_err(UsageError::from)?;
    let code = interactive(watch, outputs, WitnessDesk::new(tapes, config.settings())).await?;
    Ok(close(recording, code).await)
}

/// Ends the recording beside a run. If that fails, so does the run.
async fn close(recording: Option<Recording>, code: u8) -> u8 {
    match targets::close(recording).await {
        Ok(_) => code,
        Err(error) => {
            note(&format!("{error:#}"));
            worst_of([code, INTERNAL])
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

fn print(text: &str) -> anyhow::Result<u8> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(SUCCESS)
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    note(sentence);
    ExitCode::from(code)
}
