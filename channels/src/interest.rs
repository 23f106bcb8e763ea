//! Whether anybody wants to hear of queues.

use tracing::callsite::{DefaultCallsite, Identifier};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::subscriber::NoSubscriber;
use tracing::{Level, Metadata};

/// The target of all spans. Filters for `tokio` let it pass: they compare the beginning.
pub(crate) const TARGET: &str = "tokio_canary_channels";

/// A callsite like that of the resource spans, at which nothing is ever emitted: subscribers are asked about it once, and the answer is
/// kept. `tracing::enabled!` would ask them each time, and would leave filters of single layers in a state that hides the next event.
static ASKED: DefaultCallsite = DefaultCallsite::new(&LIKE_A_RESOURCE);
static LIKE_A_RESOURCE: Metadata<'static> = Metadata::new(
    "runtime.resource",
    TARGET,
    Level::TRACE,
    None,
    None,
    Some(module_path!()),
    FieldSet::new(&[], Identifier(&ASKED)),
    Kind::SPAN,
);

/// The subscriber of this thread, if one wants to hear of queues.
pub(crate) fn listener() -> Option<Dispatch> {
    let wanted = tracing::level_filters::STATIC_MAX_LEVEL >= Level::TRACE
        && tracing::level_filters::LevelFilter::current() >= Level::TRACE
        && !ASKED.interest().is_never();
    if !wanted {
        return None;
    }
    dispatcher::get_default(|dispatch| (!dispatch.is::<NoSubscriber>()).then(|| dispatch.clone()))
}
