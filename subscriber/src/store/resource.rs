//! A resource: a lock, a semaphore, a channel's queue, a timer.

use std::sync::Arc;

use crate::clock::{Clock, Moment};
use crate::encode::{self, timestamp};
use crate::fields::{Change, StateFields, Value};
use crate::store::attributes::Attributes;
use crate::store::holders::{Holder, Holders};
use crate::wire;

/// What is known of a resource.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Its description, shared by all resources of one place.
    site: Arc<[u8]>,
    /// The resource of which it is a part.
    pub(crate) parent: Option<u64>,
    /// Whether it also has the attributes of its children.
    pub(crate) inherits: bool,
    /// Whether its parent does.
    pub(crate) passes_on: bool,
    is_internal: bool,
    created: Moment,
    attributes: Attributes,
    pub(crate) holders: Holders,
    /// Whether anybody ever waited for it.
    pub(crate) was_awaited: bool,
}

/// What a new resource is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    pub(crate) parent: Option<u64>,
    pub(crate) inherits: bool,
    pub(crate) passes_on: bool,
    pub(crate) is_internal: bool,
}

impl Resource {
    pub(crate) fn new(site: Arc<[u8]>, nature: Nature, created: Moment) -> Self {
        let Nature { parent, inherits, passes_on, is_internal } = nature;
        Self {
            site,
            parent,
            inherits,
            passes_on,
            is_internal,
            created,
            attributes: Attributes::default(),
            holders: Holders::default(),
            was_awaited: false,
        }
    }

    /// Applies a state that `owner` reported while `task` was being polled.
    pub(crate) fn update(
        &mut self,
        owner: u64,
        metadata: u64,
        state: &StateFields,
        task: Option<u64>,
        acquired: impl FnOnce() -> Holder,
    ) {
        self.attributes.update(owner, metadata, state);
        // What tokio's locks report once a guard exists, and once it is dropped. Permits are a matter of the operation that acquires them,
        // because a semaphore's own reports do not say for whom.
        let is_number = |value: &Value| matches!(value, Value::U64(_) | Value::I64(_));
        match (&state.attribute, state.change) {
            (Some(("locked" | "write_locked", Value::Bool(true))), _) => self.holders.acquire(acquired()),
            (Some(("locked" | "write_locked", Value::Bool(false))), _) => self.holders.release(task),
            (Some(("current_readers", value)), Some(Change::Add)) if is_number(value) => {
                self.holders.acquire(acquired());
            }
            (Some(("current_readers", value)), Some(Change::Subtract)) if is_number(value) => {
                self.holders.release(task);
            }
            (Some(("permits", Value::U64(permits))), Some(Change::Add)) if self.inherits => {
                self.holders.give_back(task, *permits);
            }
            _ => {}
        }
    }

    /// Whether it is kept after its end: only if waits on it are kept that refer to it.
    pub(crate) fn is_kept(&self) -> bool {
        self.was_awaited
    }

    /// Appends what never changes, as an element of `ResourceUpdate`.
    pub(crate) fn encode_new(&self, id: u64, out: &mut Vec<u8>) {
        wire::long(out, encode::resource_update::NEW, |out| {
            encode::id(out, encode::resource::ID, id);
            out.extend_from_slice(&self.site);
            if let Some(parent) = self.parent {
                encode::id(out, encode::resource::PARENT, parent);
            }
            wire::count(out, encode::resource::IS_INTERNAL, self.is_internal.into());
        });
    }

    /// Appends what changes, as an element of `ResourceUpdate`.
    pub(crate) fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
        use encode::resource_stats as number;
        wire::long(out, encode::resource_update::STATS, |out| {
            wire::uint(out, 1, id);
            wire::long(out, 2, |out| {
                timestamp(out, number::CREATED_AT, clock, Some(self.created));
                timestamp(out, number::DROPPED_AT, clock, dropped);
                self.attributes.encode(out, number::ATTRIBUTES);
                self.holders.encode(out, clock);
            });
        });
    }
}
