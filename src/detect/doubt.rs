//! Why a target cannot be judged.

use std::time::Duration;

use crate::words;

/// A reason why nothing found does not mean healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing was ever heard of the target.
    NeverConnected,
    /// Something else answers where the target should be.
    NotAConsole,
    /// The connection was lost and has not come back.
    ConnectionLost,
    /// The recording ends in the middle of a message.
    RecordingTruncated,
    /// A client has paused the feed.
    Paused,
    /// The target stopped sending updates.
    Quiet,
    /// The target reports too little about itself.
    NotInstrumented,
    /// The feed withheld something, or reported it late.
    Partial,
    /// Parts of what the target sent made no sense.
    Malformed,
    /// The target's clock hardly advanced.
    Clock {
        /// Time by the target's clock,
        advanced: Duration,
        /// and by ours.
        watched: Duration,
    },
    /// The target's clock jumped, so that everything from before was discarded.
    ClockReset,
    /// Fewer updates arrived than a verdict needs.
    TooFewUpdates {
        /// How many did.
        arrived: u64,
    },
    /// Something has been waited for since before we attached, and nothing says who holds it.
    OldWaits,
    /// The run was ended before its time.
    Interrupted,
}

impl Doubt {
    /// Every reason; the numbers in them are examples.
    pub const ALL: [Self; 14] = [
        Self::NeverConnected,
        Self::NotAConsole,
        Self::ConnectionLost,
        Self::RecordingTruncated,
        Self::Paused,
        Self::Quiet,
        Self::NotInstrumented,
        Self::Partial,
        Self::Malformed,
        Self::Clock { advanced: Duration::from_secs(3), watched: Duration::from_secs(60) },
        Self::ClockReset,
        Self::TooFewUpdates { arrived: 3 },
        Self::OldWaits,
        Self::Interrupted,
    ];

    /// The word for it in output for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverConnected => "never_connected",
            Self::NotAConsole => "not_a_console",
            Self::ConnectionLost => "connection_lost",
            Self::RecordingTruncated => "recording_truncated",
            Self::Paused => "paused",
            Self::Quiet => "quiet",
            Self::NotInstrumented => "not_instrumented",
            Self::Partial => "partial",
            Self::Malformed => "malformed",
            Self::Clock { .. } => "clock",
            Self::ClockReset => "clock_reset",
            Self::TooFewUpdates { .. } => "too_few_updates",
            Self::OldWaits => "old_waits",
            Self::Interrupted => "interrupted",
        }
    }

    /// The reason in words, as part of a sentence.
    pub fn describe(self) -> String {
        let words = match self {
            Self::NeverConnected => "no update ever arrived",
            Self::NotAConsole => "what answers there is not a console-subscriber endpoint",
            Self::ConnectionLost => "the connection was lost",
            Self::RecordingTruncated => "the recording is cut off",
            Self::Paused => "a client has paused the feed",
            Self::Quiet => "updates stopped arriving",
            Self::NotInstrumented => "the target is not instrumented",
            Self::Partial => "the feed was incomplete",
            Self::Malformed => "parts of its messages made no sense",
            Self::Clock { advanced, watched } => {
                let (advanced, watched) = (words::duration(advanced), words::duration(watched));
                return format!("the target's clock advanced by {advanced} in {watched}");
            }
            Self::ClockReset => "the target's clock jumped, and what came before was discarded",
            Self::TooFewUpdates { arrived } => return format!("only {} arrived", words::count(arrived, "update")),
            Self::OldWaits => "tasks have waited since before the attach, and who holds what they wait for is unknown",
            Self::Interrupted => "interrupted before the time was up",
        };
        words.to_owned()
    }
}
