//! Tasks that run into a timeout: nearly all of a site end at one age, when a timer fires that they made then.

use std::time::Duration;

use super::numbers::{densest, number, ratio};
use super::places;
use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::history::completions::Completion;
use crate::model::history::timeouts::{Ends, Timeouts};
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, TaskKey};

/// Ends are looked at that are no longer ago than this.
const WINDOW: Duration = Duration::from_secs(30);
/// Ages that differ by this share are the same.
const SAME: f64 = 0.03;
/// Ages of a second and more that differ by less than this share are due to timers: no other wait is as regular.
pub const EXACT: f64 = 0.005;
/// A timer that fires within this share of the age at which tasks end is what ends them.
const DUE: f64 = 0.1;
/// A task has rested that did for this share of its life.
const RESTED: f64 = 0.5;
/// A task ended early that did before this share of that age.
const EARLY: f64 = 0.5;
/// Minimum share of all tasks of a site that ended early, for that to have been usual.
const USED_TO: f64 = 0.2;
/// So many tasks that are alive are asked for their timers.
const SAMPLE: usize = 32;

/// Minimum pace of a line at which timeouts fire, as a share of its usual one: requests come as fast as before. A loop that waits for the next
/// message with a timeout waits less often when none comes.
const PACE: f64 = 0.6;
/// Of the least share of timeouts that fire, this much is the least in each third of the time.
const SOME: f64 = 0.75;
/// What is known of a line may be this old.
const RECENT: Duration = Duration::from_secs(15);

/// A line whose timeouts fire.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringLine {
    /// Its last timer that ended.
    pub timer: ResourceKey,
    /// How long that was to run.
    pub timeout: Duration,
    /// How many ended lately,
    pub ended: usize,
    /// and how many of them had run out.
    pub fired: usize,
    /// Over how long.
    pub window: Duration,
    /// Whether a library sets them around what it asks others for: not one that runs timers for its users, or limits how long a service may take.
    pub around_requests: bool,
    /// Tasks that wait with a timeout of that line now; a few of each spawn site.
    pub tasks: Vec<TaskKey>,
}

/// How the tasks of a site end at one age.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedOut {
    /// The age.
    pub age: Duration,
    /// How many tasks ended lately.
    pub ended: usize,
    /// The share of them that ended at that age.
    pub at_that_age: f64,
    /// The share of them whose age differs from it by less than [`EXACT`].
    pub exactly: f64,
    /// The share of them that ended at that age, after they had rested for most of it.
    pub rested: f64,
    /// The share of them that ended early.
    pub early: f64,
    /// The share of all that ever ended that did so early: how they used to end.
    pub used_to_end_early: bool,
    /// Of tasks that are alive and idle, the share that sleeps on a timer which fires at that age.
    pub with_timer: f64,
    /// Of the same tasks, the share that waits on a oneshot channel.
    pub for_answer: f64,
    /// Of the same tasks, the share that waits on a oneshot channel that a library made: for the reply to a request.
    pub for_reply: f64,
    /// Of the same tasks, the share that waits for a lock or for permits.
    pub for_lock: f64,
    /// How many tasks are alive.
    pub live: usize,
    /// The least that were alive at a time that is remembered.
    pub least_live: usize,
    /// Those that are alive, the oldest first; a few of them.
    pub tasks: Vec<TaskKey>,
    /// Whether what they wait for is seen.
    pub wait_is_seen: bool,
}

/// What shows that the tasks of a site end by a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Live tasks sleep on timers that fire at that age.
    Timer,
    /// Live tasks wait for answers: a dispatcher may keep the deadlines of all calls.
    Answer,
    /// The ages are the same to within [`EXACT`], as several attempts with a timeout each add up to.
    Exactness,
}

impl TimedOut {
    /// What shows that a timeout ends them: a share of the live tasks that is at least `timers`, or a share of the ended ones that is at least
    /// `share`. None where nothing does.
    pub fn sign(&self, timers: f64, share: f64) -> Option<Sign> {
        let signs = [
            (self.with_timer >= timers, Sign::Timer),
            (self.for_answer >= timers, Sign::Answer),
            (self.exactly >= share, Sign::Exactness),
        ];
        signs.into_iter().find_map(|(is_there, sign)| is_there.then_some(sign))
    }
}

impl Evidence<'_> {
    /// At which age the tasks of a site end; nothing where fewer than `ended` have ended lately, or a lower share than `share` of those at one age
    /// that is `least` or more.
    pub fn timed_out(&self, site: &Site, ended: usize, share: f64, least: Duration) -> Option<TimedOut> {
        let ends: Vec<&Completion> = site.completions.since(self.now().minus(WINDOW)).collect();
        let long = ends.iter().filter(|it| it.age >= least.mul_f64(1.0 - SAME)).count();
        // Nearly all sites are ruled out before the age and the timers are looked for, which costs more than all that comes before.
        if ends.len() < ended || ratio(long, ends.len()) < share {
            return None;
        }
        let age = most_common(&ends)?;
        let about = age.mul_f64(1.0 - SAME)..=age.mul_f64(1.0 + SAME);
        let exact = age.mul_f64(1.0 - EXACT)..=age.mul_f64(1.0 + EXACT);
        let then = || ends.iter().filter(|it| about.contains(&it.age));
        let (at_that_age, rested) = (then().count(), then().filter(|it| it.rested >= it.age.mul_f64(RESTED)).count());
        if ratio(at_that_age, ends.len()) < share {
            return None;
        }
        let half = age.mul_f64(EARLY);
        let early = ends.iter().filter(|it| it.age < half).count();
        let tasks: Vec<TaskKey> = site.live.iter().take(SAMPLE).map(|(_, key)| *key).collect();
        let step = site.live.len().div_ceil(SAMPLE).max(1);
        let asked: Vec<(Timestamp, TaskKey)> = site.live.iter().step_by(step).copied().collect();
        let fires_then = |(born, key): &&(Timestamp, TaskKey)| {
            let until = self.task_wait(*key).sleeping.and_then(|it| it.until);
            let due = until.map(|until| until.since(*born).as_secs_f64() / age.as_secs_f64().max(f64::EPSILON));
            due.is_some_and(|due| (due - 1.0).abs() <= DUE)
        };
        let awaiting = |is_it: fn(&Resource) -> bool| {
            let waits =
                |key| self.task_wait(key).awaited.iter().any(|it| self.resource(it.resource).is_some_and(is_it));
            ratio(asked.iter().filter(|(_, key)| waits(*key)).count(), asked.len())
        };
        let least_live = site.history.all().map(|second| second.live).min().unwrap_or_default();
        Some(TimedOut {
            age,
            ended: ends.len(),
            at_that_age: ratio(at_that_age, ends.len()),
            exactly: ratio(then().filter(|it| exact.contains(&it.age)).count(), ends.len()),
            rested: ratio(rested, ends.len()),
            early: ratio(early, ends.len()),
            used_to_end_early: used_to_end_early(site, age),
            with_timer: ratio(asked.iter().filter(fires_then).count(), asked.len()),
            for_answer: awaiting(|it| it.kind == ResourceKind::Oneshot),
            for_reply: awaiting(|it| it.kind == ResourceKind::Oneshot && it.location.is_library()),
            for_lock: awaiting(|it| it.kind.is_held()),
            live: site.live.len(),
            least_live,
            wait_is_seen: asked.iter().any(|(_, key)| !self.task_wait(*key).awaited.is_empty()),
            tasks,
        })
    }

    /// The lines whose timers are timeouts, because hardly any of them fired earlier, and of which a share of `share` or more has fired lately, of
    /// at least `least` that ended. No third of that time may be free of it, as it is before and after a short
    /// outage.
    pub fn firing_lines(&self, share: f64, least: usize) -> Vec<FiringLine> {
        let lines = self.timeouts().all().filter_map(|(line, timeouts)| {
            let (thirds, until) = (timeouts.thirds()?, timeouts.until());
            let place = places::of_resource(ResourceKind::Sleep, line);
            let usual = timeouts.usual()?;
            let sum = |count: fn(&Ends) -> u32| thirds.iter().map(|third| count(third) as usize).sum();
            let (ended, fired): (usize, usize) = (sum(|it| it.ended), sum(|it| it.fired));
            let some = |it: &Ends| f64::from(it.fired) >= share * SOME * f64::from(it.ended) && it.fired > 0;
            let fire = ratio(fired, ended) >= share && thirds.iter().all(some);
            let keeps_pace = ended >= least && number(ended) >= PACE * usual;
            (fire && keeps_pace && self.now().since(until) <= RECENT).then(|| FiringLine {
                timer: timeouts.last,
                timeout: timeouts.duration,
                ended,
                fired,
                window: Timeouts::window(),
                around_requests: line.is_library() && place.is_none(),
                tasks: self.tasks_with_timer_of(line),
            })
        });
        lines.filter(|it| self.resource(it.timer).is_some()).collect()
    }

    /// Tasks that sleep on a timer of a line, among the youngest of each site.
    fn tasks_with_timer_of(&self, line: &Location) -> Vec<TaskKey> {
        let sleeps = |key: &TaskKey| self.timer(*key).is_some_and(|timer| timer.location == *line);
        let sites = self.sites().filter(|(_, site)| site.id.kind.is_async());
        sites.flat_map(|(_, site)| site.live.iter().rev().take(SAMPLE)).map(|(_, key)| *key).filter(sleeps).collect()
    }

    /// How many tasks of a site begin in a second, over the time in which ends are looked at.
    pub fn births_per_second(&self, site: &Site) -> f64 {
        let born: u32 = site.history.since(self.now().minus(WINDOW)).map(|second| second.born).sum();
        number(born) / WINDOW.as_secs_f64()
    }
}

/// Whether many tasks of a site have ended long before an age, since the site was first seen.
pub fn used_to_end_early(site: &Site, age: Duration) -> bool {
    site.lifetime_at(USED_TO).is_some_and(|lifetime| lifetime < age.mul_f64(EARLY))
}

/// The age around which most tasks ended.
fn most_common(ends: &[&Completion]) -> Option<Duration> {
    let mut ages: Vec<Duration> = ends.iter().map(|it| it.age).collect();
    ages.sort_unstable();
    (!ages.is_empty()).then(|| densest(&ages, SAME).0)
}
