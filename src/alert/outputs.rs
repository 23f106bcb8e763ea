//! All outputs of a run: each gets every event, and none can delay another.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use super::documents::{Document, DocumentFormat};
use super::event::{Event, Summary};
use super::limit::{Limiter, Limits};
use super::lines::{LineFormat, Lines};
use super::names::Names;
use super::outlet::{Ended, Outlet};
use super::push::{Ending, Notify, Push};
use super::stream::Stream;
use crate::config::Sourced;
use crate::config::output::{Format, Output};
use crate::config::receiver::Receiver;
use crate::fleet::{Fleet, Step};
use crate::report::repository::Repository;
use crate::report::sanitize::Charset;
use crate::words;

/// The variable by which a GitHub workflow names the file for the summary of a job.
pub const JOB_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The outputs of a run.
#[derive(Default)]
pub struct Outputs {
    outlets: Vec<Outlet>,
    limiter: Limiter,
    /// When the receivers among them are given up.
    ending: Ending,
    has_receivers: bool,
    /// The names of the receivers, of which no two are the same.
    names: Names,
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
    pub fn open<'a>(outputs: impl IntoIterator<Item = &'a Output>, repository: &Repository) -> Result<Self, String> {
        let (mut opened, mut has_github) = (Self::default(), false);
        for output in outputs {
            let outlet = open(output, repository);
            let outlet = outlet.map_err(|error| format!("The output {output} cannot be opened: {error}."))?;
            opened.outlets.push(outlet);
            has_github |= output.format == Format::Github;
        }
        let job_summary = env::var_os(JOB_SUMMARY).filter(|path| has_github && !path.is_empty()).map(PathBuf::from);
        if let Some(path) = job_summary {
            let outlet = open_job_summary(&path, repository);
            let outlet = outlet.map_err(|error| {
                format!("The job summary {} ({JOB_SUMMARY}) cannot be opened: {error}.", path.display())
            })?;
            opened.outlets.push(outlet);
        }
        Ok(opened)
    }

    /// The same with a rate limit for findings, where there is one.
    #[must_use]
    pub fn limited(mut self, limits: Option<Limits>) -> Self {
        self.limiter = limits.map(Limiter::new).unwrap_or_default();
        self
    }

    /// Adds receivers, which use `notify` to say how they do.
    ///
    /// # Errors
    /// A sentence about the one that lacks something.
    pub fn add_receivers(&mut self, receivers: &[Sourced<Receiver>], notify: &Notify) -> Result<(), String> {
        let secrets: Vec<_> = receivers.iter().flat_map(|it| it.value.secrets()).collect();
        for Sourced { value, origin } in receivers {
            let push = Push::open(value, &secrets, Arc::clone(notify), self.ending.clone());
            let push = push.map_err(|what| format!("{origin}: {what}."))?;
            let name = self.names.number(push.name());
            let push = push.named(name);
            let outlet = Outlet::start(push.name().to_owned(), Box::new(push), Arc::default());
            self.outlets.push(outlet.map_err(|error| format!("{origin}: no thread can be started: {error}."))?);
            self.has_receivers = true;
        }
        Ok(())
    }

    /// Whether there are receivers, which take longer than files to be done.
    pub fn has_receivers(&self) -> bool {
        self.has_receivers
    }

    /// Takes in a step.
    pub fn take(&mut self, step: &Step, fleet: &Fleet) {
        let events = self.admit(step, fleet);
        self.put(events);
    }

    /// The events that a step means to the outputs, to be put to them.
    pub fn admit(&mut self, step: &Step, fleet: &Fleet) -> Vec<Event> {
        self.limiter.pass(step, fleet, Event::of(step, fleet))
    }

    /// Says that everything still works.
    pub fn heartbeat(&self, fleet: &Fleet) {
        self.put(Event::heartbeats(fleet));
    }

    /// What the user knows each output by, and how many events it did not take in time or gave up.
    pub fn lost(&self) -> Vec<(String, u64)> {
        self.outlets.iter().map(Outlet::lost).collect()
    }

    /// Whether no output takes anything any more.
    pub fn are_closed(&self) -> bool {
        !self.outlets.is_empty() && self.outlets.iter().all(Outlet::is_closed)
    }

    /// Whether every output has ended by an error: none has a reader that has left, or waits for more.
    pub fn have_failed(&self) -> bool {
        !self.outlets.is_empty() && self.outlets.iter().all(Outlet::has_failed)
    }

    /// Ends the outputs with the run's summary when they have written what is left, or without it once they are given up. Returns what
    /// some of them did not get.
    pub async fn finish(mut self, summary: Summary, give_up: impl Future<Output = ()>) -> Vec<Failure> {
        let held_back = self.limiter.flush();
        self.put(held_back);
        self.ending.begin();
        let summary = Arc::new(summary);
        // All of them get it before the first one is waited for.
        let closing: Vec<_> = self.outlets.into_iter().map(|outlet| outlet.close(&summary)).collect();
        let (mut give_up, mut is_given_up, mut failed) = (pin!(give_up), false, Vec::new());
        for closing in closing {
            let given_up = async {
                if !is_given_up {
                    give_up.as_mut().await;
                }
            };
            let ended = closing.wait(given_up).await;
            is_given_up |= ended.unwritten.is_some();
            failed.extend(failures(ended));
        }
        failed
    }

    /// Hands events to every output.
    pub fn put(&self, events: Vec<Event>) {
        for event in events.into_iter().map(Arc::new) {
            self.outlets.iter().for_each(|outlet| outlet.put(&event));
        }
    }
}

fn open(output: &Output, repository: &Repository) -> io::Result<Outlet> {
    match output.format {
        Format::Text => open_lines(output, LineFormat::Text),
        Format::Ndjson => open_lines(output, LineFormat::Ndjson),
        Format::Brief => open_document(output, DocumentFormat::Brief, repository),
        Format::Junit => open_document(output, DocumentFormat::Junit, repository),
        Format::Github => open_document(output, DocumentFormat::Github, repository),
        Format::Sarif => open_document(output, DocumentFormat::Sarif, repository),
    }
}

fn open_lines(output: &Output, format: LineFormat) -> io::Result<Outlet> {
    let (stream, charset) = match &output.path {
        // Logs and files are UTF-8 whatever the terminal is.
        Some(path) => (Stream::new(OpenOptions::new().create(true).append(true).open(path)?), Charset::Unicode),
        None if io::stdout().is_terminal() => {
            (Stream::standard_output()?, Charset::of_terminal(|name| env::var(name).ok()))
        }
        None => (Stream::standard_output()?, Charset::Unicode),
    };
    let reader_left = stream.watch_reader()?;
    Outlet::start(output.place(), Box::new(Lines::new(stream, format, charset)), reader_left)
}

fn open_document(output: &Output, format: DocumentFormat, repository: &Repository) -> io::Result<Outlet> {
    let (document, reader_left) = if let Some(path) = &output.path {
        (Document::to_file(format, path.clone(), repository.clone())?, Arc::default())
    } else {
        let stream = Stream::standard_output()?;
        let reader_left = stream.watch_reader()?;
        (Document::to_stream(format, stream, repository.clone()), reader_left)
    };
    Outlet::start(output.place(), Box::new(document), reader_left)
}

/// The brief for the job of a workflow, whose runner wants it appended.
fn open_job_summary(path: &Path, repository: &Repository) -> io::Result<Outlet> {
    let stream = Stream::new(OpenOptions::new().create(true).append(true).open(path)?);
    let reader_left = stream.watch_reader()?;
    let document = Document::to_stream(DocumentFormat::Brief, stream, repository.clone());
    Outlet::start(path.display().to_string(), Box::new(document), reader_left)
}

/// What an output did not get, and why. A reader that has left wanted no more.
fn failures(ended: Ended) -> Vec<Failure> {
    let Ended { name, lost, unwritten, error } = ended;
    let mut failures = Vec::new();
    if let Some(error) = error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        failures.push(Failure { sentence: format!("Cannot write to {name}: {error}."), is_error: true });
    }
    if let Some(unwritten) = unwritten {
        let events = if unwritten == 0 { String::new() } else { format!("{} and ", words::count(unwritten, "event")) };
        let (verb, summary) = if unwritten == 0 { ("was", "The summary") } else { ("were", "the summary") };
        let sentence = format!("{events}{summary} {verb} not written, because nobody reads {name}.");
        failures.push(Failure { sentence, is_error: true });
    }
    if lost > 0 {
        let (were, them) = if lost == 1 { ("was", "it") } else { ("were", "them") };
        let sentence = format!("{} {were} lost: {name} did not take {them} in time.", words::count(lost, "event"));
        failures.push(Failure { sentence, is_error: false });
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(lost: u64, error: Option<io::ErrorKind>) -> Vec<(String, bool)> {
        said(Ended { name: "a.ndjson".to_owned(), lost, unwritten: None, error: error.map(Into::into) })
    }

    fn said(ended: Ended) -> Vec<(String, bool)> {
        failures(ended).into_iter().map(|failure| (failure.sentence, failure.is_error)).collect()
    }

    #[test]
    fn what_was_lost_is_said_and_a_reader_that_left_is_no_failure() {
        assert_eq!(ended(0, None), []);
        assert_eq!(ended(0, Some(io::ErrorKind::BrokenPipe)), []);
        assert_eq!(ended(1, None), [("1 event was lost: a.ndjson did not take it in time.".to_owned(), false)]);
        let full = ended(2, Some(io::ErrorKind::StorageFull));
        assert!(full[0].1 && full[0].0.starts_with("Cannot write to a.ndjson: "), "{full:?}");
        assert!(full[1].0.starts_with("2 events were lost"), "{full:?}");
    }

    #[test]
    fn what_an_output_that_hangs_did_not_get_is_said() {
        let hung = |unwritten| Ended { name: "b".to_owned(), lost: 0, unwritten: Some(unwritten), error: None };
        let sentence = "The summary was not written, because nobody reads b.";
        assert_eq!(said(hung(0)), [(sentence.to_owned(), true)]);
        let sentence = "2 events and the summary were not written, because nobody reads b.";
        assert_eq!(said(hung(2)), [(sentence.to_owned(), true)]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let nowhere = Output { path: Some("no/such/folder/events".into()), ..Output::default() };
        assert!(
            Outputs::open(&[nowhere], &Repository::default())
                .err()
                .is_some_and(|error| error.contains("cannot be opened"))
        );
    }
}
