//! A lock whose holder waits to send on a full channel while the channel's receiver may be waiting for that lock.
//!
//! The feed says who sends on a channel but not who receives, so the second leg of the cycle is an inference: one of those who wait for the lock
//! and never sent on the channel may be its receiver.

use std::collections::BTreeSet;
use std::time::Duration;

use super::holders::Confidence;
use super::view::Evidence;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// A lock and a channel that may close a cycle.
#[derive(Debug, Clone)]
pub struct ChannelCycle {
    /// The lock.
    pub lock: ResourceKey,
    /// The channel.
    pub channel: ResourceKey,
    /// Who holds the lock and waits to send.
    pub holder: TaskKey,
    /// Those who wait for the lock and may receive from the channel.
    pub receivers: Vec<TaskKey>,
    /// For how long neither has moved while somebody waited for both.
    pub still_for: Duration,
    /// The longest time that the channel is known to have stood still before, and moved again.
    pub longest_before: Duration,
}

impl Evidence<'_> {
    /// The locks and channels that may close a cycle.
    pub fn channel_cycles(&self) -> Vec<ChannelCycle> {
        let held = || self.contested().filter(|(_, it)| matches!(it.kind, ResourceKind::Mutex | ResourceKind::RwLock));
        let cycles = held().filter_map(|(lock, _)| {
            let holder = self.holders(lock).first().filter(|holder| holder.confidence >= Confidence::Likely)?;
            let channel = self.full_channel_of(holder.task)?;
            let receivers = self.possible_receivers(lock, channel);
            let still_for = self.flow(lock).stalled_for().min(self.flow(channel).stalled_for());
            let longest_before = self.resource(channel).map(|it| it.waits.longest()).unwrap_or_default();
            (!receivers.is_empty()).then_some(ChannelCycle {
                lock,
                channel,
                holder: holder.task,
                receivers,
                still_for,
                longest_before,
            })
        });
        cycles.collect()
    }

    /// The full channel that a task waits to send on, if it waits for nothing else.
    fn full_channel_of(&self, task: TaskKey) -> Option<ResourceKey> {
        let wait = self.task_wait(task);
        let [awaited] = wait.awaited.as_slice() else { return None };
        let is_channel = self.resource(awaited.resource).is_some_and(|it| it.kind == ResourceKind::Channel);
        (is_channel && !wait.ends_by_itself(self.now())).then_some(awaited.resource)
    }

    /// Those who wait for a lock and may receive from a channel: of a spawn site that receives from it, where that is known, and otherwise of one
    /// that never sent on it.
    fn possible_receivers(&self, lock: ResourceKey, channel: ResourceKey) -> Vec<TaskKey> {
        let senders: BTreeSet<SiteKey> = self.senders(channel).into_iter().collect();
        let queue = self.resource(channel).and_then(|it| it.parent);
        let known: BTreeSet<SiteKey> =
            queue.map(|queue| self.receivers(queue)).unwrap_or_default().into_iter().collect();
        let may_receive = |site| if known.is_empty() { !senders.contains(&site) } else { known.contains(&site) };
        let waiting = self.waiters(lock).filter_map(|(_, op)| op.task);
        let tasks: BTreeSet<TaskKey> =
            waiting.filter(|task| self.task(*task).is_some_and(|task| may_receive(task.site))).collect();
        tasks.into_iter().collect()
    }
}
