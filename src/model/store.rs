//! The store: everything that is known of one process of a target, and how to ask for it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use slotmap::SlotMap;

use super::collections::{KeyMap, KeySet, SeededMap};
use super::entity::async_op::AsyncOp;
use super::entity::details::{Details, RecentDetails};
use super::entity::resource::Resource;
use super::entity::site::{Site, SiteId};
use super::entity::task::Task;
use super::entity::thread::Threads;
use super::health::clock::Clock;
use super::health::quality::Quality;
use super::health::retention::Retention;
use super::history::answers::AnswersByLine;
use super::history::delays::Delays;
use super::history::timeouts::TimeoutsByLine;
use super::history::totals::Totals;
use super::keys::{Entity, Ids, OpKey, ResourceKey, SiteKey, TaskKey};
use super::text::{Interner, Text};
use super::time::Timestamp;

/// What a span's metadata say about the spans made from it.
#[derive(Debug, Clone)]
pub(in crate::model) struct Metadata {
    pub(in crate::model) target: Text,
    pub(in crate::model) field_names: Vec<Text>,
}

/// Everything known of one process of a target.
#[derive(Debug, Clone)]
pub struct Model {
    pub(in crate::model) tasks: SlotMap<TaskKey, Task>,
    pub(in crate::model) sites: SlotMap<SiteKey, Site>,
    pub(in crate::model) resources: SlotMap<ResourceKey, Resource>,
    pub(in crate::model) ops: SlotMap<OpKey, AsyncOp>,
    pub(in crate::model) ids: Ids,
    pub(in crate::model) site_keys: SeededMap<SiteId, SiteKey>,
    /// Sites beyond which those at rest are looked through.
    pub(in crate::model) most_sites: usize,
    /// Sites that were forgotten before their time, because there were too many.
    pub(in crate::model) forgotten_sites: u64,
    pub(in crate::model) metadata: SeededMap<u64, Metadata>,
    pub(in crate::model) strings: Interner,
    pub(in crate::model) threads: Threads,
    pub(in crate::model) clock: Clock,
    pub(in crate::model) quality: Quality,
    pub(in crate::model) details: RecentDetails,
    /// Async tasks inside a poll.
    pub(in crate::model) running: KeySet<TaskKey>,
    /// Async tasks woken and not yet polled.
    pub(in crate::model) woken: KeySet<TaskKey>,
    /// Idle async tasks that hold no waker.
    pub(in crate::model) unwakeable: KeySet<TaskKey>,
    /// Blocking jobs that no thread has taken up yet.
    pub(in crate::model) queued_jobs: KeySet<TaskKey>,
    /// Worker threads and `block_in_place` sections that are alive.
    pub(in crate::model) workers: KeySet<TaskKey>,
    /// When `block_in_place` sections began lately: the polls that they are in take long without harm.
    pub(in crate::model) handovers: BTreeSet<Timestamp>,
    pub(in crate::model) uses_block_in_place: bool,
    pub(in crate::model) delays: Delays,
    pub(in crate::model) answers: AnswersByLine,
    pub(in crate::model) timeouts: TimeoutsByLine,
    pub(in crate::model) totals: Totals,
    /// Locks, semaphores and channels with live ops or recent waits, and when an op on them last changed.
    pub(in crate::model) active: KeyMap<ResourceKey, Timestamp>,
    /// Resources that report a depth.
    pub(in crate::model) queues: KeySet<ResourceKey>,
    /// `Sleep`s that are kept, by birth, those inside an `Interval` left out.
    pub(in crate::model) sleeps: BTreeSet<(Timestamp, ResourceKey)>,
    /// The last time any async task was polled.
    pub(in crate::model) last_poll: Timestamp,
    /// The earliest birth that was ever seen.
    pub(in crate::model) birth: Option<Timestamp>,
    /// The earliest end that was ever seen: the target has forgotten nothing that ended later.
    pub(in crate::model) earliest_end: Option<Timestamp>,
    /// Tasks and resources that were ever seen.
    pub(in crate::model) ever_seen: (usize, usize),
    pub(in crate::model) target_retention: Retention,
    /// What has ended, and when that was seen; forgotten after `retention`.
    pub(in crate::model) graveyard: VecDeque<(Timestamp, Entity)>,
    /// Timers that are over and not forgotten yet.
    pub(in crate::model) ended_timers: usize,
    pub(in crate::model) retention: Duration,
    pub(in crate::model) next_sweep: Timestamp,
    pub(in crate::model) epoch: u32,
    pub(in crate::model) reconnected: bool,
    /// Whether the next connection is known to be to another process.
    pub(in crate::model) is_another: bool,
    /// Which process the target is, where it says so.
    pub(in crate::model) process: Option<Process>,
}

/// Which process a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number in its own namespace.
    pub number: u64,
    /// When its feed began.
    pub started: Timestamp,
}

/// So long after a process begins something of it has ended, usually.
const FIRST_END: Duration = Duration::from_secs(5);

/// How long ended tasks, resources and ops stay listed unless told otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(10);

/// How long after a stop of the process the waits that it prolonged may still end.
const AFTER_GAP: Duration = Duration::from_secs(1);

impl Default for Model {
    fn default() -> Self {
        Self::new(DEFAULT_RETENTION)
    }
}

impl Model {
    /// An empty model that keeps what has ended for `retention`.
    pub fn new(retention: Duration) -> Self {
        Self {
            tasks: SlotMap::with_key(),
            sites: SlotMap::with_key(),
            resources: SlotMap::with_key(),
            ops: SlotMap::with_key(),
            ids: Ids::default(),
            site_keys: SeededMap::default(),
            most_sites: 0,
            forgotten_sites: 0,
            metadata: SeededMap::default(),
            threads: Threads::default(),
            strings: Interner::default(),
            clock: Clock::default(),
            quality: Quality::default(),
            details: RecentDetails::default(),
            running: KeySet::default(),
            woken: KeySet::default(),
            unwakeable: KeySet::default(),
            queued_jobs: KeySet::default(),
            workers: KeySet::default(),
            handovers: BTreeSet::new(),
            uses_block_in_place: false,
            delays: Delays::default(),
            answers: AnswersByLine::default(),
            timeouts: TimeoutsByLine::default(),
            totals: Totals::default(),
            active: KeyMap::default(),
            queues: KeySet::default(),
            sleeps: BTreeSet::new(),
            last_poll: Timestamp::default(),
            birth: None,
            earliest_end: None,
            ever_seen: (0, 0),
            target_retention: Retention::default(),
            graveyard: VecDeque::new(),
            ended_timers: 0,
            retention,
            next_sweep: Timestamp::default(),
            epoch: 0,
            reconnected: false,
            is_another: false,
            process: None,
        }
    }

    /// The target's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The target's clock, with its gaps.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The thread that polled a task last: its name and, where the target knows it, the number under which debuggers know it.
    pub fn thread_of(&self, task: &Task) -> Option<&Text> {
        task.stats.thread.and_then(|thread| self.threads.name(thread))
    }

    /// The task that a span id stood for at a time, if it is known: ids come back.
    pub fn task_of_span(&self, id: u64, at: Timestamp) -> Option<TaskKey> {
        self.ids.task(id).filter(|key| self.task(*key).is_some_and(|task| task.stats.created <= at))
    }

    /// Which process the target is, where it says so. A target that does says more than the feed of console-subscriber: who holds locks and
    /// permits, how tasks ended, and whether ops were ready.
    pub fn process(&self) -> Option<Process> {
        self.process
    }

    /// What the feed lost or delayed.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// Which process of the target this is: rises by one when it was seen to restart.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The task of this key, unless it ended and was forgotten.
    pub fn task(&self, key: TaskKey) -> Option<&Task> {
        self.tasks.get(key)
    }

    /// All tasks that are kept, ended ones included.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (TaskKey, &Task)> {
        self.tasks.iter()
    }

    /// The spawn site of this key.
    pub fn site(&self, key: SiteKey) -> Option<&Site> {
        self.sites.get(key)
    }

    /// All spawn sites.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = (SiteKey, &Site)> {
        self.sites.iter()
    }

    /// How many spawn sites were forgotten before their time, because there were too many at which nothing happened any more.
    pub fn forgotten_sites(&self) -> u64 {
        self.forgotten_sites
    }

    /// The resource of this key, unless it was dropped and forgotten.
    pub fn resource(&self, key: ResourceKey) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// All resources that are kept, dropped ones included.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = (ResourceKey, &Resource)> {
        self.resources.iter()
    }

    /// How many tasks and how many resources were ever seen, forgotten ones included.
    pub fn ever_seen(&self) -> (usize, usize) {
        self.ever_seen
    }

    /// The time since which everything that ended is known: from before we attached, what the target still remembered. It forgets by the time of
    /// the end, so that it had forgotten nothing that ended after the earliest end it told of.
    pub fn remembers_from(&self) -> Timestamp {
        let began = self.clock.began();
        began.minus(self.target_retention.reach()).min(self.earliest_end.unwrap_or(began))
    }

    /// Whether everything that happened since a time is known. Little ends right after a process begins, so that the first end that is known also
    /// tells of the seconds before it.
    pub fn knows_all_since(&self, start: Timestamp) -> bool {
        let first_end = self.earliest_end.map(|end| end.minus(FIRST_END));
        self.remembers_from() <= start || first_end.is_some_and(|end| end <= start)
    }

    /// The async op of this key, unless it ended and was forgotten.
    pub fn op(&self, key: OpKey) -> Option<&AsyncOp> {
        self.ops.get(key)
    }

    /// All async ops that are kept, ended ones included.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = (OpKey, &AsyncOp)> {
        self.ops.iter()
    }

    /// Async tasks inside a poll at the last update.
    pub fn running(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.running)
    }

    /// Async tasks that were woken and not polled since.
    pub fn woken(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.woken)
    }

    /// Idle async tasks of which no waker exists.
    pub fn unwakeable(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.unwakeable)
    }

    /// Blocking jobs that wait for a thread of their pool.
    pub fn queued_jobs(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.queued_jobs)
    }

    /// How long woken tasks waited for a worker lately.
    pub fn delays(&self) -> &Delays {
        &self.delays
    }

    /// How many of the resources are timers that are over.
    pub fn ended_timers(&self) -> usize {
        self.ended_timers
    }

    /// How fast oneshot channels are answered, by the line that creates them.
    pub fn answers(&self) -> &AnswersByLine {
        &self.answers
    }

    /// Sums over everything that was seen of the target, earlier processes of it included.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Parts of messages that made no sense, in all.
    pub fn malformed_in_all(&self) -> u64 {
        self.totals.malformed_before + self.quality.malformed
    }

    /// Worker threads of multi-thread runtimes and `block_in_place` sections, as far as they were introduced.
    pub fn worker_threads(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.workers)
    }

    fn pick<'a>(&'a self, keys: &'a KeySet<TaskKey>) -> impl Iterator<Item = (TaskKey, &'a Task)> {
        keys.iter().filter_map(|key| Some((*key, self.tasks.get(*key)?)))
    }

    /// Locks, semaphores and channels that somebody waits for, or waited for lately.
    pub fn contested(&self) -> impl Iterator<Item = (ResourceKey, &Resource)> {
        self.active.keys().filter_map(|key| Some((*key, self.resources.get(*key)?)))
    }

    /// Resources that tell how much is queued in them.
    pub fn queues(&self) -> impl Iterator<Item = (ResourceKey, &Resource)> {
        self.queues.iter().filter_map(|key| Some((*key, self.resources.get(*key)?)))
    }

    /// Whether the process has ever been seen to use `block_in_place`.
    pub fn uses_block_in_place(&self) -> bool {
        self.uses_block_in_place
    }

    /// When any async task was last polled.
    pub fn last_poll(&self) -> Timestamp {
        self.last_poll
    }

    /// The earliest birth of anything that was seen: about when the process began, unless that was forgotten before we attached.
    pub fn birth(&self) -> Timestamp {
        self.birth.unwrap_or(self.now())
    }

    /// What the target is known to keep of the tasks that have ended.
    pub fn target_retention(&self) -> &Retention {
        &self.target_retention
    }

    /// Histograms of a task whose details stream is open.
    pub fn details(&self, key: TaskKey) -> Option<&Details> {
        self.details.get(key)
    }

    /// The tasks whose histograms came last, and those.
    pub fn known_details(&self) -> impl Iterator<Item = (TaskKey, &Details)> {
        self.details.iter()
    }

    /// Says that a new connection to the target begins: its first update decides whether it is still the same process.
    pub fn reconnect(&mut self) {
        self.reconnected = self.clock.updates() > 0;
        self.clock.interrupt();
    }

    /// Says whether the next connection is known to be to another process than the last.
    pub fn expect_another(&mut self, is_another: bool) {
        self.is_another = is_another;
    }

    /// Says that a client has paused the target's feed, or resumed it. What is not published meanwhile is no gap in the target's life.
    pub fn pause(&mut self, paused: bool) {
        self.quality.paused = paused;
        self.clock.interrupt();
    }

    /// Says that nothing has come for so long although the feed is neither paused nor lost.
    pub fn quiet(&mut self, silence: Duration) {
        self.quality.quiet = Some(silence);
    }

    /// The part of the last `window` in which waits that ended can be judged: what is born late is not there yet, and what waited while
    /// the process stood still waited for nobody. May be shorter than asked for, or empty.
    pub fn judged(&self, window: Duration) -> (Timestamp, Timestamp) {
        let end = self.now().minus(self.quality.lag.unwrap_or_default());
        let last_gap = self.clock.gaps().next_back().map_or(Timestamp::default(), |gap| gap.to.plus(AFTER_GAP));
        (end.minus(window).max(last_gap).min(end), end)
    }

    /// How long the process ran since `start`, by its own clock; times in which it was stopped do not count.
    pub fn running_since(&self, start: Timestamp) -> Duration {
        self.clock.running_since(start)
    }
}
