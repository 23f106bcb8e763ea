//! Who acquired a lock, semaphore or place in a channel, and how long those who wanted to had to wait.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::history::push_bounded;
use crate::model::keys::{SiteKey, TaskKey};
use crate::model::time::Timestamp;
use crate::model::tokio::AcquireKind;

/// Grants that are kept of a resource: enough for the readers of one lock that a writer waits for.
const GRANTS: usize = 256;
/// Waits that are kept one by one, per kind of acquisition.
const WAITS: usize = 512;
/// Seconds of sums that are kept, per kind of acquisition.
const SECONDS: usize = 64;

/// A task acquired it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The task, if known.
    pub task: Option<TaskKey>,
    /// Its spawn site.
    pub site: Option<SiteKey>,
    /// When it began to wait.
    pub since: Timestamp,
    /// When it acquired it.
    pub at: Timestamp,
    /// How many permits it got.
    pub permits: u64,
    /// How.
    pub kind: AcquireKind,
    /// Whether what was acquired can be passed to another task.
    pub owned: bool,
}

/// Whoever acquired something after less than this did not have to wait for another task.
pub const A_WAIT: Duration = Duration::from_millis(2);

/// A task gave up waiting.
#[derive(Debug, Clone, Copy)]
pub struct GivenUp {
    /// The task.
    pub task: TaskKey,
    /// When it began to wait.
    pub since: Timestamp,
    /// When it gave up.
    pub at: Timestamp,
}

/// An interval without a grant: waits that were given up, each before or soon after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unserved {
    /// When the first of them began.
    pub since: Timestamp,
    /// When the last of them ended.
    pub until: Timestamp,
    /// How many they are.
    pub waits: u64,
}

impl Unserved {
    /// Shorter times than this in which nobody waits do not end an interval: who gives up tries again, or another comes.
    pub const PAUSE: Duration = Duration::from_secs(2);

    /// Those up to now, and one more; begins anew where nobody waited for longer than [`PAUSE`](Self::PAUSE).
    pub(in crate::model) fn and(before: Option<Self>, since: Timestamp, until: Timestamp) -> Self {
        match before {
            Some(it) if since <= it.until.plus(Self::PAUSE) => {
                Self { since: it.since.min(since), until: it.until.max(until), waits: it.waits + 1 }
            }
            _ => Self { since, until, waits: 1 },
        }
    }
}

/// The last grants of a resource. Most resources are timers and the like, which have none.
#[derive(Debug, Clone, Default)]
pub struct Grants(Option<Box<GrantLog>>);

#[derive(Debug, Clone, Default)]
struct GrantLog {
    ring: VecDeque<Grant>,
    total: u64,
    evicted_holders: BTreeSet<TaskKey>,
    /// How many of them there may be before those that have ended are swept out.
    most_evicted: usize,
    may_have_evicted_unknown_holder: bool,
}

impl Grants {
    /// The grants that are kept, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter().flat_map(|log| log.ring.iter().rev())
    }

    /// The grants that are kept from before a time, newest first.
    pub fn before(&self, at: Timestamp) -> impl Iterator<Item = &Grant> {
        self.0.iter().flat_map(move |log| {
            let older = log.ring.partition_point(|grant| grant.at < at);
            log.ring.range(..older).rev()
        })
    }

    /// The newest grant.
    pub fn last(&self) -> Option<&Grant> {
        self.0.as_ref()?.ring.back()
    }

    /// How many grants were ever seen.
    pub fn total(&self) -> u64 {
        self.0.as_ref().map_or(0, |log| log.total)
    }

    /// Tasks whose grants have been dropped from the ring; some may have ended meanwhile.
    pub fn evicted_holders(&self) -> impl Iterator<Item = TaskKey> {
        self.0.iter().flat_map(|log| log.evicted_holders.iter().copied())
    }

    /// Whether a grant that has been dropped from the ring may still be held by a task that is not among the evicted holders.
    pub fn may_have_evicted_unknown_holder(&self) -> bool {
        self.0.as_ref().is_some_and(|log| log.may_have_evicted_unknown_holder)
    }

    /// Says whose a grant at this time was, if that was not known.
    pub(in crate::model) fn name(&mut self, at: Timestamp, task: TaskKey, site: Option<SiteKey>) {
        let ring = self.0.iter_mut().flat_map(|log| log.ring.iter_mut().rev());
        let mut unnamed = ring.take_while(|grant| grant.at >= at);
        if let Some(grant) = unnamed.find(|grant| grant.at == at && grant.task.is_none()) {
            (grant.task, grant.site) = (Some(task), site);
        }
    }

    /// Writes down a grant; `lives` tells whether a task may hold it for longer than the next grants.
    pub(in crate::model) fn note(&mut self, grant: Grant, lives: impl Fn(TaskKey) -> bool) {
        self.0.get_or_insert_default().note(grant, lives);
    }
}

impl GrantLog {
    fn note(&mut self, grant: Grant, lives: impl Fn(TaskKey) -> bool) {
        self.total += 1;
        if self.ring.len() == GRANTS
            && let Some(old) = self.ring.pop_front()
        {
            self.may_have_evicted_unknown_holder |= old.owned || old.task.is_none();
            self.evicted_holders.extend(old.task.filter(|task| lives(*task)));
            // As many have been added since the last sweep as it costs to look at all of them.
            if self.evicted_holders.len() > self.most_evicted {
                self.evicted_holders.retain(|task| lives(*task));
                self.most_evicted = GRANTS.max(2 * self.evicted_holders.len());
            }
        }
        // Ends are reported in no order within an update, and a late introduction reports an old one.
        let place = self.ring.partition_point(|known| known.at <= grant.at);
        self.ring.insert(place, grant);
    }
}

/// Sums over the waits that ended in about a second.
#[derive(Debug, Clone, Copy, Default)]
struct WaitSecond {
    at: Timestamp,
    granted: u64,
    cancelled: u64,
    waited: Duration,
}

/// The waits of one kind of acquisition.
#[derive(Debug, Clone)]
struct KindLog {
    kind: AcquireKind,
    seconds: VecDeque<WaitSecond>,
    recent: VecDeque<(Timestamp, Duration)>,
}

/// The ended waits of a resource, per kind of acquisition.
#[derive(Debug, Clone, Default)]
pub struct WaitLog {
    kinds: Vec<KindLog>,
    ended: u64,
    longest: Duration,
}

/// The waits of one kind of acquisition that ended within a window.
#[derive(Debug, Clone, Default)]
pub struct WaitWindow {
    /// How many acquired it.
    pub granted: u64,
    /// How many gave up.
    pub cancelled: u64,
    /// The sum of the waits of both.
    pub waited: Duration,
    /// The waits of those who acquired it, shortest first; the newest ones only, where there are very many.
    pub waits: Vec<Duration>,
}

impl WaitWindow {
    /// The wait that this share of those who acquired it did not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.waits.is_empty() {
            return None;
        }
        let last = self.waits.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a short list"
        )]
        let rank = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.waits.get(rank.min(last)).copied()
    }

    /// How many waited at a time on average: the sum of the waits over the time in which they ended (Little's law).
    pub fn mean_waiters(&self, window: Duration) -> f64 {
        self.waited.as_secs_f64() / window.as_secs_f64().max(1.0)
    }

    /// The share of those who acquired it that waited at least this long.
    pub fn share_over(&self, limit: Duration) -> f64 {
        let below = self.waits.partition_point(|wait| *wait < limit);
        ratio(self.waits.len() - below, self.waits.len())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bounded ring")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl WaitLog {
    /// The kinds of acquisition that were used.
    pub fn kinds(&self) -> impl Iterator<Item = AcquireKind> {
        self.kinds.iter().map(|log| log.kind)
    }

    /// How many waits have ended, with or without success.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// The longest wait that ever ended with a grant, be it a wait of several that gave up one after the other before.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The waits of one kind of acquisition that ended at `from` or later.
    pub fn window(&self, kind: AcquireKind, from: Timestamp) -> WaitWindow {
        let mut window = WaitWindow::default();
        let Some(log) = self.kinds.iter().find(|log| log.kind == kind) else {
            return window;
        };
        for second in log.seconds.iter().rev().take_while(|second| second.at >= from) {
            window.granted += second.granted;
            window.cancelled += second.cancelled;
            window.waited += second.waited;
        }
        window.waits = log.recent.iter().rev().take_while(|(at, _)| *at >= from).map(|(_, wait)| *wait).collect();
        window.waits.sort_unstable();
        window
    }

    /// How many acquired it and how many gave up at `from` or later, and when the first of those seconds began.
    pub fn turnover(&self, from: Timestamp) -> (u64, u64, Option<Timestamp>) {
        let seconds =
            || self.kinds.iter().flat_map(|log| log.seconds.iter().rev().take_while(|second| second.at >= from));
        let granted = seconds().map(|second| second.granted).sum();
        let cancelled = seconds().map(|second| second.cancelled).sum();
        (granted, cancelled, seconds().map(|second| second.at).min())
    }

    pub(in crate::model) fn note(&mut self, kind: AcquireKind, at: Timestamp, wait: Duration, granted: bool) {
        let index = self.kinds.iter().position(|log| log.kind == kind).unwrap_or_else(|| {
            self.kinds.push(KindLog { kind, seconds: VecDeque::new(), recent: VecDeque::new() });
            self.kinds.len() - 1
        });
        self.ended += 1;
        let log = &mut self.kinds[index];
        if log.seconds.back().is_none_or(|second| at.since(second.at) >= Duration::from_secs(1)) {
            push_bounded(&mut log.seconds, WaitSecond { at, ..WaitSecond::default() }, SECONDS);
        }
        if let Some(second) = log.seconds.back_mut() {
            second.granted += u64::from(granted);
            second.cancelled += u64::from(!granted);
            second.waited += wait;
        }
        if granted {
            push_bounded(&mut log.recent, (at, wait), WAITS);
            self.longest = self.longest.max(wait);
        }
    }

    /// Writes down that a task acquired it at last, after an interval without a grant.
    pub(in crate::model) fn note_relief(&mut self, unserved: Unserved, at: Timestamp) {
        self.longest = self.longest.max(at.since(unserved.since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_window_counts_what_ended_in_it() {
        let mut log = WaitLog::default();
        for second in 1..=10 {
            log.note(AcquireKind::Lock, at(second * 1_000), Duration::from_millis(second * 10), second % 5 != 0);
        }
        let window = log.window(AcquireKind::Lock, at(6_000));
        assert_eq!((window.granted, window.cancelled), (4, 1));
        assert_eq!(window.waited, Duration::from_millis(60 + 70 + 80 + 90 + 100));
        assert_eq!(window.quantile(0.5), Some(Duration::from_millis(80)));
        assert!((window.share_over(Duration::from_millis(80)) - 0.5).abs() < 1e-9);
        assert_eq!(log.window(AcquireKind::Read, at(0)).quantile(0.5), None);
    }

    #[test]
    fn waits_given_up_one_after_the_other_are_one_interval() {
        let first = Unserved::and(None, at(1_000), at(2_000));
        let second = Unserved::and(Some(first), at(1_500), at(3_000));
        let third = Unserved::and(Some(second), at(4_900), at(6_000));
        assert_eq!(third, Unserved { since: at(1_000), until: at(6_000), waits: 3 });
        let anew = Unserved { since: at(8_100), until: at(9_000), waits: 1 };
        assert_eq!(Unserved::and(Some(third), at(8_100), at(9_000)), anew);

        let mut log = WaitLog::default();
        log.note(AcquireKind::Acquire, at(9_500), Duration::from_millis(500), true);
        assert_eq!(log.longest(), Duration::from_millis(500));
        log.note_relief(anew, at(9_500));
        assert_eq!(log.longest(), Duration::from_millis(1_400));
    }

    #[test]
    fn grants_are_kept_in_the_order_of_time() {
        let mut grants = Grants::default();
        for millis in [30, 10, 20] {
            let grant = Grant {
                task: None,
                site: None,
                since: at(millis),
                at: at(millis),
                permits: 1,
                kind: AcquireKind::Lock,
                owned: false,
            };
            grants.note(grant, |_| true);
        }
        assert_eq!(grants.newest_first().map(|grant| grant.at).collect::<Vec<_>>(), [at(30), at(20), at(10)]);
        assert_eq!(grants.total(), 3);
        grants.name(at(20), TaskKey::default(), None);
        grants.name(at(25), TaskKey::default(), None);
        let named = grants.newest_first().map(|grant| grant.task.is_some());
        assert_eq!(named.collect::<Vec<_>>(), [false, true, false]);
    }
}
