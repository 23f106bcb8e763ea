//! The reading end of a feed in a test.

use tokio::time::timeout;
use tokio_canary::feed::{Arrived, Feed, FeedEvent, Status, Update};

use super::LIMIT;

/// Reads a feed until something expected comes; what comes before it is dropped.
pub(crate) struct Reader {
    pub(crate) feed: Feed,
}

impl Reader {
    pub(crate) async fn next(&mut self) -> FeedEvent {
        let arrived: Arrived =
            timeout(LIMIT, self.feed.events.recv()).await.expect("no event came").expect("the feed ended");
        arrived.event
    }

    pub(crate) async fn find<T>(&mut self, mut wanted: impl FnMut(FeedEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.next().await) {
                    return found;
                }
            }
        };
        timeout(LIMIT, search).await.expect("what was waited for never came")
    }

    pub(crate) async fn live(&mut self) {
        self.find(|event| matches!(event, FeedEvent::Status(Status::Live)).then_some(())).await;
    }

    /// The reason of the next loss.
    pub(crate) async fn lost(&mut self) -> String {
        self.find(|event| match event {
            FeedEvent::Status(Status::Lost { reason, .. }) => Some(reason),
            _ => None,
        })
        .await
    }

    pub(crate) async fn update(&mut self) -> Update {
        self.find(|event| match event {
            FeedEvent::Update(update) => Some(*update),
            _ => None,
        })
        .await
    }
}
