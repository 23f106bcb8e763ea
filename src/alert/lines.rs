//! Sinks that write lines to a file or to standard output.

use std::io::{self, Write};

use super::event::{Event, Summary};
use super::output::Format;
use super::sink::Sink;
use super::{ndjson, text};
use crate::report::sanitize::Charset;

/// Writes a line for each event that its format has a line for.
pub(super) struct Lines<W> {
    output: W,
    format: Format,
    charset: Charset,
}

impl<W: Write + Send> Lines<W> {
    /// Lines of a format; `charset` is what a terminal can show, if it is one.
    pub(super) fn new(output: W, format: Format, charset: Charset) -> Self {
        Self { output, format, charset }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.output.write_all(line.as_bytes())?;
        self.output.write_all(b"\n")?;
        self.output.flush()
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match self.format {
            Format::Text => text::line(event).map_or(Ok(()), |line| self.write(&self.charset.line(&line))),
            Format::Ndjson => self.write(&ndjson::line(event)),
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        for target in &summary.targets {
            match self.format {
                Format::Text => {
                    self.write(&self.charset.line(&text::summary_line(target, summary.is_verdict)))?;
                }
                Format::Ndjson => self.write(&ndjson::summary_line(target, summary.is_verdict))?,
            }
        }
        Ok(())
    }
}
