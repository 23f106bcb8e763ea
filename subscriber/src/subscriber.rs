//! A subscriber that keeps the runtime's spans to itself: cheaper than any layer, because a registry never sees them.

use std::any::TypeId;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};

use crate::callsite::Callsite;
use crate::recorder::Recorder;
use crate::store::address::is_marked;

/// Records what tokio reports, and passes everything else on to the subscriber inside.
///
/// The layers of the subscriber inside do not see the runtime's spans. Where one of them must, use [`Builder::spawn`](crate::Builder::spawn).
#[derive(Debug)]
pub struct CanarySubscriber<S> {
    recorder: Arc<Recorder>,
    inner: S,
    lookalikes: Lookalikes,
}

impl<S: Subscriber> CanarySubscriber<S> {
    pub(crate) fn new(recorder: Arc<Recorder>, inner: S) -> Self {
        Self { recorder, inner, lookalikes: Lookalikes::default() }
    }

    /// The subscriber inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    #[inline]
    fn is_ours(&self, id: &Id) -> bool {
        let id = id.into_u64();
        is_marked(id) && !self.lookalikes.contains(id)
    }
}

impl<S: Subscriber> Subscriber for CanarySubscriber<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match Callsite::of(metadata) {
            Callsite::Other => self.inner.register_callsite(metadata),
            Callsite::Redundant => Interest::never(),
            _ => {
                self.recorder.metadata.insert(metadata);
                Interest::always()
            }
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match Callsite::of(metadata) {
            Callsite::Other => self.inner.enabled(metadata),
            callsite => callsite.is_recorded(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The runtime's spans are of the lowest level.
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let callsite = Callsite::of(attributes.metadata());
        if !callsite.is_recorded() {
            // The subscriber inside does not know the runtime's spans, so none of them can be a parent there.
            let id = match attributes.parent() {
                Some(parent) if self.is_ours(parent) => {
                    self.inner.new_span(&Attributes::new_root(attributes.metadata(), attributes.values()))
                }
                _ => self.inner.new_span(attributes),
            };
            if is_marked(id.into_u64()) {
                self.lookalikes.insert(id.into_u64());
            }
            return id;
        }
        loop {
            let id = self.recorder.new_span(callsite, attributes, None);
            if !self.lookalikes.contains(id) {
                return Id::from_u64(id);
            }
            // The subscriber inside has a span of that number. It lives, so this is not for long; what was kept under it is let go.
            self.recorder.drop_span(&Id::from_u64(id));
        }
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if !self.is_ours(id) {
            self.inner.record(id, values);
        }
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        if !self.is_ours(id) && !self.is_ours(follows) {
            self.inner.record_follows_from(id, follows);
        }
    }

    fn event(&self, event: &Event<'_>) {
        match Callsite::of(event.metadata()) {
            callsite if callsite.is_recorded() => self.recorder.event(callsite, event),
            // Not asked by `event_enabled`, which would look at each event of the runtime once more.
            _ if self.inner.event_enabled(event) => self.inner.event(event),
            _ => {}
        }
    }

    fn enter(&self, id: &Id) {
        if self.is_ours(id) {
            self.recorder.enter(id);
        } else {
            self.inner.enter(id);
        }
    }

    fn exit(&self, id: &Id) {
        if self.is_ours(id) {
            self.recorder.exit(id);
        } else {
            self.inner.exit(id);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if self.is_ours(id) {
            self.recorder.clone_span(id);
            return id.clone();
        }
        let clone = self.inner.clone_span(id);
        if is_marked(clone.into_u64()) {
            self.lookalikes.insert(clone.into_u64());
        }
        clone
    }

    fn try_close(&self, id: Id) -> bool {
        if self.is_ours(&id) {
            return self.recorder.drop_span(&id);
        }
        let number = id.into_u64();
        let closed = self.inner.try_close(id);
        if closed {
            self.lookalikes.remove(number);
        }
        closed
    }

    fn current_span(&self) -> Current {
        self.inner.current_span()
    }

    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.inner.on_register_dispatch(dispatch);
    }

    #[expect(
        unsafe_code,
        reason = "without it, layers inside that look for themselves or each other would not be found"
    )]
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: what the subscriber inside returns points into it, and it lives as long as this one.
        unsafe { self.inner.downcast_raw(id) }
    }
}

/// Numbers of the subscriber inside that look like ours. As a rule there are none; where there are, they must not be taken for ours.
#[derive(Debug, Default)]
struct Lookalikes {
    exist: AtomicBool,
    ids: RwLock<HashSet<u64, RandomState>>,
}

impl Lookalikes {
    #[inline]
    fn contains(&self, id: u64) -> bool {
        self.exist.load(Ordering::Acquire) && self.ids.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    #[cold]
    fn insert(&self, id: u64) {
        self.ids.write().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.exist.store(true, Ordering::Release);
    }

    fn remove(&self, id: u64) {
        if self.exist.load(Ordering::Acquire) {
            self.ids.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }
}
