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
    /// The target did too little for a fault to show.
    NoLoad {
        /// Polls that ended,
        polls: u64,
        /// in this time.
        watched: Duration,
    },
    /// The run ended before its warm-up was over.
    WarmingUp,
    /// A detector that must not fire needs to look back further than the run lasted.
    NotEvaluated {
        /// Its id.
        detector: &'static str,
    },
    /// Something has been waited for since before we attached, and nothing says who holds it.
    OldWaits,
    /// The command that was judged failed.
    CommandFailed(Failure),
    /// A process of the command that was judged could not serve its feed, because another one had the port.
    UnseenProcess,
    /// The run was ended before its time.
    Interrupted,
}

/// How a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// With an exit code other than zero.
    Code(i32),
    /// By a signal: its number and its name.
    Signal(i32, &'static str),
}

impl Failure {
    /// How it ended, as the end of a sentence.
    pub fn describe(self) -> String {
        match self {
            Self::Code(code) => format!("exit code {code}"),
            Self::Signal(number, name) => format!("signal {number} ({name})"),
        }
    }
}

impl Doubt {
    /// Every reason; the numbers in them are examples.
    pub const ALL: [Self; 19] = [
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
        Self::NoLoad { polls: 3, watched: Duration::from_secs(60) },
        Self::WarmingUp,
        Self::NotEvaluated { detector: "task-pileup" },
        Self::OldWaits,
        Self::CommandFailed(Failure::Code(101)),
        Self::UnseenProcess,
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
            Self::NoLoad { .. } => "no_load",
            Self::WarmingUp => "warming_up",
            Self::NotEvaluated { .. } => "not_evaluated",
            Self::OldWaits => "old_waits",
            Self::CommandFailed(_) => "command_failed",
            Self::UnseenProcess => "unseen_process",
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
            Self::NoLoad { polls, watched } => {
                return format!("no load, only {} in {}", words::count(polls, "poll"), words::limit(watched));
            }
            Self::WarmingUp => "the run ended within its warm-up",
            Self::NotEvaluated { detector } => return format!("the run was too short for {detector}"),
            Self::CommandFailed(failure) => return format!("the command ended with {}", failure.describe()),
            Self::UnseenProcess => "a process of the command could not serve its feed because another one had the port",
            Self::OldWaits => "tasks have waited since before the attach, and who holds what they wait for is unknown",
            Self::Interrupted => "interrupted before the time was up",
        };
        words.to_owned()
    }
}
