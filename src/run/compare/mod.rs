//! `compare`: watches a canary and what is known to work, and says whether the canary does worse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::comparison_outputs::ComparisonOutputs;
use super::exit::{INCONCLUSIVE, SUCCESS, UsageError, worst_of};
use super::locked;
use super::notes::{note, note_connection, note_lag};
use super::repository;
use super::sides::Sides;
use super::signals::Stop;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::{self, Opened};
use crate::cli::Compare;
use crate::compare::{Criteria, Item, Observer, compare};
use crate::config::Config;
use crate::config::options::FAIL_ON;
use crate::detect::severity::Severity;
use crate::fleet::{Step, TargetId};
use crate::report::comparison::ComparisonView;
use crate::words;

/// How much longer than asked for a running service is watched, so that its last block is complete.
const SLACK: Duration = Duration::from_secs(3);

/// Compares what the arguments name, and returns the exit code.
///
/// # Errors
/// A target, an output or the lockfile cannot be used.
pub(super) async fn run(args: &Compare, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    let outputs = ComparisonOutputs::open(&args.outputs.outputs, repository(config)).map_err(UsageError)?;
    let known = args.write.as_deref().map(|path| locked::read(path).map(Option::unwrap_or_default)).transpose()?;
    stop.ends_with(INCONCLUSIVE);
    let Some(sides) = Sides::of(args, config, stop).await? else { return Ok(INCONCLUSIVE) };
    let opened = targets::open_these(config, &sides.targets).map_err(UsageError::from)?;
    let mut watched = Watched::new(opened, sides.canaries, args);
    let interrupted = watched.watch(stop).await;
    let mut codes = Vec::new();
    if let (Some(path), Some(known)) = (&args.write, &known) {
        codes.push(watched.write(path, known, interrupted)?);
    }
    if !args.canary.is_empty() {
        let fail_on = config.get(&FAIL_ON).unwrap_or(Severity::Warning);
        let view = watched.compare(Criteria { fail_on, fails_on_new: args.fail_on_new }, interrupted);
        outputs.put(&view, watched.opened.watch.fleet())?;
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
    /// How many of them are the canary.
    canaries: usize,
    limit: Duration,
}

impl Watched {
    fn new(opened: Opened, canaries: usize, args: &Compare) -> Self {
        let observer = |target: TargetId| {
            let is_recorded = opened.replayed.contains(&target);
            let (clock, limit) =
                if is_recorded { (Clock::Recorded, args.duration) } else { (Clock::Ours, Some(args.limit())) };
            (target, (Observer::for_at_most(limit), Stopwatch::start(clock)))
        };
        let observers = opened.watch.fleet().members().map(|member| observer(member.id())).collect();
        Self { opened, observers, canaries, limit: args.limit() }
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
        if observer.is_over() || observer.stranger().is_some() {
            self.opened.watch.close(*target);
        }
        if self.is_hopeless() {
            self.observers.keys().for_each(|target| self.opened.watch.close(*target));
        }
    }

    /// Whether nothing of a side will ever be known: at each of its targets something else answers.
    fn is_hopeless(&self) -> bool {
        let strange: Vec<bool> = self.observers.values().map(|(observer, _)| observer.stranger().is_some()).collect();
        let (canary, stable) = strange.split_at(self.canaries.min(strange.len()));
        [canary, stable].iter().any(|side| !side.is_empty() && side.iter().all(|it| *it))
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
            note(&format!("Watched for {} of {}.", words::duration(least), words::limit(self.limit)));
        }
    }

    /// The comparison in words; the first targets are the canary.
    fn compare(&self, criteria: Criteria, interrupted: bool) -> ComparisonView {
        let observers: Vec<&Observer> = self.observers.values().map(|(observer, _)| observer).collect();
        let (canary, stable) = observers.split_at(self.canaries.min(observers.len()));
        let comparison = compare(canary, stable, criteria);
        ComparisonView::of(&if interrupted { comparison.interrupted() } else { comparison })
    }

    /// Writes the lockfile, and returns the exit code of that.
    fn write(&self, path: &Path, known: &BTreeSet<Item>, interrupted: bool) -> anyhow::Result<u8> {
        let structures = self.observers.values().map(|(observer, _)| observer.structure());
        let seen: BTreeSet<Item> = structures.flat_map(|it| it.items().map(|(item, _)| item.clone())).collect();
        if seen.is_empty() {
            let cut = if interrupted { "Interrupted: " } else { "" };
            note(&format!("{cut}{} is left as it is: no target showed any structure.", path.display()));
            return Ok(INCONCLUSIVE);
        }
        let written = locked::write(path, known, &seen)?;
        if interrupted {
            let watched = self.observers.values().map(|(observer, _)| observer.watched()).max().unwrap_or_default();
            let watched = words::duration(watched);
            note(&format!("Interrupted after {watched}; parts that had not shown by then are missing. {written}"));
        } else {
            note(&written);
        }
        Ok(SUCCESS)
    }
}
