//! Tell a machine, or a log: what happens in a diagnosis as lines on standard output.

mod ndjson;
mod stdout;
mod text;

use std::time::SystemTime;

pub use self::stdout::Stdout;
use crate::detect::finding::Transition;
use crate::detect::severity::Severity;
use crate::diagnosis::{Bar, Diagnosis, Verdict};

/// How the lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One sentence a line, for people and logs.
    Text,
    /// One JSON object a line (schema `tokio-canary.events/v1`), for programs.
    Ndjson,
}

/// Something worth a line.
#[derive(Debug)]
pub enum Event<'a> {
    /// The target is about to be watched.
    Hello,
    /// The connection changed.
    Status {
        /// When, by our clock.
        at: SystemTime,
    },
    /// A finding changed.
    Transition(&'a Transition),
    /// What the feed tells has become complete or incomplete.
    Quality {
        /// Why it is incomplete, each a short word; empty if it is not.
        reasons: &'a [&'static str],
    },
    /// Everything still works.
    Heartbeat,
    /// The last line about the target.
    Summary(&'a Summary),
}

/// What a run came to.
#[derive(Debug)]
pub struct Summary {
    /// The verdict.
    pub verdict: Verdict,
    /// The exit code that it means.
    pub exit_code: u8,
    /// Why it could not be judged, each a short word.
    pub doubts: Vec<&'static str>,
    /// Detectors that the run was too short for.
    pub not_evaluated: Vec<&'static str>,
}

impl Summary {
    /// What a diagnosis comes to, measured by a bar; `interrupted` if it was ended before its time.
    pub fn new(diagnosis: &Diagnosis, bar: Bar, interrupted: bool) -> Self {
        let mut doubts = diagnosis.doubts(bar);
        let mut verdict = diagnosis.verdict(bar);
        if interrupted {
            doubts.push("interrupted");
            if verdict == Verdict::Healthy {
                verdict = Verdict::Inconclusive;
            }
        }
        let exit_code = match verdict {
            Verdict::Healthy => 0,
            Verdict::Findings => 1,
            Verdict::Inconclusive => 3,
        };
        Self { verdict, exit_code, doubts, not_evaluated: diagnosis.not_evaluated() }
    }
}

impl Format {
    /// The line for an event, without its end; none if this format does not tell it.
    pub fn line(self, diagnosis: &Diagnosis, event: &Event<'_>) -> Option<String> {
        match self {
            Self::Text => text::line(diagnosis, event),
            Self::Ndjson => Some(ndjson::line(diagnosis, event)),
        }
    }
}

/// How many findings of each severity have fired so far, worst first.
fn tally(diagnosis: &Diagnosis) -> [(Severity, usize); 3] {
    [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| (severity, diagnosis.fired(severity)))
}
