//! How long tasks wait to send on a bounded channel, and whether its consumer may wait to send on another one.

use std::time::Duration;

use super::view::Evidence;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};

/// The waits of the senders of a bounded channel in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SenderWaits {
    /// How many waited at a time on average.
    pub mean_waiters: f64,
    /// The median wait, of those that ended and those that have not yet.
    pub median: Duration,
    /// The usual time between two sends.
    pub turnover: Duration,
    /// The window.
    pub window: Duration,
}

impl Evidence<'_> {
    /// How long tasks waited to send on a channel.
    pub fn sender_waits(&self, key: ResourceKey, window: Duration) -> SenderWaits {
        let Some(channel) = self.resource(key) else { return SenderWaits::default() };
        let (start, end) = self.judged(window);
        let start = start.max(channel.created);
        let window = end.since(start);
        let present = self.waiters(key).map(|(_, op)| self.running_since(self.waiting_since(op)));
        let mut waits: Vec<Duration> = present.collect();
        let mut waited: Duration = waits.iter().map(|wait| (*wait).min(window)).sum();
        for kind in channel.waits.kinds() {
            let ended = channel.waits.window(kind, start);
            waited += ended.waited;
            waits.extend(ended.waits);
        }
        waits.sort_unstable();
        let grants: Vec<Timestamp> = channel.grants.newest_first().map(|grant| grant.at).collect();
        let between = grants.first().zip(grants.last()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
        let steps = u32::try_from(grants.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        SenderWaits {
            mean_waiters: waited.as_secs_f64() / window.as_secs_f64().max(1.0),
            median: waits.get(waits.len() / 2).copied().unwrap_or_default(),
            turnover: between / steps,
            window,
        }
    }

    /// The spawn site of tasks that have waited to send on another channel for longer: a consumer may stand between the two.
    pub fn waits_on_an_older_channel(&self, key: ResourceKey) -> Option<SiteKey> {
        let longest = |channel| {
            let waits = self.waiters(channel);
            waits.filter_map(|(_, op)| Some((self.waiting_since(op), self.task(op.task?)?.site))).min()
        };
        let (since, own) = longest(key)?;
        let channels = self.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none());
        let others = channels.filter(|(other, _)| *other != key).filter_map(|(other, _)| longest(other));
        others.min().filter(|(other, site)| *other < since && *site != own).map(|(_, site)| site)
    }
}
