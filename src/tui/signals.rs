//! The signals that concern a terminal.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// The end.
    Stop,
    /// Taking the terminal again after having been stopped.
    Continue,
}

/// The signals that concern a terminal.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    resume: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens to them from now on.
    ///
    /// # Errors
    /// The system takes no handler.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            resume: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.resume.recv() => Request::Continue,
        }
    }

    /// Waits until the process is continued after having been stopped.
    pub(super) async fn continued(&mut self) {
        self.resume.recv().await;
    }
}
