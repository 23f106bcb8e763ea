//! An attempt to tell a receiver something: what came of it, and how long it may take.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long receivers may take for what is left when a run ends.
const END: Duration = Duration::from_secs(3);

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It was delivered.
    Delivered,
    /// It was not delivered, and may be later.
    Retry {
        /// Why: what the receiver did, in the past tense.
        why: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// The receiver does not want it.
    Refused {
        /// Why: what the receiver did, in the past tense.
        why: String,
        /// How many alerts are lost with it; none where they are offered again later.
        lost: u64,
    },
}

/// When a run that is ending gives up its receivers.
#[derive(Debug, Clone, Default)]
pub(in crate::alert) struct Ending(Arc<OnceLock<Instant>>);

impl Ending {
    /// The run ends.
    pub(in crate::alert) fn begin(&self) {
        self.0.get_or_init(|| Instant::now() + END);
    }

    /// How long something may take that takes no longer than `limit`.
    pub(super) fn within(&self, limit: Duration) -> Duration {
        let left = self.0.get().map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(limit, |left| left.min(limit))
    }
}
