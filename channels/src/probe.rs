//! Queues that are no channels of this crate.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::counter;
use crate::queue::{Description, Name, Queue, Source};

/// Makes any queue visible by a closure that tells its depth. Dropped, it takes the queue from sight.
///
/// The closure is called by a thread of this crate once in each [`interval`](crate::interval), and never if no subscriber wants to hear of
/// queues. It should be quick: it takes a lock only if that is held for moments, or uses `try_lock` and tells the depth it told last, because
/// while it blocks no queue of the process tells its depth. Channels work on meanwhile. A closure that panics is not called again, and its
/// queue disappears. One that is running while its probe is dropped runs to its end.
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
/// use tokio_canary_channels::Probe;
///
/// let jobs = Arc::new(Mutex::new(VecDeque::<String>::new()));
/// let seen = Arc::downgrade(&jobs);
/// let _probe = Probe::new("jobs", move || {
///     seen.upgrade().and_then(|jobs| jobs.lock().map(|jobs| jobs.len()).ok()).unwrap_or(0)
/// })
/// .with_capacity(1000);
/// ```
#[must_use = "the queue is seen as long as the probe lives"]
pub struct Probe {
    queue: Option<Arc<Queue>>,
}

/// Makes any queue visible by a number that is kept by hand. Clones are handles of the same queue, which is seen as long as one lives.
///
/// Use either [`set`](Self::set), or [`add`](Self::add) and [`sub`](Self::sub), from which also the numbers of what went in and came out in
/// total are known.
///
/// ```
/// use tokio_canary_channels::Gauge;
///
/// let in_flight = Gauge::new("requests in flight").with_capacity(64);
/// in_flight.add(1);
/// // … and when it is done:
/// in_flight.sub(1);
/// ```
#[derive(Clone)]
#[must_use = "the queue is seen as long as the gauge lives"]
pub struct Gauge {
    queue: Option<Arc<Queue>>,
}

impl Probe {
    /// A probe of the queue of this name, whose depth the closure tells.
    #[track_caller]
    pub fn new(name: impl Into<Name>, depth: impl FnMut() -> usize + Send + 'static) -> Self {
        let source = Source::Polled(Mutex::new(Some(Box::new(depth))));
        Self { queue: open("Probe", name.into(), source, Location::caller()) }
    }

    /// The same, of a queue into which so many entries fit; 0 if there is no limit.
    pub fn with_capacity(self, capacity: usize) -> Self {
        self.set_capacity(capacity);
        self
    }

    /// Sets how many entries fit into the queue; 0 if there is no limit.
    pub fn set_capacity(&self, capacity: usize) {
        if let Some(queue) = &self.queue {
            queue.set_capacity(capacity);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.end();
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Gauge {
    /// A gauge of the queue of this name, which is empty.
    #[track_caller]
    pub fn new(name: impl Into<Name>) -> Self {
        Self { queue: open("Gauge", name.into(), Source::Gauge(AtomicUsize::new(0)), Location::caller()) }
    }

    /// The same, of a queue into which so many entries fit; 0 if there is no limit.
    pub fn with_capacity(self, capacity: usize) -> Self {
        self.set_capacity(capacity);
        self
    }

    /// Sets how many entries fit into the queue; 0 if there is no limit.
    pub fn set_capacity(&self, capacity: usize) {
        if let Some(queue) = &self.queue {
            queue.set_capacity(capacity);
        }
    }

    /// Sets the depth.
    pub fn set(&self, depth: usize) {
        if let Some((queue, set)) = self.parts() {
            let counted = queue.sending.count().wrapping_sub(queue.receiving.count());
            set.store(depth.wrapping_sub(counted), Relaxed);
            queue.note_depth(depth);
        }
    }

    /// So many went in.
    pub fn add(&self, entries: usize) {
        if let Some((queue, set)) = self.parts() {
            if queue.sending.add(entries) {
                queue.show_done(&queue.sending, "Gauge::add", "add");
            }
            let added = set.load(Relaxed).wrapping_add(queue.sending.count());
            queue.note_depth(counter::difference(added, queue.receiving.count()));
        }
    }

    /// So many came out.
    pub fn sub(&self, entries: usize) {
        if let Some((queue, _)) = self.parts() {
            if queue.receiving.add(entries) {
                queue.show_done(&queue.receiving, "Gauge::sub", "sub");
            }
        }
    }

    fn parts(&self) -> Option<(&Queue, &AtomicUsize)> {
        let queue = self.queue.as_deref()?;
        match &queue.source {
            Source::Gauge(set) => Some((queue, set)),
            _ => None,
        }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").finish_non_exhaustive()
    }
}

fn open(
    concrete_type: &'static str,
    name: Name,
    source: Source,
    place: &'static Location<'static>,
) -> Option<Arc<Queue>> {
    let description = Description { concrete_type, kind: "queue", name: Some(name), place, message_size: None };
    Queue::open(description, source, 0)
}
