//! Blame: where the time of each spawn site's tasks goes, and who costs whom.
//!
//! Of each site the sum over all causes is the time that its tasks lived, live tasks times window. Time in polls and time before them come from the
//! counters of the tasks, waits from the ops that ended or last; they are exact. Timers are a sample, and what is left is unknown.

mod cause;
mod culprits;
mod ledger;
mod tally;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::cause::Cause;
pub(super) use self::ledger::Ledger;
pub use self::tally::Awaited;
pub(super) use self::tally::Tally;
use self::tally::{Blocked, Samples, SiteTally};
use super::view::Evidence;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::model::{ResourceKey, SiteKey};

/// Fewer samples of what tasks rest on than this say nothing.
const SAMPLES: u32 = 3;

/// What the tasks of a site spent their time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// On what.
    pub cause: Cause,
    /// What they waited for, where that was a lock or a channel, and the last one of the kind.
    pub awaited: Option<(Awaited, ResourceKey)>,
    /// Whose tasks held that in the end, where that is known.
    pub holder: Option<SiteKey>,
    /// For how long, all of them together.
    pub time: Duration,
}

/// Where the time of one site's tasks went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteBlame {
    /// How long its tasks lived, all of them together: the sum of the shares.
    pub lived: Duration,
    /// What they spent it on, the most first.
    pub shares: Vec<Share>,
    /// How long tasks of other sites waited for what its tasks held.
    pub costs_others: Duration,
    /// How long its own tasks waited for what one of them held.
    pub costs_siblings: Duration,
}

impl SiteBlame {
    /// How long its tasks spent on a cause, whatever they waited for.
    pub fn time_of(&self, cause: Cause) -> Duration {
        self.shares.iter().filter(|share| share.cause == cause).map(|share| share.time).sum()
    }
}

/// Where the time of all tasks went between two times.
#[derive(Debug, Clone, Default)]
pub struct Blame {
    /// The beginning.
    pub from: Timestamp,
    /// The end.
    pub to: Timestamp,
    /// The sites whose tasks lived meanwhile.
    pub sites: BTreeMap<SiteKey, SiteBlame>,
}

impl Blame {
    /// The time between the beginning and the end.
    pub fn window(&self) -> Duration {
        self.to.since(self.from)
    }

    /// The sites whose tasks waited for what tasks of a site held, and how long, the longest first.
    pub fn victims(&self, holder: SiteKey) -> Vec<(SiteKey, Duration)> {
        let of_site = |(victim, site): (&SiteKey, &SiteBlame)| {
            let shares = site.shares.iter().filter(|share| share.holder == Some(holder));
            (*victim, shares.map(|share| share.time).sum::<Duration>())
        };
        let mut victims: Vec<_> = self.sites.iter().map(of_site).filter(|(_, time)| !time.is_zero()).collect();
        victims.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        victims
    }
}

impl Evidence<'_> {
    /// Where the time of all tasks went since the process was first seen.
    pub fn blame(&self) -> Arc<Blame> {
        self.memory.blame.get_or_init(|| Arc::new(self.settle(&self.tally()))).clone()
    }

    /// Where the time of all tasks went lately: in the last 30 to 60 s, or since the process was first seen.
    pub fn recent_blame(&self) -> Arc<Blame> {
        let Some(earlier) = self.memory.ledger.earlier() else { return self.blame() };
        self.memory.recent_blame.get_or_init(|| Arc::new(self.settle(&self.tally().since(earlier)))).clone()
    }

    fn settle(&self, tally: &Tally) -> Blame {
        let sites = tally.sites.iter().filter(|(_, site)| !site.lived.is_zero());
        let mut blame = Blame {
            from: tally.from,
            to: tally.to,
            sites: sites.filter_map(|(key, site)| Some((*key, self.settle_site(*key, site)?))).collect(),
        };
        let mut costs: BTreeMap<SiteKey, [Duration; 2]> = BTreeMap::new();
        for (victim, site) in &blame.sites {
            for (holder, time) in site.shares.iter().filter_map(|share| Some((share.holder?, share.time))) {
                costs.entry(holder).or_default()[usize::from(holder == *victim)] += time;
            }
        }
        for (key, [others, siblings]) in costs {
            if let Some(site) = blame.sites.get_mut(&key) {
                (site.costs_others, site.costs_siblings) = (others, siblings);
            }
        }
        blame
    }

    /// The shares of one site: what was measured, within what it can have been, and the rest.
    fn settle_site(&self, key: SiteKey, tally: &SiteTally) -> Option<SiteBlame> {
        let site = self.site(key)?;
        let is_job = site.id.kind == TaskKind::Blocking;
        let mut shares = Shares::of(tally.lived);
        // Where something else enters their spans, polls are not what they seem.
        if !site.spans_entered_off_task {
            shares.take(Cause::Running, tally.running);
            shares.take(if is_job { Cause::BlockingThread } else { Cause::Scheduling }, tally.scheduled);
        }
        shares.take_parts(&tally.blocked.iter().map(Share::from).collect::<Vec<_>>());
        let plain = |cause, time| Share { cause, awaited: None, holder: None, time };
        shares.take_parts(&[plain(Cause::Timer, tally.timer), plain(Cause::Message, tally.message)]);
        let Samples { timer, unseen } = tally.samples;
        if timer + unseen >= SAMPLES {
            let on_timer = part(shares.left, timer.into(), (timer + unseen).into());
            shares.take(Cause::Timer, on_timer);
        }
        Some(shares.finish())
    }
}

impl From<&Blocked> for Share {
    fn from(it: &Blocked) -> Self {
        Self { cause: it.cause, awaited: it.awaited.clone(), holder: it.holder, time: it.time }
    }
}

/// The lives of a site's tasks, taken apart.
struct Shares {
    lived: Duration,
    left: Duration,
    taken: Vec<Share>,
}

impl Shares {
    fn of(lived: Duration) -> Self {
        Self { lived, left: lived, taken: Vec::new() }
    }

    /// A part of what is left, as much as there is.
    fn take(&mut self, cause: Cause, time: Duration) {
        let time = time.min(self.left);
        self.left -= time;
        match self.taken.iter_mut().find(|share| share.cause == cause && share.awaited.is_none()) {
            Some(known) => known.time += time,
            None => self.taken.push(Share { cause, awaited: None, holder: None, time }),
        }
    }

    /// Parts of what is left. If they are more than that, as where one task waits in several places at once, each is less by the same share.
    fn take_parts(&mut self, parts: &[Share]) {
        let all: Duration = parts.iter().map(|it| it.time).sum();
        let room = self.left;
        for share in parts {
            let time = if all > room { part(room, share.time.as_nanos(), all.as_nanos()) } else { share.time };
            self.left -= time;
            self.taken.push(Share { time, ..share.clone() });
        }
    }

    fn finish(mut self) -> SiteBlame {
        let left = self.left;
        self.take(Cause::Unknown, left);
        self.taken.retain(|share| !share.time.is_zero());
        self.taken.sort_by(|one, other| other.time.cmp(&one.time).then(one.cause.cmp(&other.cause)));
        SiteBlame { lived: self.lived, shares: self.taken, ..SiteBlame::default() }
    }
}

/// A fraction of a time, rounded down.
fn part(time: Duration, parts: u128, of: u128) -> Duration {
    // Nanoseconds of lives times nanoseconds of waits do not always fit.
    let scale = of.checked_ilog2().map_or(0, |bits| bits.saturating_sub(40));
    let (parts, of) = (parts >> scale, (of >> scale).max(1));
    let nanos = time.as_nanos().saturating_mul(parts) / of;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn share(cause: Cause, time: u64) -> Share {
        Share { cause, awaited: None, holder: None, time: seconds(time) }
    }

    #[test]
    fn shares_are_as_measured_and_the_rest_is_unknown() {
        let mut shares = Shares::of(seconds(10));
        shares.take(Cause::Running, seconds(2));
        shares.take_parts(&[share(Cause::Lock, 5)]);
        assert_eq!(shares.finish().shares, [share(Cause::Lock, 5), share(Cause::Unknown, 3), share(Cause::Running, 2)]);
    }

    #[test]
    fn more_than_a_life_has_no_room_in_it() {
        let mut shares = Shares::of(seconds(10));
        shares.take(Cause::Running, seconds(4));
        shares.take_parts(&[share(Cause::Lock, 20), share(Cause::FullChannel, 10)]);
        shares.take(Cause::Timer, seconds(3));
        let site = shares.finish();
        assert_eq!(site.shares, [share(Cause::Running, 4), share(Cause::Lock, 4), share(Cause::FullChannel, 2)]);
        assert_eq!(site.shares.iter().map(|it| it.time).sum::<Duration>(), site.lived);
    }

    #[test]
    fn parts_of_long_times_are_exact_enough() {
        let year = seconds(365 * 24 * 3_600);
        let third = part(1_000 * year, (year / 3).as_nanos() * 1_000_000, year.as_nanos() * 1_000_000);
        assert!(third.abs_diff(1_000 * year / 3) < seconds(1), "{third:?}");
        assert_eq!(part(seconds(9), 0, 0), Duration::ZERO);
    }
}
