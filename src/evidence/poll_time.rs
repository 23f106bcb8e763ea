//! How long the polls of a spawn site take, how often they were met while they ran, and who waited for a worker meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use super::numbers::ratio;
use super::pace::{CLONES, NO_WORK};
use super::poll_samples::PollSample;
use super::view::Evidence;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::time::Timestamp;
use crate::model::{SiteKey, TaskKey};

/// Seconds of spinning that are a fault of another kind.
const SPINNING: usize = 3;
/// Tasks that waited this long for a worker were hurt: it decides who is named, not whether there is a finding.
const HURT: Duration = Duration::from_millis(2);

/// The polls of a spawn site in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollTime {
    /// How many.
    pub polls: u64,
    /// How long they took in all.
    pub busy: Duration,
    /// How long one took on average.
    pub mean: Duration,
    /// The longest mean of one task between two updates, and the task.
    pub longest: Option<(Duration, TaskKey)>,
    /// The most that the polls of one task took between two updates, how long each of them took on average, and the task.
    pub busiest: Option<(Duration, Duration, TaskKey)>,
    /// The window.
    pub window: Duration,
}

impl PollTime {
    /// The share of one core that they took.
    pub fn share(&self) -> f64 {
        self.busy.as_secs_f64() / self.window.as_secs_f64().max(0.001)
    }
}

/// How often samples met a long poll of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sightings {
    /// Samples that met one.
    pub met: usize,
    /// Samples that were taken.
    pub samples: usize,
    /// The oldest poll that was met, and its task.
    pub longest: (Duration, TaskKey),
    /// The time between the first and the last that met one.
    pub apart: Duration,
}

impl Sightings {
    /// The share of samples that met one: the share of the time that such polls take, however many short ones make the mean small.
    pub fn share(&self) -> f64 {
        ratio(self.met, self.samples)
    }
}

/// The tasks of other sites that waited for a worker meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Hurt {
    /// The 90th percentile of their times from a wake to a poll.
    pub delay: Option<Duration>,
    /// Those that waited long, the longest first.
    pub sites: Vec<SiteKey>,
}

/// The seconds of a site for which something holds, and the time from the first to the last of them.
pub fn seconds_with(site: &Site, from: Timestamp, holds: impl Fn(&Second) -> bool) -> (usize, Duration) {
    let times: Vec<Timestamp> =
        site.history.since(from).filter(|second| holds(second)).map(|second| second.to).collect();
    (times.len(), times.last().zip(times.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first)))
}

/// The mean duration of the polls of a second.
pub fn mean_poll(second: &Second) -> Option<Duration> {
    u32::try_from(second.polls).ok().and_then(|polls| second.busy.checked_div(polls))
}

/// The most that the polls of one task took between two updates of a second, how long each of them took on average, and the task.
pub fn busiest(second: &Second) -> Option<(Duration, Duration, TaskKey)> {
    let (busy, polls, task) = second.busiest?;
    Some((busy, busy.checked_div(u32::try_from(polls).ok()?)?, task))
}

impl Evidence<'_> {
    /// How long the polls of a site took in a window until now.
    pub fn poll_time(&self, site: &Site, window: Duration) -> PollTime {
        let mut time =
            PollTime { polls: 0, busy: Duration::ZERO, mean: Duration::ZERO, longest: None, busiest: None, window };
        for second in site.history.since(self.now().minus(window)) {
            time.polls += second.polls;
            time.busy += second.busy;
            time.longest = time.longest.max(second.longest);
            time.busiest = time.busiest.max(busiest(second));
        }
        time.mean = u32::try_from(time.polls).ok().and_then(|polls| time.busy.checked_div(polls)).unwrap_or_default();
        time
    }

    /// The share of a core that the polls of a site took in a window until now, those that run included. Of a poll that began before the
    /// window only the rest counts.
    pub fn busy_share(&self, key: SiteKey, site: &Site, window: Duration) -> f64 {
        let from = self.now().minus(window);
        let ended = site.history.since(from).map(|second| {
            let before =
                second.longest.map_or(Duration::ZERO, |(longest, _)| longest.saturating_sub(second.to.since(from)));
            second.busy.saturating_sub(before)
        });
        let running = self.busy_polls().into_iter().filter(|poll| poll.site == key).map(|poll| poll.age.min(window));
        ended.chain(running).sum::<Duration>().as_secs_f64() / window.as_secs_f64().max(0.001)
    }

    /// How often the latest samples met a poll of a site that had lasted for so long.
    pub fn sightings(&self, key: SiteKey, samples: usize, least: Duration) -> Option<Sightings> {
        let all = self.poll_samples();
        let latest: Vec<Timestamp> = all.times().rev().take(samples).collect();
        let from = *latest.last()?;
        let met: Vec<&PollSample> = all.of_site(key).filter(|it| it.at >= from && it.age >= least).collect();
        let longest = met.iter().map(|it| (it.age, it.task)).max()?;
        let apart = met.last()?.at.since(met.first()?.at);
        Some(Sightings { met: met.len(), samples: latest.len(), longest, apart })
    }

    /// Whether the busiest task of a site spins on something that is always ready, which makes its polls long.
    pub fn spins(&self, site: &Site) -> bool {
        let last = site.history.all().rev().filter(|second| second.fastest.is_some()).take(SPINNING);
        last.filter(|second| second.spins_in_long_polls(CLONES, NO_WORK)).count() == SPINNING
    }

    /// How long tasks of other sites waited for a worker in a window.
    pub fn hurt_by(&self, culprit: SiteKey, window: Duration) -> Hurt {
        let others = self.delays().since(self.now().minus(window)).filter(|delay| delay.site != culprit);
        let mut delays: Vec<(Duration, SiteKey)> = others.map(|delay| (delay.mean, delay.site)).collect();
        delays.sort_unstable();
        let mut seen = BTreeSet::new();
        let hurt = delays.iter().rev().take_while(|(delay, _)| *delay >= HURT).map(|(_, site)| *site);
        let sites: Vec<SiteKey> = hurt.filter(|site| seen.insert(*site)).collect();
        Hurt { delay: delays.get(delays.len() * 9 / 10).map(|(delay, _)| *delay), sites }
    }
}
