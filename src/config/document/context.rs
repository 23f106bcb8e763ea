//! The file that is being read: its name, its lines, and what is wrong with it.

use std::ops::Range;
use std::sync::Arc;

use crate::config::fault::Fault;
use crate::config::origin::Origin;

/// The file that is being read.
#[derive(Debug)]
pub(super) struct Context<'a> {
    path: &'a Arc<str>,
    text: &'a str,
    faults: Vec<Fault>,
}

impl<'a> Context<'a> {
    /// A file of which nothing has been read yet.
    pub(super) fn new(path: &'a Arc<str>, text: &'a str) -> Self {
        Self { path, text, faults: Vec::new() }
    }

    /// The line at which a part of the file begins, as an origin.
    pub(super) fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Origin::File { path: Arc::clone(self.path), line: Some(line) }
    }

    /// The text of a part of the file.
    pub(super) fn text(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// Notes that a part of the file is wrong.
    pub(super) fn fault(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.faults.push(Fault::new(self.origin(span), what));
    }

    /// Notes what went wrong with a part of the file, if something did.
    pub(super) fn accept<T>(&mut self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.fault(span, what)).ok()
    }

    /// All that is wrong, in the order in which it was noted.
    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults
    }
}
