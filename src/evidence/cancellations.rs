//! Tasks that were dropped before they finished: in groups none of whose members had finished, or one by one as somebody meant them to be.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::numbers::{densest, number, ratio};
use super::promptness::Promptness;
use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::completions::{Completion, LastWait};
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// Tasks that one owner drops die this soon after each other: two stamps of one thread.
const TOGETHER: Duration = Duration::from_millis(2);
/// One that completes this soon before them has won a race, and the others were dropped because of that.
const WON_BEFORE: Duration = Duration::from_millis(30);
/// Groups that die within this time of each other are one event, such as the end of a connection or of the process.
const MOMENT: Duration = Duration::from_secs(1);
/// Tasks of which fewer complete than this share of those that are dropped are made to be dropped,
const COMPLETE: f64 = 0.1;
/// unless all die at about the same age, the oldest at most at this multiple of the youngest's, as a timeout does it,
const SAME_AGE: f64 = 1.5;
/// and were polled less often than a task that works in a loop.
const LOOPS: u64 = 8;

/// A task that spent this long between a wake and a poll,
const WAITED: Duration = Duration::from_millis(15);
/// and this share of its life, was dropped while it waited, where others are polled at once.
const OF_LIFE: f64 = 0.05;
/// Ages that differ by this share are about the same.
const ABOUT: f64 = 0.05;

/// The tasks of a site that were dropped or look dropped, and those among them that went in groups none of whose members had finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedGroups {
    /// How many were dropped or look dropped, in groups or not.
    pub dropped: usize,
    /// How many ended, of those that are remembered.
    pub ended: usize,
    /// How many of the dropped ones went in groups.
    pub members: usize,
    /// At how many moments, apart from each other.
    pub moments: usize,
    /// The time from the first of these moments to the last.
    pub spread: Duration,
    /// Whether they may have been made for no other end, such as those that forward events for as long as a connection lasts.
    pub look_endless: bool,
}

/// Tasks of a site that somebody did not wait for any longer: their last wait was booked as time between a wake and a poll, although other tasks
/// are polled at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Impatience {
    /// How many ended.
    pub ended: usize,
    /// How many of those look as if they had been dropped, or certainly were.
    pub dropped: usize,
    /// The age at which most of those were dropped.
    pub age: Duration,
    /// The share of them that were dropped at about that age.
    pub at_that_age: f64,
    /// The share of the others that had ended at a lower age.
    pub ended_before: f64,
    /// The share of them of which a task that was born at the same moment had just completed: the losers of a race.
    pub lost_a_race: f64,
    /// The time from the first of them to the last.
    pub spread: Duration,
}

impl Impatience {
    /// The share of those that ended that look dropped.
    pub fn dropped_share(&self) -> f64 {
        ratio(self.dropped, self.ended)
    }
}

impl Evidence<'_> {
    /// What is seen of a site of tasks that are given up on; nothing where fewer than `least` look dropped, or a lower share of those that ended
    /// than `share`, nor where tasks of other sites wait for their polls too, for then all look so.
    pub fn impatience(
        &self,
        key: SiteKey,
        site: &Site,
        from: Timestamp,
        least: usize,
        share: f64,
    ) -> Option<Impatience> {
        if !self.others_are_polled_at_once(key, from) {
            return None;
        }
        let ends = site.completions.since(from);
        let (dropped, completed): (Vec<&Completion>, Vec<&Completion>) =
            ends.partition(|it| it.cancelled || looks_dropped(it));
        if dropped.len() < least || ratio(dropped.len(), dropped.len() + completed.len()) < share {
            return None;
        }
        let mut ages: Vec<Duration> = dropped.iter().map(|it| it.age).collect();
        ages.sort_unstable();
        let (age, near) = densest(&ages, ABOUT);
        let born = |it: &Completion| it.at.minus(it.age);
        let mut winners: Vec<(Timestamp, Timestamp)> = completed.iter().map(|it| (born(it), it.at)).collect();
        winners.sort_unstable();
        let has_lost = |lost: &&&Completion| {
            let from = winners.partition_point(|(at, _)| *at < born(lost).minus(TOGETHER));
            let mut twins = winners[from..].iter().take_while(|(at, _)| *at <= born(lost).plus(TOGETHER));
            twins.any(|(_, won)| *won <= lost.at && lost.at.since(*won) <= WON_BEFORE)
        };
        let lost = dropped.iter().filter(has_lost).count();
        let ends = dropped.iter().map(|it| it.at);
        let spread = ends.clone().max().zip(ends.min()).map_or(Duration::ZERO, |(last, first)| last.since(first));
        Some(Impatience {
            ended: dropped.len() + completed.len(),
            dropped: dropped.len(),
            age,
            at_that_age: ratio(near, dropped.len()),
            ended_before: ratio(completed.iter().filter(|it| it.age < age).count(), completed.len()),
            lost_a_race: ratio(lost, dropped.len()),
            spread,
        })
    }

    /// Whether the tasks of all other sites are polled as soon as they are woken. Only then does a task that was not look dropped.
    fn others_are_polled_at_once(&self, key: SiteKey, from: Timestamp) -> bool {
        self.promptness.get(from, || Rc::new(Promptness::since(self, from))).is_given_beside(key)
    }

    /// The groups in which tasks of a site were dropped since a time; none where fewer than `least` were, or look so.
    pub fn dropped_groups(&self, key: SiteKey, site: &Site, from: Timestamp, least: usize) -> DroppedGroups {
        let is_prompt = self.others_are_polled_at_once(key, from);
        let was_dropped = |it: &Completion| it.cancelled || (is_prompt && looks_dropped(it));
        let (dropped, all) = site
            .completions
            .since(from)
            .fold((0, 0), |(dropped, all), it| (dropped + usize::from(was_dropped(it)), all + 1));
        if dropped < least {
            return DroppedGroups { dropped, ended: all, ..DroppedGroups::default() };
        }
        // A function that spawns for others makes several sites of one place: the winner of a race may be of another one.
        let of_place =
            self.sites().filter(|(_, other)| other.id.location == site.id.location && other.id.name == site.id.name);
        let ends = of_place.flat_map(|(_, it)| it.completions.since(from));
        let completed: Vec<Timestamp> = ends.filter(|it| !was_dropped(it)).map(|it| it.at).collect();
        // The waits of tickers end with those who wanted to be reminded.
        let is_work = |it: &&Completion| {
            was_dropped(it) && it.wait.as_ref().is_none_or(|wait| wait.kind != ResourceKind::Interval)
        };
        let mut at_work: Vec<&Completion> = site.completions.since(from).filter(is_work).collect();
        at_work.sort_by_key(|it| it.at);
        // One that ends after the first of them may have been woken by what that released, and been dropped as well.
        let won = |group: &[&Completion]| {
            let first = group[0].at;
            completed.iter().any(|at| *at < first && first.since(*at) <= WON_BEFORE)
        };
        let groups = at_work.chunk_by(|one, next| next.at.since(one.at) <= TOGETHER);
        let lost: Vec<&[&Completion]> = groups.filter(|group| group.len() > 1 && !won(group)).collect();
        let mut moments: Vec<Timestamp> = Vec::new();
        for group in &lost {
            if moments.last().is_none_or(|last| group[0].at.since(*last) >= MOMENT) {
                moments.push(group[0].at);
            }
        }
        let members: Vec<&Completion> = lost.concat();
        DroppedGroups {
            dropped,
            ended: all,
            members: members.len(),
            moments: moments.len(),
            spread: moments.last().zip(moments.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first)),
            look_endless: look_endless(site, &members, from),
        }
    }

    /// What most of the tasks of a site that were dropped since a time waited for, and how many did.
    pub fn usual_last_wait<'a>(&self, site: &'a Site, from: Timestamp) -> Option<(&'a LastWait, usize)> {
        let mut waits: BTreeMap<(ResourceKind, &Location), (usize, &LastWait)> = BTreeMap::new();
        for wait in site.completions.since(from).filter_map(|it| it.wait.as_ref()) {
            let known = waits.entry((wait.kind, &wait.location)).or_insert((0, wait));
            *known = (known.0 + 1, wait);
        }
        waits.into_values().max_by_key(|(times, _)| *times).map(|(times, wait)| (wait, times))
    }
}

fn look_endless(site: &Site, dropped: &[&Completion], from: Timestamp) -> bool {
    let mut ages: Vec<Duration> = dropped.iter().map(|it| it.age).collect();
    ages.sort_unstable();
    let mut polls: Vec<u64> = dropped.iter().map(|it| it.polls).collect();
    polls.sort_unstable();
    let uniform = ages.last().zip(ages.first()).is_some_and(|(oldest, youngest)| *oldest <= youngest.mul_f64(SAME_AGE));
    let loops = polls.get(polls.len() / 2).is_some_and(|polls| *polls > LOOPS);
    number(completed_alone(site, from)) < COMPLETE * number(dropped.len()) && (!uniform || loops)
}

/// How many came to an end of their own, as far as can be told. Those that were woken by the same event, and dropped together before or after
/// they were polled for it, look as if they had, too.
fn completed_alone(site: &Site, from: Timestamp) -> usize {
    let mut ends: Vec<&Completion> = site.completions.since(from).collect();
    ends.sort_by_key(|it| it.at);
    let together = ends.chunk_by(|one, next| next.at.since(one.at) <= TOGETHER);
    together.filter(|group| group.len() == 1 && group[0].ready_after_wake).count()
}

/// Whether a task that is not known to have been dropped looks as if it had been: dropping it counted as a poll, and its last wait as scheduling
/// delay. The last poll of a task that was woken just before is a real one.
fn looks_dropped(it: &Completion) -> bool {
    !it.ready_after_wake && it.scheduled >= WAITED && it.scheduled >= it.age.mul_f64(OF_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_was_woken_before_its_last_poll_was_not_dropped() {
        let millis = Duration::from_millis;
        let ended = |scheduled, ready_after_wake| Completion {
            at: Timestamp::default(),
            age: millis(1_000),
            polls: 3,
            rested: Duration::ZERO,
            scheduled: millis(scheduled),
            cancelled: false,
            ready_after_wake,
            wait: None,
        };
        let looks = [(700, false), (700, true), (1, false)].map(|(time, woken)| looks_dropped(&ended(time, woken)));
        assert_eq!(looks, [true, false, false]);
    }
}
