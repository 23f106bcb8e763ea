//! `compare`: watches a canary and what is known to work, and says whether the canary does worse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::exit::{INCONCLUSIVE, SUCCESS, UsageError, worst_of};
use super::locked;
use super::notes::{note, note_connection, note_lag};
use super::print::print;
use super::signals::Stop;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::{self, Opened};
use crate::alert::comparison_line;
use crate::cli::{Compare, Playback};
use crate::compare::{Criteria, Item, Observer, compare};
use crate::config::Config;
use crate::config::options::{FAIL_ON, REDACT};
use crate::config::output::{Format, Output};
use crate::detect::severity::Severity;
use crate::feed::recording::Speed;
use crate::fleet::{Fleet, Step, TargetId};
use crate::report::comparison::ComparisonView;
use crate::report::sanitize::{Charset, logged};

/// How much longer than asked for a running service is watched, so that its last block is complete.
const SLACK: Duration = Duration::from_secs(3);

/// Compares what the arguments name, and returns the exit code.
///
/// # Errors
/// A target, an output or the lockfile cannot be used.
pub(super) async fn run(args: &Compare, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    if config.get(&REDACT) {
        let why = "Stand-ins differ between targets, so names have to be compared. Turn `redact` off for `compare`.";
        return Err(UsageError(why.to_owned()).into());
    }
    let known = args.write.as_deref().map(|path| locked::read(path).map(Option::unwrap_or_default)).transpose()?;
    let opened = targets::open(config, &Playback::default(), Speed::Max).map_err(UsageError::from)?;
    stop.ends_with(INCONCLUSIVE);
    let mut watched = Watched::new(opened, args);
    let interrupted = watched.watch(stop).await;
    let mut codes = Vec::new();
    if let (Some(path), Some(known)) = (&args.write, &known) {
        codes.push(watched.write(path, known)?);
    }
    if !args.canary.is_empty() {
        let fail_on = config.get(&FAIL_ON).unwrap_or(Severity::Warning);
        let view =
            watched.compare(args.canary.len(), Criteria { fail_on, fails_on_new: args.fail_on_new }, interrupted);
        let default = [Output::default()];
        let outputs = if args.outputs.is_empty() { &default[..] } else { &args.outputs };
        let fleet = watched.opened.watch.fleet();
        outputs.iter().try_for_each(|output| put(output, &view, fleet))?;
        codes.push(view.exit_code);
    } else if interrupted {
        codes.push(INCONCLUSIVE);
    }
    Ok(worst_of(codes))
}

/// The targets and what is remembered of them.
struct Watched {
    opened: Opened,
    /// In the order of the targets.
    observers: BTreeMap<TargetId, (Observer, Stopwatch)>,
    limit: Duration,
}

impl Watched {
    fn new(opened: Opened, args: &Compare) -> Self {
        let observer = |target: TargetId| {
            let is_recorded = opened.replayed.contains(&target);
            let (clock, limit) =
                if is_recorded { (Clock::Recorded, args.duration) } else { (Clock::Ours, Some(args.limit())) };
            (target, (Observer::for_at_most(limit), Stopwatch::start(clock)))
        };
        let observers = opened.watch.fleet().members().map(|member| observer(member.id())).collect();
        Self { opened, observers, limit: args.limit() }
    }

    /// Watches until all have been watched for long enough, or a signal comes; returns whether one did.
    async fn watch(&mut self, stop: &Stop) -> bool {
        let mut asked = std::pin::pin!(stop.asked());
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut next_note = Instant::now() + Duration::from_secs(30);
        loop {
            tokio::select! {
                () = &mut asked => return true,
                step = self.opened.watch.next() => match step {
                    Some(step) => self.take(&step),
                    None => return false,
                },
                _ = tick.tick() => self.check_time(),
            }
            if Instant::now() >= next_note {
                next_note += Duration::from_secs(30);
                self.say_progress();
            }
        }
    }

    fn take(&mut self, step: &Step) {
        let (Step::Arrived { target, .. } | Step::Closed(target)) = step else { return };
        let fleet = self.opened.watch.fleet();
        if !self.opened.replayed.contains(target) {
            note_connection(step, fleet);
            note_lag(step, fleet);
        }
        let Some((member, (observer, stopwatch))) = fleet.member(*target).zip(self.observers.get_mut(target)) else {
            return;
        };
        let diagnosis = member.diagnosis();
        if let Step::Arrived { at, .. } = step {
            stopwatch.take(*at, diagnosis.updates() > 0);
            observer.observe(diagnosis);
        } else {
            observer.finish(diagnosis);
        }
        if observer.is_over() {
            self.opened.watch.close(*target);
        }
    }

    /// Ends the feeds of services that have had their time, or never answer.
    fn check_time(&mut self) {
        for (target, (_, stopwatch)) in &self.observers {
            let limit = if stopwatch.has_begun() { self.limit + SLACK } else { self.limit };
            if !self.opened.replayed.contains(target) && stopwatch.watched() >= limit {
                self.opened.watch.close(*target);
            }
        }
    }

    fn say_progress(&self) {
        let least = self.observers.values().map(|(observer, _)| observer.watched()).min().unwrap_or_default();
        if !self.opened.watch.fleet().members().all(|it| self.opened.replayed.contains(&it.id())) {
            note(&format!("Watched for {} of {}.", crate::words::duration(least), crate::words::limit(self.limit)));
        }
    }

    /// The comparison in words; the first targets are the canary.
    fn compare(&self, canaries: usize, criteria: Criteria, interrupted: bool) -> ComparisonView {
        let observers: Vec<&Observer> = self.observers.values().map(|(observer, _)| observer).collect();
        let (canary, stable) = observers.split_at(canaries.min(observers.len()));
        let comparison = compare(canary, stable, criteria);
        ComparisonView::of(&if interrupted { comparison.interrupted() } else { comparison })
    }

    /// Writes the lockfile, and returns the exit code of that.
    fn write(&self, path: &std::path::Path, known: &BTreeSet<Item>) -> anyhow::Result<u8> {
        let structures = self.observers.values().map(|(observer, _)| observer.structure());
        let seen: BTreeSet<Item> = structures.flat_map(|it| it.items().map(|(item, _)| item.clone())).collect();
        if seen.is_empty() {
            note(&format!("{} is left as it is: no target showed any structure.", path.display()));
            return Ok(INCONCLUSIVE);
        }
        note(&locked::write(path, known, &seen)?);
        Ok(SUCCESS)
    }
}

/// Writes a comparison to one output.
fn put(output: &Output, view: &ComparisonView, fleet: &Fleet) -> anyhow::Result<()> {
    let text = match output.format {
        Format::Ndjson => comparison_line(view, fleet) + "\n",
        _ => text(view, output.path.is_none()),
    };
    match &output.path {
        None => print(&text).map(drop).map_err(Into::into),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            written.with_context(|| format!("Cannot write to {}", path.display()))
        }
    }
}

/// The verdict first, then what both sides did, then each difference.
fn text(view: &ComparisonView, is_standard: bool) -> String {
    let charset = if is_standard && stdout().is_terminal() {
        Charset::of_terminal(|name| std::env::var(name).ok())
    } else {
        Charset::Unicode
    };
    let difference = |it: &crate::report::comparison::DifferenceView| {
        let mark = if it.counts { "regression" } else { "new here" };
        let details = if it.details.is_empty() { String::new() } else { format!(" {}", it.details) };
        format!("  {mark}: {}.{details}", it.summary)
    };
    let lines = [view.sentence.clone(), view.load()].into_iter().chain([view.method.clone()]);
    let lines = lines.chain(view.differences.iter().map(difference));
    lines.map(|line| logged(&charset.line(&line)).to_string() + "\n").collect()
}
