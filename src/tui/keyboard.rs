//! Reads keys on a thread of its own, except while somebody else reads the terminal.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// How many keys wait for a screen that is busy.
const WAITING: usize = 64;
/// The longest time after which the thread notices that another program wants the keys.
const BEAT: Duration = Duration::from_millis(100);

/// The near end of the thread.
pub(super) struct Keyboard {
    events: mpsc::Receiver<io::Result<Event>>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The thread reads.
    #[default]
    Ours,
    /// It is to stop.
    Wanted,
    /// It has stopped.
    Theirs,
}

impl Gate {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, turn: Turn) {
        *self.turn() = turn;
        self.changed.notify_all();
    }

    fn wait_until(&self, is_it: impl Fn(Turn) -> bool) {
        let turn = self.changed.wait_while(self.turn(), |turn| !is_it(*turn));
        drop(turn.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Keyboard {
    /// Starts to listen to the keyboard, until the process ends.
    ///
    /// Crossterm (0.29, `event/source/unix/mio.rs`) never returns from reading a terminal that has hung up. On a thread of its own that
    /// does not keep anybody from taking the signal that reports it; on a task it would.
    pub(super) fn listen() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(WAITING);
        let gate = Arc::new(Gate::default());
        let theirs = Arc::clone(&gate);
        thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            loop {
                if *theirs.turn() == Turn::Wanted {
                    theirs.set(Turn::Theirs);
                    theirs.wait_until(|turn| turn == Turn::Ours);
                }
                let event = match event::poll(BEAT) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let over = event.is_err();
                if sender.blocking_send(event).is_err() || over {
                    return;
                }
            }
        })?;
        Ok(Self { events, gate })
    }

    /// The next thing that comes from the terminal; nothing when it is gone.
    pub(super) async fn next(&mut self) -> Option<io::Result<Event>> {
        self.events.recv().await
    }

    /// Leaves the terminal to another program. What was typed before is forgotten.
    pub(super) fn leave(&mut self) {
        self.gate.set(Turn::Wanted);
        // A thread that waits for room would not notice.
        while self.events.try_recv().is_ok() {}
        self.gate.wait_until(|turn| turn == Turn::Theirs);
    }

    /// Reads again.
    pub(super) fn resume(&self) {
        self.gate.set(Turn::Ours);
    }
}
