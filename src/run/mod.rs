//! Wires feeds to a front end, shuts both down, and turns what it comes to into an exit code.

mod configuration;
mod explain;
mod headless;
mod log;
mod sessions;
mod signals;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use self::headless::{Plan, headless};
use self::sessions::Recording;
use crate::alert::Outputs;
use crate::cli::{Cli, Command, Common};
use crate::config::{Config, Faults, Sources};
use crate::feed::recording::{RecordError, Speed};
use crate::tui;

/// Wrong arguments or settings.
const USAGE: u8 = 2;
/// The tool itself failed.
const INTERNAL: u8 = 4;

/// Runs what the command line asks for, and returns the exit code: 0 healthy (or simply done), 1 findings, 2 wrong usage, 3 could not
/// judge, 4 the tool itself failed.
pub fn main(cli: Cli) -> ExitCode {
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
        Some(Command::Config { command }) => configuration::run(command, flags),
        command => {
            let config = Config::resolve(Sources::of_process(flags))?;
            config.expired().iter().for_each(|sentence| note(sentence));
            log::start(&config)?;
            // One thread reads the feeds while another draws or judges, so that neither waits for the other.
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let code = runtime.block_on(attach(command, &config, &cli.common));
            // Nothing that is still being looked up may hold up the end.
            runtime.shutdown_background();
            code
        }
    }
}

async fn attach(command: Option<Command>, config: &Config, common: &Common) -> anyhow::Result<u8> {
    match command {
        Some(Command::Record(record)) => {
            let written = sessions::record_only(&record.target, &record.output, record.duration, config).await?;
            note(&format!("{}: {} updates, {} bytes.", written.path.display(), written.updates, written.bytes));
            Ok(0)
        }
        Some(Command::Watch(_)) => run_headless(config, common, Plan::watch(config)).await,
        Some(Command::Check(check)) => run_headless(config, common, Plan::check(config, check.duration)).await,
        _ if !io::stdout().is_terminal() || !io::stdin().is_terminal() => {
            let hint = "standard input and output are not both a terminal, so there is nothing to draw on. Use `tokio-canary watch \
                        TARGET` for lines as things happen, or `tokio-canary check TARGET --for 60s` for one verdict.";
            Err(UsageError(hint.to_owned()).into())
        }
        _ => run_interactive(config, common).await,
    }
}

async fn run_headless(config: &Config, common: &Common, plan: Plan) -> anyhow::Result<u8> {
    let outputs = Outputs::open(config.outputs()).map_err(UsageError)?;
    let (sessions, recording) = sessions::open(config, common, Speed::Max).map_err(UsageError::from)?;
    let code = headless(sessions, outputs, plan).await?;
    Ok(close(recording, code).await)
}

async fn run_interactive(config: &Config, common: &Common) -> anyhow::Result<u8> {
    let (sessions, recording) = sessions::open(config, common, Speed::RECORDED).map_err(UsageError::from)?;
    let watched = sessions.into_iter().map(|session| tui::Watched {
        events: session.feed.events,
        wanted: session.feed.wanted,
        diagnosis: session.diagnosis,
    });
    tui::run(watched.collect()).await?;
    Ok(close(recording, 0).await)
}

/// Ends the recording beside a run. One that failed is told, and fails a run that has nothing worse to say.
async fn close(recording: Option<Recording>, code: u8) -> u8 {
    match sessions::close(recording).await {
        Ok(_) => code,
        Err(error) => {
            note(&format!("{error:#}"));
            if code == 0 { INTERNAL } else { code }
        }
    }
}

/// A mistake in what was asked for, as opposed to a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl From<anyhow::Error> for UsageError {
    fn from(error: anyhow::Error) -> Self {
        // These say their causes themselves.
        Self(error.to_string())
    }
}

/// Whether the user can mend it by asking for something else.
fn is_usage(error: &anyhow::Error) -> bool {
    let unwritable = matches!(error.downcast_ref(), Some(RecordError::Exists { .. } | RecordError::Create { .. }));
    unwritable || error.is::<UsageError>()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

fn print(text: &str) -> anyhow::Result<u8> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

/// Says something on standard error, if there still is one: a terminal that has hung up is no reason to panic.
fn note(sentence: &str) {
    let _ = writeln!(io::stderr(), "tokio-canary: {}", crate::escape::plain(sentence));
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    note(sentence);
    ExitCode::from(code)
}
