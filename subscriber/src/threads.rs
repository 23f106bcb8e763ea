//! Which thread and which runtime polls a task, as small numbers.

use std::cell::Cell;
use std::fs;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{self, Handle};

/// The names of all threads that ever polled a task, by number. A runtime reuses its threads, and those of its blocking pool are few.
static NAMES: Mutex<Vec<Box<str>>> = Mutex::new(Vec::new());

/// All runtimes that ever polled a task, by number.
static RUNTIMES: Mutex<Vec<runtime::Id>> = Mutex::new(Vec::new());

/// The most threads that are named.
const MOST_THREADS: usize = 10_000;

/// The most runtimes that are numbered.
const MOST_RUNTIMES: usize = 1_000;

thread_local! {
    static THREAD: Cell<Option<Thread>> = const { Cell::new(None) };
    static RUNTIME: Cell<Option<(runtime::Id, RuntimeNumber)>> = const { Cell::new(None) };
}

/// A thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thread(u32);

impl Thread {
    /// The present thread.
    #[inline]
    pub(crate) fn current() -> Self {
        let known = THREAD.try_with(Cell::get).ok().flatten();
        known.unwrap_or_else(Self::introduce)
    }

    #[cold]
    fn introduce() -> Self {
        let name = describe();
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        // One without a number of its own has no name: that of another would be wrong.
        let number = if names.len() < MOST_THREADS { names.len() } else { usize::MAX };
        if number < MOST_THREADS {
            names.push(name);
        }
        let thread = Self(u32::try_from(number).unwrap_or(u32::MAX));
        // Fails only while the thread is ending.
        let _ended = THREAD.try_with(|known| known.set(Some(thread)));
        thread
    }

    /// Calls `use_it` with its name and, where the system tells, the number under which debuggers and `top -H` know it.
    pub(crate) fn name(self, use_it: impl FnOnce(&str)) {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(self.0 as usize) {
            use_it(name);
        }
    }
}

fn describe() -> Box<str> {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    // On Linux a link to `PID/task/TID`.
    let number = fs::read_link("/proc/thread-self").ok();
    match number.as_deref().and_then(|path| path.file_name()).and_then(|number| number.to_str()) {
        Some(number) => format!("{name} {number}").into(),
        None => name.into(),
    }
}

/// A runtime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuntimeNumber(u32);

impl RuntimeNumber {
    /// The runtime of the present thread.
    pub(crate) fn current() -> Option<Self> {
        let id = Handle::try_current().ok()?.id();
        let known = RUNTIME.try_with(Cell::get).ok().flatten();
        match known {
            Some((known, number)) if known == id => Some(number),
            _ => Self::introduce(id),
        }
    }

    #[cold]
    fn introduce(id: runtime::Id) -> Option<Self> {
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match runtimes.iter().position(|known| *known == id) {
            Some(index) => index,
            None if runtimes.len() < MOST_RUNTIMES => {
                runtimes.push(id);
                runtimes.len() - 1
            }
            None => return None,
        };
        let number = Self(u32::try_from(index + 1).ok()?);
        let _ended = RUNTIME.try_with(|known| known.set(Some((id, number))));
        Some(number)
    }

    /// Its number, counted from one.
    pub(crate) fn get(self) -> u64 {
        self.0.into()
    }
}
