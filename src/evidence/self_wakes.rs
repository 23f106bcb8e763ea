//! Tasks that wake themselves: how often, what it costs, and whether it follows the load.

use std::time::Duration;

use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Pace;

/// A second of which less is known says nothing.
const KNOWN: Duration = Duration::from_millis(500);

/// A task that woke itself all the time lately.
#[derive(Debug, Clone, Copy)]
pub struct SelfWaking {
    /// What it did, added up.
    pub pace: Pace,
    /// Whether its rate stays the same although the load of the process varies.
    pub is_steady: bool,
}

impl Evidence<'_> {
    /// The task of a site that woke itself most in each second of a time, if it was the same one.
    pub fn self_waking(&self, key: SiteKey, site: &Site, lasts: Duration) -> Option<SelfWaking> {
        let from = self.now().minus(lasts);
        let known = site.history.since(from).filter(|second| second.self_waker.is_none_or(|it| it.time >= KNOWN));
        let paces: Vec<Pace> = known.map_while(|second| second.self_waker).collect();
        let task = paces.last()?.task;
        let own = paces.iter().filter(|pace| pace.task == task).copied();
        // A poll that ran all that time, or began before, makes wakes that end no poll; a library's thread in the task's span does, too.
        let pace = own.reduce(|sum, pace| sum.plus(&pace)).filter(|it| it.polls > 0 && it.busy <= it.time)?;
        if 5 * pace.time < 4 * lasts || self.task(task).is_none() {
            return None;
        }
        let rates: Vec<f64> = paces.iter().map(Pace::self_wakes_per_second).collect();
        Some(SelfWaking { pace, is_steady: self.keeps_its_rate(key, &rates, from) })
    }
}
