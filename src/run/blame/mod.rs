//! `blame`: watches a target for a while, and says where the time of its tasks goes and who costs whom.

mod folded;
mod table;

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use super::exit::{INCONCLUSIVE, SUCCESS, UsageError, worst_of};
use super::notes::{note, note_connection, note_lag};
use super::print::print;
use super::signals::Stop;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::{self, Opened};
use super::watch::Watch;
use crate::alert::blame_lines;
use crate::cli::{BlameArgs, BlameFormat, Playback};
use crate::config::Config;
use crate::diagnosis::Status;
use crate::feed::recording::Speed;
use crate::fleet::{Member, Step};
use crate::report::Snapshot;
use crate::report::blame::{BlameView, BlameWindow};
use crate::report::sanitize::Charset;
use crate::report::target::QualityView;

/// Width of the table where it is not written to a terminal, and the least there.
const WIDTH: usize = 80;

/// Watches what the arguments name and prints who costs whom. Returns the exit code: 0 if there was something to measure, 3 if not.
///
/// # Errors
/// The target cannot be opened, or standard output cannot be written.
pub(super) async fn run(args: &BlameArgs, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    let opened = targets::open(config, &Playback::default(), Speed::Max).map_err(UsageError::from)?;
    stop.ends_with(INCONCLUSIVE);
    let Opened { mut watch, replayed, .. } = opened;
    let is_recorded = !replayed.is_empty();
    let limit = if is_recorded { args.duration } else { Some(args.limit()) };
    let is_interrupted = look(&mut watch, is_recorded, limit, stop).await;
    let Some(member) = watch.fleet().members().next() else { return Ok(INCONCLUSIVE) };
    let snapshot = Snapshot::new(watch.fleet(), member);
    let view = snapshot.blame(BlameWindow::All);
    if let Some(sentence) = nothing(&view, member) {
        note(&format!("{}: {sentence}", member.diagnosis().target()));
        return Ok(INCONCLUSIVE);
    }
    note_gaps(member);
    let sizings = snapshot.sizings();
    let text = match args.output {
        BlameFormat::Table => table::text(member.diagnosis().target(), &view, &sizings, charset(), width()),
        BlameFormat::Ndjson => blame_lines(member, &view, &sizings),
        BlameFormat::Folded => folded::text(&view),
    };
    let printed = print(&text)?;
    Ok(worst_of([printed, if is_interrupted { INCONCLUSIVE } else { SUCCESS }]))
}

/// Watches until the time is up, the feed has ended or a signal comes; returns whether one did.
async fn look(watch: &mut Watch, is_recorded: bool, limit: Option<Duration>, stop: &Stop) -> bool {
    let mut stopwatch = Stopwatch::start(if is_recorded { Clock::Recorded } else { Clock::Ours });
    let mut asked = std::pin::pin!(stop.asked());
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            () = &mut asked => return true,
            step = watch.next() => match step {
                None | Some(Step::Closed(_)) => return false,
                Some(step) => {
                    if !is_recorded {
                        note_connection(&step, watch.fleet());
                        note_lag(&step, watch.fleet());
                    }
                    take_time(&step, watch, &mut stopwatch);
                }
            },
            _ = tick.tick(), if !is_recorded => {}
        }
        if stopwatch.is_hopeless || limit.is_some_and(|limit| stopwatch.watched() >= limit) {
            return false;
        }
    }
}

fn take_time(step: &Step, watch: &Watch, stopwatch: &mut Stopwatch) {
    let Step::Arrived { target, at, .. } = step else { return };
    let Some(member) = watch.fleet().member(*target) else { return };
    stopwatch.take(*at, member.diagnosis().updates() > 0);
    stopwatch.is_hopeless = matches!(member.diagnosis().status(), Status::Stranger { .. });
}

/// Why there is nothing to measure, as a sentence.
fn nothing(view: &BlameView, member: &Member) -> Option<&'static str> {
    if member.diagnosis().updates() == 0 {
        return Some("Nothing to measure: no update came.");
    }
    if view.window.is_zero() {
        return Some("Nothing to measure: a single update came, and time passes between two. Watch for longer.");
    }
    view.rows.is_empty().then_some("Nothing to measure: no task was seen. `tokio-canary doctor TARGET` finds out why.")
}

/// Says what the feed withholds: waits that are not reported are unknown.
fn note_gaps(member: &Member) {
    let withheld: Vec<&str> = QualityView::of(member.diagnosis()).withheld.iter().map(|it| it.as_str()).collect();
    if !withheld.is_empty() {
        let (target, reasons) = (member.diagnosis().target(), withheld.join(", "));
        note(&format!("{target}: The feed is incomplete ({reasons}): what it does not report counts as unknown."));
    }
}

fn charset() -> Charset {
    if io::stdout().is_terminal() { Charset::of_terminal(|name| env::var(name).ok()) } else { Charset::Unicode }
}

fn width() -> usize {
    let size = io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    size.map_or(WIDTH, |(columns, _)| WIDTH.max(columns.into()))
}
