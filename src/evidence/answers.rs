//! Waits for answers that stopped coming: oneshot channels of one line, each used once, that tell only together what is usual there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::places::{self, Part};
use super::view::Evidence;
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, TaskKey};

/// An answer is overdue after this many times the 99th percentile of the earlier ones,
const TIMES: u32 = 10;
/// and not before this.
const LEAST: Duration = Duration::from_secs(5);
/// Where no answer was ever seen, none is overdue before this.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Waits of which the last one began no longer ago than this many times the mean time between two of them, or
const SINCE: u32 = 3;
/// than this, keep coming.
const SILENT: Duration = Duration::from_secs(2);

/// The unanswered waits at one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The channel whose receiver has waited longest.
    pub oldest: ResourceKey,
    /// The tasks that wait, those that have waited longest first.
    pub tasks: Vec<TaskKey>,
    /// How long the first has waited.
    pub longest: Duration,
    /// How many waits are overdue,
    pub overdue: usize,
    /// how many ended without an answer since the last one came,
    pub given_up: u64,
    /// and after how long a wait is.
    pub limit: Duration,
    /// The 99th percentile of the waits for earlier answers.
    pub usual: Option<Duration>,
    /// How many of those there were.
    pub answers: u64,
    /// How long no answer has come while somebody waited.
    pub silent: Duration,
    /// Whether more waits keep beginning.
    pub keep_coming: bool,
    /// Whether each channel is for the answer to a request that a library has sent.
    pub of_requests: bool,
}

impl Evidence<'_> {
    /// The lines at which somebody waits for an answer, and none has come for far longer than is usual there.
    pub fn unanswered(&self) -> Vec<Unanswered> {
        let mut lines: BTreeMap<&Location, Vec<(Timestamp, ResourceKey, TaskKey)>> = BTreeMap::new();
        let channels = self.contested().filter(|(_, it)| it.kind == ResourceKind::Oneshot && it.dropped.is_none());
        for (key, channel) in channels.filter(|(_, it)| !it.location.is_unknown()) {
            let waits = self.waiters(key).filter_map(|(_, op)| Some((self.waiting_since(op), key, op.task?)));
            lines.entry(&channel.location).or_default().extend(waits);
        }
        lines.into_iter().filter_map(|(line, waits)| self.unanswered_at(line, waits)).collect()
    }

    fn unanswered_at(&self, line: &Location, mut waits: Vec<(Timestamp, ResourceKey, TaskKey)>) -> Option<Unanswered> {
        waits.sort_unstable();
        let (first, oldest, _) = *waits.first()?;
        let (last, ..) = *waits.last()?;
        let answers = self.answers().at(line);
        let usual = answers.map(|answers| answers.wait_at(0.99));
        let limit = usual.map_or(UNKNOWN, |usual| (usual * TIMES).max(LEAST));
        let longest = self.running_since(first);
        let silent = answers.map_or(longest, |answers| self.running_since(answers.last.max(first)));
        if silent < limit {
            return None;
        }
        let steps = u32::try_from(waits.len() - 1).unwrap_or(u32::MAX);
        let mean = last.since(first).checked_div(steps).unwrap_or_default();
        let part = places::of_resource(ResourceKind::Oneshot, line).map(|place| place.part);
        Some(Unanswered {
            oldest,
            longest,
            overdue: waits.iter().filter(|(since, ..)| self.running_since(*since) >= limit).count(),
            given_up: answers.map_or(0, |answers| answers.given_up),
            limit,
            usual,
            answers: answers.map_or(0, |answers| answers.count()),
            silent,
            keep_coming: self.running_since(last) <= (mean * SINCE).max(SILENT),
            of_requests: matches!(part, Some(Part::Reply | Part::HttpReply)),
            tasks: waits.into_iter().map(|(.., task)| task).collect(),
        })
    }
}
