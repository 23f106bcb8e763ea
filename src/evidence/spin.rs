//! Whether a task that is polled without end gets anything done: what tells a spin around a system call from work in small slices.

use std::time::Duration;

use super::numbers::number;
use super::pace::{CLONES, FULL, NO_WORK};
use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::{Pace, Second};
use crate::model::time::Timestamp;

/// A site of fewer tasks than this does not tell what its tasks usually do,
const FEW_SIBLINGS: u64 = 3;
/// and one of fewer than this takes twice as long to.
const SIBLINGS: u64 = 5;
/// Siblings that spin by turns keep this share of the workers busy that could run them at once.
const OF_WORKERS: f64 = 0.4;
/// The fastest of them is being polled or scheduled for this share of the time. A session that waits for its client's next request is not.
const RESTLESS_BY_TURNS: f64 = 0.25;
/// A second of which less is known says nothing.
const KNOWN: Duration = Duration::from_millis(500);
/// A poll that has run for less than this may be an ordinary one.
const LOOPS: Duration = Duration::from_secs(1);
/// A task that is as fast for fewer seconds has a burst of work.
const BURST: usize = 3;
/// A task that is polled or about to be for less than this share of a second rests in it.
const RESTLESS: f64 = 0.95;
/// A pace within this share of its mean is steady,
const STEADY: f64 = 0.1;
/// and a load that leaves this share of its mean is not,
const VARIES: f64 = 0.25;
/// where there are this many polls a second at least.
const LOAD: f64 = 20.0;

impl Evidence<'_> {
    /// Whether one task of many at a site spins, and none of its siblings was ever as fast: what is usual there is something else.
    pub fn spins_like_no_sibling(&self, site: &Site, pace: &Pace, fast: f64, lasts: Duration) -> bool {
        let from = self.now().minus(if site.born >= SIBLINGS { lasts } else { 2 * lasts });
        let others = site.history.all().filter_map(|second| second.fastest).filter(|it| it.task != pace.task);
        let spins = |it: &Pace| it.polls_per_second() >= fast && it.restless_share() >= RESTLESS;
        site.born >= FEW_SIBLINGS && others.filter(spins).count() < BURST && never_rests(site, pace, from)
    }

    /// Whether a task does the same at the same pace all the time, while the load of the rest of the process varies, and acquires nothing that
    /// is seen. Work depends on how much there is of it.
    pub fn is_steady_under_load(&self, key: SiteKey, site: &Site, pace: &Pace, lasts: Duration) -> bool {
        let from = self.now().minus(lasts);
        let paces = site.history.since(from).filter_map(|second| second.fastest).filter(|it| it.task == pace.task);
        let rates: Vec<f64> = paces.map(|it| it.polls_per_second()).collect();
        let idle = self.task(pace.task).is_some_and(|task| task.ops.is_empty());
        idle && never_rests(site, pace, from) && self.keeps_its_rate(key, &rates, from)
    }

    /// Whether tasks of a site spin by turns in each of these seconds: together they fill a core, and the fastest has at least `polls` polls a second.
    /// In half of the seconds the polls must also be shorter than `no_work`; in the rest, other processes may have slowed them down.
    ///
    /// A task that has used up its budget is woken only after its worker has polled the others. That is why each of them seems to rest, and why
    /// another one is the fastest in each second.
    pub fn spin_by_turns(&self, site: &Site, seconds: &[&Second], polls: f64, no_work: Duration) -> bool {
        let filled = FULL.max(OF_WORKERS * number(site.live.len().min(self.workers())));
        let spins = |second: &Second| {
            second.busy.as_secs_f64() >= filled * second.to.since(second.from).as_secs_f64()
                && second.fastest.is_some_and(|it| it.polls_per_second() >= polls)
        };
        let is_proof = |second: &Second| {
            second.busy.as_secs_f64() < no_work.as_secs_f64() * number(second.polls)
                && second.fastest.is_some_and(|it| it.restless_share() >= RESTLESS_BY_TURNS)
        };
        seconds.iter().all(|second| spins(second))
            && 2 * seconds.iter().filter(|second| is_proof(second)).count() >= seconds.len()
    }

    /// The site with a task that spins, inside one poll or in many, so that each turn of its loop is an event: the fastest one in a window.
    pub fn spinning_site(&self, window: Duration) -> Option<&Site> {
        let running = self.polls_running_for(LOOPS);
        let looping = running.iter().filter_map(|poll| Some((self.registrations_in_poll(poll)?, poll.site)));
        let from = self.now().minus(window);
        let spinning = self.sites().flat_map(|(key, site)| {
            let seconds = site.history.since(from).filter(|second| second.spins_in_long_polls(CLONES, NO_WORK));
            seconds.filter_map(move |second| Some((second.fastest?.clones_per_second(), key)))
        });
        let (_, fastest) = looping.chain(spinning).max_by(|one, other| one.0.total_cmp(&other.0))?;
        self.site(fastest)
    }

    /// Whether these rates of a task of a site, second by second, stay the same although the load of the rest of the process varies.
    pub(super) fn keeps_its_rate(&self, key: SiteKey, rates: &[f64], from: Timestamp) -> bool {
        let (own, others) = (spread(rates), spread(&self.polls_elsewhere(key, from)));
        let varies = others.is_some_and(|(mean, spread)| mean >= LOAD && spread >= VARIES);
        own.is_some_and(|(_, spread)| spread <= STEADY) && varies
    }

    /// The polls of all other sites, second by second.
    fn polls_elsewhere(&self, key: SiteKey, from: Timestamp) -> Vec<f64> {
        let seconds = usize::try_from(self.now().since(from).as_secs()).unwrap_or(usize::MAX).max(1);
        let mut polls = vec![0.0; seconds];
        for (_, site) in self.sites().filter(|(other, site)| *other != key && site.id.kind.is_async()) {
            for second in site.history.since(from) {
                let index = usize::try_from(second.from.since(from).as_secs()).unwrap_or(usize::MAX);
                if let Some(count) = polls.get_mut(index) {
                    *count += number(second.polls);
                }
            }
        }
        polls
    }
}

/// Whether a task of a site has not rested since a time.
fn never_rests(site: &Site, pace: &Pace, from: Timestamp) -> bool {
    let mut seconds = site.history.since(from).peekable();
    let reaches_back = seconds.peek().is_some_and(|second| second.from.since(from) <= Duration::from_secs(2));
    let rests = |pace: &Pace| pace.time >= KNOWN && pace.restless_share() < RESTLESS;
    reaches_back && seconds.filter_map(|second| second.fastest).all(|it| it.task == pace.task && !rests(&it))
}

/// The mean of some numbers, and how far the furthest is from it, as a share of it.
fn spread(numbers: &[f64]) -> Option<(f64, f64)> {
    let mean = numbers.iter().sum::<f64>() / number(numbers.len().max(1));
    let furthest = numbers.iter().map(|it| (it - mean).abs()).fold(0.0, f64::max);
    (mean > 0.0 && numbers.len() > 2).then(|| (mean, furthest / mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_told_by_what_is_furthest_from_the_mean() {
        assert_eq!(spread(&[10.0, 10.0, 10.0]), Some((10.0, 0.0)));
        assert_eq!(spread(&[8.0, 10.0, 12.0]), Some((10.0, 0.2)));
        assert_eq!(spread(&[5.0, 5.0]), None, "two numbers say nothing");
        assert_eq!(spread(&[0.0, 0.0, 0.0]), None);
    }
}
