//! Wires feeds to front ends, shuts both down, and turns what it comes to into an exit code.
//!
//! `watch` is the one loop; `headless`, `interactive` and `record` consume what it yields.

mod baseline;
mod black_boxes;
mod blame;
mod compare;
mod comparison_outputs;
mod configuration;
mod demo;
mod departed;
mod doctor;
mod effect;
mod exit;
mod explain;
mod headless;
mod interactive;
mod judgement;
mod keeping;
mod locked;
mod log;
mod looks;
mod notes;
mod opener;
mod opening;
mod player;
mod print;
mod program;
mod record;
mod roster;
mod seat;
mod sides;
mod signals;
mod started;
mod stopwatch;
mod targets;
mod terms;
mod verify;
mod watch;
mod witness;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::CommandFactory;
use tokio::sync::mpsc;

use self::black_boxes::BlackBoxes;
use self::demo::Demo;
use self::exit::{INTERNAL, SUCCESS, USAGE, UsageError, is_usage, sentence, worst_of};
use self::headless::Run;
use self::interactive::{Found, interactive};
use self::locked::Locked;
use self::looks::{presentation, repository, undrawable};
use self::notes::note;
use self::opening::Opening;
use self::print::{print, printed};
use self::signals::Stop;
use self::targets::{Manner, Opened, Recording};
use self::terms::Options;
use self::witness::WitnessDesk;
use crate::alert::Outputs;
use crate::alert::http::{Desk, Server};
use crate::alert::push::Notify;
use crate::cli::manual::{self, Page};
use crate::cli::{Cli, Command, Playback, Record, ScreenArgs, skill};
use crate::config::options::LISTEN;
use crate::config::{Config, Faults, Sources};
use crate::feed::recording::Speed;
use crate::{panics, spelling, words};

/// Notices that may wait to be shown in the terminal, one at a time; more are dropped.
const NOTICES: usize = 100;

/// Reads the command line of the process, runs what it asks for, and returns the exit code of [`main`].
pub fn main_of_process() -> ExitCode {
    let code = match Cli::of_process() {
        Ok(cli) if lacks_command(&cli) => code_of(Err(UsageError(NO_COMMAND.to_owned()).into())),
        Ok(cli) => return main(&cli),
        // Help and the version are data, like any other.
        Err(error) if !error.use_stderr() => {
            code_of(printed(error.print().and_then(|()| io::stdout().flush())).map_err(Into::into))
        }
        Err(error) => {
            // Nobody is left to hear that standard error is gone.
            let _ = error.print();
            USAGE
        }
    };
    notes::flush(notes::SAYING);
    ExitCode::from(code)
}

/// What is said where a script left out the command, for instance by an empty variable: the default target is not what it means.
const NO_COMMAND: &str = "There is no command after `--`. Leave `--` out to judge targets.";

/// Whether the command line ends with `--`, where a command should follow.
fn lacks_command(cli: &Cli) -> bool {
    let ends_open = || std::env::args_os().last().is_some_and(|last| last == "--");
    matches!(&cli.command, Some(Command::Check(check)) if check.command.is_empty() && ends_open())
}

/// Runs what a command line asks for, and returns the exit code: 0 healthy (or simply done), 1 findings, 2 wrong usage, 3 could not
/// judge, 4 the tool itself failed.
pub fn main(cli: &Cli) -> ExitCode {
    panics::hush();
    let code = code_of(dispatch(cli));
    notes::flush(notes::SAYING);
    ExitCode::from(code)
}

/// Says what went wrong, if something did, and returns the exit code.
fn code_of(outcome: anyhow::Result<u8>) -> u8 {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(faults) = error.downcast_ref::<Faults>() {
        return configuration::refuse(faults);
    }
    note(&sentence(&error));
    if is_usage(&error) { USAGE } else { INTERNAL }
}

fn dispatch(cli: &Cli) -> anyhow::Result<u8> {
    signals::survive_size_limit()?;
    let flags = cli.flags();
    match &cli.command {
        Some(Command::Explain { detector: None, .. }) if flags.is_empty() => Ok(print(&crate::explain::list())?),
        Some(Command::Explain { detector: None, .. }) => {
            Err(UsageError("Settings are shown on the page of a detector. Name one.".to_owned()).into())
        }
        Some(Command::Explain { detector: Some(id), .. }) => explain::run(id, flags),
        Some(Command::Verify { file, .. }) => verify::run(file, flags),
        Some(Command::Config { command }) => configuration::run(command, flags),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tokio-canary", &mut script);
            Ok(print(&String::from_utf8_lossy(&script))?)
        }
        Some(Command::Skill) => Ok(print(&skill::text())?),
        Some(Command::Man { to: Some(folder), .. }) => install_manual(folder),
        Some(Command::Man { command, .. }) => print_manual(&command.join(" ")),
        Some(Command::Demo(_)) => {
            let demo = Demo::unpack()?;
            attach(cli, demo.sources(flags))
        }
        _ => attach(cli, Sources::of_process(flags)),
    }
}

fn print_manual(command: &str) -> anyhow::Result<u8> {
    let pages = manual::pages()?;
    let Some(page) = pages.iter().find(|page| page.command == command) else {
        let commands = || pages.iter().map(|page| page.command.as_str()).filter(|it| !it.is_empty());
        let all = || format!("there are {}", commands().collect::<Vec<_>>().join(", "));
        let hint = spelling::hint(command, commands(), all);
        return Err(UsageError(format!("There is no command `{command}`{hint}")).into());
    };
    Ok(print(&String::from_utf8_lossy(&page.text))?)
}

fn install_manual(folder: &Path) -> anyhow::Result<u8> {
    for Page { file, text, .. } in manual::pages()? {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("Cannot write {}", path.display()))?;
    }
    Ok(SUCCESS)
}

/// Runs something that attaches to targets.
fn attach(cli: &Cli, sources: Sources) -> anyhow::Result<u8> {
    let config = Config::resolve(sources)?;
    effect::require(cli, &config)?;
    targets::require(&config)?;
    config.expired().iter().for_each(|sentence| note(sentence));
    log::start(&config)?;
    let stop = Stop::listen().context("Cannot listen to signals")?;
    // One thread reads the feeds while another draws or judges, so that neither waits for the other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(async {
        match &cli.command {
            Some(Command::Record(args)) => run_record(args, &config, &stop).await,
            Some(Command::Compare(args)) => compare::run(args, &config, &stop).await,
            Some(Command::Witness(args)) => witness::run(args, &config, &stop).await,
            Some(Command::Blame(args)) => blame::run(args, &config, &stop).await,
            Some(Command::Doctor(args)) => doctor::run(args, &config, &stop).await,
            Some(Command::Watch(watch)) => {
                let terms = (Options::watch(&config), None);
                run_headless(&config, (&watch.attaching.playback, Manner::default()), &[], terms, &stop).await
            }
            Some(Command::Demo(args)) if demo::is_shown(args) => {
                run_interactive(&config, (&demo::playback(args), Demo::manner()), &ScreenArgs::default(), &stop).await
            }
            Some(Command::Demo(args)) => {
                let (playback, terms) = (demo::playback(args), (Options::watch(&config), None));
                run_headless(&config, (&playback, Demo::manner()), &[], terms, &stop).await
            }
            Some(Command::Check(check)) => {
                let options = Options::check(&config, check.duration);
                let locked = check.locked.as_deref().map(Locked::read).transpose()?;
                let opening = (&check.attaching.playback, Manner::default());
                run_headless(&config, opening, &check.command, (options, locked), &stop).await
            }
            _ => run_interactive(&config, (&cli.attaching.playback, Manner::default()), &cli.screen, &stop).await,
        }
    });
    // Nothing that is still being looked up may hold up the end.
    runtime.shutdown_background();
    code
}

async fn run_record(args: &Record, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    let written = record::record(args, config, stop).await?;
    let (updates, size) = (words::count(written.updates, "update"), words::bytes(written.bytes));
    note(&format!("Recorded {updates} ({size}) to {}.", written.path.display()));
    Ok(SUCCESS)
}

async fn run_headless(
    config: &Config,
    (playback, manner): (&Playback, Manner),
    command: &[OsString],
    (options, locked): (Options, Option<Locked>),
    stop: &Stop,
) -> anyhow::Result<u8> {
    let mut outputs = Outputs::open(config.outputs(), &repository(config)).map_err(UsageError)?;
    let notify: Notify = Arc::new(|sentence: String| note(&sentence));
    outputs.add_receivers(config.receivers(), &notify).map_err(UsageError)?;
    // Nothing is started for a run that cannot serve.
    let (server, desk) = serve(config).await?.unzip();
    let (mut opened, program) = if command.is_empty() {
        let manner = Manner { black_boxes: options.black_boxes(config), ..manner };
        let opened = targets::open_with(config, playback, Speed::Max, manner);
        (opened.map_err(UsageError::from)?, None)
    } else {
        let (opened, program) = targets::start_program(config, playback, command, stop)?;
        (opened, Some(program))
    };
    let recording = opened.recording.take();
    targets::save_at_end(recording.as_ref(), stop);
    opened.black_boxes.save_at_end(stop);
    let outputs = outputs.limited(options.limits);
    let run = Run::new(opened, outputs, options, config, stop).with(program).answering(desk).locked(locked);
    let code = Box::pin(run.headless()).await;
    stop.ends_with(code);
    if let Some(server) = server {
        stop.during(server.stop(), || {}).await;
    }
    Ok(close(recording, code, stop).await)
}

/// Serves HTTP if that was asked for, and says where.
async fn serve(config: &Config) -> Result<Option<(Server, Desk)>, UsageError> {
    let Some(listen) = config.get(&LISTEN) else { return Ok(None) };
    let (server, desk) = Server::start(listen).await.map_err(UsageError)?;
    let exposed = if listen.is_loopback() {
        ""
    } else {
        " Anyone who can reach it can read the names and source locations of the targets; there is no authentication."
    };
    note(&format!("Serving http://{}/ (metrics, health, findings, verdict).{exposed}", server.address()));
    Ok(Some((server, desk)))
}

async fn run_interactive(
    config: &Config,
    (playback, manner): (&Playback, Manner),
    screen: &ScreenArgs,
    stop: &Stop,
) -> anyhow::Result<u8> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let hint =
            format!("Standard input and output are not both a terminal, so there is nothing to draw on. {INSTEAD}");
        return Err(UsageError(hint).into());
    }
    if let Some(fault) = undrawable(std::env::var("TERM").ok().as_deref()) {
        return Err(UsageError(format!("{fault} {INSTEAD}")).into());
    }
    // The terminal is on standard output: outputs that write to it are for runs without one.
    let files = config.outputs().filter(|output| output.path.is_some());
    let mut outputs = Outputs::open(files, &repository(config)).map_err(UsageError)?;
    let (sender, mut notices) = mpsc::channel(NOTICES);
    // Nobody is left to hear it once the view and the run have ended, and nobody reads more than the view can show.
    let notify: Notify = Arc::new(move |sentence| drop(sender.try_send(sentence)));
    outputs.add_receivers(config.receivers(), &notify).map_err(UsageError)?;
    drop(notify);
    let outputs = outputs.limited(terms::limits(config));
    let manner = Manner { black_boxes: BlackBoxes::by_hand(config), waits: Some(screen.at.is_some()), ..manner };
    let Opened { mut watch, recording, tapes, roster, black_boxes, .. } =
        targets::open_with(config, playback, Speed::RECORDED, manner).map_err(UsageError::from)?;
    targets::save_at_end(recording.as_ref(), stop);
    black_boxes.save_at_end(stop);
    let (opening, sentences) = Opening::begin(screen, &mut watch);
    sentences.iter().for_each(|sentence| note(sentence));
    // Earlier notes belong above the view, not into it.
    notes::flush(notes::SAYING);
    let desk = WitnessDesk::new(tapes, config.settings());
    let targets = Found { watch, roster, black_boxes, opening };
    let outputs = (outputs, recording.as_ref());
    let code = interactive(targets, outputs, desk, (terms::criteria(config), presentation(config)), &mut notices, stop)
        .await?;
    Ok(close(recording, code, stop).await)
}

/// What to do where there is no terminal to draw on.
const INSTEAD: &str =
    "Use `tokio-canary watch TARGET` for a line per finding, or `tokio-canary check TARGET --for 60s` for a verdict.";

/// Ends the recording beside a run. If that fails, so does the run.
async fn close(recording: Option<Recording>, code: u8, stop: &Stop) -> u8 {
    match targets::close(recording, stop).await {
        Ok(_) => code,
        Err(error) => {
            note(&sentence(&error));
            worst_of([code, INTERNAL])
        }
    }
}
