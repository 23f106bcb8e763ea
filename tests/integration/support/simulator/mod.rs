//! A simulated Tokio process under console-subscriber: it runs small programs in a time of its own and reports what the real one would.
//!
//! It knows tasks, worker threads, wakers, timers, fair locks and bounded channels well enough for their counters, stamps, ops and the
//! order of events to be those of Tokio 1.54 and console-subscriber 0.5. A poll takes microseconds unless its program says otherwise.

mod clock;
pub(crate) mod messages;
pub(crate) mod never_falls;
mod process;
mod program;
pub(crate) mod scenario;
mod shared;
pub(crate) mod timeline;
mod wire;
