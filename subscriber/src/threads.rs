//! Which thread and which runtime polls a task, as small numbers.

use std::cell::Cell;
use std::fs;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{self, Handle};

/// The names of the threads that poll tasks.
static NAMES: Mutex<Names> = Mutex::new(Names { places: Vec::new(), free: Vec::new() });

/// All runtimes that ever polled a task, by number.
static RUNTIMES: Mutex<Vec<runtime::Id>> = Mutex::new(Vec::new());

/// The most threads that are named at a time.
const MOST_THREADS: usize = 10_000;

/// The most runtimes that are numbered.
const MOST_RUNTIMES: usize = 1_000;

thread_local! {
    static THREAD: Own = const { Own(Cell::new(None)) };
    static RUNTIME: Cell<Option<(runtime::Id, RuntimeNumber)>> = const { Cell::new(None) };
}

/// Names by number. The number of a thread that has ended is given to another one: those of a blocking pool come and go for as long as the
/// process runs.
#[derive(Debug)]
struct Names {
    places: Vec<NamePlace>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct NamePlace {
    /// How many threads had the number before.
    life: u32,
    /// Empty after the end of the thread.
    name: Box<str>,
}

impl Names {
    fn add(&mut self, name: Box<str>) -> Option<Thread> {
        if let Some(number) = self.free.pop() {
            let place = self.places.get_mut(number as usize)?;
            place.name = name;
            return Some(Thread { number, life: place.life });
        }
        let number = u32::try_from(self.places.len()).ok().filter(|_| self.places.len() < MOST_THREADS)?;
        self.places.push(NamePlace { life: 0, name });
        Some(Thread { number, life: 0 })
    }

    fn remove(&mut self, thread: Thread) {
        if let Some(place) = self.places.get_mut(thread.number as usize).filter(|place| place.life == thread.life) {
            *place = NamePlace { life: place.life.wrapping_add(1), name: Box::default() };
            self.free.push(thread.number);
        }
    }

    fn get(&self, thread: Thread) -> Option<&str> {
        let place = self.places.get(thread.number as usize).filter(|place| place.life == thread.life)?;
        Some(&place.name)
    }
}

/// What the present thread is, which ends with it.
struct Own(Cell<Option<Thread>>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(thread) = self.0.get() {
            NAMES.lock().unwrap_or_else(PoisonError::into_inner).remove(thread);
        }
    }
}

/// A thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    number: u32,
    life: u32,
}

impl Thread {
    /// One that has no name.
    const NAMELESS: Self = Self { number: u32::MAX, life: 0 };

    /// The present thread.
    #[inline]
    pub(crate) fn current() -> Self {
        let known = THREAD.try_with(|own| own.0.get()).ok().flatten();
        known.unwrap_or_else(Self::introduce)
    }

    #[cold]
    fn introduce() -> Self {
        // Fails only while the thread is ending. It would not be seen to end then.
        THREAD
            .try_with(|own| {
                let name = describe();
                let thread = NAMES.lock().unwrap_or_else(PoisonError::into_inner).add(name);
                let thread = thread.unwrap_or(Self::NAMELESS);
                own.0.set(Some(thread));
                thread
            })
            .unwrap_or(Self::NAMELESS)
    }

    /// Calls `use_it` with its name and, where the system tells, the number under which debuggers and `top -H` know it; not for one that
    /// has ended.
    pub(crate) fn name(self, use_it: impl FnOnce(&str)) {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_thread_that_has_ended_is_given_to_another() {
        let mut names = Names { places: Vec::new(), free: Vec::new() };
        let first = names.add("first".into()).unwrap();
        let second = names.add("second".into()).unwrap();
        names.remove(first);
        names.remove(first);
        let third = names.add("third".into()).unwrap();
        assert_eq!((third.number, names.places.len()), (first.number, 2));
        assert_eq!((names.get(first), names.get(second), names.get(third)), (None, Some("second"), Some("third")));
    }

    #[test]
    fn a_thread_has_a_name_while_it_lives() {
        let name = |thread: Thread| {
            let mut found = None;
            thread.name(|name| found = Some(name.to_owned()));
            found
        };
        let thread = std::thread::Builder::new().name("worker".to_owned());
        let (ended, while_it_lived) =
            thread.spawn(move || (Thread::current(), name(Thread::current()))).unwrap().join().unwrap();
        assert!(while_it_lived.is_some_and(|name| name.starts_with("worker")));
        assert_eq!(name(ended), None);
    }
}
