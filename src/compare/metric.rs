//! What is measured of a target in each block of time.

use std::fmt;

use super::item::{Thing, Who};

/// A number that is measured in each block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Of what.
    pub subject: Subject,
    /// Which number.
    pub what: What,
}

/// What a number is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All tasks of the target.
    Target,
    /// The tasks of a spawn site.
    Site(Who),
    /// A lock, semaphore or channel.
    Thing(Thing),
}

/// Which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Tasks started a second.
    Started,
    /// Polls a second.
    Polls,
    /// Tasks a second that were dropped before they finished.
    Cancelled,
    /// Tasks alive.
    Live,
    /// Time in polls, of each second.
    Busy,
    /// Time waited by all who waited, of each second.
    Waited,
    /// Things queued.
    Depth,
    /// Mean time of a poll.
    MeanPoll,
    /// Longest poll of the block: the longest mean between two updates, which is all that the feed says.
    LongestPoll,
    /// Median lifetime of the tasks that ended.
    MedianLife,
    /// Lifetime that 90 % of them did not exceed.
    LongLife,
    /// Median wait until it was acquired.
    MedianWait,
    /// Wait that 90 % did not exceed.
    LongWait,
    /// Median time from one grant to the next while somebody waited: that is how long it was held.
    Held,
    /// Mean delay between a wake and the poll that follows.
    Delay,
}

/// The families of metrics, each with its own share of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Counts and rates.
    Rate,
    /// Quantiles and means of times.
    Time,
}

impl What {
    /// The family it belongs to.
    pub fn kind(self) -> Kind {
        match self {
            Self::Started | Self::Polls | Self::Cancelled | Self::Live | Self::Busy | Self::Waited | Self::Depth => {
                Kind::Rate
            }
            Self::MeanPoll
            | Self::LongestPoll
            | Self::MedianLife
            | Self::LongLife
            | Self::MedianWait
            | Self::LongWait
            | Self::Held
            | Self::Delay => Kind::Time,
        }
    }

    /// The least value on the canary, and the least difference, that is worth a word.
    pub fn floor(self) -> f64 {
        match self {
            Self::Started => 1.0,
            Self::Polls => 50.0,
            Self::Cancelled => 0.3,
            Self::Live => 10.0,
            Self::Depth => 20.0,
            Self::Busy | Self::Waited => 0.05,
            Self::MeanPoll | Self::Delay => 0.001,
            Self::LongestPoll => 0.02,
            Self::MedianWait | Self::Held => 0.002,
            Self::MedianLife | Self::LongLife | Self::LongWait => 0.01,
        }
    }

    /// Whether it rises with the load more than the load does, as whatever has to do with queueing: it is not compared under another load.
    pub fn depends_on_load(self) -> bool {
        matches!(
            self,
            Self::Live
                | Self::Waited
                | Self::Depth
                | Self::MedianLife
                | Self::LongLife
                | Self::MedianWait
                | Self::LongWait
                | Self::Delay
        )
    }

    /// Whether it comes of queueing: where a lock or a worker is busy nearly all the time, a little more work waits much longer.
    pub fn is_of_queueing(self) -> bool {
        matches!(self, Self::Waited | Self::Depth | Self::MedianWait | Self::LongWait | Self::Delay)
    }

    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "tasks_started",
            Self::Polls => "polls",
            Self::Cancelled => "tasks_cancelled",
            Self::Live => "tasks_alive",
            Self::Busy => "poll_time",
            Self::Waited => "wait_time",
            Self::Depth => "queued",
            Self::MeanPoll => "poll_mean",
            Self::LongestPoll => "poll_longest",
            Self::MedianLife => "lifetime_p50",
            Self::LongLife => "lifetime_p90",
            Self::MedianWait => "wait_p50",
            Self::LongWait => "wait_p90",
            Self::Held => "held_p50",
            Self::Delay => "scheduling_delay",
        }
    }

    /// The name for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Started => "tasks started",
            Self::Polls => "polls",
            Self::Cancelled => "cancelled tasks",
            Self::Live => "live tasks",
            Self::Busy => "time in polls per second",
            Self::Waited => "time waited per second",
            Self::Depth => "queue length",
            Self::MeanPoll => "mean poll",
            Self::LongestPoll => "longest poll",
            Self::MedianLife => "median lifetime",
            Self::LongLife => "lifetime (p90)",
            Self::MedianWait => "median wait",
            Self::LongWait => "wait (p90)",
            Self::Held => "hold time (median)",
            Self::Delay => "scheduling delay",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Started | Self::Cancelled => "tasks/s",
            Self::Polls => "polls/s",
            Self::Live => "tasks",
            Self::Depth => "messages",
            _ => "s",
        }
    }

    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Started,
        Self::Polls,
        Self::Cancelled,
        Self::Live,
        Self::Busy,
        Self::Waited,
        Self::Depth,
        Self::MeanPoll,
        Self::LongestPoll,
        Self::MedianLife,
        Self::LongLife,
        Self::MedianWait,
        Self::LongWait,
        Self::Held,
        Self::Delay,
    ];
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => f.write_str("all tasks"),
            Self::Site(who) => who.fmt(f),
            Self::Thing(thing) => thing.fmt(f),
        }
    }
}
