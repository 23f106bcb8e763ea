//! What asks the process to end from outside, heard on threads of their own: neither an update that is being applied nor a pipe that
//! nobody reads can keep it from ending.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use tokio::sync::watch;

use super::exit::SUCCESS;
use super::notes;

/// How long the run may take to notice the first signal. A run that does not is busy, and is ended where it is.
const PATIENCE: Duration = Duration::from_millis(150);

/// How long a message about that may take to be written.
const SAYING: Duration = Duration::from_millis(100);

/// What is done before the process ends in the middle of something.
type LastAct = Box<dyn FnOnce() + Send>;

/// Says when the user or the system asks the process to end: Ctrl-C, SIGTERM or SIGHUP. A second signal ends it at once.
#[derive(Clone)]
pub(super) struct Stop(Arc<Shared>);

struct Shared {
    asked: watch::Sender<bool>,
    is_heard: AtomicBool,
    code: AtomicU8,
    /// Gives the terminal back, if it was taken.
    restore: Mutex<Option<LastAct>>,
    /// Bring to the disk what is being recorded.
    save: Mutex<Vec<LastAct>>,
    /// Ends the program that was started to be judged.
    kill: Mutex<Option<LastAct>>,
}

impl Stop {
    /// Listens to these signals from now on.
    ///
    /// # Errors
    /// The system takes no handler, or has no thread.
    pub(super) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let stop = Self::new();
        let (first, is_asked) = mpsc::channel();
        let (hearing, waiting) = (stop.clone(), stop.clone());
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if hearing.0.asked.send_replace(true) {
                    hearing.end_at_once(signal);
                }
                // The other thread listens until the process ends.
                let _ = first.send(signal);
            }
        })?;
        thread::Builder::new().name("patience".to_owned()).spawn(move || {
            let Ok(signal) = is_asked.recv() else { return };
            thread::sleep(PATIENCE);
            if !waiting.0.is_heard.load(Ordering::SeqCst) {
                waiting.end_busy(signal);
            }
        })?;
        Ok(stop)
    }

    fn new() -> Self {
        Self(Arc::new(Shared {
            asked: watch::Sender::new(false),
            is_heard: AtomicBool::new(false),
            code: AtomicU8::new(SUCCESS),
            restore: Mutex::default(),
            save: Mutex::default(),
            kill: Mutex::default(),
        }))
    }

    /// Resolves when the process is asked to end. Whoever waits for it promises to end the run soon.
    pub(super) async fn asked(&self) {
        // The sender lives as long as this.
        let _ = self.0.asked.subscribe().wait_for(|asked| *asked).await;
        self.0.is_heard.store(true, Ordering::SeqCst);
    }

    /// Waits for something that a run does at its end. If the process is asked to end meanwhile, it does so already: `hint` may say what it
    /// still waits for.
    pub(super) async fn during<T>(&self, last: impl Future<Output = T>, hint: impl FnOnce()) -> T {
        let (mut last, was_asked) = (std::pin::pin!(last), self.is_asked());
        tokio::select! {
            biased;
            done = &mut last => return done,
            () = self.asked() => {}
        }
        if !was_asked {
            hint();
        }
        last.await
    }

    /// Whether the process was asked to end.
    pub(super) fn is_asked(&self) -> bool {
        *self.0.asked.borrow()
    }

    /// The exit code if the run is ended while it is busy.
    pub(super) fn ends_with(&self, code: u8) {
        self.0.code.store(code, Ordering::SeqCst);
    }

    /// What gives the terminal back, however the process ends.
    pub(super) fn restores(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.restore.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// What brings a recording to the disk if the run is ended while it is busy. It has to end by itself soon.
    pub(super) fn saves(&self, act: impl FnOnce() + Send + 'static) {
        self.0.save.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(act));
    }

    /// What ends the program that was started to be judged, however the process ends.
    pub(super) fn kills(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.kill.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// The second signal.
    fn end_at_once(&self, signal: i32) -> ! {
        perform(&self.0.kill);
        perform(&self.0.restore);
        low_level::exit(128 + signal)
    }

    /// The first signal, which the run does not notice.
    fn end_busy(&self, signal: i32) -> ! {
        perform(&self.0.kill);
        perform(&self.0.restore);
        perform(&self.0.save);
        let name = low_level::signal_name(signal).unwrap_or("a signal");
        notes::note(&format!("{name} ended the run while it was busy, so there is no summary."));
        notes::flush(SAYING);
        low_level::exit(self.0.code.load(Ordering::SeqCst).into())
    }
}

/// Performs what there is, once.
fn perform<T: Default + IntoIterator<Item = LastAct>>(acts: &Mutex<T>) {
    let acts = std::mem::take(&mut *acts.lock().unwrap_or_else(PoisonError::into_inner));
    acts.into_iter().for_each(|act| act());
}

/// Lets a file that reaches its size limit (`ulimit -f`) be an error of writing, which is reported, instead of the end of the process.
///
/// # Errors
/// The system takes no handler.
pub(super) fn survive_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_at_the_end_of_a_run_is_heard_and_cuts_nothing_short() {
        let (stop, mut hints) = (Stop::new(), 0);
        for _ in 0..2 {
            let last = async {
                stop.0.asked.send_replace(true);
                while !stop.0.is_heard.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                7
            };
            assert_eq!(stop.during(last, || hints += 1).await, 7);
        }
        assert_eq!(hints, 1, "whoever has asked before knows");
    }
}
