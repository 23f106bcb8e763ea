//! Tell a machine, or a log: what happens in a diagnosis as lines on standard output.

mod ndjson;
mod outputs;
mod stdout;
mod text;

use std::time::SystemTime;

pub use self::outputs::Outputs;
pub use self::stdout::Stdout;
use crate::config::output::Format;
use crate::detect::finding::Transition;
use crate::detect::severity::Severity;
use crate::diagnosis::{Bar, Diagnosis, Verdict};

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

/// The line for an event, without its end; none if this format does not tell it.
fn line(format: Format, diagnosis: &Diagnosis, event: &Event<'_>) -> Option<String> {
    match format {
        Format::Text => text::line(diagnosis, event),
        Format::Ndjson => Some(ndjson::line(diagnosis, event)),
    }
}

/// How many findings of each severity have fired so far, worst first.
fn tally(diagnosis: &Diagnosis) -> [(Severity, usize); 3] {
    [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| (severity, diagnosis.fired(severity)))
}
