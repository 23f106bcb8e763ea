//! Where a diagnosis comes from: the only layer that talks to a target.

pub mod access;
pub mod discovery;
pub mod endpoint;
#[cfg(feature = "k8s")]
pub mod kubernetes;
#[cfg(not(feature = "k8s"))]
#[path = "without_kubernetes.rs"]
pub mod kubernetes;
pub mod lag;
pub mod listed;
pub mod live;
mod mapped;
pub mod pod_target;
mod queue;
mod quote;
pub mod recording;
mod update;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use console_api::tasks;
use tokio::sync::{mpsc, watch};

pub use self::mapped::mapped;
pub(crate) use self::pod_target::SCHEME as POD_SCHEME;
pub use self::update::Update;

/// One thing that a target reported, or that happened to the connection to it, with its local time of arrival.
///
/// The time is for what the target's own clock cannot say (silence, retries) and for replay at the recorded speed. Ages and durations
/// inside the target are computed from the `now` of its updates, never from this.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// When it reached us, by our clock; in a replay, when it reached the recorder.
    pub at: SystemTime,
    /// What it is.
    pub event: FeedEvent,
}

/// Everything that can come out of a feed.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// The connection changed.
    Status(Status),
    /// One message of `WatchUpdates`.
    Update(Box<Update>),
    /// One message of `WatchTaskDetails`, for a task in [`Wanted`].
    Details(Box<tasks::TaskDetails>),
    /// The target's temporality: `true` while it is paused, by whichever client.
    Paused(bool),
    /// A live target has sent no update for this long.
    Quiet(Duration),
    /// Nothing will follow.
    Ended(Ended),
}

/// Where the connection to a target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Looking up the address.
    Resolving,
    /// One of several things that may stand behind the address was chosen: a pod.
    Chosen {
        /// A phrase for the user, such as "pod `web-1` in namespace `shop`".
        place: String,
        /// Whether it is known not to be the process that was connected before.
        is_new: bool,
    },
    /// Dialling and subscribing.
    Dialing,
    /// Subscribed: updates are expected.
    Live,
    /// Not connected, and when the next attempt is made.
    Lost {
        /// A sentence for the user: what went wrong, and what to do about it.
        reason: String,
        /// By our clock.
        retry_at: SystemTime,
    },
    /// Something answers at the address, time and again, that is not a console. It is tried again, without much hope.
    Stranger {
        /// A sentence for the user: what answers, and what to do about it.
        reason: String,
        /// By our clock.
        retry_at: SystemTime,
    },
}

/// Why a feed came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A recording was played to its end.
    Complete,
    /// The program that was started to be watched has ended.
    Exited,
    /// A recording breaks off; everything before the cut was played.
    Truncated {
        /// What is wrong with the file, as a sentence.
        reason: String,
    },
}

/// Span ids of the tasks whose details streams should be open. The newest set replaces the one before.
pub type Wanted = BTreeSet<u64>;

/// A running feed of one target. Dropping it stops it.
#[derive(Debug)]
pub struct Feed {
    /// What it delivers, in order. Bounded: a reader that does not keep up holds the feed back, never grows memory.
    pub events: mpsc::Receiver<Arrived>,
    /// Which details streams to keep open.
    pub wanted: watch::Sender<Wanted>,
}
