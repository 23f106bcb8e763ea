//! What console-subscriber keeps of a process, and the messages it makes of that.

use std::collections::{HashMap, HashSet, VecDeque};

use console_api::field::{Name, Value};
use console_api::{Attribute, Field, Id, Location, async_ops, instrument, resources, tasks};

/// A time of the simulated process, in nanoseconds since the scenario began.
pub(crate) type Nanos = u64;

/// When scenarios begin, in seconds since the Unix epoch.
pub(crate) const BEGIN: u64 = 1_750_000_000;

/// Slots of span ids lie this far apart; the rest of an id counts how often its slot was used.
const SLOTS: u64 = 1 << 16;

/// The counters that console-subscriber keeps of polls.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "the counters have the names of the protocol")]
pub(crate) struct Polls {
    pub(crate) polls: u64,
    pub(crate) first: Option<Nanos>,
    pub(crate) started: Option<Nanos>,
    pub(crate) ended: Option<Nanos>,
    pub(crate) busy: u64,
}

impl Polls {
    pub(crate) fn start(&mut self, at: Nanos) {
        self.polls += 1;
        self.first.get_or_insert(at);
        self.started = Some(at);
    }

    pub(crate) fn end(&mut self, at: Nanos) {
        self.ended = Some(at);
        self.busy += at.saturating_sub(self.started.unwrap_or(at));
    }

    fn wire(&self) -> console_api::PollStats {
        console_api::PollStats {
            polls: self.polls,
            first_poll: self.first.map(time),
            last_poll_started: self.started.map(time),
            last_poll_ended: self.ended.map(time),
            busy_time: Some(duration(self.busy)),
        }
    }
}

/// A value that a resource or an op says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    pub(crate) unit: Option<&'static str>,
}

/// The span of a task.
#[derive(Debug, Default)]
pub(crate) struct TaskSpan {
    pub(crate) id: u64,
    pub(crate) created: Nanos,
    pub(crate) dropped: Option<Nanos>,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) place: String,
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) original_size: Option<u64>,
    pub(crate) function: Option<String>,
    pub(crate) wakes: u64,
    pub(crate) self_wakes: u64,
    pub(crate) clones: u64,
    pub(crate) drops: u64,
    pub(crate) last_wake: Option<Nanos>,
    pub(crate) polls: Polls,
    pub(crate) scheduled: u64,
}

impl TaskSpan {
    pub(crate) fn start_poll(&mut self, at: Nanos) {
        let waited_since = self.last_wake.max(self.polls.ended);
        self.scheduled += waited_since.map_or(0, |since| at.saturating_sub(since));
        self.polls.start(at);
    }
}

/// The span of a resource.
#[derive(Debug, Default)]
pub(crate) struct ResourceSpan {
    pub(crate) id: u64,
    pub(crate) created: Nanos,
    pub(crate) dropped: Option<Nanos>,
    pub(crate) concrete_type: &'static str,
    pub(crate) is_timer: bool,
    pub(crate) is_internal: bool,
    pub(crate) parent: Option<u64>,
    pub(crate) place: Option<String>,
    pub(crate) says: Vec<Said>,
}

/// The span of an async op.
#[derive(Debug, Default)]
pub(crate) struct OpSpan {
    pub(crate) id: u64,
    pub(crate) created: Nanos,
    pub(crate) dropped: Option<Nanos>,
    pub(crate) source: &'static str,
    pub(crate) resource: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) task: Option<u64>,
    pub(crate) polls: Polls,
    pub(crate) says: Vec<Said>,
}

/// Sets what is said under a name, or changes what was said before.
pub(crate) fn say(says: &mut Vec<Said>, name: &'static str, value: Value) {
    match says.iter_mut().find(|said| said.name == name) {
        Some(said) => said.value = value,
        None => says.push(Said { name, value, unit: None }),
    }
}

/// One kind of entities: all that there ever were, and which of them the aggregator knows.
#[derive(Debug)]
struct Table<T> {
    all: Vec<T>,
    known: HashMap<u64, usize>,
    new: Vec<usize>,
    changed: Vec<usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { all: Vec::new(), known: HashMap::new(), new: Vec::new(), changed: Vec::new() }
    }
}

impl<T> Table<T> {
    fn is_known(&self, index: usize, id: u64) -> bool {
        self.known.get(&id) == Some(&index)
    }
}

/// An event on its way to the aggregator. All of them share one buffer.
#[derive(Debug)]
enum Event {
    Task(usize),
    Resource(usize),
    Op(usize),
    PollOp(resources::PollOp),
}

/// What the next message is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    /// Everything that is kept: the first message to a client.
    All,
    /// What has changed since the last message to any client.
    Changed,
}

/// The aggregator of console-subscriber.
#[derive(Debug)]
pub(crate) struct Aggregator {
    tasks: Table<TaskSpan>,
    resources: Table<ResourceSpan>,
    ops: Table<OpSpan>,
    events: VecDeque<Event>,
    poll_ops: Vec<resources::PollOp>,
    free: Vec<u64>,
    generations: HashMap<u64, u64>,
    /// After so many lives of a slot its ids come again.
    wrap: u64,
    /// Events that it reads per turn.
    drain: usize,
    /// So many of the next births are lost.
    pub(crate) losing: u64,
    dropped: [u64; 3],
    next_number: u64,
}

impl Aggregator {
    pub(crate) fn new(drain: usize, wrap: u64) -> Self {
        Self {
            tasks: Table::default(),
            resources: Table::default(),
            ops: Table::default(),
            events: VecDeque::new(),
            poll_ops: Vec::new(),
            free: Vec::new(),
            generations: HashMap::new(),
            wrap,
            drain,
            losing: 0,
            dropped: [0; 3],
            next_number: 0,
        }
    }

    fn take_id(&mut self) -> u64 {
        let slots = u64::try_from(self.generations.len()).expect("few slots");
        let slot = self.free.pop().unwrap_or(slots);
        let generation = self.generations.entry(slot).and_modify(|generation| *generation += 1).or_insert(0);
        slot + 1 + (*generation % self.wrap) * SLOTS
    }

    fn give_back(&mut self, id: u64) {
        self.free.push((id - 1) % SLOTS);
    }

    /// Whether the next birth gets through; if not it is counted as lost.
    fn gets_through(&mut self, kind: usize) -> bool {
        if self.losing == 0 {
            return true;
        }
        self.losing -= 1;
        self.dropped[kind] += 1;
        false
    }

    pub(crate) fn add_task(&mut self, mut task: TaskSpan) -> usize {
        self.next_number += 1;
        task.id = self.take_id();
        task.number = self.next_number;
        let index = self.tasks.all.len();
        self.tasks.all.push(task);
        if self.gets_through(0) {
            self.events.push_back(Event::Task(index));
        }
        index
    }

    pub(crate) fn add_resource(&mut self, mut resource: ResourceSpan) -> usize {
        resource.id = self.take_id();
        let index = self.resources.all.len();
        self.resources.all.push(resource);
        if self.gets_through(1) {
            self.events.push_back(Event::Resource(index));
        }
        index
    }

    pub(crate) fn add_op(&mut self, mut op: OpSpan) -> usize {
        op.id = self.take_id();
        let index = self.ops.all.len();
        self.ops.all.push(op);
        if self.gets_through(2) {
            self.events.push_back(Event::Op(index));
        }
        index
    }

    /// The span of a task, which is about to change.
    pub(crate) fn task(&mut self, index: usize) -> &mut TaskSpan {
        self.tasks.changed.push(index);
        &mut self.tasks.all[index]
    }

    /// The span of a resource, which is about to change.
    pub(crate) fn resource(&mut self, index: usize) -> &mut ResourceSpan {
        self.resources.changed.push(index);
        &mut self.resources.all[index]
    }

    /// The span of an op, which is about to change.
    pub(crate) fn op(&mut self, index: usize) -> &mut OpSpan {
        self.ops.changed.push(index);
        &mut self.ops.all[index]
    }

    pub(crate) fn resource_id(&self, index: usize) -> u64 {
        self.resources.all[index].id
    }

    pub(crate) fn op_id(&self, index: usize) -> u64 {
        self.ops.all[index].id
    }

    pub(crate) fn close_task(&mut self, index: usize, at: Nanos) {
        let task = self.task(index);
        task.dropped = Some(at);
        let id = task.id;
        self.give_back(id);
    }

    pub(crate) fn close_resource(&mut self, index: usize, at: Nanos) {
        let resource = self.resource(index);
        resource.dropped = Some(at);
        let id = resource.id;
        self.give_back(id);
    }

    pub(crate) fn close_op(&mut self, index: usize, at: Nanos) {
        let op = self.op(index);
        op.dropped = Some(at);
        let id = op.id;
        self.give_back(id);
    }

    /// A poll of an op by a task, and what it returned.
    /// A poll of a timer that has elapsed. Newer versions of Tokio report it without an op.
    pub(crate) fn poll_timer(&mut self, timer: u64, task: usize) {
        self.events.push_back(Event::PollOp(resources::PollOp {
            resource_id: Some(Id { id: timer }),
            name: "poll_elapsed".to_owned(),
            task_id: Some(Id { id: self.tasks.all[task].id }),
            is_ready: true,
            ..resources::PollOp::default()
        }));
    }

    pub(crate) fn poll_op(&mut self, name: &str, op: usize, task: usize, is_ready: bool) {
        let task = self.tasks.all[task].id;
        let op = self.op(op);
        op.task = Some(task);
        let event = resources::PollOp {
            metadata: None,
            resource_id: Some(Id { id: op.resource }),
            name: name.to_owned(),
            task_id: Some(Id { id: task }),
            async_op_id: Some(Id { id: op.id }),
            is_ready,
        };
        self.events.push_back(Event::PollOp(event));
    }

    /// Reads the events of one turn. Poll ops are kept only while somebody watches.
    pub(crate) fn read_events(&mut self, watched: bool) {
        for event in self.events.drain(..self.drain.min(self.events.len())) {
            match event {
                Event::Task(index) => {
                    self.tasks.known.insert(self.tasks.all[index].id, index);
                    self.tasks.new.push(index);
                    self.tasks.changed.push(index);
                }
                Event::Resource(index) => {
                    self.resources.known.insert(self.resources.all[index].id, index);
                    self.resources.new.push(index);
                    self.resources.changed.push(index);
                }
                Event::Op(index) => {
                    self.ops.known.insert(self.ops.all[index].id, index);
                    self.ops.new.push(index);
                    self.ops.changed.push(index);
                }
                Event::PollOp(op) if watched => self.poll_ops.push(op),
                Event::PollOp(_) => {}
            }
        }
    }

    /// Forgets what another client has been told already.
    pub(crate) fn told_somebody_else(&mut self) {
        let _ = self.message(0, Include::Changed);
    }

    /// Forgets what ended before a time. What has changed since is told first, if anybody watches.
    pub(crate) fn forget(&mut self, before: Nanos, watched: bool) {
        forget(&mut self.tasks, watched, |task| task.dropped.is_some_and(|at| at < before));
        forget(&mut self.resources, watched, |resource| resource.dropped.is_some_and(|at| at < before));
        forget(&mut self.ops, watched, |op| op.dropped.is_some_and(|at| at < before));
    }

    /// The next message to a client.
    pub(crate) fn message(&mut self, now: Nanos, include: Include) -> instrument::Update {
        let (new_tasks, task_stats) = take(&mut self.tasks, include, |task| task.id, introduce_task, task_stats);
        let (new_resources, resource_stats) =
            take(&mut self.resources, include, |resource| resource.id, introduce_resource, resource_stats);
        let (new_async_ops, op_stats) = take(&mut self.ops, include, |op| op.id, introduce_op, op_stats);
        let [tasks_lost, resources_lost, ops_lost] = std::mem::take(&mut self.dropped);
        instrument::Update {
            now: Some(time(now)),
            new_metadata: None,
            task_update: Some(tasks::TaskUpdate { new_tasks, stats_update: task_stats, dropped_events: tasks_lost }),
            resource_update: Some(resources::ResourceUpdate {
                new_resources,
                stats_update: resource_stats,
                new_poll_ops: std::mem::take(&mut self.poll_ops),
                dropped_events: resources_lost,
            }),
            async_op_update: Some(async_ops::AsyncOpUpdate {
                new_async_ops,
                stats_update: op_stats,
                dropped_events: ops_lost,
            }),
        }
    }
}

fn forget<T>(table: &mut Table<T>, watched: bool, is_old: impl Fn(&T) -> bool) {
    let untold: HashSet<usize> = if watched { table.changed.iter().copied().collect() } else { HashSet::new() };
    let all = &table.all;
    table.known.retain(|_, index| untold.contains(index) || !is_old(&all[*index]));
}

/// Introductions and counters of one kind of entities for a message. A first message leaves what has changed to the next one too.
fn take<T, New, Stats>(
    table: &mut Table<T>,
    include: Include,
    id: impl Fn(&T) -> u64,
    introduce: impl Fn(&T) -> New,
    stats: impl Fn(&T) -> Stats,
) -> (Vec<New>, HashMap<u64, Stats>) {
    let (new, changed) = match include {
        Include::All => {
            let mut all: Vec<usize> = table.known.values().copied().collect();
            all.sort_unstable();
            (all.clone(), all)
        }
        Include::Changed => {
            let mut parts = [std::mem::take(&mut table.new), std::mem::take(&mut table.changed)];
            for part in &mut parts {
                part.sort_unstable();
                part.dedup();
                part.retain(|index| table.is_known(*index, id(&table.all[*index])));
            }
            let [new, changed] = parts;
            (new, changed)
        }
    };
    let new = new.iter().map(|index| introduce(&table.all[*index])).collect();
    let stats = changed.iter().map(|index| &table.all[*index]).map(|entity| (id(entity), stats(entity))).collect();
    (new, stats)
}

fn introduce_task(task: &TaskSpan) -> tasks::Task {
    let mut fields = vec![
        field("kind", Value::DebugVal(task.kind.to_owned())),
        field("task.name", Value::DebugVal(task.name.clone())),
        field("task.id", Value::U64Val(task.number)),
        field("size.bytes", Value::U64Val(task.size)),
    ];
    fields.extend(task.original_size.map(|size| field("original_size.bytes", Value::U64Val(size))));
    fields.extend(task.function.as_ref().map(|function| field("fn", Value::DebugVal(function.clone()))));
    tasks::Task {
        id: Some(Id { id: task.id }),
        metadata: None,
        kind: tasks::task::Kind::Spawn.into(),
        fields,
        parents: Vec::new(),
        location: location(&task.place),
    }
}

fn task_stats(task: &TaskSpan) -> tasks::Stats {
    tasks::Stats {
        created_at: Some(time(task.created)),
        dropped_at: task.dropped.map(time),
        wakes: task.wakes,
        waker_clones: task.clones,
        waker_drops: task.drops,
        last_wake: task.last_wake.map(time),
        poll_stats: Some(task.polls.wire()),
        self_wakes: task.self_wakes,
        scheduled_time: Some(duration(task.scheduled)),
    }
}

fn introduce_resource(resource: &ResourceSpan) -> resources::Resource {
    use resources::resource::{Kind, kind};
    let kind = if resource.is_timer {
        kind::Kind::Known(kind::Known::Timer.into())
    } else {
        kind::Kind::Other("Sync".to_owned())
    };
    resources::Resource {
        id: Some(Id { id: resource.id }),
        metadata: None,
        concrete_type: resource.concrete_type.to_owned(),
        kind: Some(Kind { kind: Some(kind) }),
        location: resource.place.as_deref().and_then(location),
        parent_resource_id: resource.parent.map(|id| Id { id }),
        is_internal: resource.is_internal,
    }
}

fn resource_stats(resource: &ResourceSpan) -> resources::Stats {
    resources::Stats {
        created_at: Some(time(resource.created)),
        dropped_at: resource.dropped.map(time),
        attributes: resource.says.iter().map(attribute).collect(),
    }
}

fn introduce_op(op: &OpSpan) -> async_ops::AsyncOp {
    async_ops::AsyncOp {
        id: Some(Id { id: op.id }),
        metadata: None,
        source: op.source.to_owned(),
        parent_async_op_id: op.parent.map(|id| Id { id }),
        resource_id: Some(Id { id: op.resource }),
    }
}

fn op_stats(op: &OpSpan) -> async_ops::Stats {
    async_ops::Stats {
        created_at: Some(time(op.created)),
        dropped_at: op.dropped.map(time),
        task_id: op.task.map(|id| Id { id }),
        poll_stats: Some(op.polls.wire()),
        attributes: op.says.iter().map(attribute).collect(),
    }
}

fn attribute(said: &Said) -> Attribute {
    Attribute { field: Some(field(said.name, said.value.clone())), unit: said.unit.map(str::to_owned) }
}

fn field(name: &str, value: Value) -> Field {
    Field { metadata_id: None, name: Some(Name::StrName(name.to_owned())), value: Some(value) }
}

/// A place written as `file:line:column`.
fn location(place: &str) -> Option<Location> {
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok();
    let line = parts.next()?.parse().ok();
    let file = parts.next()?.to_owned();
    Some(Location { file: Some(file), module_path: None, line, column })
}

pub(crate) fn time(at: Nanos) -> prost_types::Timestamp {
    let seconds = i64::try_from(BEGIN + at / 1_000_000_000).expect("a time of this century");
    prost_types::Timestamp { seconds, nanos: i32::try_from(at % 1_000_000_000).expect("below a second") }
}

fn duration(nanos: u64) -> prost_types::Duration {
    std::time::Duration::from_nanos(nanos).try_into().expect("a short duration")
}
