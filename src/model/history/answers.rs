//! How fast the oneshot channels that one line creates are answered: each is used once, so only together they have a history.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::collections::SeededMap;
use crate::model::location::Location;
use crate::model::time::Timestamp;

/// Lines that are kept; a program that makes up more has no use for them.
const LINES: usize = 256;
/// Longer waits than this (a day, in milliseconds) count as this long.
const LONGEST: u64 = 86_400_000;

/// The answers to waits on oneshot channels that were created at one line.
#[derive(Debug, Clone)]
pub struct Answers {
    waits: Histogram<u32>,
    /// When the last one came.
    pub last: Timestamp,
    /// Waits that ended without an answer since then, after far longer than answers take.
    pub given_up: u64,
}

/// A wait that ends without an answer has lasted far longer than answers take if it has lasted this many times as long.
const FAR_LONGER: u32 = 10;

impl Answers {
    /// How many came.
    pub fn count(&self) -> u64 {
        self.waits.len()
    }

    /// The wait that this share of them did not exceed.
    pub fn wait_at(&self, quantile: f64) -> Duration {
        Duration::from_millis(self.waits.value_at_quantile(quantile))
    }
}

/// The answers at each line.
#[derive(Debug, Clone, Default)]
pub struct AnswersByLine {
    lines: SeededMap<Location, Answers>,
}

impl AnswersByLine {
    /// The answers at a line, if there were any.
    pub fn at(&self, line: &Location) -> Option<&Answers> {
        self.lines.get(line)
    }

    /// Notes that a wait ended without an answer.
    pub(in crate::model) fn note_given_up(&mut self, line: &Location, wait: Duration) {
        if let Some(answers) = self.lines.get_mut(line) {
            answers.given_up += u64::from(wait >= answers.wait_at(0.99) * FAR_LONGER);
        }
    }

    /// Notes that a wait ended with an answer.
    pub(in crate::model) fn note(&mut self, line: &Location, at: Timestamp, wait: Duration) {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if let Some(answers) = self.lines.get_mut(line) {
            answers.waits.saturating_record(millis);
            answers.last = answers.last.max(at);
            answers.given_up = 0;
        } else if self.lines.len() < LINES
            // One significant digit: a wait is only ever compared with a multiple of another.
            && let Ok(mut waits) = Histogram::new_with_bounds(1, LONGEST, 1)
        {
            waits.saturating_record(millis);
            self.lines.insert(line.clone(), Answers { waits, last: at, given_up: 0 });
        }
    }
}
