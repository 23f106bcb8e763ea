//! What is asked of a diagnosis, and what it comes to.

use crate::detect::severity::Severity;

/// What a diagnosis comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Judged, and nothing was found at the severity asked for.
    Healthy,
    /// Something was found.
    Findings,
    /// It could not be judged.
    Inconclusive,
}

impl Verdict {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Findings, Self::Inconclusive];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Findings => "findings",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The word with which a result begins.
    pub fn headline(self) -> &'static str {
        match self {
            Self::Healthy => "PASS",
            Self::Findings => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }

    /// The exit code that it means.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Findings => 1,
            Self::Inconclusive => 3,
        }
    }
}

/// What is asked of a diagnosis before it counts as healthy or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criteria {
    /// Findings of this severity or worse count.
    pub fail_on: Severity,
    /// Fewer updates than this are not enough to judge by.
    pub min_updates: u64,
    /// Whether an incomplete feed is good enough.
    pub partial_passes: bool,
    /// Fewer polls a second than this are no load under which a fault could show.
    pub min_activity: f64,
}

impl Default for Criteria {
    fn default() -> Self {
        Self { fail_on: Severity::Warning, min_updates: 5, partial_passes: false, min_activity: 0.0 }
    }
}
