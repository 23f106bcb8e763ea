//! Targets that come and go while a run lasts: what finds them says so, one at a time.

use tokio::sync::mpsc;

use super::endpoint::Target;

/// Something that finds targets. Dropping it stops it.
#[derive(Debug)]
pub struct Discovery {
    /// What it has found, in order. It ends when nothing more can be found.
    pub events: mpsc::Receiver<Discovered>,
}

/// One thing that was found out about targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovered {
    /// A target is there from now on.
    Joined {
        /// Identifies it among those that are there, such as the unique id of a pod. One that is there already is not opened again.
        key: String,
        /// What it is called.
        name: String,
        /// How to reach it.
        target: Target,
    },
    /// A target is gone. A key that nobody knows changes nothing.
    Left {
        /// The key with which it joined.
        key: String,
    },
    /// Nothing can be found at present. What was found stays; the search goes on.
    Lost {
        /// A sentence for the user: what went wrong, and what to do about it.
        reason: String,
    },
    /// Everything that was there at the beginning has been said. It is said once.
    Complete,
}
