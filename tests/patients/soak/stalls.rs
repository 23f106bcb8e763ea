//! Times in which the machine did not run this program: what was slow then is nobody's fault.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether time passes.
const STEP: Duration = Duration::from_millis(200);
/// A step that takes this much longer is a stop of the machine. Other work delays a thread that sleeps by far less.
const STALL: Duration = Duration::from_millis(500);
/// How long after a stop an alarm may still be about it.
const AFTERMATH: Duration = Duration::from_secs(15);

/// The stops of the machine so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalls(Arc<Mutex<Vec<Stall>>>);

#[derive(Debug, Clone, Copy)]
struct Stall {
    end: Instant,
    length: Duration,
}

impl Stalls {
    /// Watches from now on until all others have dropped theirs.
    pub(super) fn watch() -> Self {
        let stalls = Self::default();
        let watched = Arc::downgrade(&stalls.0);
        thread::spawn(move || {
            let mut last = Instant::now();
            loop {
                thread::sleep(STEP);
                let Some(stalls) = watched.upgrade() else { return };
                let end = Instant::now();
                let length = (end - last).saturating_sub(STEP);
                if length >= STALL {
                    stalls.lock().unwrap_or_else(PoisonError::into_inner).push(Stall { end, length });
                }
                last = end;
            }
        });
        stalls
    }

    /// Whether an alarm at this time may be about a stop of the machine.
    pub(super) fn excuse(&self, alarm: Instant) -> bool {
        self.all().iter().any(|stall| alarm + STEP >= stall.end && alarm <= stall.end + AFTERMATH)
    }

    /// How many there were, and the longest.
    pub(super) fn count_and_longest(&self) -> (usize, Duration) {
        let all = self.all();
        (all.len(), all.iter().map(|stall| stall.length).max().unwrap_or_default())
    }

    fn all(&self) -> Vec<Stall> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
