//! A feed of which every event is changed on its way, before anything sees it.

use tokio::sync::mpsc;

use super::queue::Queue;
use super::{Arrived, Feed};

/// How many events may wait for the consumer.
const EVENTS: usize = 64;

/// The feed with every event changed.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn mapped(feed: Feed, change: impl FnMut(Arrived) -> Arrived + Send + 'static) -> Feed {
    let Feed { events: source, wanted } = feed;
    let (sink, events) = Queue::new(EVENTS);
    tokio::spawn(pass_on(source, sink, change));
    Feed { events, wanted }
}

async fn pass_on(mut source: mpsc::Receiver<Arrived>, mut sink: Queue, mut change: impl FnMut(Arrived) -> Arrived) {
    let mut closed = std::pin::pin!(sink.closed());
    loop {
        let next = tokio::select! {
            () = &mut closed => None,
            next = source.recv() => next,
        };
        let Some(arrived) = next else { break };
        if sink.send(change(arrived)).await.is_err() {
            break;
        }
    }
}
