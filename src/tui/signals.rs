//! The signal that concerns a terminal: being continued after having been stopped.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Says when the process is continued.
pub(super) struct Signals {
    resume: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens to it from now on.
    ///
    /// # Errors
    /// The system takes no handler.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { resume: signal(SignalKind::from_raw(Signal::CONT.as_raw()))? })
    }

    /// Waits until the process is continued after having been stopped.
    pub(super) async fn continued(&mut self) {
        self.resume.recv().await;
    }
}
