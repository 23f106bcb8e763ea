//! All places to which a run writes.

use std::fs::OpenOptions;

use super::{Event, Stdout, line};
use crate::config::output::{Format, Output};
use crate::diagnosis::Diagnosis;

/// All places to which a run writes, each behind a thread of its own.
#[derive(Debug)]
pub struct Outputs(Vec<(Format, Stdout)>);

impl Outputs {
    /// Opens each of them.
    ///
    /// # Errors
    /// A sentence about a file that cannot be opened.
    pub fn open<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Result<Self, String> {
        let open = |output: &Output| {
            let Some(path) = &output.path else { return Ok((output.format, Stdout::open())) };
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| format!("The output {} cannot be opened: {error}.", path.display()))?;
            Ok((output.format, Stdout::over(file)))
        };
        outputs.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Writes what happened, to each in its format.
    pub fn say(&self, diagnosis: &Diagnosis, event: &Event<'_>) {
        for (format, output) in &self.0 {
            if let Some(line) = line(*format, diagnosis, event) {
                output.line(line);
            }
        }
    }

    /// Whether one of them takes nothing any more.
    pub fn is_closed(&self) -> bool {
        self.0.iter().any(|(_, output)| output.is_closed())
    }

    /// Writes what is left, and returns how many lines were lost because they were not taken.
    pub fn finish(self) -> u64 {
        self.0.into_iter().map(|(_, output)| output.finish()).sum()
    }
}
