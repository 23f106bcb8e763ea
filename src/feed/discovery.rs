//! Targets that come and go while a run lasts: what finds them says so, one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::endpoint::Target;

/// Something that finds targets. Dropping it stops it.
#[derive(Debug)]
pub struct Discovery {
    /// What it has found, in order. It ends when nothing more can be found.
    pub events: mpsc::Receiver<Discovered>,
}

/// Events that may wait to be taken.
pub(super) const WAITING: usize = 64;

/// Several as one, which is complete once each of them is; nothing for none.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn all_of(mut discoveries: Vec<Discovery>) -> Option<Discovery> {
    if discoveries.len() < 2 {
        return discoveries.pop();
    }
    let (sender, events) = mpsc::channel(WAITING);
    let incomplete = Arc::new(AtomicUsize::new(discoveries.len()));
    for discovery in discoveries {
        tokio::spawn(forward(discovery, sender.clone(), Arc::clone(&incomplete)));
    }
    Some(Discovery { events })
}

async fn forward(mut from: Discovery, to: mpsc::Sender<Discovered>, incomplete: Arc<AtomicUsize>) {
    loop {
        let event = tokio::select! {
            () = to.closed() => return,
            event = from.events.recv() => event,
        };
        let Some(event) = event else { return };
        if event == Discovered::Complete && incomplete.fetch_sub(1, Ordering::Relaxed) > 1 {
            continue;
        }
        if to.send(event).await.is_err() {
            return;
        }
    }
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
    /// A target is being taken away: its process will be asked to end, and [`Left`](Self::Left) follows. Not every search can say so.
    Leaving {
        /// The key with which it joined.
        key: String,
    },
    /// A target is gone. A key that nobody knows changes nothing.
    Left {
        /// The key with which it joined.
        key: String,
        /// Whether its process is known to have failed.
        has_failed: bool,
    },
    /// Nothing can be found at present. What was found stays; the search goes on.
    Lost {
        /// A sentence for the user: what went wrong, and what to do about it.
        reason: String,
    },
    /// The initial list is complete. Sent once.
    Complete,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_are_complete_once_each_of_them_is() {
        let (one, first) = mpsc::channel(WAITING);
        let (other, second) = mpsc::channel(WAITING);
        let both = vec![Discovery { events: first }, Discovery { events: second }];
        let mut all = all_of(both).expect("two of them");
        let left = |key: &str| Discovered::Left { key: key.to_owned(), has_failed: false };
        one.send(Discovered::Complete).await.expect("it listens");
        one.send(left("a")).await.expect("it listens");
        assert_eq!(all.events.recv().await, Some(left("a")));
        other.send(Discovered::Complete).await.expect("it listens");
        assert_eq!(all.events.recv().await, Some(Discovered::Complete));
        drop(all);
        other.closed().await;
    }
}
