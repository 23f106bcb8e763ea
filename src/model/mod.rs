//! What is known of one target: tasks, spawn sites, resources, async ops, their history and how they depend on each other.
//!
//! Pure and synchronous: no IO, no clock of its own, nothing that can fail. What makes no sense is counted in [`quality::Quality`].

pub mod async_op;
pub mod clock;
pub mod convoy;
mod decode;
pub mod delays;
pub mod details;
pub mod ends;
pub mod history;
mod ingest;
mod lifetime;
pub mod looks;
pub mod orders;
pub mod quality;
pub mod relations;
pub mod resource;
pub mod retention;
pub mod roster;
pub mod site;
pub mod task;
pub mod text;
pub mod time;
pub mod waits;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use slotmap::{SlotMap, new_key_type};

use self::async_op::AsyncOp;
use self::clock::Clock;
use self::decode::Metadata;
use self::delays::Delays;
use self::details::Details;
use self::ends::Cut;
use self::looks::Unconfirmed;
use self::orders::Orders;
use self::quality::Quality;
use self::resource::Resource;
use self::retention::Retention;
use self::site::{Site, SiteId};
use self::task::Task;
use self::text::Interner;
use self::time::Timestamp;

new_key_type! {
    /// A task of the model; never reused, unlike the feed's ids.
    pub struct TaskKey;
    /// A spawn site of the model.
    pub struct SiteKey;
    /// A resource of the model; never reused.
    pub struct ResourceKey;
    /// An async op of the model; never reused.
    pub struct OpKey;
}

/// An id of the feed. The target keeps tasks, resources and async ops apart and lists what has ended for long, so that one number can stand
/// for a timer that is gone and for a task that lives, both in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    Task(u64),
    Resource(u64),
    Op(u64),
}

/// What an id of the feed stands for at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entity {
    Task(TaskKey),
    Resource(ResourceKey),
    Op(OpKey),
}

/// Everything known of one process of a target.
#[derive(Debug, Clone)]
pub struct Model {
    tasks: SlotMap<TaskKey, Task>,
    sites: SlotMap<SiteKey, Site>,
    resources: SlotMap<ResourceKey, Resource>,
    ops: SlotMap<OpKey, AsyncOp>,
    ids: FxHashMap<Id, Entity>,
    site_keys: FxHashMap<SiteId, SiteKey>,
    metadata: FxHashMap<u64, Metadata>,
    strings: Interner,
    clock: Clock,
    quality: Quality,
    details: FxHashMap<TaskKey, Details>,
    /// Async tasks inside a poll.
    running: FxHashSet<TaskKey>,
    /// Async tasks woken and not yet polled.
    woken: FxHashSet<TaskKey>,
    /// Idle async tasks that hold no waker.
    unwakeable: FxHashSet<TaskKey>,
    /// Blocking jobs that no thread has taken up yet.
    queued_jobs: FxHashSet<TaskKey>,
    /// Worker threads and `block_in_place` sections that are alive.
    workers: FxHashSet<TaskKey>,
    /// When `block_in_place` sections began lately: the polls that they are in take long without harm.
    handovers: BTreeSet<Timestamp>,
    uses_block_in_place: bool,
    delays: Delays,
    /// When it was looked what runs, and what of that has still to prove long.
    looks: VecDeque<Timestamp>,
    unconfirmed: Vec<Unconfirmed>,
    /// Locks, semaphores and channels with live ops or recent waits, and when an op on them last changed.
    active: FxHashMap<ResourceKey, Timestamp>,
    /// Resources that report a depth.
    queues: FxHashSet<ResourceKey>,
    /// `Sleep`s that are kept, by birth, those inside an `Interval` left out.
    sleeps: BTreeSet<(Timestamp, ResourceKey)>,
    /// The last time any async task was polled.
    last_poll: Timestamp,
    /// The earliest birth that was ever seen.
    birth: Option<Timestamp>,
    /// The earliest end that was ever seen: the target has forgotten nothing that ended later.
    earliest_end: Option<Timestamp>,
    /// Tasks and resources that were ever seen.
    ever_seen: (usize, usize),
    /// Sites changed by the present update.
    touched: Vec<SiteKey>,
    /// Ops that ended in the present update.
    ended_ops: Vec<OpKey>,
    /// Tasks that the present update tells to have been dropped before they finished.
    cuts: Vec<Cut>,
    target_retention: Retention,
    orders: Orders,
    /// What has ended, and when that was seen; forgotten after `retention`.
    graveyard: VecDeque<(Timestamp, Entity)>,
    retention: Duration,
    next_sweep: Timestamp,
    epoch: u32,
    reconnected: bool,
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
            ids: FxHashMap::default(),
            site_keys: FxHashMap::default(),
            metadata: FxHashMap::default(),
            strings: Interner::default(),
            clock: Clock::default(),
            quality: Quality::default(),
            details: FxHashMap::default(),
            running: FxHashSet::default(),
            woken: FxHashSet::default(),
            unwakeable: FxHashSet::default(),
            queued_jobs: FxHashSet::default(),
            workers: FxHashSet::default(),
            handovers: BTreeSet::new(),
            uses_block_in_place: false,
            delays: Delays::default(),
            looks: VecDeque::new(),
            unconfirmed: Vec::new(),
            active: FxHashMap::default(),
            queues: FxHashSet::default(),
            sleeps: BTreeSet::new(),
            last_poll: Timestamp::default(),
            birth: None,
            earliest_end: None,
            ever_seen: (0, 0),
            touched: Vec::new(),
            ended_ops: Vec::new(),
            cuts: Vec::new(),
            target_retention: Retention::default(),
            orders: Orders::default(),
            graveyard: VecDeque::new(),
            retention,
            next_sweep: Timestamp::default(),
            epoch: 0,
            reconnected: false,
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

    /// Whether everything that happened since a time was told: either we were attached, or the target remembered it for us. It forgets by
    /// the time of the end, so what ended after the earliest end it told of is there; little ends before anything else does.
    fn knows_all_since(&self, start: Timestamp) -> bool {
        let told_from = self.earliest_end.map(|end| end.minus(FIRST_END));
        told_from.is_some_and(|from| from <= start) || self.clock.began() <= start
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

    /// Worker threads of multi-thread runtimes and `block_in_place` sections, as far as they were introduced.
    pub fn worker_threads(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        self.pick(&self.workers)
    }

    fn pick<'a>(&'a self, keys: &'a FxHashSet<TaskKey>) -> impl Iterator<Item = (TaskKey, &'a Task)> {
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
        self.details.get(&key)
    }

    /// Says that a new connection to the target begins: its first update decides whether it is still the same process.
    pub fn reconnect(&mut self) {
        self.reconnected = self.clock.updates() > 0;
        self.clock.interrupt();
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
