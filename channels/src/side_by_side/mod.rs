//! What tokio documents of its channels, held by tokio's and by ours: while nobody listens, and while somebody does. In this crate's own
//! tests nothing limits what is shown, so that every wait is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tracing::subscriber::DefaultGuard;

/// Runs the same files with the channels of one module.
macro_rules! hold {
    ($name:ident, $($channels:ident)::+, $listener:ident) => {
        mod $name {
            mod mpsc_channels {
                use $($channels)::+::mpsc;
                use crate::side_by_side::{$listener as listen, *};
                include!("mpsc.rs");
            }
            mod broadcast_channels {
                use $($channels)::+::broadcast;
                use crate::side_by_side::{$listener as listen, *};
                include!("broadcast.rs");
            }
            mod watch_channels {
                use $($channels)::+::watch;
                use crate::side_by_side::{$listener as listen, *};
                include!("watch.rs");
            }
        }
    };
}

hold!(tokio_itself, tokio::sync, nobody);
hold!(ours_unheard, crate, nobody);
hold!(ours_heard, crate, somebody);

fn nobody() -> Option<DefaultGuard> {
    None
}

/// A subscriber that takes everything, and a sampler that asks all the time.
#[expect(clippy::unnecessary_wraps, reason = "it stands where there may be nobody")]
fn somebody() -> Option<DefaultGuard> {
    crate::set_interval(Duration::from_millis(10));
    Some(tracing::subscriber::set_default(tracing_subscriber::registry()))
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A future that is polled by hand, and how often it was woken.
struct ByHand<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

fn by_hand<F: Future>(future: F) -> ByHand<F> {
    ByHand { future: Box::pin(future), wakes: Arc::default() }
}

impl<F: Future> ByHand<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.wakes))))
    }

    fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The message of a panic.
fn panic_of(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("it should panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}
