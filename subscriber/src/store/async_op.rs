//! An operation on a resource, such as one `lock().await`.

use std::sync::Arc;

use crate::clock::{Clock, Moment};
use crate::encode::{self, canary, timestamp};
use crate::fields::{Change, StateFields, Value};
use crate::store::attributes::Attributes;
use crate::store::polls::Polls;
use crate::wire;

/// What is known of an operation.
#[derive(Debug)]
pub(crate) struct AsyncOp {
    /// Its description, shared by all operations of one kind.
    site: Arc<[u8]>,
    pub(crate) resource: u64,
    /// The operation of which it is a part.
    pub(crate) parent: Option<u64>,
    /// Whether it also has the attributes of the operation inside.
    pub(crate) inherits: bool,
    /// Whether the operation around it does.
    pub(crate) passes_on: bool,
    /// Whether it takes permits for the task that polls it.
    pub(crate) acquires: bool,
    /// Whether what it acquires can be passed on to another task.
    owned: bool,
    created: Moment,
    pub(crate) polls: Polls,
    /// The task that polled it last.
    task: Option<u64>,
    /// Whether its last poll was ready.
    was_ready: bool,
    /// Whether any poll was not.
    waited: bool,
    attributes: Attributes,
}

/// What came of a poll.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polled {
    pub(crate) resource: u64,
    /// The operation around it.
    pub(crate) parent: Option<u64>,
    /// Whether this is the first time that the operation waits.
    pub(crate) begins_to_wait: bool,
    /// Whether the operation is over, and what it wanted acquired.
    pub(crate) is_granted: bool,
    /// Whether that can be passed on to another task.
    pub(crate) owned: bool,
    /// How many permits the task has acquired, where the resource does not report that itself.
    pub(crate) permits: Option<u64>,
}

/// What a new operation is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    pub(crate) resource: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) inherits: bool,
    pub(crate) passes_on: bool,
    pub(crate) acquires: bool,
    pub(crate) owned: bool,
}

impl AsyncOp {
    pub(crate) fn new(site: Arc<[u8]>, nature: Nature, created: Moment) -> Self {
        let Nature { resource, parent, inherits, passes_on, acquires, owned } = nature;
        let (polls, attributes) = (Polls::default(), Attributes::default());
        Self {
            site,
            resource,
            parent,
            inherits,
            passes_on,
            acquires,
            owned,
            created,
            polls,
            task: None,
            was_ready: false,
            waited: false,
            attributes,
        }
    }

    /// Applies a state that `owner` reported. Says of which semaphore it has obtained permits for its task, and how many.
    pub(crate) fn update(&mut self, owner: u64, metadata: u64, state: &StateFields) -> Option<(u64, u64)> {
        self.attributes.update(owner, metadata, state);
        match (&state.attribute, state.change) {
            (Some(("permits_obtained", Value::U64(permits))), Some(Change::Add)) if self.acquires && *permits > 0 => {
                Some((self.resource, *permits))
            }
            _ => None,
        }
    }

    /// `task`, or a thread that runs none, polled it or, unless it `is_whole`, a part of it.
    pub(crate) fn polled(&mut self, task: Option<u64>, is_ready: bool, is_whole: bool) -> Polled {
        self.task = task.or(self.task);
        // That the budget is used up is no wait for the resource, but it is seldom, and the poll that follows corrects it.
        self.was_ready = is_ready;
        let begins_to_wait = !is_ready && !self.waited;
        self.waited |= !is_ready;
        let is_granted = is_ready && is_whole;
        let permits = (is_granted && self.acquires).then(|| self.attributes.number("permits_requested").unwrap_or(1));
        let Self { resource, parent, owned, .. } = *self;
        Polled { resource, parent, begins_to_wait, is_granted, owned, permits }
    }

    /// Whether it is kept after its end: what never waited is sent only to clients that are attached.
    pub(crate) fn is_kept(&self) -> bool {
        self.waited
    }

    /// Appends what never changes, as an element of `AsyncOpUpdate`.
    pub(crate) fn encode_new(&self, id: u64, out: &mut Vec<u8>) {
        wire::long(out, encode::async_op_update::NEW, |out| {
            encode::id(out, encode::async_op::ID, id);
            out.extend_from_slice(&self.site);
            if let Some(parent) = self.parent {
                encode::id(out, encode::async_op::PARENT, parent);
            }
            encode::id(out, encode::async_op::RESOURCE, self.resource);
        });
    }

    /// Appends what changes, as an element of `AsyncOpUpdate`.
    pub(crate) fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
        use encode::async_op_stats as number;
        wire::long(out, encode::async_op_update::STATS, |out| {
            wire::uint(out, 1, id);
            wire::long(out, 2, |out| {
                timestamp(out, number::CREATED_AT, clock, Some(self.created));
                timestamp(out, number::DROPPED_AT, clock, dropped);
                if let Some(task) = self.task {
                    encode::id(out, number::TASK, task);
                }
                self.polls.encode(out, number::POLL_STATS, clock);
                self.attributes.encode(out, number::ATTRIBUTES);
                if self.was_ready {
                    encode::fact(out, canary::READY, 1);
                }
            });
        });
    }
}
