//! How much of the truth the feed has told.

use std::time::Duration;

use super::lag::LagTrend;
use crate::model::time::Timestamp;

/// Time for which a loss makes conclusions doubtful that need complete data.
pub const LOSS_LASTS: Duration = Duration::from_secs(60);
/// A lag that is no longer the ordinary delay of one publish interval.
const LAGGING: Duration = Duration::from_secs(1);

/// What the feed has lost, delayed or garbled.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    /// Events about tasks that the target dropped, its buffer being full.
    pub dropped_tasks: u64,
    /// Events about resources that it dropped.
    pub dropped_resources: u64,
    /// Events about async ops that it dropped.
    pub dropped_ops: u64,
    /// When the last drop was reported.
    pub last_dropped: Option<Timestamp>,
    /// Tasks, resources and ops of which only the counters were ever sent.
    pub never_introduced: u64,
    /// Whether a task was woken that had no waker according to its counters: then the target has not counted all clones.
    pub clones_lost: bool,
    /// Parts of messages that made no sense, and were left out.
    pub malformed: u64,
    /// Number of times that everything was discarded because the target's clock had jumped.
    pub clock_resets: u64,
    /// How far the newest births lagged behind the target's clock, when that could last be told.
    pub lag: Option<Duration>,
    /// How that develops.
    pub lag_trend: LagTrend,
    /// For how long nothing has come although it should have.
    pub quiet: Option<Duration>,
    /// Whether some client has paused the target's feed.
    pub paused: bool,
}

/// Something that a feed withholds at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The target dropped events lately.
    DroppedEvents,
    /// It reports births late.
    Lagging,
    /// It has sent counters of things that it never introduced.
    NeverIntroduced,
    /// Parts of its messages made no sense.
    Malformed,
    /// Its clock hardly advances.
    Clock,
    /// Nothing arrives any more.
    Quiet,
    /// A client has paused it.
    Paused,
}

impl Withheld {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::DroppedEvents,
        Self::Lagging,
        Self::NeverIntroduced,
        Self::Malformed,
        Self::Clock,
        Self::Quiet,
        Self::Paused,
    ];

    /// The word for it in output for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DroppedEvents => "dropped_events",
            Self::Lagging => "lagging",
            Self::NeverIntroduced => "never_introduced",
            Self::Malformed => "malformed",
            Self::Clock => "clock",
            Self::Quiet => "quiet",
            Self::Paused => "paused",
        }
    }
}

impl Quality {
    /// What the feed withholds at present.
    pub fn withheld(&self, now: Timestamp) -> Vec<Withheld> {
        let checks = [
            (self.is_lossy(now), Withheld::DroppedEvents),
            (self.is_lagging(), Withheld::Lagging),
            (self.never_introduced > 0, Withheld::NeverIntroduced),
            (self.malformed > 0, Withheld::Malformed),
            (self.quiet.is_some(), Withheld::Quiet),
            (self.paused, Withheld::Paused),
        ];
        checks.into_iter().filter(|(holds, _)| *holds).map(|(_, withheld)| withheld).collect()
    }

    /// Events that the target dropped, of all kinds.
    pub fn dropped(&self) -> u64 {
        self.dropped_tasks + self.dropped_resources + self.dropped_ops
    }

    /// Whether events were lost so lately that counts of tasks and waits are not to be trusted.
    pub fn is_lossy(&self, now: Timestamp) -> bool {
        self.last_dropped.is_some_and(|at| now.since(at) < LOSS_LASTS)
    }

    /// Whether news of births arrive late, so that what waits now may not have been introduced yet.
    pub fn is_lagging(&self) -> bool {
        self.lag.is_some_and(|lag| lag > LAGGING)
    }
}
