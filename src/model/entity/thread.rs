//! The threads of the target that poll its tasks, where it names them.

use std::num::NonZeroU16;

use crate::model::collections::SeededMap;
use crate::model::text::Text;

/// Most threads that are known: a runtime has as many as cores, and its blocking pool at most 512.
const MOST: usize = 8_192;

/// A thread, as small as it can be: every task has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread(NonZeroU16);

/// The names of threads. They are never forgotten: a runtime reuses its threads.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Threads {
    names: Vec<Text>,
    known: SeededMap<Text, Thread>,
}

impl Threads {
    /// The thread with this name; `None` if there are too many.
    pub(in crate::model) fn named(&mut self, name: &str, intern: impl FnOnce(&str) -> Text) -> Option<Thread> {
        if let Some(known) = self.known.get(name) {
            return Some(*known);
        }
        let number = u16::try_from(self.names.len() + 1).ok().filter(|_| self.names.len() < MOST)?;
        let (thread, name) = (Thread(NonZeroU16::new(number)?), intern(name));
        self.names.push(name.clone());
        Some(*self.known.entry(name).or_insert(thread))
    }

    /// What it is called: its name and, where the target knows it, its number.
    pub(in crate::model) fn name(&self, thread: Thread) -> Option<&Text> {
        self.names.get(usize::from(thread.0.get()) - 1)
    }
}
