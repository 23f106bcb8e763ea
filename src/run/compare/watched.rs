//! The targets of a comparison and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::Compare;
use crate::compare::{Criteria, Item, Observer, Side, compare};
use crate::feed::discovery::Discovered;
use crate::fleet::{Fleet, Member, Step, TargetId};
use crate::report::TaskKey;
use crate::report::comparison::ComparisonView;
use crate::report::progress::{ComparedTarget, ProgressView};
use crate::run::exit::{INCONCLUSIVE, SUCCESS};
use crate::run::locked;
use crate::run::notes::{note, note_connection, note_lag};
use crate::run::roster::{Places, Roster, found};
use crate::run::seat::Seat;
use crate::run::sides::{SIDES, Sides};
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
    /// All targets that there were, in the order in which they came.
    seats: BTreeMap<TargetId, Seat>,
    /// What finds more of each side.
    rosters: [Option<Roster>; 2],
    /// Of which sides the first search is complete.
    are_listed: [bool; 2],
    limit: Duration,
    /// How long there has been a running service, which is how long others may join.
    entry: Stopwatch,
    /// The time to watch recordings; none if they are read to their end.
    recorded: Option<Duration>,
    /// Whether nothing more comes from any of them.
    is_over: bool,
    /// Sentences about targets that came or went.
    news: Vec<String>,
}

impl Watched {
    /// What was opened: the targets of both sides that are named.
    pub(super) fn new(opened: Opened, sides: Sides, args: &Compare) -> Self {
        let Sides { canaries, rosters, .. } = sides;
        let seat = |(index, target): (usize, TargetId)| {
            let is_recorded = opened.replayed.contains(&target);
            let (clock, limit) =
                if is_recorded { (Clock::Recorded, args.duration) } else { (Clock::Ours, Some(args.limit())) };
            let side = if index < canaries { Side::Canary } else { Side::Stable };
            (target, Seat::new(side, Observer::for_at_most(limit), clock))
        };
        let seats = opened.watch.fleet().members().map(Member::id).enumerate().map(seat).collect();
        Self {
            opened,
            seats,
            rosters,
            are_listed: [false; 2],
            limit: args.limit(),
            entry: Stopwatch::start(Clock::Ours),
            recorded: args.duration,
            is_over: false,
            news: Vec::new(),
        }
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
            self.news().iter().for_each(|sentence| note(sentence));
            if Instant::now() >= next_note {
                next_note += Duration::from_secs(30);
                self.say_progress();
            }
        }
    }

    /// Takes in what happens next; none when all have been watched for long enough. Nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Option<Step> {
        loop {
            let is_waiting = self.opened.watch.is_idle() && self.rosters.iter().flatten().any(Roster::is_open);
            let [canary, stable] = &mut self.rosters;
            tokio::select! {
                step = self.opened.watch.next(), if !is_waiting => {
                    match &step {
                        Some(step) => self.take(step),
                        None => self.is_over = true,
                    }
                    return step;
                }
                found = found(canary) => self.follow(0, found),
                found = found(stable) => self.follow(1, found),
            }
        }
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

    /// What there is to say about targets that came or went since the last call.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The targets.
    pub(super) fn fleet(&self) -> &Fleet {
        self.opened.watch.fleet()
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
        self.news.extend(roster.take(found, places));
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
                    self.news.push(format!("{}: left after {watched}.", member.diagnosis().target()));
                }
                return;
            }
        };
        let fleet = self.opened.watch.fleet();
        let Some((member, seat)) = fleet.member(target).zip(self.seats.get_mut(&target)) else { return };
        let diagnosis = member.diagnosis();
        if let Step::Arrived { at, .. } = step {
            seat.take(*at, diagnosis);
            if !self.opened.replayed.contains(&target) {
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
    pub(super) fn check_time(&mut self) {
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
        if let Some(watched) = self.least_watched() {
            note(&format!("Watched for {} of {}.", words::duration(watched), words::limit(self.limit)));
        }
    }

    /// The time for which every running service has been watched that still is.
    fn least_watched(&self) -> Option<Duration> {
        let is_live = |target: &TargetId| !self.opened.replayed.contains(target);
        let live = self.seats.iter().filter(|(target, _)| is_live(target) && self.opened.watch.is_watched(**target));
        live.map(|(_, seat)| seat.observer.watched()).min()
    }

    /// Whether all targets are recordings.
    pub(super) fn is_recorded(&self) -> bool {
        let finds_others = self.rosters.iter().any(Option::is_some);
        !finds_others && self.seats.keys().all(|target| self.opened.replayed.contains(target))
    }

    /// Whether all of them have been watched to the end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The comparison so far, and how far it has come.
    pub(super) fn progress(&self, criteria: Criteria) -> ProgressView {
        let target = |(id, seat): (&TargetId, &Seat)| ComparedTarget {
            id: *id,
            side: match seat.side {
                Side::Canary => "canary",
                Side::Stable => "stable",
            },
            is_done: !self.opened.watch.is_watched(*id),
        };
        let mut targets: Vec<ComparedTarget> = self.seats.iter().map(target).collect();
        targets.sort_by_key(|target| target.side);
        let all = || self.seats.values().map(|seat| seat.observer.watched()).min();
        ProgressView {
            comparison: self.compare(criteria, false),
            watched: self.least_watched().or_else(all).unwrap_or_default(),
            limit: if self.is_recorded() { self.recorded } else { Some(self.limit) },
            is_over: self.is_over,
            targets,
        }
    }

    /// What is looked at of the targets, so that its details are worth having.
    pub(super) fn look_at(&mut self, open: impl Fn(TargetId) -> Option<TaskKey>) {
        for target in self.seats.keys() {
            self.opened.watch.look_at(*target, open(*target));
        }
    }

    /// The comparison in words.
    pub(super) fn compare(&self, criteria: Criteria, interrupted: bool) -> ComparisonView {
        let [canary, stable] = SIDES.map(|side| self.of(side).collect::<Vec<_>>());
        let comparison = compare(&canary, &stable, criteria);
        ComparisonView::of(&if interrupted { comparison.interrupted() } else { comparison })
    }

    /// Writes the lockfile, and returns the exit code of that.
    pub(super) fn write(&self, path: &Path, known: &BTreeSet<Item>, interrupted: bool) -> anyhow::Result<u8> {
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
