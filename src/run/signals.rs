//! What ends a run from outside.

use std::io;

/// Resolves when the user or the system asks the process to end: Ctrl-C, SIGTERM or SIGHUP.
///
/// # Errors
/// The system takes no handler.
#[cfg(unix)]
pub(super) async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}

/// Resolves when the user asks the process to end.
///
/// # Errors
/// The system takes no handler.
#[cfg(not(unix))]
pub(super) async fn stop_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
