//! Panics that are caught on purpose: neither the terminal nor standard error hears of them.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    /// How many calls of [`catch`] this thread is inside.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// A panic that was caught, with its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl From<Box<dyn Any + Send>> for Panicked {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        Self(text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned())
    }
}

/// Sets the panic hook of the process. It is called only for panics that nobody in here catches.
pub fn set_hook(hook: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |info| {
        if !is_caught() {
            hook(info);
        }
    }));
}

/// Makes the present panic hook one that is called only for panics that nobody in here catches.
pub fn hush() {
    set_hook(panic::take_hook());
}

/// Does something that may panic through no fault of ours, such as a library that reads what a target sends.
///
/// # Errors
/// It has panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let _inside = Inside::enter();
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(Panicked::from)
}

/// The same for a future. One that has panicked is not polled again.
///
/// # Errors
/// It has panicked.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| match catch(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Whether a panic of this thread would be caught in here.
fn is_caught() -> bool {
    // While a thread ends, its locals are gone; nothing is caught there any more.
    CATCHING.try_with(|depth| depth.get() > 0).unwrap_or(false)
}

/// Marks a thread as inside [`catch`] while it lives. The hook runs before the stack is unwound, so it sees the mark.
struct Inside;

impl Inside {
    fn enter() -> Self {
        CATCHING.set(CATCHING.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        CATCHING.set(CATCHING.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// The only test that sets the hook of this process.
    #[test]
    fn the_hook_hears_of_a_panic_only_if_nobody_catches_it() {
        let heard = Arc::new(AtomicUsize::new(0));
        let (count, this, others) = (heard.clone(), thread::current().id(), panic::take_hook());
        set_hook(move |info| {
            if thread::current().id() == this {
                count.fetch_add(1, Ordering::SeqCst);
            } else {
                others(info);
            }
        });
        hush();
        assert_eq!(catch(|| 5), Ok(5));
        assert_eq!(catch(|| -> u8 { panic!("the {}", "message") }), Err(Panicked("the message".to_owned())));
        let nested = catch(|| {
            assert!(catch(|| panic!("inner")).is_err());
            panic!("outer");
        });
        assert_eq!(nested, Err(Panicked("outer".to_owned())));
        assert_eq!(heard.load(Ordering::SeqCst), 0);
        assert!(panic::catch_unwind(|| panic!("a fault of ours")).is_err());
        assert_eq!(heard.load(Ordering::SeqCst), 1, "outside of it every panic is heard");
        let _ = panic::take_hook();
    }

    #[test]
    fn a_future_is_caught_at_whatever_poll_it_panics() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            assert_eq!(caught(async { 7 }).await, Ok(7));
            let late = caught(async {
                tokio::task::yield_now().await;
                panic!("late");
            });
            assert_eq!(late.await, Err::<(), _>(Panicked("late".to_owned())));
            assert!(!is_caught());
        });
    }
}
