//! The targets of a comparison and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::Compare;
use crate::compare::{Criteria, Item, Observer, compare};
use crate::fleet::{Fleet, Step, TargetId};
use crate::report::TaskKey;
use crate::report::comparison::ComparisonView;
use crate::report::progress::{ComparedTarget, ProgressView};
use crate::run::exit::{INCONCLUSIVE, SUCCESS};
use crate::run::locked;
use crate::run::notes::{note, note_connection, note_lag};
use crate::run::signals::Stop;
use crate::run::stopwatch::{Clock, Stopwatch};
use crate::run::targets::Opened;
use crate::words;

/// How much longer than asked for a running service is watched, so that its last block is complete.
const SLACK: Duration = Duration::from_secs(3);

/// How often to look whether time is over.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The targets and what is remembered of them.
pub(super) struct Watched {
    opened: Opened,
    /// In the order of the targets.
    observers: BTreeMap<TargetId, (Observer, Stopwatch)>,
    /// How many of them are the canary.
    canaries: usize,
    limit: Duration,
    /// The time to watch recordings; none if they are read to their end.
    recorded: Option<Duration>,
    /// Whether nothing more comes from any of them.
    is_over: bool,
}

impl Watched {
    /// What was opened; the first targets are the canary.
    pub(super) fn new(opened: Opened, canaries: usize, args: &Compare) -> Self {
        let observer = |target: TargetId| {
            let is_recorded = opened.replayed.contains(&target);
            let (clock, limit) =
                if is_recorded { (Clock::Recorded, args.duration) } else { (Clock::Ours, Some(args.limit())) };
            (target, (Observer::for_at_most(limit), Stopwatch::start(clock)))
        };
        let observers = opened.watch.fleet().members().map(|member| observer(member.id())).collect();
        let (limit, recorded) = (args.limit(), args.duration);
        Self { opened, observers, canaries, limit, recorded, is_over: false }
    }

    /// Watches until all have been watched for long enough, or a signal comes; returns whether one did.
    pub(super) async fn watch(&mut self, stop: &Stop) -> bool {
        let mut asked = std::pin::pin!(stop.asked());
        let mut tick = tokio::time::interval(TICK);
        let mut next_note = Instant::now() + Duration::from_secs(30);
        loop {
            tokio::select! {
                () = &mut asked => return true,
                step = self.next() => match step {
                    Some(step) => self.announce(&step),
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

    /// Takes in what happens next; none when all have been watched for long enough. Nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Option<Step> {
        let step = self.opened.watch.next().await;
        match &step {
            Some(step) => self.take(step),
            None => self.is_over = true,
        }
        step
    }

    /// Says what became of the connection to a running service.
    fn announce(&self, step: &Step) {
        if let Step::Arrived { target, .. } | Step::Closed(target) = step
            && !self.opened.replayed.contains(target)
        {
            note_connection(step, self.fleet());
            note_lag(step, self.fleet());
        }
    }

    /// The targets.
    pub(super) fn fleet(&self) -> &Fleet {
        self.opened.watch.fleet()
    }

    fn take(&mut self, step: &Step) {
        let (Step::Arrived { target, .. } | Step::Closed(target)) = step else { return };
        let fleet = self.opened.watch.fleet();
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
    pub(super) fn check_time(&mut self) {
        for (target, (_, stopwatch)) in &self.observers {
            let limit = if stopwatch.has_begun() { self.limit + SLACK } else { self.limit };
            if !self.opened.replayed.contains(target) && stopwatch.watched() >= limit {
                self.opened.watch.close(*target);
            }
        }
    }

    fn say_progress(&self) {
        if !self.is_recorded() {
            note(&format!("Watched for {} of {}.", words::duration(self.watched()), words::limit(self.limit)));
        }
    }

    /// The time for which every target has been watched.
    fn watched(&self) -> Duration {
        self.observers.values().map(|(observer, _)| observer.watched()).min().unwrap_or_default()
    }

    /// Whether all targets are recordings.
    pub(super) fn is_recorded(&self) -> bool {
        self.fleet().members().all(|it| self.opened.replayed.contains(&it.id()))
    }

    /// Whether all of them have been watched to the end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The comparison so far, and how far it has come.
    pub(super) fn progress(&self, criteria: Criteria) -> ProgressView {
        let target = |(index, id): (usize, &TargetId)| ComparedTarget {
            id: *id,
            side: if index < self.canaries { "canary" } else { "stable" },
            is_done: !self.opened.watch.is_watched(*id),
        };
        ProgressView {
            comparison: self.compare(criteria, false),
            watched: self.watched(),
            limit: if self.is_recorded() { self.recorded } else { Some(self.limit) },
            is_over: self.is_over,
            targets: self.observers.keys().enumerate().map(target).collect(),
        }
    }

    /// What is looked at of the targets, so that its details are worth having.
    pub(super) fn look_at(&mut self, open: impl Fn(TargetId) -> Option<TaskKey>) {
        for target in self.observers.keys() {
            self.opened.watch.look_at(*target, open(*target));
        }
    }

    /// The comparison in words; the first targets are the canary.
    pub(super) fn compare(&self, criteria: Criteria, interrupted: bool) -> ComparisonView {
        let observers: Vec<&Observer> = self.observers.values().map(|(observer, _)| observer).collect();
        let (canary, stable) = observers.split_at(self.canaries.min(observers.len()));
        let comparison = compare(canary, stable, criteria);
        ComparisonView::of(&if interrupted { comparison.interrupted() } else { comparison })
    }

    /// Writes the lockfile, and returns the exit code of that.
    pub(super) fn write(&self, path: &Path, known: &BTreeSet<Item>, interrupted: bool) -> anyhow::Result<u8> {
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
