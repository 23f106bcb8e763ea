//! What a lock is for, where that makes a queue at it harmless: workers around one receiver, a leader and its standbys.

use std::collections::BTreeSet;
use std::time::Duration;

use super::holders::Holder;
use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};

/// A pool of workers is spawned within this time of the lock they share.
const START_UP: Duration = Duration::from_secs(3);
/// Minimum number of grants for each worker that is spawned later: a failed worker is restarted, but requests are spawned all the time.
const TURNS: usize = 4;
/// One more than those is allowed: a worker may have been restarted before the feed has reported that many grants.
const ONE: usize = 1;
/// Minimum time for which holders must be seen to wait. While the feed lags, the holder it shows may have released the lock already.
const SEEN: Duration = Duration::from_secs(2);
/// How far back holders and spawns are looked at.
const HOLDERS: Duration = Duration::from_secs(20);
/// A task that was polled within this time is at work,
const ACTIVE: Duration = Duration::from_secs(10);
/// if that was this long after it had acquired the lock.
const SETTLED: Duration = Duration::from_secs(1);

impl Evidence<'_> {
    /// Whether those who use a lock are idle workers that take turns at one receiver: all of one site of the service, hardly any spawned lately, and
    /// who holds the lock mostly waits for nothing that is seen. That more of them wait than before says only that there is less to do, for
    /// they are the same ones. A convoy behind a slow call that is not seen looks the same. Tasks that a library spawns, such as
    /// connections, are not workers.
    pub fn is_idle_pool(&self, key: ResourceKey) -> bool {
        let Some(lock) = self.resource(key).filter(|lock| lock.kind == ResourceKind::Mutex) else { return false };
        let from = self.now().minus(HOLDERS);
        let recent = lock.grants.newest_first().take_while(|grant| grant.at >= from).filter_map(|grant| grant.site);
        let waiting = self.waiters(key).filter_map(|(_, op)| Some(self.task(op.task?)?.site));
        let holding = self.holders(key).first().and_then(|holder| Some(self.task(holder.task)?.site));
        let sites: BTreeSet<SiteKey> = recent.chain(waiting).chain(holding).collect();
        let (Some(site), 1) = (sites.first(), sites.len()) else { return false };
        let later = from.max(lock.created.plus(START_UP));
        later < self.now() && self.is_fixed_crew(lock, *site, later) && self.holders_mostly_wait_unseen(key, from)
    }

    /// Whether the tasks of a site that use a lock are a fixed number of workers: the service spawned them, and hardly any since a time, compared
    /// with the turns that they have taken since.
    pub(super) fn is_fixed_crew(&self, lock: &Resource, site: SiteKey, since: Timestamp) -> bool {
        let turns = lock.grants.newest_first().take_while(|grant| grant.at >= since).count();
        let most = turns / TURNS + ONE;
        self.site(site).is_some_and(|site| {
            let born = site.live.iter().rev().take_while(|(born, _)| *born >= since);
            !site.id.location.is_library() && born.take(most + 1).count() <= most
        })
    }

    /// Whether the holders of a lock since a time waited for something unseen for at least a third of it, or hardly for anything that is seen. Each
    /// snapshot stands for the time until the next one, or until the feed began to lag. Since the holder's last poll its present wait counts,
    /// because there are no snapshots while the feed lags.
    fn holders_mostly_wait_unseen(&self, key: ResourceKey, from: Timestamp) -> bool {
        let snapshots: Vec<_> = self.waiter_history(key).into_iter().flat_map(|history| history.since(from)).collect();
        let ends = snapshots.iter().skip(1).map(|it| it.at).chain([self.now()]);
        let present = self.holder_waits(key);
        let rests =
            self.holder_rest(key).filter(|_| present.is_some()).map_or(self.now(), |rest| rest.since().max(from));
        let (mut seen, mut unseen) = (Duration::ZERO, Duration::ZERO);
        let known_until = |at: Timestamp| self.memory.blind_after(at).unwrap_or(rests).min(rests);
        let past =
            snapshots.iter().zip(ends).map(|(it, end)| (it.holder_waits, end.min(known_until(it.at)).since(it.at)));
        for (waits, lasted) in past.chain([(present, self.now().since(rests))]) {
            match waits {
                Some(true) => seen += lasted,
                Some(false) => unseen += lasted,
                None => {}
            }
        }
        seen < SEEN || seen <= 2 * unseen
    }

    /// Whether a lock elects a leader: the first task that acquired it still holds it and keeps working, and no more tasks come to wait. A stuck
    /// task does not work, and a lock that was released before elects nobody. A leader may sleep between two rounds; then all tasks that wait
    /// must be of its own spawn site, because tasks of other sites want the data behind the lock.
    pub fn is_leader(&self, key: ResourceKey, holder: Holder) -> bool {
        let Some(task) = self.task(holder.task) else { return false };
        let at_work = self.now().minus(ACTIVE).max(holder.since.plus(SETTLED));
        let works = task.stats.poll.started > Some(at_work);
        let sleeps = || self.task_wait(holder.task).ends_by_itself(self.now());
        let waiting = || self.waiters(key).filter_map(|(_, op)| self.task(op.task?));
        let only_one = self.resource(key).is_some_and(|lock| lock.grants.total() == 1);
        only_one && (works || sleeps() && waiting().all(|it| it.site == task.site)) && !self.more_wait(key)
    }
}
