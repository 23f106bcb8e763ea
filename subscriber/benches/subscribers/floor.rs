//! The least that a layer can do: read what tokio reports, and count it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The layer.
#[derive(Default)]
pub(crate) struct Floor {
    spans: AtomicU64,
    events: AtomicU64,
    entered: AtomicU64,
    fields: AtomicU64,
}

struct Count(u64);

impl Visit for Count {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {
        self.0 += 1;
    }

    fn record_u64(&mut self, _: &Field, value: u64) {
        self.0 = self.0.wrapping_add(value | 1);
    }

    fn record_str(&mut self, _: &Field, value: &str) {
        self.0 = self.0.wrapping_add(value.len() as u64);
    }

    fn record_bool(&mut self, _: &Field, value: bool) {
        self.0 += u64::from(value);
    }
}

impl<S: Subscriber> Layer<S> for Floor {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut count = Count(0);
        attributes.record(&mut count);
        self.fields.fetch_add(count.0, Ordering::Relaxed);
        self.spans.fetch_add(1, Ordering::Relaxed);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut count = Count(0);
        event.record(&mut count);
        self.fields.fetch_add(count.0, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.entered.fetch_add(1, Ordering::Relaxed);
    }
}
