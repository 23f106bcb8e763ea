//! The terminal while it is ours, and giving it back whatever happens.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::style::ResetColor;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{Command, queue};
use ratatui::{Frame, Terminal};
use tokio::sync::Notify;

use super::backend::ChangesOnly;
use super::writer::{Frames, Writer};
use crate::panics;

/// How long a terminal may take to let us leave. One that takes no output must not keep the process alive.
const LEAVING: Duration = Duration::from_secs(1);

/// A terminal in raw mode with our screen on it. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<ChangesOnly>,
    lease: Arc<Lease>,
    previous_hook: Arc<PanicHook>,
}

type PanicHook = Box<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// What the panic hook shares with the screen.
struct Lease {
    writer: Writer,
    held: AtomicBool,
    panicked: AtomicBool,
    panic: Notify,
}

impl Lease {
    /// Takes the terminal. Modes that somebody else has set meanwhile, such as a shell, are kept for when it is given back.
    fn take(&self) -> io::Result<()> {
        self.held.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let bytes = sequence(&[&EnterAlternateScreen, &Hide])?;
        self.writer.begin(&bytes, LEAVING);
        Ok(())
    }

    /// Gives the terminal back, once.
    fn give_back(&self) {
        if !self.held.swap(false, Ordering::SeqCst) {
            return;
        }
        // There is nobody left to complain to: what can be restored is.
        if let Ok(bytes) = sequence(&[&ResetColor, &LeaveAlternateScreen, &Show]) {
            self.writer.end(&bytes, LEAVING);
        }
        let _ = disable_raw_mode();
    }
}

fn sequence(commands: &[&dyn AnsiCommand]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for command in commands {
        command.append(&mut bytes)?;
    }
    Ok(bytes)
}

/// A [`Command`] of any type.
trait AnsiCommand {
    fn append(&self, bytes: &mut Vec<u8>) -> io::Result<()>;
}

impl<C: Command> AnsiCommand for C {
    fn append(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        queue!(bytes, self)
    }
}

impl Screen {
    /// Takes the terminal on standard output.
    pub(super) fn open() -> io::Result<Self> {
        io::stdout().flush()?;
        // A descriptor of our own: no lock of the standard library's can keep us from giving the terminal back.
        let writer = Writer::start(File::from(io::stdout().as_fd().try_clone_to_owned()?))?;
        let lease = Arc::new(Lease {
            writer: writer.clone(),
            held: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            panic: Notify::new(),
        });
        let previous_hook: Arc<PanicHook> = Arc::new(panic::take_hook());
        let (hook, theirs) = (previous_hook.clone(), lease.clone());
        panics::set_hook(move |info| {
            theirs.give_back();
            hook(info);
            theirs.panicked.store(true, Ordering::SeqCst);
            theirs.panic.notify_one();
        });
        let terminal = Terminal::new(ChangesOnly::new(Frames::new(writer)))?;
        let screen = Self { terminal, lease, previous_hook };
        screen.lease.take()?;
        Ok(screen)
    }

    /// Gives the terminal back, from any thread.
    pub(super) fn restorer(&self) -> impl FnOnce() + Send + 'static {
        let lease = Arc::clone(&self.lease);
        move || lease.give_back()
    }

    /// Whether the terminal has taken the frame before.
    pub(super) fn is_free(&self) -> bool {
        self.lease.writer.is_free()
    }

    /// Waits until it has.
    pub(super) async fn freed(&self) {
        self.lease.writer.freed().await;
    }

    /// Waits until some thread has panicked and nobody has caught it. The terminal has been given back by then.
    pub(super) async fn panicked(&self) {
        while !self.lease.panicked.load(Ordering::SeqCst) {
            self.lease.panic.notified().await;
        }
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(|_| ())
    }

    /// Makes the next frame a full one.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and take the answer from the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Puts a text into the clipboard of the terminal, if that allows it (OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let writer = self.terminal.backend_mut().writer();
        queue!(writer, CopyToClipboard::to_clipboard_from(text))?;
        writer.flush()
    }

    /// How wide the terminal is.
    pub(super) fn width(&self) -> u16 {
        self.terminal.size().map_or(80, |size| size.width)
    }

    /// Gives the terminal back for a while.
    pub(super) fn leave(&self) {
        self.lease.give_back();
    }

    /// Takes the terminal again, in whatever state it is.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        self.lease.take()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.lease.give_back();
        self.lease.writer.close();
        if !std::thread::panicking() {
            drop(panic::take_hook());
            let previous = self.previous_hook.clone();
            panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}
