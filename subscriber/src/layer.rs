//! The layer: what `tracing-subscriber` calls.

use std::sync::Arc;

use tracing_core::span::{Attributes, Id};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};

use crate::builder::Builder;
use crate::callsite::Callsite;
use crate::recorder::Recorder;
use crate::server::Server;

/// A [`Layer`] that records what tokio reports of tasks, resources and wakers.
///
/// It does nothing for the spans and events of anybody else. Add it with the filter that [`Builder::spawn`] adds: without one, `tracing`
/// takes a layer to be interested in everything that another layer is not.
#[derive(Debug)]
pub struct ConsoleLayer {
    recorder: Arc<Recorder>,
}

impl ConsoleLayer {
    /// A builder with the default settings, environment variables not included: see [`Builder::with_default_env`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The layer and the server with the default settings, environment variables not included.
    pub fn new() -> (Self, Server) {
        Self::builder().build()
    }

    pub(crate) fn of(recorder: Arc<Recorder>) -> Self {
        Self { recorder }
    }
}

impl<S: Subscriber> Layer<S> for ConsoleLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Callsite::of(metadata).is_recorded() {
            self.recorder.metadata.insert(metadata);
        }
        // Never `never`: that would disable the callsite for the layers beside this one.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        self.recorder.new_span(Callsite::of(attributes.metadata()), attributes, Some(id));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.recorder.event(Callsite::of(event.metadata()), event);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.recorder.enter(id);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.recorder.exit(id);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.recorder.close(&id);
    }
}

/// Lets through what the layer records and nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlyRuntime;

impl<S> Filter<S> for OnlyRuntime {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Callsite::of(metadata).is_recorded()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Decided once for each callsite: it depends on names alone.
        if Callsite::of(metadata).is_recorded() { Interest::always() } else { Interest::never() }
    }
}
