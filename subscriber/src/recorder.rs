//! From what the runtime reports to what the store knows.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event, Metadata};

use crate::callsite::{self, Callsite};
use crate::encode;
use crate::fields::{AsyncOpFields, Place, PollOpFields, ResourceFields, StateFields, TaskFields, WakerFields, WakerOp};
use crate::metadata::Registered;
use crate::stack;
use crate::store::async_op::{AsyncOp, Nature};
use crate::store::resource::Resource;
use crate::store::task::Task;
use crate::store::{Kind, Limits, Store};
use crate::threads::Thread;
use crate::wire;

/// How many subscribers the process has had.
static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Where descriptions are written before they are shared. No code but ours runs while it is borrowed, except `Debug` of fields.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers::default());
}

#[derive(Default)]
struct Buffers {
    description: Vec<u8>,
    place: Place,
}

/// What the layer and the server have in common.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Tells this subscriber from others of the process.
    number: usize,
    pub(crate) store: Store,
    pub(crate) metadata: Registered,
    /// Asks the publisher to send before the interval is over.
    pub(crate) due: Notify,
}

impl Recorder {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let number = SUBSCRIBERS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, store: Store::new(limits), metadata: Registered::default(), due: Notify::new() })
    }

    /// A span begins.
    pub(crate) fn new_span(&self, attributes: &Attributes<'_>, id: &Id) {
        let metadata = attributes.metadata();
        let id = id.into_u64();
        match Callsite::of(metadata) {
            Callsite::Task => self.new_task(attributes, metadata, id),
            Callsite::Resource => self.new_resource(attributes, metadata, id),
            Callsite::AsyncOp => self.new_async_op(attributes, metadata, id),
            _ => {}
        }
    }

    fn new_task(&self, attributes: &Attributes<'_>, metadata: &'static Metadata<'static>, id: u64) {
        let now = self.store.clock.now();
        let parent = stack::innermost(self.number).task;
        describe(metadata, encode::task::METADATA, |buffers| {
            let mut fields =
                TaskFields { out: &mut buffers.description, metadata: callsite::number(metadata), task: None, place: std::mem::take(&mut buffers.place) };
            attributes.record(&mut fields);
            let (number, place) = (fields.task, fields.place);
            place.encode(&mut buffers.description, encode::task::LOCATION);
            buffers.place = place;
            let mut shard = self.store.shard(id);
            let site = shard.sites.share(&buffers.description);
            shard.insert_task(id, Task::new(site, number, parent, now));
        });
    }

    fn new_resource(&self, attributes: &Attributes<'_>, metadata: &'static Metadata<'static>, id: u64) {
        let now = self.store.clock.now();
        let parent = stack::innermost(self.number).resource;
        let passes_on = parent.is_some_and(|parent| self.store.shard(parent).resource(parent).is_some_and(|parent| parent.inherits));
        describe(metadata, encode::resource::METADATA, |buffers| {
            let mut fields = ResourceFields::new(&mut buffers.description, std::mem::take(&mut buffers.place));
            attributes.record(&mut fields);
            let (inherits, is_complete, place) = (fields.inherits, fields.is_complete(), fields.place);
            place.encode(&mut buffers.description, encode::resource::LOCATION);
            buffers.place = place;
            if is_complete {
                let mut shard = self.store.shard(id);
                let site = shard.sites.share(&buffers.description);
                shard.insert_resource(id, Resource::new(site, parent, inherits, passes_on, now));
            }
        });
    }

    fn new_async_op(&self, attributes: &Attributes<'_>, metadata: &'static Metadata<'static>, id: u64) {
        let innermost = stack::innermost(self.number);
        // An operation is reported inside of its resource.
        let Some(resource) = innermost.resource else { return };
        let now = self.store.clock.now();
        let parent = innermost.async_op;
        let passes_on = parent.is_some_and(|parent| self.store.shard(parent).async_op(parent).is_some_and(|parent| parent.inherits));
        describe(metadata, encode::async_op::METADATA, |buffers| {
            let mut fields = AsyncOpFields { out: &mut buffers.description, inherits: false, acquires: false, has_source: false };
            attributes.record(&mut fields);
            let (inherits, acquires, has_source) = (fields.inherits, fields.acquires, fields.has_source);
            if has_source {
                let mut shard = self.store.shard(id);
                let site = shard.sites.share(&buffers.description);
                shard.insert_async_op(id, AsyncOp::new(site, Nature { resource, parent, inherits, passes_on, acquires }, now));
            }
        });
    }

    /// A span is entered.
    #[inline]
    pub(crate) fn enter(&self, id: &Id) {
        let id = id.into_u64();
        let mut shard = self.store.shard(id);
        let Some(kind) = shard.kind(id) else { return };
        match kind {
            Kind::Task => {
                let now = self.store.clock.now();
                if let Some(task) = shard.task(id) {
                    task.start_poll(now, stack::entry(self.number, id, now), &Thread::current());
                }
            }
            Kind::AsyncOp => {
                let now = self.store.clock.now();
                if let Some(op) = shard.async_op(id) {
                    op.polls.start(now);
                }
            }
            Kind::Resource => {}
        }
        drop(shard);
        stack::enter(self.number, kind, id);
    }

    /// A span is left.
    #[inline]
    pub(crate) fn exit(&self, id: &Id) {
        let id = id.into_u64();
        match stack::leave(self.number, id) {
            Some(Kind::Task) => {
                let now = self.store.clock.now();
                if let Some(task) = self.store.shard(id).task(id) {
                    task.end_poll(now);
                }
                stack::left(self.number, id, now);
            }
            Some(Kind::AsyncOp) => {
                let now = self.store.clock.now();
                if let Some(op) = self.store.shard(id).async_op(id) {
                    op.polls.end(now);
                }
            }
            Some(Kind::Resource) | None => {}
        }
    }

    /// A span has ended.
    pub(crate) fn close(&self, id: &Id) {
        let id = id.into_u64();
        let mut shard = self.store.shard(id);
        if shard.kind(id).is_none() {
            return;
        }
        let is_due = shard.close(id, self.store.clock.now(), &self.store.clock);
        drop(shard);
        self.send_if(is_due);
    }

    /// Something happened.
    pub(crate) fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        match Callsite::of(metadata) {
            Callsite::Waker => self.waker(event),
            Callsite::PollOp => self.poll_op(event, callsite::number(metadata)),
            Callsite::ResourceState => self.resource_state(event, callsite::number(metadata)),
            Callsite::AsyncOpState => self.async_op_state(event, callsite::number(metadata)),
            _ => {}
        }
    }

    fn waker(&self, event: &Event<'_>) {
        let mut fields = WakerFields::default();
        event.record(&mut fields);
        let WakerFields { task: Some(id), op: Some(op) } = fields else { return };
        let now = self.store.clock.now();
        let is_self = matches!(op, WakerOp::Wake | WakerOp::WakeByRef) && stack::contains(self.number, id);
        if let Some(task) = self.store.shard(id).task(id) {
            task.waker(op, is_self, now);
        }
    }

    fn poll_op(&self, event: &Event<'_>, metadata: u64) {
        let innermost = stack::innermost(self.number);
        let (Some(resource), Some(task), Some(op_id)) = (innermost.resource, innermost.task, innermost.async_op) else { return };
        let mut fields = PollOpFields::default();
        event.record(&mut fields);
        let Some(is_ready) = fields.is_ready else { return };
        let mut shard = self.store.shard(op_id);
        let acquired = shard.async_op(op_id).and_then(|op| op.polled(task, is_ready).map(|permits| (op.resource, permits)));
        let is_due = shard.poll_op(|out| {
            use encode::poll_op as number;
            wire::nested(out, encode::resource_update::POLL_OPS, |out| {
                encode::id(out, number::METADATA, metadata);
                encode::id(out, number::RESOURCE, resource);
                wire::bytes(out, number::NAME, fields.name());
                encode::id(out, number::TASK, task);
                encode::id(out, number::ASYNC_OP, op_id);
                wire::count(out, number::IS_READY, is_ready.into());
            });
        });
        drop(shard);
        if let Some((semaphore, permits)) = acquired {
            let now = self.store.clock.now();
            if let Some(semaphore) = self.store.shard(semaphore).resource(semaphore) {
                semaphore.holders.acquire(Some(task), permits, now);
            }
        }
        self.send_if(is_due);
    }

    fn resource_state(&self, event: &Event<'_>, metadata: u64) {
        let innermost = stack::innermost(self.number);
        let Some(id) = innermost.resource else { return };
        let mut state = StateFields::default();
        event.record(&mut state);
        let now = self.store.clock.now();
        let update = |resource: u64| {
            let mut shard = self.store.shard(resource);
            let resource = shard.resource(resource)?;
            resource.update(id, metadata, &state, innermost.task, now);
            resource.parent.filter(|_| resource.passes_on)
        };
        if let Some(parent) = update(id) {
            let _grandparent = update(parent);
        }
    }

    fn async_op_state(&self, event: &Event<'_>, metadata: u64) {
        let Some(id) = stack::innermost(self.number).async_op else { return };
        let mut state = StateFields::default();
        event.record(&mut state);
        let update = |op: u64| {
            let mut shard = self.store.shard(op);
            let op = shard.async_op(op)?;
            op.update(id, metadata, &state);
            op.parent.filter(|_| op.passes_on)
        };
        if let Some(parent) = update(id) {
            let _grandparent = update(parent);
        }
    }

    /// Never called with a shard locked: waking the publisher may report events.
    fn send_if(&self, is_due: bool) {
        if is_due {
            self.due.notify_one();
        }
    }
}

/// Calls `with` with buffers that hold the number of a callsite and nothing else. Inside of another such call, which only a `Debug` that
/// spawns a task can cause, they are new ones.
fn describe(metadata: &'static Metadata<'static>, field: u32, with: impl FnOnce(&mut Buffers)) {
    let mut with = Some(with);
    let mut run = |buffers: &mut Buffers| {
        buffers.description.clear();
        buffers.place.clear();
        encode::id(&mut buffers.description, field, callsite::number(metadata));
        if let Some(with) = with.take() {
            with(buffers);
        }
    };
    let ran = BUFFERS.try_with(|buffers| buffers.try_borrow_mut().map(|mut buffers| run(&mut buffers)).is_ok());
    if !ran.unwrap_or(false) {
        run(&mut Buffers::default());
    }
}
