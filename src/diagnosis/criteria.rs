//! What is asked of a diagnosis, and what it comes to.

use std::time::Duration;

use crate::detect::severity::Severity;

/// What a diagnosis comes to, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Judged, and nothing was found at the severity asked for.
    Healthy,
    /// It could not be judged.
    Inconclusive,
    /// Something was found.
    Findings,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Inconclusive, Self::Findings];

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

    /// The word for it to a rollout controller.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Healthy => "pass",
            Self::Findings => "fail",
            Self::Inconclusive => "inconclusive",
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
    /// The last of the time, over which these polls are counted while a target is watched; the whole time if not given.
    pub load_window: Option<Duration>,
}

impl Default for Criteria {
    fn default() -> Self {
        Self { fail_on: Severity::Warning, min_updates: 5, partial_passes: false, min_activity: 0.0, load_window: None }
    }
}
