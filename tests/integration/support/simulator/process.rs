//! The process: its runtimes, its tasks, and the order in which things happen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use console_api::field::Value;

use super::program::{Program, Span, Statement, Step, Until, compile};
use super::scenario::{Scenario, Spawn};
use super::shared::{Acquisition, Shared};
use super::wire::{Aggregator, Nanos, OpSpan, ResourceSpan, Said, TaskSpan};

/// From a wake to the poll that follows, if a worker is free.
const LATENCY: Nanos = 20_000;
/// Where sleeps and timeouts are made, unless a place is given.
const A_SLEEP: &str = "src/service.rs:90:13";
/// Where the `Sleep` inside an `Interval` is made.
const INSIDE_INTERVAL: &str = "/home/me/.cargo/registry/src/index.crates.io-0/tokio-1.54.1/src/time/interval.rs:135:25";
/// The pool of threads for blocking jobs, where a scenario limits it.
const BLOCKING: &str = "blocking";
/// From the call of `spawn_blocking` to the start of the job.
const THREAD_LATENCY: Nanos = 50_000;

/// Something that is due at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Make(String),
    Spawn(usize),
    Poll(usize),
    GoOn(usize),
    /// Wakes a task from outside, if it is still in the same wait.
    Wake(usize, u64),
    DropGuard(String, u64),
    EnterAgain(usize, u64),
    LeaveSpan(usize),
    /// An heir enters a task's span for a moment, and so many times again.
    EnterAsHeir(usize, Nanos, u64),
    Answer(usize),
    Abort(String),
    AbortTask(usize),
}

#[derive(Debug, Default)]
struct Runtime {
    threads: usize,
    busy: usize,
    ready: VecDeque<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Queued,
    Running,
    Over,
}

/// What a task waits for.
#[derive(Debug)]
enum Wait {
    Timer {
        resource: usize,
        due: Nanos,
    },
    Unseen(Option<Nanos>),
    Yielded,
    Acquiring(Acquisition),
    Receiving(String),
    Arrived {
        of: String,
        op: usize,
        round: u64,
    },
    /// What comes next in a queue that reports its depth.
    Taking {
        of: String,
        op: usize,
    },
    Answer {
        resource: usize,
        op: usize,
        polled_as: &'static str,
        due: Option<Nanos>,
    },
    Job(usize),
    Entered,
    Forgotten,
}

#[derive(Debug)]
struct Waiting {
    wait: Wait,
    timeout: Option<(usize, Nanos)>,
    polled: bool,
}

/// A task of the process.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what it has done so far is not one state")]
pub(super) struct Task {
    pub(super) span: usize,
    runtime: Option<String>,
    counts_wakers: bool,
    program: Program,
    next: usize,
    loops: Vec<u64>,
    state: State,
    woken: bool,
    waiting: Option<Waiting>,
    /// Counts its waits, so that a late wake-up is not taken for one of the present wait.
    turn: u64,
    wakers: u64,
    /// How many more of its wakers others have; they keep them when they wake it.
    hoarded: u64,
    guards: Vec<(String, u64)>,
    asides: Vec<Acquisition>,
    shelved: Vec<Acquisition>,
    /// Its poll goes on without a worker of the runtime.
    off_worker: bool,
    inside: bool,
    jobs: usize,
    parent: Option<usize>,
    name: String,
    place: String,
}

enum Outcome {
    /// The poll returned.
    Pending,
    /// The poll goes on and is continued later.
    Busy,
    /// The span stays entered although the poll returned.
    Entered,
    Over,
}

/// A simulated process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) seen: Aggregator,
    pub(super) tasks: Vec<Task>,
    pub(super) shared: BTreeMap<String, Shared>,
    pub(super) tickets: u64,
    due: BinaryHeap<Reverse<(Nanos, u64, Due)>>,
    sequence: u64,
    runtimes: BTreeMap<String, Runtime>,
    spawns: Vec<(Spawn, Program)>,
    things: Vec<super::scenario::Thing>,
    /// Whether a sleep is an async op of its own.
    older_tokio: bool,
    /// The clones of wakers in polls that began before are not counted.
    counts_clones_from: Nanos,
    /// The ops of sleeps, by their resources.
    sleeps: BTreeMap<usize, usize>,
    /// The timers that tasks keep although they have elapsed.
    elapsed: BTreeMap<usize, usize>,
    /// The sleeps inside the intervals of tasks, which stay when a tick is over.
    intervals: BTreeMap<usize, usize>,
}

impl Process {
    /// A process that begins at a time of the scenario.
    pub(crate) fn start(scenario: &Scenario, at: Nanos) -> Self {
        let spawns: Vec<_> = scenario.spawn.iter().map(|spawn| (spawn.clone(), compile(&spawn.body))).collect();
        let mut process = Self {
            seen: Aggregator::new(scenario.drain, scenario.wrap),
            tasks: Vec::new(),
            shared: BTreeMap::new(),
            tickets: 0,
            due: BinaryHeap::new(),
            sequence: 0,
            runtimes: BTreeMap::new(),
            spawns,
            things: scenario.shared.clone(),
            older_tokio: scenario.older_tokio,
            counts_clones_from: at + scenario.clones_lost.nanos(),
            sleeps: BTreeMap::new(),
            elapsed: BTreeMap::new(),
            intervals: BTreeMap::new(),
        };
        for (name, threads) in &scenario.runtimes {
            process.runtimes.insert(name.clone(), Runtime { threads: *threads, ..Runtime::default() });
            if *threads > 1 && name != BLOCKING {
                for _ in 0..*threads {
                    process.add_worker_thread(at);
                }
            }
        }
        for thing in scenario.shared.clone() {
            process.plan(at + thing.at.nanos(), Due::Make(thing.name));
        }
        for (index, spawn) in scenario.spawn.iter().enumerate() {
            for turn in 0..spawn.repeat.times {
                process.plan(at + spawn.at.nanos() + turn * spawn.repeat.every.nanos(), Due::Spawn(index));
            }
        }
        process
    }

    fn add_worker_thread(&mut self, at: Nanos) {
        let function = "tokio::runtime::scheduler::multi_thread::worker::Launch::launch::{{closure}}";
        let mut span = TaskSpan {
            created: at,
            kind: "blocking",
            place: "/home/me/.cargo/registry/src/index.crates.io-0/tokio-1.54.1/src/runtime/scheduler/multi_thread/worker.rs:457:13".to_owned(),
            function: Some(function.to_owned()),
            ..TaskSpan::default()
        };
        span.start_poll(at + THREAD_LATENCY);
        self.seen.add_task(span);
    }

    fn plan(&mut self, at: Nanos, due: Due) {
        self.sequence += 1;
        self.due.push(Reverse((at, self.sequence, due)));
    }

    /// Lets everything happen that is due until a time.
    pub(crate) fn advance(&mut self, until: Nanos) {
        while self.due.peek().is_some_and(|Reverse((at, ..))| *at <= until) {
            let Some(Reverse((now, _, due))) = self.due.pop() else { return };
            self.happen(now, due);
        }
    }

    /// The process stands still from now on for so long: what was to happen meanwhile happens afterwards, and polls take longer.
    pub(crate) fn stop(&mut self, now: Nanos, length: Nanos) {
        let planned = std::mem::take(&mut self.due);
        let shifted = planned.into_iter().map(|Reverse((at, sequence, due))| {
            let at = if due_in_poll(&due) { at + length } else { at.max(now + length) };
            Reverse((at, sequence, due))
        });
        self.due = shifted.collect();
    }

    /// Takes its threads away from a runtime; polls that run come to their ends.
    pub(crate) fn halt(&mut self, name: &str) {
        self.runtimes.get_mut(name).unwrap_or_else(|| panic!("there is no runtime {name}")).threads = 0;
    }

    /// Aborts the tasks of a name.
    pub(crate) fn abort(&mut self, now: Nanos, name: &str) {
        self.plan(now, Due::Abort(name.to_owned()));
    }

    fn happen(&mut self, now: Nanos, due: Due) {
        match due {
            Due::Make(name) => {
                let thing =
                    self.things.iter().find(|thing| thing.name == name).expect("a thing of the scenario").clone();
                let shared = Shared::new(&mut self.seen, thing.kind, thing.place.as_deref(), thing.permits, now);
                self.shared.insert(name, shared);
            }
            Due::Spawn(index) => self.spawn(index, now),
            Due::Poll(task) => self.begin_poll(task, now),
            Due::GoOn(task) => self.go_on(task, now),
            Due::Wake(task, turn) if self.tasks[task].turn == turn => self.wake(task, now),
            Due::Wake(..) => {}
            Due::DropGuard(of, permits) => self.give_back(&of, permits, now),
            Due::EnterAgain(task, turn) if self.tasks[task].turn == turn => {
                let span = self.tasks[task].span;
                let span = self.seen.task(span);
                span.wakes += 1;
                span.last_wake = Some(now);
                span.clones += 1;
                span.drops += 1;
            }
            Due::EnterAgain(..) => {}
            Due::LeaveSpan(task) => {
                let span = self.tasks[task].span;
                self.seen.task(span).polls.end(now);
                self.tasks[task].inside = false;
                self.tasks[task].waiting = None;
                self.wake(task, now);
            }
            Due::EnterAsHeir(task, every, times) => {
                let span = self.tasks[task].span;
                self.seen.task(span).start_poll(now);
                self.seen.task(span).polls.end(now + 20_000);
                match times {
                    0 => self.release_span(task, now + 30_000),
                    _ => self.plan(now + every, Due::EnterAsHeir(task, every, times - 1)),
                }
            }
            Due::Answer(task) => self.end_job(task, now),
            Due::AbortTask(task) if matches!(self.tasks[task].state, State::Idle | State::Queued) => {
                self.abort_task(task, now);
            }
            Due::AbortTask(_) => {}
            Due::Abort(name) => {
                for task in 0..self.tasks.len() {
                    if self.tasks[task].name == name && matches!(self.tasks[task].state, State::Idle | State::Queued) {
                        self.abort_task(task, now);
                    }
                }
            }
        }
    }

    fn spawn(&mut self, index: usize, now: Nanos) {
        let (spawn, program) = self.spawns[index].clone();
        for member in 0..spawn.count {
            let at = now + member * 5_000;
            let span = TaskSpan {
                created: at,
                name: spawn.name.clone(),
                kind: spawn.kind.word(),
                place: spawn.place.clone(),
                size: spawn.size,
                original_size: spawn.original_size,
                function: spawn.function.clone(),
                ..TaskSpan::default()
            };
            let task = Task {
                span: self.seen.add_task(span),
                runtime: (!spawn.kind.is_blocking()).then(|| spawn.runtime.clone()),
                counts_wakers: spawn.kind.counts_wakers(),
                program: program.clone(),
                next: 0,
                loops: Vec::new(),
                state: State::Queued,
                woken: false,
                waiting: None,
                turn: 0,
                wakers: 0,
                hoarded: 0,
                guards: Vec::new(),
                asides: Vec::new(),
                shelved: Vec::new(),
                off_worker: false,
                inside: false,
                jobs: 0,
                parent: None,
                name: spawn.name.clone(),
                place: spawn.place.clone(),
            };
            self.tasks.push(task);
            self.enqueue(self.tasks.len() - 1, at);
            if let Some(limit) = spawn.within {
                self.plan(now + limit.nanos() + member * 5_000, Due::AbortTask(self.tasks.len() - 1));
            }
        }
    }

    /// Puts a task into the queue of its runtime.
    fn enqueue(&mut self, task: usize, now: Nanos) {
        self.tasks[task].state = State::Queued;
        match self.tasks[task].runtime.clone() {
            None => self.plan(now + THREAD_LATENCY, Due::Poll(task)),
            Some(name) => {
                let runtime = self.runtimes.get_mut(&name).unwrap_or_else(|| panic!("there is no runtime {name}"));
                runtime.ready.push_back(task);
                self.dispatch(&name, now);
            }
        }
    }

    fn dispatch(&mut self, name: &str, now: Nanos) {
        let runtime = self.runtimes.get_mut(name).expect("a runtime of the scenario");
        let mut polls = Vec::new();
        while runtime.busy < runtime.threads
            && let Some(task) = runtime.ready.pop_front()
        {
            runtime.busy += 1;
            polls.push(task);
        }
        for task in polls {
            self.plan(now + LATENCY, Due::Poll(task));
        }
    }

    fn leave_worker(&mut self, task: usize, now: Nanos) {
        if let Some(name) = self.tasks[task].runtime.clone()
            && !std::mem::take(&mut self.tasks[task].off_worker)
        {
            self.runtimes.get_mut(&name).expect("a runtime of the scenario").busy -= 1;
            self.dispatch(&name, now);
        }
    }

    /// Wakes a task through a waker that it gave away.
    pub(super) fn wake(&mut self, task: usize, now: Nanos) {
        let it = &mut self.tasks[task];
        if it.state == State::Over {
            return;
        }
        if it.counts_wakers {
            let used = it.wakers.min(1);
            it.wakers -= used;
            let own = it.state == State::Running && it.hoarded == 0;
            let span = self.seen.task(it.span);
            span.wakes += 1;
            span.self_wakes += u64::from(own && used == 0);
            span.drops += used;
            span.last_wake = span.last_wake.max(Some(now));
        }
        match it.state {
            State::Idle => self.enqueue(task, now),
            State::Running => it.woken = true,
            State::Queued | State::Over => {}
        }
    }

    fn begin_poll(&mut self, task: usize, now: Nanos) {
        if self.tasks[task].state == State::Over {
            self.leave_worker(task, now);
            return;
        }
        self.tasks[task].state = State::Running;
        let span = self.tasks[task].span;
        self.seen.task(span).start_poll(now);
        self.go_on(task, now);
    }

    fn go_on(&mut self, task: usize, begin: Nanos) {
        let mut now = begin + 1_000;
        self.poll_asides(task, &mut now);
        let outcome = self.run(task, &mut now);
        now += 1_000;
        let span = self.tasks[task].span;
        match outcome {
            Outcome::Busy => return,
            Outcome::Pending => self.seen.task(span).polls.end(now),
            Outcome::Entered => self.tasks[task].inside = true,
            Outcome::Over => {
                self.seen.task(span).polls.end(now);
                self.end_task(task, now);
            }
        }
        if self.tasks[task].state == State::Running {
            self.tasks[task].state = State::Idle;
            if std::mem::take(&mut self.tasks[task].woken) {
                self.enqueue(task, now);
            }
        }
        self.leave_worker(task, now);
    }

    /// Runs a task's program until it has to wait.
    fn run(&mut self, task: usize, now: &mut Nanos) -> Outcome {
        loop {
            if self.tasks[task].waiting.is_some() && !self.poll_wait(task, now) {
                return Outcome::Pending;
            }
            *now += 1_000;
            let it = &mut self.tasks[task];
            let Some(step) = it.program.get(it.next).cloned() else { return Outcome::Over };
            it.next += 1;
            let statement = match step {
                Step::Do(statement) => statement,
                Step::Begin(times) => {
                    it.loops.push(times);
                    continue;
                }
                Step::Again(first) => {
                    let left = it.loops.last_mut().expect("a loop has begun");
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        it.loops.pop();
                    } else {
                        it.next = first;
                    }
                    continue;
                }
            };
            match self.execute(task, &statement, now) {
                None => {}
                Some(outcome) => return outcome,
            }
        }
    }

    /// Does one statement; says so if the poll does not simply go on.
    #[expect(clippy::too_many_lines, reason = "an arm for each statement")]
    fn execute(&mut self, task: usize, statement: &Statement, now: &mut Nanos) -> Option<Outcome> {
        let is_blocking = self.tasks[task].runtime.is_none();
        let wait = match statement {
            Statement::Work(span) => return self.work(task, *span, *now),
            Statement::Wait(Until::After(span)) if is_blocking => return self.work(task, *span, *now),
            Statement::Wait(Until::Never) if is_blocking => return Some(Outcome::Busy),
            Statement::BlockInPlace(span) => {
                self.hand_over_worker(task, *now);
                return self.work(task, *span, *now);
            }
            Statement::Entered { during, wakes, entries } => {
                let span = self.tasks[task].span;
                self.seen.task(span).polls.polls += entries;
                return self.enter(task, *during, *wakes, *now);
            }
            Statement::Release(of) => {
                self.release(task, of, *now);
                return None;
            }
            Statement::GiveAway { of, until } => {
                let permits = self.take_guard(task, of);
                if let Some(at) = until.from(*now) {
                    self.plan(at, Due::DropGuard(of.clone(), permits));
                }
                return None;
            }
            Statement::TrySend(of) => {
                self.try_send(of, *now);
                return None;
            }
            Statement::TryLock(of) => {
                if self.try_lock(of) {
                    self.tasks[task].guards.push((of.clone(), 1));
                }
                return None;
            }
            Statement::Depth { of, by } => {
                self.change_depth(of, *by, *now);
                return None;
            }
            Statement::Hoard(wakers) => {
                self.tasks[task].hoarded += wakers;
                let span = self.tasks[task].span;
                self.seen.task(span).clones += wakers;
                return None;
            }
            Statement::Register(times) => {
                let span = self.tasks[task].span;
                let span = self.seen.task(span);
                span.clones += times;
                span.drops += times;
                return None;
            }
            Statement::WakeItself(times) => {
                let span = self.tasks[task].span;
                let span = self.seen.task(span);
                span.clones += times;
                span.drops += times;
                span.wakes += times;
                span.self_wakes += times;
                span.last_wake = Some(*now);
                return None;
            }
            Statement::PollElapsed(times) => {
                self.poll_elapsed(task, A_SLEEP, *times, *now);
                return None;
            }
            Statement::LateTicks(times) => {
                self.poll_elapsed(task, INSIDE_INTERVAL, *times, *now);
                return None;
            }
            Statement::Wake(name) => {
                let named = (0..self.tasks.len()).filter(|task| self.tasks[*task].name == *name);
                for task in named.collect::<Vec<_>>() {
                    self.wake(task, *now);
                }
                return None;
            }
            Statement::Heir { every, times } => {
                self.tasks[task].jobs += 1;
                self.plan(*now + every.nanos(), Due::EnterAsHeir(task, every.nanos(), *times));
                return None;
            }
            Statement::SpawnBlocking(span) => {
                self.start_job(task, *span, *now);
                return None;
            }
            Statement::Aside(want) => {
                let mut acquisition = self.acquisition(statement, want, now);
                if self.poll_acquisition(task, &mut acquisition, now) {
                    self.give_back(&want.of, want.permits, *now);
                } else {
                    self.hold_waker(task);
                    self.tasks[task].asides.push(acquisition);
                }
                return None;
            }
            Statement::Shelve(want) => {
                let mut acquisition = self.acquisition(statement, want, now);
                if self.poll_acquisition(task, &mut acquisition, now) {
                    self.give_back(&want.of, want.permits, *now);
                } else {
                    self.hold_waker(task);
                    self.tasks[task].shelved.push(acquisition);
                }
                return None;
            }
            Statement::Leak(of) => {
                self.take_guard(task, of);
                return None;
            }
            Statement::Sleep(span) => self.timer(*span, *now),
            Statement::Wait(until) => Wait::Unseen(until.from(*now)),
            Statement::Within { wait, limit, place } => {
                let timer = self.sleep_resource(*limit, place, *now);
                self.begin_wait(task, Wait::Unseen(wait.from(*now)), Some((timer, *now + limit.nanos())));
                return None;
            }
            Statement::Forget => Wait::Forgotten,
            Statement::Yield => Wait::Yielded,
            Statement::Receive(of) => Wait::Receiving(of.clone()),
            Statement::Arrive(of) => {
                let (op, round) = self.arrival(of, *now);
                Wait::Arrived { of: of.clone(), op, round }
            }
            Statement::Take(of) => Wait::Taking { of: of.clone(), op: self.wait_for_more(of, *now) },
            Statement::Answer(until) => self.oneshot(task, *until, *now),
            Statement::Tick(span) => self.tick(task, *span, *now),
            Statement::Blocking(span) => Wait::Job(self.start_job(task, *span, *now)),
            Statement::Lock(want)
            | Statement::Read(want)
            | Statement::Write(want)
            | Statement::Acquire(want)
            | Statement::Send(want) => {
                let mut acquisition = self.acquisition(statement, want, now);
                acquisition.permits = self.permits_of(statement, want);
                let timeout = want.within.map(|limit| {
                    let due = *now + limit.nanos();
                    (self.sleep_resource(limit, A_SLEEP, *now), due)
                });
                self.begin_wait(task, Wait::Acquiring(acquisition), timeout);
                return None;
            }
            Statement::Repeat { .. } | Statement::Forever(_) => unreachable!("flattened"),
        };
        self.begin_wait(task, wait, None);
        None
    }

    fn begin_wait(&mut self, task: usize, wait: Wait, timeout: Option<(usize, Nanos)>) {
        let it = &mut self.tasks[task];
        it.turn += 1;
        it.waiting = Some(Waiting { wait, timeout, polled: false });
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what becomes of a statement")]
    fn work(&mut self, task: usize, span: Span, now: Nanos) -> Option<Outcome> {
        self.plan(now + span.nanos(), Due::GoOn(task));
        Some(Outcome::Busy)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what becomes of a statement")]
    fn enter(&mut self, task: usize, during: Span, wakes: u64, now: Nanos) -> Option<Outcome> {
        self.begin_wait(task, Wait::Entered, None);
        // It waits for what is done in its span.
        self.hold_waker(task);
        let turn = self.tasks[task].turn;
        for wake in 1..=wakes {
            self.plan(now + during.nanos() * wake / (wakes + 1), Due::EnterAgain(task, turn));
        }
        self.plan(now + during.nanos(), Due::LeaveSpan(task));
        Some(Outcome::Entered)
    }

    fn hand_over_worker(&mut self, task: usize, now: Nanos) {
        let function =
            "tokio::runtime::scheduler::multi_thread::worker::block_in_place::maybe_move_runtime::{{closure}}";
        let mut span = TaskSpan {
            created: now,
            kind: "blocking",
            place: "/home/me/.cargo/registry/src/index.crates.io-0/tokio-1.54.1/src/runtime/scheduler/multi_thread/worker.rs:412:9".to_owned(),
            function: Some(function.to_owned()),
            ..TaskSpan::default()
        };
        span.start_poll(now + THREAD_LATENCY);
        self.seen.add_task(span);
        self.leave_worker(task, now);
        self.tasks[task].off_worker = true;
    }

    fn sleep_resource(&mut self, span: Span, place: &str, now: Nanos) -> usize {
        let millis = u64::try_from(span.0.as_millis()).expect("a short time") + 1;
        let timer = self.seen.add_resource(ResourceSpan {
            created: now,
            concrete_type: "Sleep",
            is_timer: true,
            place: Some(place.to_owned()),
            says: vec![Said { name: "duration", value: Value::U64Val(millis), unit: Some("ms") }],
            ..ResourceSpan::default()
        });
        if self.older_tokio {
            let resource = self.seen.resource_id(timer);
            let span = OpSpan { created: now, source: "Sleep::new_timeout", resource, ..OpSpan::default() };
            self.sleeps.insert(timer, self.seen.add_op(span));
        }
        timer
    }

    /// Polls of a timer that a task keeps although it has elapsed, each reported twice.
    fn poll_elapsed(&mut self, task: usize, place: &str, times: u64, now: Nanos) {
        let timer = match self.elapsed.get(&task) {
            Some(timer) => *timer,
            None => self.seen.add_resource(ResourceSpan {
                created: now,
                concrete_type: "Sleep",
                is_timer: true,
                place: Some(place.to_owned()),
                ..ResourceSpan::default()
            }),
        };
        self.elapsed.insert(task, timer);
        let (timer, span) = (self.seen.resource_id(timer), self.tasks[task].span);
        (0..2 * times).for_each(|_| self.seen.poll_timer(timer, span));
    }

    fn poll_sleep(&mut self, task: usize, timer: usize, ready: bool, now: Nanos) {
        let Some(op) = self.sleeps.get(&timer).copied() else { return };
        self.seen.op(op).polls.start(now);
        self.seen.op(op).polls.end(now + 500);
        let span = self.tasks[task].span;
        // The first time for the cooperative budget.
        self.seen.poll_op("poll_elapsed", op, span, true);
        self.seen.poll_op("poll_elapsed", op, span, ready);
    }

    fn close_timer(&mut self, timer: usize, at: Nanos) {
        if let Some(op) = self.sleeps.remove(&timer) {
            self.seen.close_op(op, at);
        }
        self.seen.close_resource(timer, at);
    }

    fn timer(&mut self, span: Span, now: Nanos) -> Wait {
        Wait::Timer { resource: self.sleep_resource(span, A_SLEEP, now), due: now + span.nanos() }
    }

    fn oneshot(&mut self, task: usize, until: Until, now: Nanos) -> Wait {
        let place = Some(self.tasks[task].place.clone());
        let resource = self.seen.add_resource(ResourceSpan {
            created: now,
            concrete_type: "Sender|Receiver",
            place,
            says: vec![Said { name: "value_sent", value: Value::BoolVal(false), unit: None }],
            ..ResourceSpan::default()
        });
        let id = self.seen.resource_id(resource);
        let op =
            self.seen.add_op(OpSpan { created: now, source: "Receiver::await", resource: id, ..OpSpan::default() });
        Wait::Answer { resource, op, polled_as: "poll_recv", due: until.from(now) }
    }

    fn tick(&mut self, task: usize, span: Span, now: Nanos) -> Wait {
        if self.older_tokio && !self.intervals.contains_key(&task) {
            let timer = self.sleep_resource(Span::default(), A_SLEEP, now);
            self.intervals.insert(task, timer);
        }
        let resource = self.seen.add_resource(ResourceSpan {
            created: now,
            concrete_type: "Interval",
            is_timer: true,
            place: Some(self.tasks[task].place.clone()),
            ..ResourceSpan::default()
        });
        let id = self.seen.resource_id(resource);
        let op = self.seen.add_op(OpSpan { created: now, source: "Interval::tick", resource: id, ..OpSpan::default() });
        Wait::Answer { resource, op, polled_as: "poll_tick", due: Some(now + span.nanos()) }
    }

    fn start_job(&mut self, parent: usize, span: Span, now: Nanos) -> usize {
        let place = self.tasks[parent].place.clone();
        let function = Some("service::job::{{closure}}".to_owned());
        let pool = self.runtimes.contains_key(BLOCKING).then(|| BLOCKING.to_owned());
        let job = TaskSpan { created: now, kind: "blocking", place, function, ..TaskSpan::default() };
        let task = Task {
            span: self.seen.add_task(job),
            runtime: pool,
            counts_wakers: false,
            program: compile(&[Statement::Work(span)]),
            next: 0,
            loops: Vec::new(),
            state: State::Queued,
            woken: false,
            waiting: None,
            turn: 0,
            wakers: 0,
            hoarded: 0,
            guards: Vec::new(),
            asides: Vec::new(),
            shelved: Vec::new(),
            off_worker: false,
            inside: false,
            jobs: 0,
            parent: Some(parent),
            name: String::new(),
            place: String::new(),
        };
        self.tasks.push(task);
        self.tasks[parent].jobs += 1;
        self.enqueue(self.tasks.len() - 1, now);
        self.tasks.len() - 1
    }

    /// A job is done: its parent may be told, or may now be forgotten too.
    fn end_job(&mut self, job: usize, now: Nanos) {
        let Some(parent) = self.tasks[job].parent else { return };
        self.release_span(parent, now);
        if matches!(&self.tasks[parent].waiting, Some(Waiting { wait: Wait::Job(waits_for), .. }) if *waits_for == job)
        {
            self.wake(parent, now);
        }
    }

    /// Something that a task started no longer keeps its span open.
    fn release_span(&mut self, task: usize, now: Nanos) {
        let it = &mut self.tasks[task];
        it.jobs -= 1;
        if it.state == State::Over && it.jobs == 0 {
            let span = it.span;
            self.seen.close_task(span, now);
        }
    }

    fn hold_waker(&mut self, task: usize) {
        let it = &mut self.tasks[task];
        if it.counts_wakers {
            it.wakers += 1;
            let span = self.seen.task(it.span);
            span.clones += u64::from(span.polls.started >= Some(self.counts_clones_from));
        }
    }

    /// Polls what a task waits for; whether it is over.
    fn poll_wait(&mut self, task: usize, now: &mut Nanos) -> bool {
        let Some(mut waiting) = self.tasks[task].waiting.take() else { return true };
        let first = !std::mem::replace(&mut waiting.polled, true);
        *now += 1_000;
        let ready = match &mut waiting.wait {
            Wait::Timer { resource, due } => {
                let ready = *now >= *due;
                self.poll_sleep(task, *resource, ready, *now);
                if ready {
                    self.close_timer(*resource, *now);
                }
                ready
            }
            Wait::Unseen(due) => due.is_some_and(|due| *now >= due),
            Wait::Yielded => !first,
            Wait::Acquiring(acquisition) => {
                let mut it = acquisition.clone();
                let ready = self.poll_acquisition(task, &mut it, now);
                *acquisition = it;
                ready
            }
            Wait::Receiving(of) => {
                let of = of.clone();
                self.receive(task, &of, *now)
            }
            Wait::Arrived { of, op, round } => {
                let (of, op, round) = (of.clone(), *op, *round);
                if first {
                    self.arrive(task, &of, *now);
                }
                let ready = self.is_over(&of, round);
                self.poll_lone_op(task, op, "poll", ready, *now);
                ready
            }
            Wait::Taking { of, op } => {
                let (of, op) = (of.clone(), *op);
                let ready = self.take(task, &of, *now);
                self.poll_lone_op(task, op, "recv", ready, *now);
                ready
            }
            Wait::Answer { resource, op, polled_as, due } => {
                let ready = due.is_some_and(|due| *now >= due);
                let (resource, op, polled_as) = (*resource, *op, *polled_as);
                self.seen.op(op).polls.start(*now);
                self.seen.op(op).polls.end(*now + 500);
                let span = self.tasks[task].span;
                if let Some(timer) = self.intervals.get(&task).copied().filter(|_| polled_as == "poll_tick") {
                    self.poll_sleep(task, timer, ready, *now);
                }
                self.seen.poll_op(polled_as, op, span, ready);
                if ready {
                    self.seen.close_op(op, *now + 700);
                    self.seen.close_resource(resource, *now + 900);
                }
                ready
            }
            Wait::Job(job) => self.tasks[*job].state == State::Over,
            Wait::Entered => true,
            Wait::Forgotten => false,
        };
        if ready {
            self.end_wait(task, &waiting, now);
            return true;
        }
        if let Some((timer, due)) = waiting.timeout {
            self.poll_sleep(task, timer, *now >= due, *now);
        }
        if waiting.timeout.is_some_and(|(_, due)| *now >= due) {
            if let Wait::Acquiring(acquisition) = &waiting.wait {
                let it = acquisition.clone();
                self.cancel(&it, now);
            }
            self.drop_wait(task, &waiting, *now);
            return true;
        }
        self.stay(task, waiting, first, *now);
        false
    }

    /// Polls an op that is all there is of a wait, and closes it if that is over.
    fn poll_lone_op(&mut self, task: usize, op: usize, name: &'static str, ready: bool, now: Nanos) {
        self.seen.op(op).polls.start(now);
        self.seen.op(op).polls.end(now + 500);
        let span = self.tasks[task].span;
        self.seen.poll_op(name, op, span, ready);
        if ready {
            self.seen.close_op(op, now + 700);
        }
    }

    fn end_wait(&mut self, task: usize, waiting: &Waiting, now: &mut Nanos) {
        if let Wait::Acquiring(it) = &waiting.wait {
            if it.sends {
                self.deliver(&it.of, *now);
            } else {
                self.tasks[task].guards.push((it.of.clone(), it.permits));
            }
        }
        self.drop_wait(task, waiting, *now);
    }

    /// Gives up what belongs to a wait besides what is waited for: the timer around it and wakers that were not used.
    fn drop_wait(&mut self, task: usize, waiting: &Waiting, now: Nanos) {
        if let Some((timer, _)) = waiting.timeout {
            self.close_timer(timer, now);
        }
        let it = &mut self.tasks[task];
        let unused = it.wakers.saturating_sub(u64::try_from(it.asides.len()).expect("few"));
        it.wakers -= unused;
        it.turn += 1;
        self.seen.task(it.span).drops += unused;
    }

    /// Stays in a wait: gives wakers away, and plans who will use them.
    fn stay(&mut self, task: usize, waiting: Waiting, first: bool, now: Nanos) {
        let turn = self.tasks[task].turn;
        let wanted = match waiting.wait {
            Wait::Forgotten | Wait::Entered | Wait::Yielded => 0,
            _ => 1 + u64::from(waiting.timeout.is_some()),
        };
        let asides = u64::try_from(self.tasks[task].asides.len()).expect("few");
        while self.tasks[task].counts_wakers && self.tasks[task].wakers < wanted + asides {
            self.hold_waker(task);
        }
        let due = match &waiting.wait {
            Wait::Timer { due, .. } => Some(*due),
            Wait::Unseen(due) | Wait::Answer { due, .. } => *due,
            _ => None,
        };
        if first {
            for due in due.into_iter().chain(waiting.timeout.map(|(_, due)| due)) {
                self.plan(due, Due::Wake(task, turn));
            }
        }
        if matches!(waiting.wait, Wait::Yielded) {
            self.wake(task, now);
        }
        self.tasks[task].waiting = Some(waiting);
    }

    /// Finishes acquisitions that were put aside and have been granted.
    fn poll_asides(&mut self, task: usize, now: &mut Nanos) {
        let asides = std::mem::take(&mut self.tasks[task].asides);
        let (granted, rest): (Vec<_>, Vec<_>) = asides.into_iter().partition(|aside| self.is_granted(aside));
        self.tasks[task].asides = rest;
        for mut aside in granted {
            if self.poll_acquisition(task, &mut aside, now) {
                self.give_back(&aside.of.clone(), aside.permits, *now);
            }
        }
    }

    fn take_guard(&mut self, task: usize, of: &str) -> u64 {
        let guards = &mut self.tasks[task].guards;
        let last = guards.iter().rposition(|(name, _)| name == of);
        let last = last.unwrap_or_else(|| panic!("the task holds no guard of {of}"));
        guards.remove(last).1
    }

    /// Drops the newest guard of a lock; a wait that timed out left none, and then there is nothing to drop.
    fn release(&mut self, task: usize, of: &str, now: Nanos) {
        if self.tasks[task].guards.iter().any(|(name, _)| name == of) {
            let permits = self.take_guard(task, of);
            self.give_back(of, permits, now);
        }
    }

    fn abort_task(&mut self, task: usize, now: Nanos) {
        let span = self.tasks[task].span;
        if self.tasks[task].state == State::Queued {
            // It is taken out of the queue when its turn comes; its future is dropped now.
            let name = self.tasks[task].runtime.clone();
            if let Some(runtime) = name.and_then(|name| self.runtimes.get_mut(&name)) {
                runtime.ready.retain(|queued| *queued != task);
            }
        }
        let mut at = now;
        self.seen.task(span).start_poll(at);
        if let Some(waiting) = self.tasks[task].waiting.take() {
            if let Wait::Acquiring(acquisition) = &waiting.wait {
                let it = acquisition.clone();
                self.cancel(&it, &mut at);
            }
            match waiting.wait {
                Wait::Timer { resource, .. } => self.close_timer(resource, at),
                Wait::Arrived { op, .. } | Wait::Taking { op, .. } => self.seen.close_op(op, at),
                Wait::Answer { resource, op, .. } => {
                    self.seen.close_op(op, at);
                    self.seen.close_resource(resource, at);
                }
                _ => {}
            }
            self.drop_wait(task, &waiting, at);
        }
        self.drop_guards(task, at);
        self.seen.task(span).polls.end(at + 1_000);
        self.bury(task, at + 2_000);
    }

    fn drop_guards(&mut self, task: usize, now: Nanos) {
        for (of, permits) in std::mem::take(&mut self.tasks[task].guards) {
            self.give_back(&of, permits, now);
        }
        let it = &mut self.tasks[task];
        for aside in it.asides.drain(..).chain(it.shelved.drain(..)).collect::<Vec<_>>() {
            let mut at = now;
            self.cancel(&aside, &mut at);
        }
    }

    /// The future is ready: it is dropped, which enters its span once more.
    fn end_task(&mut self, task: usize, now: Nanos) {
        self.drop_guards(task, now);
        let span = self.tasks[task].span;
        let it = self.seen.task(span);
        it.start_poll(now + 1_000);
        it.polls.end(now + 2_000);
        self.bury(task, now + 3_000);
        if self.tasks[task].parent.is_some() {
            self.plan(now + 5_000, Due::Answer(task));
        }
    }

    fn bury(&mut self, task: usize, now: Nanos) {
        if let Some(timer) = self.intervals.remove(&task) {
            self.close_timer(timer, now);
        }
        let it = &mut self.tasks[task];
        it.state = State::Over;
        self.seen.task(it.span).drops += std::mem::take(&mut it.wakers);
        if it.jobs == 0 {
            let span = it.span;
            self.seen.close_task(span, now);
        }
    }
}

/// Whether something goes on inside a poll, so that it takes longer if the process is stopped.
fn due_in_poll(due: &Due) -> bool {
    matches!(due, Due::GoOn(_))
}
