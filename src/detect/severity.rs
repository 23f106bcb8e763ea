//! How bad a finding is, what kind of statement it makes, what it is about and where it stands: one closed set of words each.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is wrong, or is about to be.
    Warning,
    /// The service does not do its work.
    Critical,
}

impl Severity {
    /// The word for it in output and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What kind of statement a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Inferred from how numbers develop.
    Trend,
    /// Inferred from the state of things; there may be an innocent reason.
    Risk,
    /// Nothing else explains what the feed says.
    Proof,
}

impl Grade {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Proof, Self::Risk, Self::Trend];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Risk => "risk",
            Self::Proof => "proof",
        }
    }
}

/// What a detector is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Work piles up.
    Queue,
    /// Something will not go on.
    Stuck,
    /// Tasks wait for each other.
    Contention,
    /// A poll keeps its thread.
    Blocking,
    /// Tasks are dropped, or drop their place, before they get what they wait for.
    Cancellation,
    /// A task never rests and gets nowhere.
    Spin,
    /// Tasks are large.
    Size,
    /// The feed itself is in no state to be judged by.
    Feed,
}

impl Family {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Stuck => "stuck",
            Self::Contention => "contention",
            Self::Blocking => "blocking",
            Self::Cancellation => "cancellation",
            Self::Spin => "spin",
            Self::Size => "size",
            Self::Feed => "feed",
        }
    }
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Seen, not yet for long enough.
    Pending,
    /// Confirmed.
    Firing,
    /// Not seen any more.
    Resolved,
}

impl State {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Firing, Self::Resolved];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}
