//! Documents about a whole run, written when it ends: none of them is there before, and none is ever half written.

mod brief;
mod github;
mod junit;
mod remark;
mod sarif;

use std::io::{self, Write};
use std::path::PathBuf;

use super::event::{Event, Summary};
use super::sink::Sink;
use super::stream::Stream;
use crate::files;
use crate::report::comparison::ComparisonView;
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

    /// The document about a comparison.
    ///
    /// # Errors
    /// As [`DocumentFormat::render`].
    pub fn render_comparison(self, view: &ComparisonView, repository: &Repository) -> io::Result<String> {
        match self {
            Self::Brief => Ok(brief::render_comparison(view, repository)),
            Self::Junit => junit::render_comparison(view, repository),
            Self::Github => Ok(github::render_comparison(view, repository)),
            Self::Sarif => Ok(sarif::render_comparison(view, repository)),
        }
    }
}

/// Writes a document when the run ends.
pub(super) struct Document {
    format: DocumentFormat,
    place: Place,
    repository: Repository,
}

/// Where a document goes.
enum Place {
    /// To whoever reads this.
    Stream(Stream),
    /// To a file that is replaced.
    File(PathBuf),
}

impl Document {
    /// One that goes to a stream.
    pub(super) fn to_stream(format: DocumentFormat, stream: Stream, repository: Repository) -> Self {
        Self { format, place: Place::Stream(stream), repository }
    }

    /// One that replaces a file. What would fail at the end of a run fails at its beginning.
    ///
    /// # Errors
    /// No file can be written there.
    pub(super) fn to_file(format: DocumentFormat, path: PathBuf, repository: Repository) -> io::Result<Self> {
        files::check_replaceable(&path)?;
        Ok(Self { format, place: Place::File(path), repository })
    }
}

impl Sink for Document {
    fn take(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let text = self.format.render(summary, &self.repository)?;
        match &mut self.place {
            Place::Stream(stream) => stream.write_all(text.as_bytes()),
            Place::File(path) => files::replace(path, text.as_bytes()),
        }
    }
}
