//! What the kinds of receivers have in common: they take events in at once, and tell somebody of them when they are asked to.

use std::collections::VecDeque;
use std::time::Instant;

use super::attempt::Attempt;
use crate::alert::event::Event;

/// Somebody who gets alerts.
pub(super) trait Receiver: Send {
    /// Takes an event in, which takes no time. Returns how many alerts are lost by it.
    fn take(&mut self, event: &Event) -> u64;
    /// When there is something to tell, if there is.
    fn due(&self) -> Option<Instant>;
    /// Tells what is due. May block as long as receivers may.
    fn attempt(&mut self) -> Attempt;
    /// How many alerts are still to be delivered.
    fn undelivered(&self) -> u64;
}

/// What waits to be told, in order.
#[derive(Debug)]
pub(super) struct Waiting<T>(VecDeque<(String, T)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Waiting<T> {
    /// The most that waits.
    const MOST: usize = 1_000;

    /// Lets something wait. Where there is no room, what is newer about the same thing wins, and then what is newer. Returns how many were
    /// lost.
    pub(super) fn push(&mut self, about: String, item: T) -> u64 {
        let mut lost = 0;
        if self.0.len() >= Self::MOST {
            let older = self.0.iter().position(|(it, _)| *it == about).unwrap_or(0);
            lost = u64::from(self.0.remove(older).is_some());
        }
        self.0.push_back((about, item));
        lost
    }

    /// The next ones, each about something else.
    pub(super) fn next(&self, most: usize) -> Vec<&T> {
        let is_first =
            |(place, (about, _)): &(usize, &(String, T))| !self.0.iter().take(*place).any(|(it, _)| it == about);
        self.0.iter().enumerate().take(most).take_while(is_first).map(|(_, (_, item))| item).collect()
    }

    /// Takes the next ones away.
    pub(super) fn drop_next(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_room_the_newest_about_a_thing_wins() {
        let mut waiting = Waiting::default();
        for number in 0..1_000 {
            assert_eq!(waiting.push(format!("{number}"), number), 0);
        }
        assert_eq!(waiting.push("7".to_owned(), 1_007), 1);
        assert_eq!(waiting.push("new".to_owned(), 2_000), 1, "the oldest goes");
        assert_eq!((waiting.len(), waiting.next(3)), (1_000, vec![&1, &2, &3]));
        let all = waiting.next(2_000);
        assert_eq!((all.len(), all.contains(&&7), all.contains(&&1_007)), (1_000, false, true));
    }

    #[test]
    fn what_is_told_at_a_time_is_about_different_things() {
        let mut waiting = Waiting::default();
        for (about, item) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            waiting.push(about.to_owned(), item);
        }
        assert_eq!(waiting.next(9), [&1, &2]);
        waiting.drop_next(2);
        assert_eq!(waiting.next(9), [&3, &4]);
    }
}
