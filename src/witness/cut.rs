//! Cuts a recording down to what one finding needs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ddmin::{Outcome, minimize};
use super::filter::{only, without_details, without_poll_ops, without_unused_metadata};
use super::inventory::{Entity, Inventory, Keep, messages};
use super::lab::{Budget, Lab};
use super::sighting::Sighting;
use super::window::{entered_at, thinned};
use crate::detect::settings::Settings;
use crate::diagnosis::Arrived;
use crate::feed::FeedEvent;

/// Updates that are kept after the finding fired, so that whoever plays the witness sees that it stays.
const AFTER: usize = 2;

/// Fewer updates than this are not worth thinning out.
const MANY_UPDATES: usize = 40;

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Tasks.
    pub tasks: usize,
    /// Resources.
    pub resources: usize,
    /// Async ops.
    pub ops: usize,
    /// Updates.
    pub updates: usize,
    /// From the first event to the last.
    pub span: Duration,
}

/// What is left of a recording.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The events that are left.
    pub events: Vec<Arrived>,
    /// How much there was up to where the finding fired.
    pub before: Extent,
    /// How much is left.
    pub after: Extent,
    /// How often the detectors ran over a part of it.
    pub tries: u32,
}

/// How far the cutting is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How much is left.
    pub left: Extent,
    /// How often the detectors ran.
    pub tries: u32,
}

/// What is cut, and by what it is measured.
#[derive(Debug)]
pub struct Order<'a> {
    /// The finding that has to stay.
    pub goal: &'a Sighting,
    /// Everything that the recording shows.
    pub sightings: &'a [Sighting],
    /// The settings in force.
    pub settings: &'a Settings,
    /// How much may be tried.
    pub budget: Budget,
}

/// How many events of a recording are enough to cut it to this finding.
pub fn enough(goal: &Sighting) -> usize {
    // The events after it may be something else than updates.
    goal.event + 1 + 2 * AFTER
}

/// Cuts the first events of a recording, which are [`enough`], to what the finding needs. `None` if it does not show again.
pub fn cut(events: Vec<Arrived>, order: &Order<'_>, progress: &mut dyn FnMut(Progress)) -> Option<Cut> {
    let mut lab = Lab::new(order.goal, order.sightings, order.settings, order.budget);
    let events = confirmed(events, order.goal, &mut lab)?;
    let before = extent(&events);
    let mut cutter = Cutter { lab, progress };
    // The cheaper what is played, the more can be tried.
    let mut events = cutter.try_each(events, &[without_details, without_poll_ops]);
    events = cutter.enter_late(events);
    events = cutter.thin_out(events);
    events = cutter.drop_groups(&events);
    events = cutter.drop_entities(&events);
    events = cutter.drop_ops(&events);
    events = cutter.enter_late(events);
    events = cutter.try_each(events, &[without_details, without_poll_ops, without_unused_metadata]);
    cutter.report(extent(&events));
    let after = extent(&events);
    Some(Cut { events, before, after, tries: cutter.lab.tries() })
}

/// The events up to where the finding fires and, if it stays as long, a few updates more.
fn confirmed(mut events: Vec<Arrived>, goal: &Sighting, lab: &mut Lab<'_>) -> Option<Vec<Arrived>> {
    events.retain(|it| !matches!(it.event, FeedEvent::Ended(_)));
    events.truncate(enough(goal));
    while lab.shows(events.iter().cloned()) != Some(true) {
        if events.len() <= goal.event + 1 {
            return None;
        }
        events.pop();
    }
    Some(events)
}

/// Something that may be done to events.
type Change = fn(&[Arrived]) -> Vec<Arrived>;

struct Cutter<'a> {
    lab: Lab<'a>,
    progress: &'a mut dyn FnMut(Progress),
}

impl Cutter<'_> {
    fn report(&mut self, left: Extent) {
        (self.progress)(Progress { left, tries: self.lab.tries() });
    }

    /// Enters as late as the finding allows: later and later halves of what is left are tried.
    fn enter_late(&mut self, events: Vec<Arrived>) -> Vec<Arrived> {
        let (mut late, mut too_late) = (0, events.len());
        let mut best = None;
        while too_late - late > 1 {
            let from = late + (too_late - late) / 2;
            let candidate = entered_at(&events, from);
            match self.lab.shows(candidate.iter().cloned()) {
                Some(true) => (late, best) = (from, Some(candidate)),
                Some(false) => too_late = from,
                None => break,
            }
        }
        let events = best.unwrap_or(events);
        self.report(extent(&events));
        events
    }

    /// Puts updates together that came faster than the finding needs.
    fn thin_out(&mut self, mut events: Vec<Arrived>) -> Vec<Arrived> {
        for every in [32, 16, 8, 4, 2] {
            if messages(&events).count() < MANY_UPDATES.max(every) {
                continue;
            }
            let candidate = thinned(&events, every);
            if self.lab.shows(candidate.iter().cloned()) == Some(true) {
                events = candidate;
                break;
            }
        }
        self.report(extent(&events));
        events
    }

    /// Leaves out whole spawn sites and kinds of resources.
    fn drop_groups(&mut self, events: &[Arrived]) -> Vec<Arrived> {
        let inventory = Inventory::of(events);
        let kept = minimize(inventory.groups(), &mut |groups| {
            let entities = groups.iter().flatten().copied();
            self.shows_only(events, &inventory.keep(entities, |_| true))
        });
        left(events, &inventory.keep(kept.into_iter().flatten(), |_| true))
    }

    /// Leaves out single tasks and resources.
    fn drop_entities(&mut self, events: &[Arrived]) -> Vec<Arrived> {
        let inventory = Inventory::of(events);
        let all = inventory.groups().into_iter().flatten().collect();
        let kept =
            minimize(all, &mut |entities| self.shows_only(events, &inventory.keep(entities.iter().copied(), |_| true)));
        left(events, &inventory.keep(kept, |_| true))
    }

    /// Leaves out single async ops.
    fn drop_ops(&mut self, events: &[Arrived]) -> Vec<Arrived> {
        let inventory = Inventory::of(events);
        let others: Vec<Entity> = inventory.groups().into_iter().flatten().collect();
        let keep = |ops: &[Entity]| {
            let ops: BTreeSet<Entity> = ops.iter().copied().collect();
            inventory.keep(others.iter().copied(), |id| ops.contains(&Entity::Op(id)))
        };
        let kept = minimize(inventory.ops(), &mut |ops| self.shows_only(events, &keep(ops)));
        left(events, &keep(&kept))
    }

    /// Does what may be done to the events, as far as the finding stays.
    fn try_each(&mut self, mut events: Vec<Arrived>, changes: &[Change]) -> Vec<Arrived> {
        for change in changes {
            let candidate = change(&events);
            if self.lab.shows(candidate.iter().cloned()) == Some(true) {
                events = candidate;
            }
        }
        events
    }

    fn shows_only(&mut self, events: &[Arrived], keep: &Keep) -> Outcome {
        let shows = self.lab.shows(only(events, keep));
        if shows == Some(true) {
            let left = Extent { tasks: keep.tasks.len(), resources: keep.resources.len(), ..extent_in_time(events) };
            self.report(Extent { ops: keep.ops.len(), ..left });
        }
        shows
    }
}

fn left(events: &[Arrived], keep: &Keep) -> Vec<Arrived> {
    only(events, keep).collect()
}

fn extent(events: &[Arrived]) -> Extent {
    let (tasks, resources, ops) = Inventory::of(events).counts();
    Extent { tasks, resources, ops, ..extent_in_time(events) }
}

fn extent_in_time(events: &[Arrived]) -> Extent {
    let span = events.first().zip(events.last()).and_then(|(first, last)| last.at.duration_since(first.at).ok());
    Extent { updates: messages(events).count(), span: span.unwrap_or_default(), ..Extent::default() }
}
