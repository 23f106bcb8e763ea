#![doc = include_str!("../README.md")]

mod builder;
mod callsite;
mod clock;
mod encode;
mod fields;
mod histogram;
mod layer;
mod metadata;
mod recorder;
mod server;
mod stack;
mod store;
mod subscriber;
mod threads;
mod wire;

use tracing_core::Subscriber;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

pub use self::builder::Builder;
pub use self::layer::ConsoleLayer;
pub use self::server::{Error, InstrumentService, Server, ServerAddr, ServerParts};
pub use self::subscriber::CanarySubscriber;

/// Makes this the process's subscriber, set up by the environment variables of `console-subscriber`. See [`Builder::init`].
///
/// # Panics
///
/// If the process has a subscriber already, or an environment variable cannot be understood.
pub fn init() {
    ConsoleLayer::builder().with_default_env().init();
}

/// A subscriber around `inner`, set up by the environment variables of `console-subscriber`. See [`Builder::wrap`].
///
/// # Panics
///
/// If an environment variable cannot be understood.
pub fn wrap<S: Subscriber>(inner: S) -> CanarySubscriber<S> {
    ConsoleLayer::builder().with_default_env().wrap(inner)
}

/// A layer to be added to a subscriber, set up by the environment variables of `console-subscriber`. See [`Builder::spawn`].
///
/// # Panics
///
/// If an environment variable cannot be understood.
pub fn spawn<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    ConsoleLayer::builder().with_default_env().spawn()
}
