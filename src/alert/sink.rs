//! Where alerts go.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::event::{Event, Summary};

/// An output of a run. It lives on a thread of its own and may block there: what it does not take in time is counted and dropped.
pub trait Sink: Send {
    /// Takes an event.
    ///
    /// # Errors
    /// It cannot take any more. A broken pipe means that the reader has left, which is its right.
    fn take(&mut self, event: &Event) -> io::Result<()>;

    /// How many alerts it has taken and given up, for as long as it lives.
    fn lost(&self) -> Arc<AtomicU64> {
        Arc::default()
    }

    /// When it has something to do without an event, if it has.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Does what is due.
    fn on_due(&mut self) {}

    /// Takes the summary of the run, which is the last it gets.
    ///
    /// # Errors
    /// It cannot take it.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}
