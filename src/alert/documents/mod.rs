//! Documents about a whole run, written when it ends: none of them is there before, and none is ever half written.

mod brief;
mod classes;
mod github;
mod junit;
mod place;
mod sarif;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use self::place::Place;
use super::event::{Event, Summary};
use super::sink::Sink;
use super::stream::Stream;
use crate::report::repository::Repository;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentFormat {
    /// A screen of Markdown.
    Brief,
    /// A test report.
    Junit,
    /// Annotations of a GitHub workflow, and its job summary.
    Github,
    /// Results of a code scanner.
    Sarif,
}

impl DocumentFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Brief, Self::Junit, Self::Github, Self::Sarif];

    /// The document about a run.
    ///
    /// # Errors
    /// The writer of the format refuses something in it.
    pub fn render(self, summary: &Summary, repository: &Repository) -> io::Result<String> {
        match self {
            Self::Brief => Ok(brief::render(summary, repository)),
            Self::Junit => junit::render(summary, repository),
            Self::Github => Ok(github::render(summary, repository)),
            Self::Sarif => Ok(sarif::render(summary, repository)),
        }
    }
}

/// Writes a document when the run ends.
pub(super) struct Document {
    format: DocumentFormat,
    place: Place,
    repository: Repository,
    /// The file to which a GitHub workflow wants the summary of a job to be appended.
    job_summary: Option<PathBuf>,
}

impl Document {
    /// One that goes to a stream.
    pub(super) fn to_stream(format: DocumentFormat, stream: Stream, repository: Repository) -> Self {
        Self { format, place: Place::Stream(stream), repository, job_summary: None }
    }

    /// One that replaces a file.
    ///
    /// # Errors
    /// No file can be written there.
    pub(super) fn to_file(format: DocumentFormat, path: PathBuf, repository: Repository) -> io::Result<Self> {
        Ok(Self { format, place: Place::file(path)?, repository, job_summary: None })
    }

    /// The same with a file to append the summary of a job to; only the format of a workflow does that.
    #[must_use]
    pub(super) fn with_job_summary(self, path: Option<PathBuf>) -> Self {
        let job_summary = path.filter(|_| self.format == DocumentFormat::Github);
        Self { job_summary, ..self }
    }
}

impl Sink for Document {
    fn take(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let text = self.format.render(summary, &self.repository)?;
        self.place.write(&text)?;
        let Some(path) = &self.job_summary else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(brief::render(summary, &self.repository).as_bytes())
    }
}
