//! The command line tool: reads the arguments, runs one command, and turns what it comes to into an exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use tokio_canary::cli::{BarArgs, Check, Cli, Command, Common, FailOn, Partial, Watch};
use tokio_canary::diagnosis::Bar;
use tokio_canary::feed::recording::Speed;
use tokio_canary::run::{self, Plan};
use tokio_canary::{explain, tui};

/// Wrong arguments or settings.
const USAGE: u8 = 2;
/// The tool itself failed.
const INTERNAL: u8 = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = cli.common.detector_settings() {
        return fail(&error, USAGE);
    }
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), if is_usage(&error) { USAGE } else { INTERNAL }),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    match cli.command {
        Some(Command::Explain { detector }) => print(&explain::text(detector.as_deref()).map_err(UsageError)?),
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
        command => {
            start_log(&cli.common)?;
            // One thread reads the feeds while another draws or judges, so that neither waits for the other.
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let code = runtime.block_on(attach(command, &cli.targets.targets, &cli.common));
            // Nothing that is still being looked up or written may hold up the end.
            runtime.shutdown_background();
            code
        }
    }
}

async fn attach(
    command: Option<Command>,
    targets: &[tokio_canary::feed::endpoint::Target],
    common: &Common,
) -> anyhow::Result<u8> {
    match command {
        Some(Command::Record(record)) => {
            let written = run::record_only(&record.target, &record.output, record.duration, common).await?;
            note(&format!("{}: {} updates, {} bytes.", written.path.display(), written.updates, written.bytes));
            Ok(0)
        }
        Some(Command::Watch(watch)) => run_headless(&watch.targets.targets, common, plan_of_watch(&watch)).await,
        Some(Command::Check(check)) => run_headless(&check.targets.targets, common, plan_of_check(&check)).await,
        _ if !io::stdout().is_terminal() || !io::stdin().is_terminal() => {
            let hint = "standard input and output are not both a terminal, so there is nothing to draw on. Use `tokio-canary watch \
                        TARGET` for lines as things happen, or `tokio-canary check TARGET --for 60s` for one verdict.";
            Err(UsageError(hint.to_owned()).into())
        }
        _ => run_interactive(targets, common).await,
    }
}

async fn run_headless(
    targets: &[tokio_canary::feed::endpoint::Target],
    common: &Common,
    plan: Plan,
) -> anyhow::Result<u8> {
    let (sessions, recording) =
        run::open(targets, common, Speed::Max).map_err(|error| UsageError(format!("{error:#}")))?;
    let code = run::headless(sessions, plan).await?;
    run::close(recording).await?;
    Ok(code)
}

async fn run_interactive(targets: &[tokio_canary::feed::endpoint::Target], common: &Common) -> anyhow::Result<u8> {
    let (sessions, recording) =
        run::open(targets, common, Speed::RECORDED).map_err(|error| UsageError(format!("{error:#}")))?;
    let watched = sessions.into_iter().map(|session| tui::Watched {
        events: session.feed.events,
        wanted: session.feed.wanted,
        diagnosis: session.diagnosis,
    });
    tui::run(watched.collect()).await?;
    run::close(recording).await?;
    Ok(0)
}

fn plan_of_watch(watch: &Watch) -> Plan {
    Plan {
        format: watch.output,
        duration: None,
        heartbeat: watch.heartbeat,
        bar: bar(watch.bar, watch.fail_on.unwrap_or(FailOn::Warning)),
        judged: watch.fail_on.is_some(),
    }
}

fn plan_of_check(check: &Check) -> Plan {
    Plan {
        format: check.output,
        duration: Some(check.duration),
        heartbeat: std::time::Duration::from_secs(30),
        bar: bar(check.bar, check.fail_on),
        judged: true,
    }
}

fn bar(args: BarArgs, fail_on: FailOn) -> Bar {
    Bar { fail_on: fail_on.into(), min_updates: args.min_updates, partial_passes: args.partial == Partial::Pass }
}

/// Starts the tool's own log, if one was asked for. It never goes to the terminal.
fn start_log(common: &Common) -> anyhow::Result<()> {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let Some(path) = &common.log_file else { return Ok(()) };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let file = file.with_context(|| format!("The log {} cannot be opened.", path.display()))?;
    let filter = common.log.clone().unwrap_or_else(|| {
        tracing_subscriber::filter::Targets::new().with_default(tracing_subscriber::filter::LevelFilter::INFO)
    });
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::sync::Arc::new(file));
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}

/// A mistake in what was asked for, as opposed to a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<UsageError>()
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
    let _ = writeln!(io::stderr(), "tokio-canary: {sentence}");
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    note(sentence);
    ExitCode::from(code)
}
