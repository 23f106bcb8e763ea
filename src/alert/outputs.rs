//! All outputs of a run: each gets every event, and none can delay another.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use super::event::{Event, Summary};
use super::lines::Lines;
use super::outlet::{Ended, Outlet};
use super::sink::Sink;
use crate::config::output::Output;
use crate::fleet::{Fleet, Step};
use crate::report::sanitize::Charset;
use crate::words;

/// The outputs of a run.
#[derive(Default)]
pub struct Outputs {
    outlets: Vec<Outlet>,
}

/// An output that did not get everything.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, as a sentence.
    pub sentence: String,
    /// Whether the output failed, as opposed to a reader that was too slow.
    pub is_error: bool,
}

impl Outputs {
    /// Opens outputs.
    ///
    /// # Errors
    /// A sentence about the one that cannot be opened.
    pub fn open<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Result<Self, String> {
        let mut opened = Self::default();
        for output in outputs {
            let sink = open(output).map_err(|error| format!("the output {output} cannot be opened: {error}"))?;
            opened
                .add(output.place(), sink)
                .map_err(|error| format!("the output {output} cannot be started: {error}"))?;
        }
        Ok(opened)
    }

    /// Adds a sink under the name that the user knows it by.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn add(&mut self, name: String, sink: Box<dyn Sink>) -> io::Result<()> {
        self.outlets.push(Outlet::start(name, sink)?);
        Ok(())
    }

    /// Takes in a step.
    pub fn take(&self, step: &Step, fleet: &Fleet) {
        self.put(Event::of(step, fleet));
    }

    /// Says that everything still works.
    pub fn heartbeat(&self, fleet: &Fleet) {
        self.put(Event::heartbeats(fleet));
    }

    /// Whether no output takes anything any more.
    pub fn are_closed(&self) -> bool {
        !self.outlets.is_empty() && self.outlets.iter().all(Outlet::is_closed)
    }

    /// Ends the outputs with the run's summary when they have written what is left. Returns what some of them did not get.
    pub fn finish(self, summary: Summary) -> Vec<Failure> {
        let summary = Arc::new(summary);
        // All of them get it before the first one is waited for.
        let closing: Vec<_> = self.outlets.into_iter().map(|outlet| outlet.close(&summary)).collect();
        closing.into_iter().flat_map(|closing| failures(closing.wait())).collect()
    }

    fn put(&self, events: Vec<Event>) {
        for event in events.into_iter().map(Arc::new) {
            self.outlets.iter().for_each(|outlet| outlet.put(&event));
        }
    }
}

fn open(output: &Output) -> io::Result<Box<dyn Sink>> {
    // Logs and files are UTF-8 whatever the terminal is.
    if let Some(path) = &output.path {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        return Ok(Box::new(Lines::new(file, output.format, Charset::Unicode)));
    }
    let stdout = io::stdout();
    let charset =
        if stdout.is_terminal() { Charset::of_terminal(|name| env::var(name).ok()) } else { Charset::Unicode };
    Ok(Box::new(Lines::new(stdout, output.format, charset)))
}

/// What an output did not get, and why. A reader that has left wanted no more.
fn failures(ended: Ended) -> Vec<Failure> {
    let Ended { name, lost, error } = ended;
    let mut failures = Vec::new();
    if let Some(error) = error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        failures.push(Failure { sentence: format!("Cannot write to {name}: {error}."), is_error: true });
    }
    if lost > 0 {
        let (events, were) = (words::count(lost, "event"), if lost == 1 { "was" } else { "were" });
        let sentence = format!("{events} {were} lost because {name} is too slow.");
        failures.push(Failure { sentence, is_error: false });
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(lost: u64, error: Option<io::ErrorKind>) -> Vec<(String, bool)> {
        let ended = Ended { name: "a.ndjson".to_owned(), lost, error: error.map(Into::into) };
        failures(ended).into_iter().map(|failure| (failure.sentence, failure.is_error)).collect()
    }

    #[test]
    fn what_was_lost_is_said_and_a_reader_that_left_is_no_failure() {
        assert_eq!(ended(0, None), []);
        assert_eq!(ended(0, Some(io::ErrorKind::BrokenPipe)), []);
        assert_eq!(ended(1, None), [("1 event was lost because a.ndjson is too slow.".to_owned(), false)]);
        let full = ended(2, Some(io::ErrorKind::StorageFull));
        assert!(full[0].1 && full[0].0.starts_with("Cannot write to a.ndjson: "), "{full:?}");
        assert!(full[1].0.starts_with("2 events were lost"), "{full:?}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let nowhere = Output { path: Some("no/such/folder/events".into()), ..Output::default() };
        assert!(Outputs::open(&[nowhere]).err().is_some_and(|error| error.contains("cannot be opened")));
    }
}
