//! Tasks that were dropped before they finished: in groups none of whose members had finished, or one by one as somebody meant them to be.

use std::collections::BTreeMap;
use std::time::Duration;

use super::numbers::number;
use super::view::Evidence;
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

/// Those that were dropped in groups none of whose members had finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedGroups {
    /// How many were dropped so.
    pub members: usize,
    /// At how many moments, apart from each other.
    pub moments: usize,
    /// The time from the first of these moments to the last.
    pub spread: Duration,
    /// Whether they may have been made for no other end, such as those that forward events for as long as a connection lasts.
    pub look_endless: bool,
}

impl Evidence<'_> {
    /// The groups in which tasks of a site were dropped since a time.
    pub fn dropped_groups(&self, site: &Site, from: Timestamp) -> DroppedGroups {
        // A function that spawns for others makes several sites of one place: the winner of a race may be of another one.
        let of_place =
            self.sites().filter(|(_, other)| other.id.location == site.id.location && other.id.name == site.id.name);
        let ends = of_place.flat_map(|(_, it)| it.completions.since(from));
        let completed: Vec<Timestamp> = ends.filter(|it| !it.cancelled).map(|it| it.at).collect();
        // The waits of tickers end with those who wanted to be reminded.
        let is_work =
            |it: &&Completion| it.cancelled && it.wait.as_ref().is_none_or(|wait| wait.kind != ResourceKind::Interval);
        let mut dropped: Vec<&Completion> = site.completions.since(from).filter(is_work).collect();
        dropped.sort_by_key(|it| it.at);
        // One that ends after the first of them may have been woken by what that released, and been dropped as well.
        let won = |group: &[&Completion]| {
            let first = group[0].at;
            completed.iter().any(|at| *at < first && first.since(*at) <= WON_BEFORE)
        };
        let groups = dropped.chunk_by(|one, next| next.at.since(one.at) <= TOGETHER);
        let lost: Vec<&[&Completion]> = groups.filter(|group| group.len() > 1 && !won(group)).collect();
        let mut moments: Vec<Timestamp> = Vec::new();
        for group in &lost {
            if moments.last().is_none_or(|last| group[0].at.since(*last) >= MOMENT) {
                moments.push(group[0].at);
            }
        }
        let members: Vec<&Completion> = lost.concat();
        DroppedGroups {
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
