//! A process that exists only as the messages of its feed: tasks, locks with waiters and timers, of which a settable number changes.

#![expect(clippy::expect_used, reason = "a synthetic process has only numbers that fit")]

mod messages;

use std::time::Duration;

use console_api::instrument::Update;
use console_api::{async_ops, resources, tasks};

/// What the process is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Tasks that are alive.
    pub(crate) tasks: usize,
    /// Places at which they are spawned.
    pub(crate) sites: usize,
    /// Bytes of the future of a task of the first site; the next site's are a little larger.
    pub(crate) bytes: usize,
    /// Mutexes that they lock.
    pub(crate) locks: usize,
    /// More mutexes, for each of which a task waits all the time.
    pub(crate) contended: usize,
    /// Tasks, resources and async ops whose counters a step changes, births and deaths included.
    pub(crate) changes: usize,
    /// Tasks that end in a step, each replaced by a new one.
    pub(crate) churn: usize,
}

impl Plan {
    /// A process of so many tasks of which so many things change in each step, with everything else in proportion.
    pub(crate) fn new(tasks: usize, changes: usize) -> Self {
        Self { tasks, sites: 50, bytes: 256, locks: 20, contended: 0, changes, churn: changes / 30 }
    }
}

/// The state of the process. Two of the same plan send the same messages.
pub(crate) struct Process {
    plan: Plan,
    /// In nanoseconds, by its own clock.
    now: u64,
    last_id: u64,
    random: u64,
    /// The next task to be looked at when some have to change.
    cursor: usize,
    lives: Vec<Life>,
    locks: Vec<Lock>,
    /// Waits that go on between two steps.
    waits: Vec<Wait>,
    /// Mutexes that are held for good, and those who wait for them.
    contended: Vec<(Lock, Wait)>,
    /// Timers that have not run out, and when they were made.
    timers: Vec<(u64, u64)>,
}

/// A task that is alive.
struct Life {
    id: u64,
    site: usize,
    stats: tasks::Stats,
}

/// A mutex and the semaphore inside it.
struct Lock {
    id: u64,
    inner: u64,
    created: u64,
}

/// A task's wait for a mutex: the op on the mutex, and the acquisition of a permit inside it.
#[derive(Clone, Copy)]
struct Wait {
    outer: u64,
    lock: usize,
    task: u64,
    created: u64,
}

/// The time at which the process began, in nanoseconds since the Unix epoch.
const BEGIN: u64 = 1_700_000_000_000_000_000;
/// The ages of the tasks when the process is first seen are spread over this time.
const PAST: Duration = Duration::from_secs(600);
/// How long a wait for a lock takes.
const WAIT: u64 = 2_000_000;
/// How long a poll takes.
const POLL: u64 = 20_000;
/// Places at which mutexes are made that tasks wait for all the time.
const PLACES: usize = 20;
/// A step apart from most others in the list of tasks, so that neighbours do not change together.
const STRIDE: usize = 7_919;

impl Process {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut process = Self {
            plan,
            now: BEGIN,
            last_id: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            cursor: 0,
            lives: Vec::new(),
            locks: Vec::new(),
            waits: Vec::new(),
            contended: Vec::new(),
            timers: Vec::new(),
        };
        for _ in 0..plan.locks {
            let lock = Lock { id: process.next_id(), inner: process.next_id(), created: BEGIN };
            process.locks.push(lock);
        }
        for task in 0..plan.tasks {
            let age = nanos(PAST) * to_u64(plan.tasks - task) / to_u64(plan.tasks);
            let life = process.spawn(task % plan.sites, BEGIN - age);
            process.lives.push(life);
        }
        for _ in 0..plan.contended {
            let lock = Lock { id: process.next_id(), inner: process.next_id(), created: BEGIN };
            let (outer, task) = (process.next_id(), process.pick(plan.tasks));
            process.next_id();
            let wait = Wait { outer, lock: 0, task: process.lives[task].id, created: BEGIN };
            process.contended.push((lock, wait));
        }
        process
    }

    /// All that is alive: what a client gets first.
    pub(crate) fn state(&self) -> Update {
        let mut update = messages::empty(self.now);
        update.new_metadata = Some(messages::metadata());
        let (tasks, resources, ops) = messages::parts(&mut update);
        for life in &self.lives {
            introduce_task(tasks, life, self.plan.bytes);
        }
        for (index, lock) in self.locks.iter().enumerate() {
            resources.new_resources.extend(messages::mutex(index, lock.id, lock.inner));
            resources.stats_update.extend(messages::mutex_stats(lock.id, lock.inner, lock.created));
        }
        for (index, (lock, wait)) in self.contended.iter().enumerate() {
            resources.new_resources.extend(messages::mutex(index % PLACES, lock.id, lock.inner));
            resources.stats_update.extend(messages::mutex_stats(lock.id, lock.inner, lock.created));
            introduce_wait(ops, lock, *wait, None);
        }
        for (id, created) in &self.timers {
            resources.new_resources.push(messages::sleep(*id));
            resources.stats_update.insert(*id, messages::sleep_stats(*created, None));
        }
        for wait in &self.waits {
            introduce_wait(ops, &self.locks[wait.lock], *wait, None);
        }
        update
    }

    /// Lives on for so long, and tells what has changed.
    pub(crate) fn step(&mut self, interval: Duration) -> Update {
        self.now += nanos(interval);
        let mut update = messages::empty(self.now);
        let (tasks, resources, ops) = messages::parts(&mut update);
        self.turn_locks(self.plan.changes / 20, resources, ops);
        self.turn_timers(self.plan.changes * 3 / 40, interval, resources);
        for _ in 0..self.plan.churn {
            self.replace_task(tasks, interval);
        }
        let rest = self.plan.changes.saturating_sub(resources.stats_update.len() + ops.stats_update.len());
        let known = self.lives.len().min(rest.saturating_sub(tasks.stats_update.len()));
        for _ in 0..known {
            self.cursor = (self.cursor + STRIDE) % self.lives.len();
            let started = self.now - self.below(nanos(interval)) - POLL;
            let polls = 1 + self.below(8);
            let life = &mut self.lives[self.cursor];
            messages::poll(&mut life.stats, polls, started, Duration::from_nanos(POLL));
            tasks.stats_update.insert(life.id, life.stats);
        }
        update
    }

    fn spawn(&mut self, site: usize, created: u64) -> Life {
        Life { id: self.next_id(), site, stats: messages::newborn(created) }
    }

    /// Ends one task and spawns another in its place.
    fn replace_task(&mut self, part: &mut tasks::TaskUpdate, interval: Duration) {
        let (index, site) = (self.pick(self.lives.len()), self.pick(self.plan.sites));
        let created = self.now - self.below(nanos(interval)).max(POLL);
        let born = self.spawn(site, created);
        introduce_task(part, &born, self.plan.bytes);
        let Life { id, mut stats, .. } = std::mem::replace(&mut self.lives[index], born);
        messages::end(&mut stats, self.now - POLL, Duration::from_nanos(POLL));
        part.stats_update.insert(id, stats);
    }

    /// Ends the waits of the step before, adds some that begin and end in this one, and leaves one waiting for each lock.
    fn turn_locks(
        &mut self,
        count: usize,
        resources: &mut resources::ResourceUpdate,
        ops: &mut async_ops::AsyncOpUpdate,
    ) {
        for wait in std::mem::take(&mut self.waits) {
            ops.stats_update.extend(messages::wait_stats(
                wait.outer,
                wait.task,
                wait.created,
                Some(wait.created + WAIT),
            ));
        }
        if self.locks.is_empty() {
            return;
        }
        for _ in ops.stats_update.len()..count {
            let created = self.now - WAIT - self.below(100_000_000);
            let wait = self.wait(created);
            introduce_wait(ops, &self.locks[wait.lock], wait, Some(wait.created + WAIT));
            resources.new_poll_ops.push(messages::lock_poll(self.locks[wait.lock].id, wait.outer, wait.task));
        }
        for (index, lock) in self.locks.iter().enumerate().take(count) {
            if index % 2 == 0 {
                resources.stats_update.extend(messages::mutex_stats(lock.id, lock.inner, lock.created));
            }
        }
        for lock in 0..self.locks.len().min(count) {
            let wait = Wait { lock, ..self.wait(self.now - WAIT / 2) };
            introduce_wait(ops, &self.locks[wait.lock], wait, None);
            self.waits.push(wait);
        }
    }

    fn wait(&mut self, created: u64) -> Wait {
        let (lock, task) = (self.pick(self.locks.len()), self.pick(self.lives.len()));
        let outer = self.next_id();
        self.next_id();
        Wait { outer, lock, task: self.lives[task].id, created }
    }

    /// Runs out the timers of the step before, and makes as many new ones.
    fn turn_timers(&mut self, count: usize, interval: Duration, part: &mut resources::ResourceUpdate) {
        for (id, created) in std::mem::take(&mut self.timers) {
            part.stats_update.insert(id, messages::sleep_stats(created, Some(self.now)));
        }
        for _ in 0..count {
            let (id, created) = (self.next_id(), self.now - self.below(nanos(interval)));
            part.new_resources.push(messages::sleep(id));
            part.stats_update.insert(id, messages::sleep_stats(created, None));
            self.timers.push((id, created));
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Some number below a limit (xorshift, so that every run has the same).
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    /// Some index of a list.
    fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.below(to_u64(length))).expect("it is below a length")
    }
}

fn introduce_wait(part: &mut async_ops::AsyncOpUpdate, lock: &Lock, wait: Wait, dropped: Option<u64>) {
    part.new_async_ops.extend(messages::wait(wait.outer, lock.id, lock.inner));
    part.stats_update.extend(messages::wait_stats(wait.outer, wait.task, wait.created, dropped));
}

fn introduce_task(part: &mut tasks::TaskUpdate, life: &Life, bytes: usize) {
    part.new_tasks.push(messages::task(life.id, life.site, bytes));
    part.stats_update.insert(life.id, life.stats);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a time within centuries")
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).expect("a count")
}
