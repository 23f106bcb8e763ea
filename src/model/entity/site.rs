//! A spawn site: the tasks of one name, kind, place and future size, and what they have done together.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::history::completions::Completions;
use crate::model::history::live_tasks::TasksByAge;
use crate::model::history::seconds::History;
use crate::model::history::spent::Spent;
use crate::model::location::Location;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::{TaskKind, is_of_console};

/// What makes tasks siblings.
///
/// The sizes keep apart the different futures that a wrapper function or a library's executor spawns from one line; they are not
/// part of what a user is told, for they change with every build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId {
    /// The tasks' name with numbers left out; empty for tasks without one.
    pub name: Text,
    /// Their kind.
    pub kind: TaskKind,
    /// Where they were spawned.
    pub location: Location,
    /// Size of the future in bytes, and its size before it was boxed.
    pub sizes: (u64, u64),
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum End {
    /// By itself, as far as is known.
    Completed,
    /// Dropped before it finished, for certain.
    Cancelled,
    /// Its end was never told.
    Unknown,
}

/// Longer lifetimes than this (some seven weeks, in milliseconds) count as this long.
const LONGEST_LIFETIME: u64 = 1 << 32;

/// A site at which nothing was spawned for this long may not be in use any more.
const LATELY: Duration = Duration::from_secs(60);

/// The life of a task that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was spawned.
    pub born: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How often it was polled.
    pub polls: u64,
    /// Whether it is certain that it was dropped before it finished.
    pub cancelled: bool,
}

/// The tasks of one spawn site.
#[derive(Debug, Clone)]
pub struct Site {
    /// What makes them siblings.
    pub id: SiteId,
    /// The target of their spans, as `tracing` calls it, if it is known.
    pub target: Option<Text>,
    /// The tasks alive, oldest first.
    pub live: TasksByAge,
    /// How many were ever seen.
    pub born: u64,
    /// How many of them have ended.
    pub ended: u64,
    /// How many of those are known to have been dropped before they finished.
    pub cancelled: u64,
    /// When the last one ended.
    pub last_end: Option<Timestamp>,
    /// The life of the one that ended last, if its end was told.
    pub last_life: Option<Life>,
    /// When the first one was seen.
    pub first_seen: Timestamp,
    /// What happened lately.
    pub history: History,
    /// How its tasks ended lately, one by one.
    pub completions: Completions,
    /// Where their time went.
    pub spent: Spent,
    /// Whether the span of one of its tasks was seen to be entered by something other than its runtime, so that polls of the others may not be
    /// what they seem either.
    pub spans_entered_off_task: bool,
    /// Whether its tasks belong to console-subscriber.
    pub is_of_console: bool,
    lifetimes: Lifetimes,
}

/// Lifetimes that are kept one by one: most sites have few, and a distribution takes a kilobyte.
const FEW: usize = 8;

/// The lifetimes of tasks that completed, in milliseconds.
#[derive(Debug, Clone)]
enum Lifetimes {
    Few(Vec<u64>),
    Many(Box<Histogram<u32>>),
}

impl Lifetimes {
    fn note(&mut self, lifetime: Duration) {
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Few(known) if known.len() < FEW => known.push(millis),
            Self::Few(known) => {
                if let Some(mut many) = distribution(known) {
                    many.saturating_record(millis);
                    *self = Self::Many(Box::new(many));
                }
            }
            Self::Many(known) => known.saturating_record(millis),
        }
    }

    /// The lifetime that this share of them did not exceed, if there are any.
    fn at(&self, quantile: f64) -> Option<Duration> {
        let millis = match self {
            Self::Few(known) if known.is_empty() => return None,
            Self::Few(known) => distribution(known)?.value_at_quantile(quantile),
            Self::Many(known) => known.value_at_quantile(quantile),
        };
        Some(Duration::from_millis(millis))
    }
}

/// One significant digit: a lifetime is only ever compared with a multiple of another.
fn distribution(lifetimes: &[u64]) -> Option<Histogram<u32>> {
    let mut distribution = Histogram::new_with_bounds(1, LONGEST_LIFETIME, 1).ok()?;
    lifetimes.iter().for_each(|millis| distribution.saturating_record(*millis));
    Some(distribution)
}

impl Site {
    /// A site at which nothing has happened yet.
    pub fn new(id: SiteId, now: Timestamp) -> Self {
        let mut history = History::default();
        history.current().from = now;
        Self {
            is_of_console: is_of_console(&id.name, &id.location),
            id,
            target: None,
            live: TasksByAge::default(),
            born: 0,
            ended: 0,
            cancelled: 0,
            last_end: None,
            last_life: None,
            first_seen: now,
            history,
            completions: Completions::default(),
            spent: Spent::default(),
            spans_entered_off_task: false,
            lifetimes: Lifetimes::Few(Vec::new()),
        }
    }

    /// How many tasks ran to an end that is not known to be a cancellation.
    pub fn completed(&self) -> u64 {
        self.ended - self.cancelled
    }

    /// Whether tasks of it are alive or were spawned lately.
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        !self.live.is_empty() || self.history.since(now.minus(LATELY)).any(|second| second.born > 0)
    }

    /// The lifetime that this share of the completed tasks did not exceed, if any completed.
    pub fn lifetime_at(&self, quantile: f64) -> Option<Duration> {
        self.lifetimes.at(quantile)
    }

    /// Median age of the tasks alive.
    pub fn median_age(&self, now: Timestamp) -> Duration {
        self.live.median().map_or(Duration::ZERO, |born| now.since(born))
    }

    /// Notes that one of its tasks ended after so long.
    pub(in crate::model) fn note_end(&mut self, at: Timestamp, lifetime: Duration, end: End) {
        self.ended += 1;
        self.last_end = self.last_end.max(Some(at));
        if end != End::Completed {
            self.cancelled += u64::from(end == End::Cancelled);
            return;
        }
        self.lifetimes.note(lifetime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_of_all_lengths_are_told_apart() {
        let place = SiteId { name: "".into(), kind: TaskKind::Task, location: Location::new("".into()), sizes: (0, 0) };
        let mut site = Site::new(place, Timestamp::default());
        for seconds in [1, 20, 20, 20, 20, 20, 20, 20, 20, 3_000_000_000] {
            site.note_end(Timestamp::from_nanos(1), Duration::from_secs(seconds), End::Completed);
        }
        let (low, median) = (site.lifetime_at(0.1).expect("some ended"), site.lifetime_at(0.5).expect("some ended"));
        assert!(low < Duration::from_millis(1_100), "{low:?}");
        assert!(median > Duration::from_secs(19) && median < Duration::from_secs(22), "{median:?}");
        assert!(site.lifetime_at(1.0) > Some(Duration::from_secs(4_000_000)));
    }
}
