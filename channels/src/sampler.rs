//! The one thread that looks at all queues from time to time and tells what has changed.

use std::cmp::Reverse;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::queue::{Look, Queue};
use crate::roster::Roster;

/// Half of the interval at which console-subscriber publishes: what it sends is then never older than that.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3600);

/// Queues that are shown when they are made: all those of a starting service, but not one for each request. A console feed hands on a
/// hundred new things a second, and tasks, locks and timers want some of that, too.
pub(crate) static SHOWN_AT_BIRTH: Budget = limit(128, 8);
/// Queues that are shown because they have lasted.
static SHOWN_LATER: Budget = Budget::new(64, 32);
/// Sends, receives and waits that are shown.
pub(crate) static OPERATIONS: Budget = limit(32, 16);
/// So many queues are asked each time who uses them.
const ASKED_AT_ONCE: usize = 4;

static QUEUES: Roster<Queue> = Roster::new();
static RUNS: AtomicBool = AtomicBool::new(false);
static ALARM: Alarm = Alarm { interval: Mutex::new(DEFAULT_INTERVAL), rings: Condvar::new() };

/// A limit, but for the tests of this crate, which are of what is shown, not of how much.
const fn limit(most: usize, per_second: usize) -> Budget {
    if cfg!(test) { Budget::new(usize::MAX, 0) } else { Budget::new(most, per_second) }
}

/// What the sampler sleeps on.
struct Alarm {
    interval: Mutex<Duration>,
    rings: Condvar,
}

/// How long the sampler waits between two looks at all queues: 500 ms unless set.
pub fn interval() -> Duration {
    *ALARM.interval()
}

/// Sets how long the sampler waits between two looks at all queues, for the whole process and from now on; at least 10 ms, at most an hour.
///
/// A look costs about as much as it takes to read a few numbers of each queue. One that is longer than the publish interval of
/// console-subscriber (1 s unless set) makes a growing queue look like steps.
pub fn set_interval(interval: Duration) {
    *ALARM.interval() = interval.clamp(SHORTEST, LONGEST);
    ALARM.rings.notify_all();
}

/// Looks at this queue from now on, as long as somebody else keeps it.
pub(crate) fn watch(queue: &Arc<Queue>) {
    let first = QUEUES.add(queue);
    if !RUNS.swap(true, SeqCst) {
        let thread = thread::Builder::new().name("canary-channels".to_owned());
        // Where no thread can be had now, the next queue tries again.
        RUNS.store(thread.spawn(run).is_ok(), SeqCst);
    } else if first {
        // The sampler holds this lock from its look at the roster until it sleeps.
        drop(ALARM.interval());
        ALARM.rings.notify_all();
    }
}

fn run() {
    let mut sampler = Sampler { refilled: Instant::now(), turn: 0 };
    loop {
        ALARM.wait();
        // A subscriber or the destructor of a message may panic; the other queues want to be looked at again.
        let _ = catch_unwind(AssertUnwindSafe(|| sampler.look_at_all()));
    }
}

impl Alarm {
    fn interval(&self) -> MutexGuard<'_, Duration> {
        self.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until there are queues, and then for the interval, also if it is set anew meanwhile.
    fn wait(&self) {
        let mut interval = self.interval();
        while QUEUES.is_empty() {
            interval = self.rings.wait(interval).unwrap_or_else(PoisonError::into_inner);
        }
        let began = Instant::now();
        while let Some(left) = interval.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            interval = self.rings.wait_timeout(interval, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct Sampler {
    refilled: Instant,
    /// Whose turn it is to be asked.
    turn: usize,
}

impl Sampler {
    fn look_at_all(&mut self) {
        self.refill();
        let queues = QUEUES.living();
        let mut shown = Vec::new();
        let mut due = Vec::new();
        for queue in &queues {
            match queue.look() {
                Look::Shown => shown.push(queue),
                Look::Due => due.push(queue),
                Look::Young | Look::Off => {}
            }
        }
        // If there are more than may be shown, those first in which something waits.
        due.sort_by_cached_key(|queue| Reverse(queue.backlog()));
        for queue in due {
            if !SHOWN_LATER.take() {
                break;
            }
            queue.show();
            shown.push(queue);
        }
        for queue in &shown {
            queue.tell();
        }
        let asked = shown.len().min(ASKED_AT_ONCE);
        for turn in 0..asked {
            shown[(self.turn + turn) % shown.len()].ask();
        }
        self.turn = self.turn.wrapping_add(asked);
    }

    fn refill(&mut self) {
        let seconds = self.refilled.elapsed().as_secs();
        if seconds > 0 {
            self.refilled += Duration::from_secs(seconds);
            let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
            for budget in [&SHOWN_AT_BIRTH, &SHOWN_LATER, &OPERATIONS] {
                budget.refill(seconds);
            }
        }
    }
}
