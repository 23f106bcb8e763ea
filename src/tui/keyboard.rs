//! Reads keys on a thread of its own.

use std::io;
use std::thread;

use crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// How many keys wait for a screen that is busy.
const WAITING: usize = 64;

/// Starts to listen to the keyboard, until the process ends.
///
/// Crossterm (0.29, `event/source/unix/mio.rs`) never returns from reading a terminal that has hung up. On a thread of its own that
/// does not keep anybody from taking the signal that reports it; on a task it would.
pub(super) fn listen() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, events) = mpsc::channel(WAITING);
    thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
        loop {
            let event = event::read();
            let over = event.is_err();
            if sender.blocking_send(event).is_err() || over {
                return;
            }
        }
    })?;
    Ok(events)
}
