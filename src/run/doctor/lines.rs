//! Steps as lines: for people, or as JSON objects for programs.

use std::fs::File;
use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::alert::{SCHEMA, stamped};
use crate::config::output::{Format, Output};
use crate::doctor::{Checkup, Mark, Step, Topic};
use crate::report::sanitize::Charset;
use crate::run::print::{PrintError, printed};
use crate::words;

/// Where steps are written to.
pub(super) struct Lines {
    format: Format,
    charset: Charset,
    file: Option<File>,
}

impl Lines {
    /// Opens a place.
    ///
    /// # Errors
    /// A sentence about a file that cannot be written.
    pub(super) fn open(output: &Output, charset: Charset) -> Result<Self, String> {
        let open = |path| File::options().create(true).append(true).open(path);
        let file = output.path.as_ref().map(open).transpose();
        let file = file.map_err(|error| format!("Cannot write to {}: {error}.", output.place()))?;
        Ok(Self { format: output.format, charset, file })
    }

    /// Says which target is looked at.
    pub(super) fn begin(&mut self, target: &str) -> Result<(), PrintError> {
        if self.format == Format::Ndjson {
            let hello = json!({"schema": SCHEMA, "type": "hello", "version": env!("CARGO_PKG_VERSION")});
            return self.object(hello, target);
        }
        self.put(&self.charset.line(target))
    }

    /// Writes the results of steps.
    pub(super) fn steps(&mut self, steps: &[Step], target: &str) -> Result<(), PrintError> {
        if self.format == Format::Ndjson {
            return steps.iter().try_for_each(|step| self.object(object(step), target));
        }
        let (untried, tried): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| step.mark == Mark::Untried);
        let lines = tried.into_iter().flat_map(|step| text(step, self.charset)).chain(not_tried(&untried));
        lines.collect::<Vec<_>>().iter().try_for_each(|line| self.put(line))
    }

    /// Writes the result of all steps.
    pub(super) fn end(
        &mut self,
        checkup: &Checkup,
        (code, is_interrupted): (u8, bool),
        target: &str,
    ) -> Result<(), PrintError> {
        let counts = |mark| checkup.count(mark);
        if self.format == Format::Ndjson {
            let result = match (counts(Mark::Failed), counts(Mark::Warning)) {
                (0, 0) => Mark::Good,
                (0, _) => Mark::Warning,
                _ => Mark::Failed,
            };
            let object = json!({
                "type": "checkup",
                "result": result.as_str(),
                "exit_code": code,
                "good": counts(Mark::Good),
                "warning": counts(Mark::Warning),
                "failed": counts(Mark::Failed),
                "untried": counts(Mark::Untried),
            });
            return self.object(object, target);
        }
        let sentence = match (checkup.failed(), counts(Mark::Warning)) {
            (Some(step), _) => format!("It cannot be watched: see `{}` (exit code {code}).", step.topic.as_str()),
            (None, _) if is_interrupted => format!("Interrupted before the end of the look (exit code {code})."),
            (None, 0) => "It can be watched.".to_owned(),
            (None, some) => format!("It can be watched, with {}.", words::count(some, "warning")),
        };
        self.put(&sentence)
    }

    fn object(&mut self, object: Value, target: &str) -> Result<(), PrintError> {
        self.put(&stamped(object, target, SystemTime::now()))
    }

    /// Writes a line at once, to show progress.
    fn put(&mut self, line: &str) -> Result<(), PrintError> {
        let line = format!("{line}\n");
        let mut stdout = io::stdout().lock();
        let output: &mut dyn Write = self.file.as_mut().map_or(&mut stdout, |file| file);
        printed(output.write_all(line.as_bytes()).and_then(|()| output.flush())).map(drop)
    }
}

fn object(step: &Step) -> Value {
    json!({
        "type": "step",
        "step": step.topic.as_str(),
        "result": step.mark.as_str(),
        "fact": step.fact,
        "remedy": step.remedy,
    })
}

/// Width of the words of topics.
fn width() -> usize {
    Topic::all().map(|topic| topic.as_str().len()).max().unwrap_or_default()
}

/// The steps that could not be tried, in a line.
fn not_tried(steps: &[&Step]) -> Option<String> {
    let topics = steps.iter().map(|step| step.topic.as_str()).collect::<Vec<_>>().join(", ");
    (!steps.is_empty()).then(|| format!("  - {:width$}  {topics}", "not tried", width = width()))
}

/// A step in a line, and in another one what to do.
fn text(step: &Step, charset: Charset) -> Vec<String> {
    let sign = match (step.mark, charset) {
        (Mark::Good, Charset::Unicode) => "✓",
        (Mark::Good, Charset::Ascii) => "+",
        (Mark::Warning, _) => "!",
        (Mark::Failed, Charset::Unicode) => "✗",
        (Mark::Failed, Charset::Ascii) => "x",
        (Mark::Untried, _) => "-",
    };
    let width = width();
    let mut lines = vec![format!("  {sign} {:width$}  {}", step.topic.as_str(), charset.line(&step.fact))];
    lines.extend(step.remedy.as_ref().map(|remedy| format!("    {:width$}  {}", "", charset.line(remedy))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::live::examine::Stage;

    #[test]
    fn a_step_is_a_line_in_every_terminal_and_hides_nothing() {
        let step = Step::failed(Topic::Way(Stage::Port), "No \u{1b}[2Jone\nlistens.", "Start it.");
        assert_eq!(
            text(&step, Charset::Unicode),
            ["  ✗ port          No \\u{1b}[2Jone\\nlistens.", "                  Start it."]
        );
        let good = Step::good(Topic::Completeness, "It took 5 µs.");
        assert_eq!(text(&good, Charset::Ascii), ["  + completeness  It took 5 us."]);
        assert_eq!(object(&good)["remedy"], Value::Null);
    }
}
