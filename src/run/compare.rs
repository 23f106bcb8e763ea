//! `compare`: watches a canary and what is known to work, and says whether the canary does worse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::comparison_outputs::ComparisonOutputs;
use super::exit::{INCONCLUSIVE, SUCCESS, UsageError, worst_of};
use super::locked;
use super::notes::{note, note_connection, note_lag};
use super::repository;
use super::roster::{Places, Roster, found};
use super::seat::Seat;
use super::sides::{SIDES, Sides};
use super::signals::Stop;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::{self, Opened};
use crate::cli::Compare;
use crate::compare::{Criteria, Item, Observer, Side, compare};
use crate::config::Config;
use crate::config::options::FAIL_ON;
use crate::detect::severity::Severity;
use crate::feed::discovery::Discovered;
use crate::fleet::{Member, Step, TargetId};
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
    let sides = Sides::of(args, config)?;
    let opened = targets::open_these(config, &sides.targets).map_err(UsageError::from)?;
    let mut watched = Watched::new(opened, sides, args);
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
    /// All targets that there were, in the order in which they came.
    seats: BTreeMap<TargetId, Seat>,
    /// What finds more of each side.
    rosters: [Option<Roster>; 2],
    /// Of which sides the first search is complete.
    are_listed: [bool; 2],
    limit: Duration,
    /// How long there has been a running service, which is how long others may join.
    entry: Stopwatch,
}

impl Watched {
    fn new(opened: Opened, sides: Sides, args: &Compare) -> Self {
        let Sides { canaries, rosters, .. } = sides;
        let seat = |(index, target): (usize, TargetId)| {
            let is_recorded = opened.replayed.contains(&target);
            let (clock, limit) =
                if is_recorded { (Clock::Recorded, args.duration) } else { (Clock::Ours, Some(args.limit())) };
            let side = if index < canaries { Side::Canary } else { Side::Stable };
            (target, Seat::new(side, Observer::for_at_most(limit), clock))
        };
        let seats = opened.watch.fleet().members().map(Member::id).enumerate().map(seat).collect();
        let entry = Stopwatch::start(Clock::Ours);
        Self { opened, seats, rosters, are_listed: [false; 2], limit: args.limit(), entry }
    }

    /// Watches until all have been watched for long enough, or a signal comes; returns whether one did.
    async fn watch(&mut self, stop: &Stop) -> bool {
        let mut asked = std::pin::pin!(stop.asked());
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut next_note = Instant::now() + Duration::from_secs(30);
        loop {
            let is_waiting = self.opened.watch.is_idle() && self.rosters.iter().flatten().any(Roster::is_open);
            let [canary, stable] = &mut self.rosters;
            tokio::select! {
                () = &mut asked => return true,
                step = self.opened.watch.next(), if !is_waiting => match step {
                    Some(step) => self.take(&step),
                    None => return false,
                },
                found = found(canary) => self.follow(0, found),
                found = found(stable) => self.follow(1, found),
                _ = tick.tick() => self.check_time(),
            }
            if Instant::now() >= next_note {
                next_note += Duration::from_secs(30);
                self.say_progress();
            }
        }
    }

    /// Does what was found out about targets of a side.
    fn follow(&mut self, index: usize, found: Discovered) {
        let Some(roster) = &mut self.rosters[index] else { return };
        let is_late = self.are_listed[index];
        self.are_listed[index] |= found == Discovered::Complete;
        if let Discovered::Leaving { key } | Discovered::Left { key, .. } = &found
            && let Some(seat) = roster.target(key).and_then(|target| self.seats.get_mut(&target))
        {
            seat.note_departure(matches!(found, Discovered::Left { has_failed: true, .. }));
        }
        let places = &mut Places { watch: &mut self.opened.watch, black_boxes: &mut self.opened.black_boxes };
        roster.take(found, places).iter().for_each(|sentence| note(sentence));
        let new = self.opened.watch.fleet().members().map(Member::id).filter(|it| !self.seats.contains_key(it));
        let new: Vec<TargetId> = new.collect();
        for target in new {
            let observer = Observer::for_at_most(Some(self.limit));
            let observer = if is_late { observer.joining_late() } else { observer };
            self.seats.insert(target, Seat::new(SIDES[index], observer, Clock::Ours));
        }
    }

    fn take(&mut self, step: &Step) {
        let target = match step {
            Step::Joined(_) => return,
            Step::Arrived { target, .. } | Step::Closed(target) => *target,
            Step::Left(member) => {
                if let Some(seat) = self.seats.get_mut(&member.id()) {
                    seat.observer.finish(member.diagnosis());
                    let watched = words::duration(seat.observer.watched());
                    note(&format!("{}: left after {watched}.", member.diagnosis().target()));
                }
                return;
            }
        };
        let fleet = self.opened.watch.fleet();
        let is_recorded = self.opened.replayed.contains(&target);
        if !is_recorded {
            note_connection(step, fleet);
            note_lag(step, fleet);
        }
        let Some((member, seat)) = fleet.member(target).zip(self.seats.get_mut(&target)) else { return };
        let diagnosis = member.diagnosis();
        if let Step::Arrived { at, .. } = step {
            seat.take(*at, diagnosis);
            if !is_recorded {
                self.entry.take(*at, diagnosis.updates() > 0);
            }
        } else {
            seat.observer.finish(diagnosis);
        }
        if seat.observer.is_over() || seat.observer.stranger().is_some() {
            self.opened.watch.close(target);
        }
        if self.is_hopeless() {
            self.seats.keys().for_each(|target| self.opened.watch.close(*target));
            self.rosters.iter_mut().flatten().for_each(Roster::close);
        }
    }

    fn of(&self, side: Side) -> impl Iterator<Item = &Observer> {
        self.seats.values().filter(move |seat| seat.side == side).map(|seat| &seat.observer)
    }

    /// Whether nothing of a side will ever be known: at each of its targets something else answers.
    fn is_hopeless(&self) -> bool {
        let is_strange = |side| self.of(side).next().is_some() && self.of(side).all(|it| it.stranger().is_some());
        SIDES.into_iter().any(is_strange)
    }

    /// Ends the feeds of services that have had their time, or never answer.
    fn check_time(&mut self) {
        let is_over =
            |(target, seat): (&TargetId, &Seat)| !self.opened.replayed.contains(target) && seat.observer.is_over();
        if self.entry.watched() >= self.limit || self.seats.iter().any(is_over) {
            // Those that came first have had their time: a comparison has an end, whoever else may come.
            self.rosters.iter_mut().flatten().for_each(Roster::close);
        }
        for (target, seat) in &self.seats {
            let limit = if seat.stopwatch.has_begun() { self.limit + SLACK } else { self.limit };
            if !self.opened.replayed.contains(target) && seat.stopwatch.watched() >= limit {
                self.opened.watch.close(*target);
            }
        }
    }

    fn say_progress(&self) {
        let is_live = |target: &TargetId| !self.opened.replayed.contains(target);
        let live = self.seats.iter().filter(|(target, _)| is_live(target) && self.opened.watch.is_watched(**target));
        if let Some(least) = live.map(|(_, seat)| seat.observer.watched()).min() {
            note(&format!("Watched for {} of {}.", words::duration(least), words::limit(self.limit)));
        }
    }

    /// The comparison in words.
    fn compare(&self, criteria: Criteria, interrupted: bool) -> ComparisonView {
        let [canary, stable] = SIDES.map(|side| self.of(side).collect::<Vec<_>>());
        let comparison = compare(&canary, &stable, criteria);
        ComparisonView::of(&if interrupted { comparison.interrupted() } else { comparison })
    }

    /// Writes the lockfile, and returns the exit code of that.
    fn write(&self, path: &Path, known: &BTreeSet<Item>, interrupted: bool) -> anyhow::Result<u8> {
        let structures = self.seats.values().map(|seat| seat.observer.structure());
        let seen: BTreeSet<Item> = structures.flat_map(|it| it.items().map(|(item, _)| item.clone())).collect();
        if seen.is_empty() {
            let cut = if interrupted { "Interrupted: " } else { "" };
            note(&format!("{cut}{} is left as it is: no target showed any structure.", path.display()));
            return Ok(INCONCLUSIVE);
        }
        let written = locked::write(path, known, &seen)?;
        if interrupted {
            let watched = self.seats.values().map(|seat| seat.observer.watched()).max().unwrap_or_default();
            let watched = words::duration(watched);
            note(&format!("Interrupted after {watched}; parts that had not shown by then are missing. {written}"));
        } else {
            note(&written);
        }
        Ok(SUCCESS)
    }
}
