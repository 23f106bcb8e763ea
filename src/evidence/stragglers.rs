//! Tasks that should have ended long ago: their siblings were done at an age at which these stopped, and they have rested ever since.

use std::time::Duration;

use super::numbers::number;
use super::view::Evidence;
use crate::model::entity::site::Site;
use crate::model::entity::task::Task;
use crate::model::time::Timestamp;
use crate::model::{SiteKey, TaskKey};

/// A task is no straggler that is younger than this many times the 95th percentile of its siblings' lifetimes,
const TIMES: u32 = 20;
/// this many times the longest of them,
const LONGEST: u32 = 2;
/// or this.
const LEAST: Duration = Duration::from_secs(5);
/// Tasks that are looked at from either end, the oldest and the youngest of those that are old enough.
const MOST: usize = 128;
/// The youngest of them, which tell whether more keep coming.
const YOUNGEST: usize = MOST / 2;
/// Stragglers are compared with those that ended in this time,
const LATELY: Duration = Duration::from_secs(120);
/// and fewer than this share of both are a few quiet ones,
const FEW: f64 = 0.1;
/// more than this are the rule.
const MANY: f64 = 0.6;
/// Births of which one gap is wider than this many times the mean gap do not follow one upon the other.
const WIDEST: u32 = 6;
/// The last birth is no longer ago, those that are too young left out, than this many times the mean gap,
const SINCE: u32 = 3;
/// or this.
const SILENT: Duration = Duration::from_secs(2);
/// A stalled site is compared with this time before its first straggler was born.
const BEFORE: Duration = Duration::from_secs(30);
/// Minimum number of tasks that ended in that time, where nothing else is asked for.
const ENOUGH: u64 = 20;
/// Minimum share of the tasks spawned in that time that ended in it.
const ENDED: f64 = 0.8;
/// Minimum rate of spawns in that time, in tasks per second: start-up probes are rarer, and come to an end.
const BUSY: f64 = 2.5;
/// Minimum rate of spawns since then, as a share of that rate.
const STILL_COMES: f64 = 0.5;
/// Minimum time without an end, as a multiple of the longest such time before.
const SILENCES: u32 = 4;
/// Minimum time without an end: readiness probes, usually 10 s apart, may be all that ends beside clients that stay.
const PROBES: Duration = Duration::from_secs(11);
/// A site has nearly stalled if hardly any task that is spawned ends, such as a health check, and nothing else has changed: minimum rate of spawns
/// before, in tasks per second, beyond that of start-up probes,
const BUSIER: f64 = 5.0;
/// and minimum time for which that lasts.
const FOR_LONG: Duration = Duration::from_secs(20);
/// Tasks born within this time of each other belong together: one spawned the other, or both were spawned for one request.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The stragglers of a spawn site.
#[derive(Debug, Clone, PartialEq)]
pub struct Stragglers {
    /// How many there are; estimated where there are many.
    pub count: usize,
    /// Who they are, oldest first; of many the oldest and the youngest.
    pub tasks: Vec<TaskKey>,
    /// When they were born, in the same order.
    births: Vec<Timestamp>,
    /// The 95th percentile of the lifetimes of their siblings that have ended.
    pub usual: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// The age from which on a task is a straggler.
    pub limit: Duration,
    /// How old the oldest one is.
    pub oldest: Duration,
    /// The number of polls after which all of them stopped, if it is the same.
    pub stopped_at_poll: Option<u64>,
    /// Tasks of the site that are as old and were polled lately: members of the site do live that long.
    pub lively: usize,
    /// The share of the tasks that were spawned lately and either ended or became stragglers that did the latter.
    pub share: f64,
    /// Whether nothing of the site has ended since the first of them should have: what used to end never does any more.
    pub all_stay: bool,
    /// Whether the site has stalled: tasks are spawned at the usual rate, and none ends, while nearly all did before.
    pub has_stalled: bool,
    /// Whether new ones have come all the time: none of the gaps between their births is much longer than the others, up to now.
    pub keep_coming: bool,
}

impl Stragglers {
    /// The time from the birth of the first one to that of the last.
    pub fn spread(&self) -> Duration {
        self.births.last().zip(self.births.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first))
    }

    /// Whether they are a part of what is spawned, and not the most of it: where nearly all stay, the site is one of clients that connect, and where
    /// hardly any does, of those that a few quiet ones are among. Or all stay, where before all ended.
    pub fn are_no_clients(&self) -> bool {
        self.all_stay || (FEW..=MANY).contains(&self.share)
    }

    /// Whether most of these were born together with one of the others, so that both tell of the same fault.
    pub fn born_with(&self, others: &Self) -> bool {
        let near = |born: &Timestamp| {
            let next = others.births.partition_point(|it| *it < born.minus(AT_ONCE));
            others.births.get(next).is_some_and(|it| *it <= born.plus(AT_ONCE))
        };
        5 * self.births.iter().filter(|born| near(born)).count() >= 4 * self.births.len()
    }
}

impl Evidence<'_> {
    /// The stragglers of a site of which so many tasks have completed, if there are any.
    pub fn stragglers(&self, key: SiteKey, siblings: u64) -> Option<Stragglers> {
        let site = self.site(key).filter(|site| site.completed() >= siblings && !site.live.is_empty())?;
        let (usual, longest) = (site.lifetime_at(0.95)?, site.lifetime_at(1.0)?);
        let limit = LEAST.max(usual * TIMES).max(longest * LONGEST);
        let (old, sampled) = site.live.sample_oldest(2 * MOST, |born| self.running_since(born) > limit);
        let sample = sampled.len();
        let (mut tasks, mut births, mut polls) = (Vec::new(), Vec::new(), Vec::new());
        for (born, key) in sampled {
            let Some(task) = self.task(key).filter(|task| self.is_straggler(key, task, limit)) else { continue };
            tasks.push(key);
            births.push(born);
            // A library that enters the span of a task adds to its polls.
            polls.push(task.stats.poll.polls - task.stats.unexplained_polls());
        }
        let (oldest, lively) = (self.running_since(*births.first()?), sample - tasks.len());
        Some(Stragglers {
            count: old * tasks.len() / sample,
            stopped_at_poll: polls.first().copied().filter(|first| polls.iter().all(|it| it == first)),
            share: self.share_of_stragglers(site, &births),
            all_stay: site.last_end.is_some_and(|end| end <= births.first().copied().unwrap_or_default().plus(limit)),
            has_stalled: self.has_stalled(site, *births.first()?, siblings),
            keep_coming: self.keep_being_born(&births, limit),
            tasks,
            births,
            usual,
            longest,
            limit,
            oldest,
            lively,
        })
    }

    /// Whether a task stopped at an age at which its siblings were done, has rested since for as long, and nothing wakes it before long.
    fn is_straggler(&self, key: TaskKey, task: &Task, limit: Duration) -> bool {
        let stopped = self.rests_since(key).filter(|since| since.since(task.stats.created) <= limit);
        stopped.is_some_and(|since| self.running_since(since) >= limit)
            && !self.task_wait(key).ends_by_itself(self.now())
            && !self.is_in_moving_queue(key, limit)
    }

    /// The share of stragglers among the tasks that were born since one of them was, at most lately, and ended or became stragglers.
    fn share_of_stragglers(&self, site: &Site, births: &[Timestamp]) -> f64 {
        let births = &births[births.len().saturating_sub(YOUNGEST)..];
        let known = self.clock().began().max(self.now().minus(LATELY));
        let from = births.first().copied().unwrap_or_default().max(known);
        let (_, ended) = site.history.turnover(from);
        let born = births.iter().filter(|born| **born >= from).count();
        number(born) / (number(born) + number(ended)).max(1.0)
    }

    /// Whether tasks of a site keep being spawned but none ends any more, nor is polled later in life, although nearly all used to end.
    pub fn stalls(&self, site: &Site) -> bool {
        let first = site.last_end.and_then(|end| site.live.first_since(end.minus(site.lifetime_at(1.0)?)));
        let all_rest = || {
            let crowd = self.crowd(site);
            crowd.still == crowd.old
        };
        first.is_some_and(|first| self.has_stopped(site, first, ENOUGH)) && all_rest()
    }

    /// Whether a site has stalled since its first straggler was born: tasks are spawned at half of the rate of before or more, and none ends, or
    /// hardly any. At least `enough` tasks must have ended before.
    fn has_stalled(&self, site: &Site, first: Timestamp, enough: u64) -> bool {
        self.has_stopped(site, first, enough) || self.has_nearly_stalled(site, first, enough)
    }

    /// Whether tasks are spawned at half of the rate of before or more, and none has ended for far longer than before.
    fn has_stopped(&self, site: &Site, first: Timestamp, enough: u64) -> bool {
        let Some((end, longest)) = site.last_end.zip(site.lifetime_at(1.0)) else { return false };
        let done = end.min(first.plus(longest));
        Before::of(site, end.min(first), done, enough).is_some_and(|before| {
            before.rate >= BUSY
                && self.rate_since(site, end) >= before.rate * STILL_COMES
                && self.running_since(end) >= PROBES.max(before.silence * SILENCES)
        })
    }

    /// Whether tasks are spawned at half of the rate of before or more, and hardly any of them has ended for a while.
    fn has_nearly_stalled(&self, site: &Site, first: Timestamp, enough: u64) -> bool {
        self.running_since(first) >= FOR_LONG
            && self.nearly_all_stay(site, self.now().since(first))
            && Before::of(site, first, first, enough).is_some_and(|before| {
                before.rate >= BUSIER && self.rate_since(site, first) >= before.rate * STILL_COMES
            })
    }

    /// Tasks spawned per second since a time.
    fn rate_since(&self, site: &Site, from: Timestamp) -> f64 {
        rate(site.history.turnover(from).0, self.now().since(from))
    }

    /// Whether births follow one upon the other until now. Those that are too young to be told apart yet do not count, nor do the oldest of many.
    fn keep_being_born(&self, births: &[Timestamp], limit: Duration) -> bool {
        let births = &births[births.len().saturating_sub(YOUNGEST)..];
        let (Some(first), Some(last)) = (births.first(), births.last()) else { return false };
        let steps = u32::try_from(births.len() - 1).unwrap_or(u32::MAX);
        let mean = last.since(*first).checked_div(steps).unwrap_or_default();
        let gaps = births.windows(2).map(|pair| pair[1].since(pair[0]));
        let widest = gaps.max().unwrap_or_default();
        let still = self.running_since(*last).saturating_sub(limit);
        widest <= mean * WIDEST && still <= (mean * SINCE).max(SILENT)
    }
}

/// A site before it stalled, when nearly all of its tasks ended.
struct Before {
    /// Tasks spawned per second.
    rate: f64,
    /// The longest time without an end, and not less than that up to the stall.
    silence: Duration,
}

impl Before {
    /// The site in the last moments before a time, if at least `enough` of its tasks ended, and nearly all that it spawned. The last of those may
    /// have ended later, up to `done`.
    fn of(site: &Site, until: Timestamp, done: Timestamp, enough: u64) -> Option<Self> {
        let seconds = |to: Timestamp| site.history.since(to.minus(BEFORE)).take_while(move |second| second.to <= to);
        let Some(began) = seconds(until).next().map(|second| second.from) else {
            return Self::forgotten(site, until, enough);
        };
        let born: u32 = seconds(until).map(|second| second.born).sum();
        let ended: u32 = seconds(done).map(|second| second.ended).sum();
        let (mut last, mut silence) = (began, Duration::ZERO);
        for second in seconds(done).filter(|second| second.ended > 0) {
            silence = silence.max(second.to.since(last));
            last = second.to;
        }
        let all_end = u64::from(ended) >= enough && number(ended) >= number(born) * ENDED;
        all_end.then(|| Self { rate: rate(born.into(), until.since(began)), silence: silence.max(done.since(last)) })
    }

    /// The same, where the history does not reach back so far: from all that ended before and the few that did not.
    fn forgotten(site: &Site, until: Timestamp, enough: u64) -> Option<Self> {
        let stay = site.live.iter().take(MOST).take_while(|(born, _)| *born < until).count();
        let came = number(site.ended) + number(stay);
        let all_end = site.ended >= enough && stay < MOST && number(site.ended) >= came * ENDED;
        let rate = rate(site.ended, until.since(site.first_seen));
        all_end.then_some(Self { rate, silence: Duration::ZERO })
    }
}

fn rate(count: u64, time: Duration) -> f64 {
    number(count) / time.as_secs_f64().max(1.0)
}
