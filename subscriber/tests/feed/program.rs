//! Programs under a subscriber of the present thread, so that one process can have several.

use std::future::Future;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_canary_subscriber::{Builder, ConsoleLayer};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

/// How a program is instrumented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instrumented {
    /// By `console-subscriber`.
    Console,
    /// By our layer.
    Layer,
    /// By our subscriber.
    Subscriber,
}

/// The interval of updates: short, so that tests are.
const INTERVAL: Duration = Duration::from_millis(50);

/// The subscriber of threads that have none of their own. It records nothing, and forbids nothing.
///
/// Without it, a callsite that is first reached while another test makes a subscriber may be taken for one that nobody wants.
struct Nobody;

impl tracing::Subscriber for Nobody {
    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// A builder for a test, and the address that it binds.
pub(crate) fn builder() -> (Builder, String) {
    static NOBODY: std::sync::Once = std::sync::Once::new();
    NOBODY.call_once(|| tracing::subscriber::set_global_default(Nobody).unwrap());
    let address = free_address();
    (ConsoleLayer::builder().server_addr(address).publish_interval(INTERVAL), address.to_string())
}

fn free_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A subscriber and the address that it binds.
pub(crate) fn dispatch(how: Instrumented) -> (Dispatch, String) {
    dispatch_with(how, |builder| builder)
}

/// The same with settings of our subscriber.
pub(crate) fn dispatch_with(how: Instrumented, set: impl FnOnce(Builder) -> Builder) -> (Dispatch, String) {
    let (ours, address) = builder();
    let ours = set(ours);
    let dispatch = match how {
        Instrumented::Console => {
            let address: std::net::SocketAddr = address.parse().unwrap();
            let layer =
                console_subscriber::ConsoleLayer::builder().server_addr(address).publish_interval(INTERVAL).spawn();
            Dispatch::new(tracing_subscriber::registry().with(layer))
        }
        Instrumented::Layer => Dispatch::new(tracing_subscriber::registry().with(ours.spawn())),
        Instrumented::Subscriber => Dispatch::new(ours.wrap(tracing_subscriber::registry())),
    };
    (dispatch, address)
}

/// A program that runs until it is dropped.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the program panicked");
        }
    }
}

/// Runs `program` on a thread of its own in a runtime of one thread, and waits with it.
pub(crate) fn run<F: Future<Output = ()>>(dispatch: Dispatch, program: impl FnOnce() -> F + Send + 'static) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let program = program();
                tokio::pin!(program);
                tokio::select! {
                    () = &mut program => {}
                    _ = stopped => {}
                }
            });
        });
    });
    Running { stop: Some(stop), thread: Some(thread) }
}

/// Spawns a task with a name.
pub(crate) fn spawn<F>(name: &str, future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::Builder::new().name(name).spawn(future).unwrap()
}
