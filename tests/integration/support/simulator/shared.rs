//! What tasks share: fair locks and semaphores, bounded channels, queues that report their depth.

use std::collections::{HashSet, VecDeque};

use console_api::field::Value;
use serde::Deserialize;

use super::process::Process;
use super::program::{Statement, Want};
use super::wire::{Aggregator, Nanos, OpSpan, ResourceSpan, say};

/// Permits of a Tokio `RwLock`.
const MAX_READERS: u64 = (1 << 29) - 1;

/// Kinds of shared things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Mutex,
    RwLock,
    Semaphore,
    Channel,
    /// Something that reports its depth.
    Queue,
    /// Something that also reports how much was taken out of it.
    CountedQueue,
    /// A broadcast channel with one receiver, which reports how far that is behind.
    Broadcast,
    Barrier,
}

/// A shared thing of the process.
#[derive(Debug)]
pub(crate) struct Shared {
    kind: Kind,
    /// Its own resource; a channel has one only if it tells where it was made.
    own: Option<usize>,
    /// The resource of the semaphore in it.
    semaphore: Option<usize>,
    permits: u64,
    free: u64,
    waiters: VecDeque<Waiter>,
    granted: HashSet<u64>,
    /// Messages in a channel.
    messages: u64,
    /// Tasks that wait for a message.
    receivers: Vec<usize>,
    depth: u64,
    /// How much was ever taken out of a queue.
    received: u64,
    /// How much was overwritten before it was taken out.
    missed: u64,
    /// Tasks that have come to a barrier in this round.
    arrived: Vec<usize>,
    /// Everybody who ever came to it, which is what it reports.
    arrivals: i64,
    /// Rounds that are over.
    rounds: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    task: usize,
    op: usize,
    lacks: u64,
    obtained: u64,
}

/// One acquisition of permits under way.
#[derive(Debug, Clone)]
pub(crate) struct Acquisition {
    pub(crate) of: String,
    pub(crate) permits: u64,
    pub(crate) sends: bool,
    ticket: u64,
    queued: bool,
    outer: Option<usize>,
    inner: usize,
}

impl Shared {
    pub(crate) fn new(seen: &mut Aggregator, kind: Kind, place: Option<&str>, permits: u64, at: Nanos) -> Self {
        let permits = match kind {
            Kind::Mutex => 1,
            Kind::RwLock => MAX_READERS,
            _ => permits,
        };
        let concrete_type = match kind {
            Kind::Mutex => "Mutex",
            Kind::RwLock => "RwLock",
            Kind::Semaphore => "Semaphore",
            Kind::Queue | Kind::CountedQueue => "JobQueue",
            Kind::Broadcast => "broadcast::channel",
            Kind::Barrier => "Barrier",
            Kind::Channel => "mpsc::channel",
        };
        let own = (kind != Kind::Channel || place.is_some()).then(|| {
            let place = place.map(str::to_owned);
            seen.add_resource(ResourceSpan { created: at, concrete_type, place, ..ResourceSpan::default() })
        });
        let parent = own.map(|own| seen.resource_id(own));
        let semaphore =
            (!matches!(kind, Kind::Queue | Kind::CountedQueue | Kind::Broadcast | Kind::Barrier)).then(|| {
                let inner = ResourceSpan {
                    created: at + 1_000,
                    concrete_type: "Semaphore",
                    is_internal: true,
                    parent,
                    ..ResourceSpan::default()
                };
                seen.add_resource(inner)
            });
        let shared = Self {
            kind,
            own,
            semaphore,
            permits,
            free: permits,
            waiters: VecDeque::new(),
            granted: HashSet::new(),
            messages: 0,
            receivers: Vec::new(),
            depth: 0,
            received: 0,
            missed: 0,
            arrived: Vec::new(),
            arrivals: 0,
            rounds: 0,
        };
        match kind {
            Kind::Mutex => shared.say(seen, "locked", Value::BoolVal(false)),
            Kind::RwLock => shared.say(seen, "max_readers", Value::U64Val(MAX_READERS)),
            Kind::Queue | Kind::CountedQueue | Kind::Broadcast => {
                shared.say(seen, "depth", Value::U64Val(0));
                if permits > 0 {
                    shared.say(seen, "capacity", Value::U64Val(permits));
                }
            }
            Kind::Barrier => {
                shared.say(seen, "size", Value::U64Val(permits));
                shared.say(seen, "arrived", Value::I64Val(0));
            }
            Kind::Channel => shared.say(seen, "capacity", Value::U64Val(permits)),
            Kind::Semaphore => {}
        }
        shared.say_permits(seen, |_| permits);
        shared
    }

    fn say(&self, seen: &mut Aggregator, name: &'static str, value: Value) {
        if let Some(own) = self.own {
            say(&mut seen.resource(own).says, name, value);
        }
    }

    /// What a broadcast tells whose receiver has `depth` messages before it, after some were sent or received.
    fn say_lag(&mut self, seen: &mut Aggregator, by: i64) {
        if by < 0 && self.depth > self.permits {
            // It learns of what was overwritten.
            self.missed += self.depth - self.permits;
            self.depth = self.permits;
        }
        let sent = self.depth + self.received + self.missed;
        let (lag, inside) = (self.depth, self.depth.min(self.permits));
        for (name, number) in
            [("sent", sent), ("lag", lag), ("missed", self.missed), ("depth", inside), ("receivers", 1)]
        {
            self.say(seen, name, Value::U64Val(number));
        }
    }

    /// Changes the permits as reported, which a `Semaphore` takes over from the one inside.
    fn say_permits(&self, seen: &mut Aggregator, change: impl Fn(u64) -> u64) {
        let inherits = self.own.filter(|_| self.kind == Kind::Semaphore);
        for resource in self.semaphore.into_iter().chain(inherits) {
            let says = &mut seen.resource(resource).says;
            let before = says.iter().find_map(|said| match (said.name, &said.value) {
                ("permits", Value::U64Val(number)) => Some(*number),
                _ => None,
            });
            say(says, "permits", Value::U64Val(change(before.unwrap_or_default())));
        }
    }
}

impl Process {
    fn thing(&mut self, name: &str) -> &mut Shared {
        self.shared.get_mut(name).unwrap_or_else(|| panic!("nothing is shared under the name {name}"))
    }

    /// Makes the future of an acquisition: the ops of it are entered once while they are made.
    pub(super) fn acquisition(&mut self, statement: &Statement, want: &Want, now: &mut Nanos) -> Acquisition {
        let (kind, own, semaphore) = {
            let shared = self.thing(&want.of);
            (shared.kind, shared.own, shared.semaphore.expect("something with permits"))
        };
        let source = match (statement, kind, want.owned, want.permits) {
            (Statement::Send(_), Kind::Channel, ..) => None,
            (Statement::Lock(_) | Statement::Aside(_) | Statement::Shelve(_), Kind::Mutex, false, _) => {
                Some("Mutex::lock")
            }
            (Statement::Lock(_), Kind::Mutex, true, _) => Some("Mutex::lock_owned"),
            (Statement::Read(_), Kind::RwLock, false, _) => Some("RwLock::read"),
            (Statement::Read(_), Kind::RwLock, true, _) => Some("RwLock::read_owned"),
            (Statement::Write(_), Kind::RwLock, false, _) => Some("RwLock::write"),
            (Statement::Write(_), Kind::RwLock, true, _) => Some("RwLock::write_owned"),
            (Statement::Acquire(_), Kind::Semaphore, false, 1) => Some("Semaphore::acquire"),
            (Statement::Acquire(_), Kind::Semaphore, false, _) => Some("Semaphore::acquire_many"),
            (Statement::Acquire(_), Kind::Semaphore, true, 1) => Some("Semaphore::acquire_owned"),
            (Statement::Acquire(_), Kind::Semaphore, true, _) => Some("Semaphore::acquire_many_owned"),
            _ => panic!("{statement:?} does not fit a {kind:?}"),
        };
        let permits = match statement {
            Statement::Write(_) => MAX_READERS,
            _ => want.permits,
        };
        let outer = source.map(|source| self.op(source, own.expect("a lock"), None, *now));
        let parent = outer.map(|outer| self.seen.op_id(outer));
        *now += 1_000;
        let inner = self.op("Acquire::new", semaphore, parent, *now);
        let says = &mut self.seen.op(inner).says;
        say(says, "permits_requested", Value::U64Val(permits));
        say(says, "permits_obtained", Value::U64Val(0));
        *now += 1_000;
        self.tickets += 1;
        let sends = source.is_none();
        Acquisition { of: want.of.clone(), permits, sends, ticket: self.tickets, queued: false, outer, inner }
    }

    fn op(&mut self, source: &'static str, resource: usize, parent: Option<u64>, at: Nanos) -> usize {
        let resource = self.seen.resource_id(resource);
        let mut op = OpSpan { created: at, source, resource, parent, ..OpSpan::default() };
        op.polls.start(at);
        op.polls.end(at + 500);
        self.seen.add_op(op)
    }

    /// Polls an acquisition for a task; drops its future if it is ready.
    pub(super) fn poll_acquisition(&mut self, task: usize, it: &mut Acquisition, now: &mut Nanos) -> bool {
        let span = self.tasks[task].span;
        let ops: Vec<usize> = it.outer.into_iter().chain([it.inner]).collect();
        for op in &ops {
            self.seen.op(*op).polls.start(*now);
            *now += 200;
        }
        let ready = if it.queued { self.thing(&it.of).granted.remove(&it.ticket) } else { self.try_acquire(task, it) };
        if ready {
            self.seen.poll_op("poll_acquire", it.inner, span, true);
        }
        self.seen.poll_op("poll_acquire", it.inner, span, ready);
        for op in ops.iter().rev() {
            *now += 200;
            self.seen.op(*op).polls.end(*now);
        }
        if let Some(outer) = it.outer {
            self.seen.poll_op("poll", outer, span, ready);
        }
        if ready {
            self.close_ops(it, now);
            let shared = &self.shared[&it.of];
            if shared.kind == Kind::Mutex {
                shared.say(&mut self.seen, "locked", Value::BoolVal(true));
            }
        }
        ready
    }

    fn try_acquire(&mut self, task: usize, it: &mut Acquisition) -> bool {
        let shared = self.shared.get_mut(&it.of).expect("looked up before");
        let taken = shared.free.min(it.permits);
        shared.free -= taken;
        shared.say_permits(&mut self.seen, |permits| permits.saturating_sub(taken));
        say(&mut self.seen.op(it.inner).says, "permits_obtained", Value::U64Val(taken));
        if taken < it.permits {
            it.queued = true;
            let waiter = Waiter { ticket: it.ticket, task, op: it.inner, lacks: it.permits - taken, obtained: taken };
            shared.waiters.push_back(waiter);
        }
        taken == it.permits
    }

    fn close_ops(&mut self, it: &Acquisition, now: &mut Nanos) {
        for op in [it.inner].into_iter().chain(it.outer) {
            *now += 300;
            self.seen.close_op(op, *now);
        }
    }

    /// Drops the future of an acquisition that is not ready, or that was granted and never polled again.
    pub(super) fn cancel(&mut self, it: &Acquisition, now: &mut Nanos) {
        let shared = self.thing(&it.of);
        let back = if shared.granted.remove(&it.ticket) {
            it.permits
        } else {
            let place = shared.waiters.iter().position(|waiter| waiter.ticket == it.ticket);
            place.and_then(|place| shared.waiters.remove(place)).map_or(0, |waiter| waiter.obtained)
        };
        self.close_ops(it, now);
        self.give_back(&it.of, back, *now);
    }

    /// Gives permits back: to those who wait, in their order, and the rest to whoever comes next.
    pub(super) fn give_back(&mut self, name: &str, permits: u64, now: Nanos) {
        let mut rest = permits;
        let mut woken = Vec::new();
        let shared = self.shared.get_mut(name).unwrap_or_else(|| panic!("nothing is shared under the name {name}"));
        if shared.kind == Kind::Mutex && permits > 0 {
            shared.say(&mut self.seen, "locked", Value::BoolVal(false));
        }
        while rest > 0
            && let Some(first) = shared.waiters.front_mut()
        {
            let given = rest.min(first.lacks);
            rest -= given;
            first.lacks -= given;
            first.obtained += given;
            // The thread that gives permits enters the op to say so.
            let op = self.seen.op(first.op);
            op.polls.start(now);
            op.polls.end(now + 100);
            say(&mut op.says, "permits_obtained", Value::U64Val(first.obtained));
            if first.lacks == 0 {
                let first = shared.waiters.pop_front().expect("just looked at");
                shared.granted.insert(first.ticket);
                woken.push(first.task);
            }
        }
        if rest > 0 {
            shared.free += rest;
            shared.say_permits(&mut self.seen, |permits| permits + rest);
        }
        for task in woken {
            self.wake(task, now);
        }
    }

    /// Whether the permits of an acquisition are there, though its future may not have been polled since.
    pub(super) fn is_granted(&self, it: &Acquisition) -> bool {
        self.shared[&it.of].granted.contains(&it.ticket)
    }

    /// Takes a permit in the way that is not reported.
    pub(super) fn try_lock(&mut self, name: &str) -> bool {
        let shared = self.thing(name);
        let there = shared.free > 0;
        shared.free -= u64::from(there);
        there
    }

    pub(super) fn try_send(&mut self, name: &str, now: Nanos) {
        let shared = self.thing(name);
        if shared.free > 0 {
            shared.free -= 1;
            self.deliver(name, now);
        }
    }

    /// Puts a message into a channel.
    pub(super) fn deliver(&mut self, name: &str, now: Nanos) {
        let shared = self.thing(name);
        shared.messages += 1;
        for receiver in std::mem::take(&mut shared.receivers) {
            self.wake(receiver, now);
        }
    }

    /// Takes a message out of a channel, if there is one; otherwise the task is woken when one comes.
    pub(super) fn receive(&mut self, task: usize, name: &str, now: Nanos) -> bool {
        let shared = self.thing(name);
        if shared.messages == 0 {
            shared.receivers.push(task);
            return false;
        }
        shared.messages -= 1;
        self.give_back(name, 1, now);
        true
    }

    /// The op of a wait at a barrier, and the round in which it will be ready.
    pub(super) fn arrival(&mut self, name: &str, now: Nanos) -> (usize, u64) {
        let shared = self.thing(name);
        let (own, round) = (shared.own.expect("a barrier"), shared.rounds + 1);
        (self.op("Barrier::wait", own, None, now), round)
    }

    /// Comes to a barrier. The last one to come ends the round, and wakes the others.
    pub(super) fn arrive(&mut self, task: usize, name: &str, now: Nanos) {
        let shared = self.shared.get_mut(name).unwrap_or_else(|| panic!("nothing is shared under the name {name}"));
        shared.arrivals += 1;
        shared.arrived.push(task);
        shared.say(&mut self.seen, "arrived", Value::I64Val(shared.arrivals));
        let size = usize::try_from(shared.permits).expect("few parties");
        if shared.arrived.len() < size {
            return;
        }
        shared.rounds += 1;
        for party in std::mem::take(&mut shared.arrived) {
            if party != task {
                self.wake(party, now);
            }
        }
    }

    /// Whether a round of a barrier is over.
    pub(super) fn is_over(&self, name: &str, round: u64) -> bool {
        self.shared[name].rounds >= round
    }

    pub(super) fn change_depth(&mut self, name: &str, by: i64, now: Nanos) {
        let shared = self.shared.get_mut(name).unwrap_or_else(|| panic!("nothing is shared under the name {name}"));
        shared.depth = shared.depth.saturating_add_signed(by);
        if by < 0 {
            shared.received += by.unsigned_abs();
        }
        match shared.kind {
            Kind::Broadcast => shared.say_lag(&mut self.seen, by),
            kind => {
                shared.say(&mut self.seen, "depth", Value::U64Val(shared.depth));
                if kind == Kind::CountedQueue {
                    shared.say(&mut self.seen, "received", Value::U64Val(shared.received));
                }
            }
        }
        if by > 0 {
            for receiver in std::mem::take(&mut shared.receivers) {
                self.wake(receiver, now);
            }
        }
    }

    /// The op of a wait for what is in a queue.
    pub(super) fn wait_for_more(&mut self, name: &str, now: Nanos) -> usize {
        let own = self.thing(name).own.expect("a queue");
        self.op("Receiver::recv", own, None, now)
    }

    /// Takes something out of a queue, if there is something; otherwise the task is woken when there is.
    pub(super) fn take(&mut self, task: usize, name: &str, now: Nanos) -> bool {
        let shared = self.thing(name);
        if shared.depth == 0 {
            shared.receivers.push(task);
            return false;
        }
        self.change_depth(name, -1, now);
        true
    }

    /// All permits of a lock that a guard of it stands for.
    pub(super) fn permits_of(&self, statement: &Statement, want: &Want) -> u64 {
        if matches!(statement, Statement::Write(_)) { self.shared[&want.of].permits } else { want.permits }
    }
}
