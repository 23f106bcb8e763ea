//! The steps that only recordings have.

use std::time::SystemTime;

use super::seen::Seen;
use super::step::{Mark, Step, Topic};
use crate::feed::Ended;
use crate::words;

/// A recording before it is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its size in bytes.
    pub bytes: u64,
    /// The target as it was called when it was recorded.
    pub target: String,
    /// The version of the tool that recorded it.
    pub version: String,
}

/// The steps that judge the file of a recording. The error says why a file cannot be opened.
pub fn recording(file: &Result<File, String>, seen: &Seen) -> Vec<Step> {
    let file = match file {
        Ok(file) => file,
        Err(sentences) => return vec![Step::split(Topic::File, Mark::Failed, sentences)],
    };
    let size = words::bytes(file.bytes);
    let mut steps = vec![
        Step::good(Topic::File, format!("A recording of {size}.")),
        Step::good(Topic::Recorder, format!("Recorded by tokio-canary {} from {}.", file.version, file.target)),
        match &seen.ended {
            Some(Ended::Truncated { reason }) => Step {
                remedy: Some(
                    "Everything before the cut is played. Let `record` end by itself, by Ctrl-C or SIGTERM, and see that the disk has room."
                        .to_owned(),
                ),
                ..Step::split(Topic::Completeness, Mark::Warning, reason)
            },
            Some(Ended::Complete | Ended::Exited) => Step::good(Topic::Completeness, "It was closed properly."),
            None => Step::failed(Topic::Completeness, "It was not played to its end.", "Run doctor again, and let it end."),
        },
    ];
    steps.push(match seen.span {
        Some((first, last)) => {
            let length = words::duration(last.duration_since(first).unwrap_or_default());
            Step::good(Topic::Span, format!("{} to {}, {length}.", time(first), time(last)))
        }
        None => Step::failed(Topic::Span, "It holds no events.", "Record the service again, for longer."),
    });
    steps
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
