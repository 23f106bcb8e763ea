//! From what the runtime reports to what the store knows.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use tokio::sync::Notify;
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event, Metadata};

use crate::callsite::{self, Callsite};
use crate::encode;
use crate::fields::{
    AsyncOpFields, Place, PollOpFields, ResourceFields, StateFields, TaskFields, WakerFields, WakerOp,
};
use crate::metadata::Registered;
use crate::stack;
use crate::store::address::Address;
use crate::store::async_op::{AsyncOp, Nature};
use crate::store::holders::Holder;
use crate::store::resource::{self, Resource};
use crate::store::shard::{Entity, Shard};
use crate::store::task::Task;
use crate::store::{Kind, Limits, Store};
use crate::threads::Thread;

/// How many subscribers the process has had.
static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Where descriptions are written before they are shared.
    static BUFFERS: Cell<Buffers> = Cell::new(Buffers::default());
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
    /// One that gives spans their numbers, or takes those of a registry.
    pub(crate) fn new(limits: Limits, gives_numbers: bool) -> Arc<Self> {
        let number = SUBSCRIBERS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            number,
            store: Store::new(limits, gives_numbers),
            metadata: Registered::default(),
            due: Notify::new(),
        })
    }

    /// A span of a callsite begins. `span` is its number, if a registry gave it one; else the number that it has from now on is returned.
    pub(crate) fn new_span(&self, callsite: Callsite, attributes: &Attributes<'_>, span: Option<&Id>) -> u64 {
        let metadata = attributes.metadata();
        let span = span.map(Id::into_u64);
        let id = match callsite {
            Callsite::Task => Some(self.new_task(attributes, metadata, span)),
            Callsite::Resource => self.new_resource(attributes, metadata, span),
            Callsite::AsyncOp => self.new_async_op(attributes, metadata, span),
            _ => None,
        };
        id.unwrap_or_else(|| Address { kind: Kind::Task, shard: 0, slot: usize::MAX }.number(0))
    }

    fn keep<T: Entity>(&self, span: Option<u64>, description: &[u8], entity: impl FnOnce(Arc<[u8]>) -> T) -> u64 {
        let mut shard = span.map_or_else(|| self.store.next_shard(), |span| self.store.shard_of_registered(span));
        let site = shard.sites.share(description);
        shard.insert(span, entity(site))
    }

    fn new_task(&self, attributes: &Attributes<'_>, metadata: &'static Metadata<'static>, span: Option<u64>) -> u64 {
        let now = self.store.clock.now();
        let parent = stack::innermost(self.number).task;
        describe(metadata, encode::task::METADATA, |buffers| {
            let place = std::mem::take(&mut buffers.place);
            let mut fields =
                TaskFields { out: &mut buffers.description, metadata: callsite::number(metadata), task: None, place };
            attributes.record(&mut fields);
            let number = fields.task;
            buffers.place = fields.place;
            let place = buffers.description.len();
            buffers.place.encode(&mut buffers.description, encode::task::LOCATION);
            self.keep(span, &buffers.description, |site| Task::new(site, place, number, parent, now))
        })
    }

    fn new_resource(
        &self,
        attributes: &Attributes<'_>,
        metadata: &'static Metadata<'static>,
        span: Option<u64>,
    ) -> Option<u64> {
        let now = self.store.clock.now();
        let parent = stack::innermost(self.number).resource;
        let passes_on =
            parent.is_some_and(|id| self.store.shard(id).get::<Resource>(id).is_some_and(|parent| parent.inherits));
        describe(metadata, encode::resource::METADATA, |buffers| {
            let mut fields = ResourceFields::new(&mut buffers.description, std::mem::take(&mut buffers.place));
            attributes.record(&mut fields);
            let (inherits, is_internal, is_complete) = (fields.inherits, fields.is_internal, fields.is_complete());
            buffers.place = fields.place;
            buffers.place.encode(&mut buffers.description, encode::resource::LOCATION);
            let nature = resource::Nature { parent, inherits, passes_on, is_internal };
            is_complete.then(|| self.keep(span, &buffers.description, |site| Resource::new(site, nature, now)))
        })
    }

    fn new_async_op(
        &self,
        attributes: &Attributes<'_>,
        metadata: &'static Metadata<'static>,
        span: Option<u64>,
    ) -> Option<u64> {
        let innermost = stack::innermost(self.number);
        // An operation is reported inside of its resource.
        let resource = innermost.resource?;
        let now = self.store.clock.now();
        let parent = innermost.async_op;
        let passes_on =
            parent.is_some_and(|id| self.store.shard(id).get::<AsyncOp>(id).is_some_and(|parent| parent.inherits));
        describe(metadata, encode::async_op::METADATA, |buffers| {
            let mut fields = AsyncOpFields {
                out: &mut buffers.description,
                inherits: false,
                acquires: false,
                owned: false,
                has_source: false,
            };
            attributes.record(&mut fields);
            let AsyncOpFields { inherits, acquires, owned, .. } = fields;
            let nature = Nature { resource, parent, inherits, passes_on, acquires, owned };
            fields.has_source.then(|| self.keep(span, &buffers.description, |site| AsyncOp::new(site, nature, now)))
        })
    }

    /// A span is entered.
    #[inline]
    pub(crate) fn enter(&self, id: &Id) {
        let id = id.into_u64();
        let Some(kind) = self.begin(id) else { return };
        stack::enter(self.number, kind, id);
    }

    /// A poll begins, if the span is polled. Says what it is.
    #[inline]
    fn begin(&self, id: u64) -> Option<Kind> {
        // A resource is only entered.
        if self.store.gives_numbers && Address::of(id).is_some_and(|address| address.kind == Kind::Resource) {
            return Some(Kind::Resource);
        }
        // Before the lock: how long that is waited for is not what lies between two polls.
        let now = self.store.clock.now();
        let mut shard = self.store.shard(id);
        let kind = shard.kind(id)?;
        match kind {
            Kind::Task => {
                shard.change(id, |task: &mut Task| {
                    task.start_poll(now, stack::entry(self.number, id, now), Thread::current());
                })?;
            }
            Kind::AsyncOp => {
                shard.change(id, |op: &mut AsyncOp| op.polls.start(now))?;
            }
            Kind::Resource => {}
        }
        Some(kind)
    }

    /// A span is left.
    #[inline]
    pub(crate) fn exit(&self, id: &Id) {
        let id = id.into_u64();
        match stack::leave(self.number, id) {
            Some(Kind::Task) => {
                let now = self.store.clock.now();
                self.store.shard(id).change(id, |task: &mut Task| task.end_poll(now));
                stack::left(self.number, id, self.store.clock.now());
            }
            Some(Kind::AsyncOp) => {
                let now = self.store.clock.now();
                self.store.shard(id).change(id, |op: &mut AsyncOp| op.polls.end(now));
            }
            Some(Kind::Resource) | None => {}
        }
    }

    /// There is one more handle of a span.
    #[inline]
    pub(crate) fn clone_span(&self, id: &Id) {
        self.store.shard(id.into_u64()).clone_span(id.into_u64());
    }

    /// There is one handle less of a span. Says whether it was the last, so that the span has ended.
    #[inline]
    pub(crate) fn drop_span(&self, id: &Id) -> bool {
        let shard = self.store.shard(id.into_u64());
        self.end(id.into_u64(), shard, |shard, id| shard.drop_span(id))
    }

    /// A span has ended.
    pub(crate) fn close(&self, id: &Id) {
        let shard = self.store.shard(id.into_u64());
        self.end(id.into_u64(), shard, |_, _| true);
    }

    /// Ends what the span is, if `is_last`. Says whether it was.
    #[inline]
    fn end(&self, id: u64, mut shard: MutexGuard<'_, Shard>, is_last: impl FnOnce(&mut Shard, u64) -> bool) -> bool {
        if !is_last(&mut shard, id) {
            return false;
        }
        let clock = &self.store.clock;
        let is_due = match shard.kind(id) {
            Some(Kind::Task) => shard.close::<Task>(id, clock),
            Some(Kind::Resource) => shard.close::<Resource>(id, clock),
            Some(Kind::AsyncOp) => shard.close::<AsyncOp>(id, clock),
            None => false,
        };
        drop(shard);
        self.send_if(is_due);
        true
    }

    /// Something happened at a callsite.
    pub(crate) fn event(&self, callsite: Callsite, event: &Event<'_>) {
        let metadata = event.metadata();
        match callsite {
            Callsite::Waker => self.waker(event),
            Callsite::PollOp => self.poll_op(event),
            Callsite::ResourceState => self.resource_state(event, callsite::number(metadata)),
            Callsite::AsyncOpState => self.async_op_state(event, callsite::number(metadata)),
            _ => {}
        }
    }

    fn waker(&self, event: &Event<'_>) {
        let mut fields = WakerFields::default();
        event.record(&mut fields);
        let WakerFields { task: Some(id), op: Some(op) } = fields else { return };
        let is_self = matches!(op, WakerOp::Wake | WakerOp::WakeByRef) && stack::contains(self.number, id);
        self.store.shard(id).change(id, |task: &mut Task| task.waker(op, is_self, || self.store.clock.now()));
    }

    fn poll_op(&self, event: &Event<'_>) {
        let innermost = stack::innermost(self.number);
        let Some(id) = innermost.async_op else { return };
        let mut fields = PollOpFields::default();
        event.record(&mut fields);
        let Some(is_ready) = fields.is_ready else { return };
        let (task, is_whole) = (innermost.task, fields.is_whole);
        let Some(polled) = self.store.shard(id).change(id, |op: &mut AsyncOp| op.polled(task, is_ready, is_whole))
        else {
            return;
        };
        if polled.begins_to_wait {
            // Now, and not when the operation ends: its resource may have ended before it.
            let waited_for = |resource: &mut Resource| resource.was_awaited = true;
            self.store.shard(polled.resource).change(polled.resource, waited_for);
        }
        if !is_whole {
            // The operation around it ends well only if this one does: an error is not reported here, and there looks like a success.
            stack::part_ended(self.number, polled.parent.filter(|_| is_ready));
            return;
        }
        let ended_well = stack::take_ended_part(self.number, id);
        if polled.is_granted && !polled.owned {
            // What a lock reports next on this thread is that it is locked.
            stack::borrowed(self.number, polled.resource);
        }
        if let Some(permits) = polled.permits.filter(|_| ended_well) {
            let (now, borrowed) = (self.store.clock.now(), !polled.owned);
            let acquire =
                |semaphore: &mut Resource| semaphore.holders.acquire(Holder { task, since: now, permits, borrowed });
            self.store.shard(polled.resource).change(polled.resource, acquire);
        }
    }

    fn resource_state(&self, event: &Event<'_>, metadata: u64) {
        let innermost = stack::innermost(self.number);
        let Some(id) = innermost.resource else { return };
        let mut state = StateFields::default();
        event.record(&mut state);
        let update = |resource: u64| {
            let change = |resource: &mut Resource| {
                let acquired = || Holder {
                    task: innermost.task,
                    since: self.store.clock.now(),
                    permits: 1,
                    borrowed: stack::take_borrowed(self.number, id),
                };
                resource.update(id, metadata, &state, innermost.task, acquired);
                resource.parent.filter(|_| resource.passes_on)
            };
            self.store.shard(resource).change(resource, change).flatten()
        };
        if let Some(parent) = update(id) {
            let _grandparent = update(parent);
        }
    }

    fn async_op_state(&self, event: &Event<'_>, metadata: u64) {
        let innermost = stack::innermost(self.number);
        let Some(id) = innermost.async_op else { return };
        let mut state = StateFields::default();
        event.record(&mut state);
        let update = |op: u64| {
            let change = |op: &mut AsyncOp| {
                let obtained = op.update(id, metadata, &state);
                (op.parent.filter(|_| op.passes_on), op.resource, obtained)
            };
            self.store.shard(op).change(op, change)
        };
        let Some((Some(parent), semaphore, _)) = update(id) else { return };
        if let Some((_, _, Some((resource, permits)))) = update(parent) {
            // Who polls the operation is inside of its semaphore. Anybody else gives it permits that he had.
            let given = innermost.resource != Some(semaphore);
            let obtain = |resource: &mut Resource| {
                if given {
                    resource.holders.give_back(innermost.task, permits);
                }
                resource.holders.obtained(permits);
            };
            self.store.shard(resource).change(resource, obtain);
        }
    }

    /// Never called with a shard locked: waking the publisher may report events.
    fn send_if(&self, is_due: bool) {
        if is_due {
            self.due.notify_one();
        }
    }
}

/// Calls `with` with buffers that hold the number of a callsite and nothing else.
fn describe<T>(metadata: &'static Metadata<'static>, field: u32, with: impl FnOnce(&mut Buffers) -> T) -> T {
    // Taken out while they are used: a `Debug` that spawns a task would find new ones, and so does a thread that is ending.
    let mut buffers = BUFFERS.try_with(Cell::take).unwrap_or_default();
    buffers.description.clear();
    buffers.place.clear();
    encode::id(&mut buffers.description, field, callsite::number(metadata));
    let result = with(&mut buffers);
    let _ending = BUFFERS.try_with(|kept| kept.set(buffers));
    result
}
