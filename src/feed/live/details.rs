//! The details streams of the tasks that somebody looks at. One that breaks loses its details, nothing else.

use console_api::Id;
use console_api::instrument::TaskDetailsRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::tasks::TaskDetails;
use futures_util::stream::{self, TryStreamExt};
use tokio_stream::{StreamExt, StreamMap};
use tonic::Code;

use crate::feed::Wanted;

use super::connect::Channel;
use super::guarded::{Guarded, guarded};

/// Streams that are open at a time, those of the lowest ids: each costs the target a clone of two histograms an update.
pub(super) const MAX_STREAMS: usize = 8;

/// The details streams of one connection.
pub(super) struct Details {
    client: InstrumentClient<Channel>,
    /// Those that are open, or were until the target closed them: they are not opened again.
    wanted: Wanted,
    open: StreamMap<u64, Guarded<TaskDetails>>,
}

impl Details {
    pub(super) fn new(client: InstrumentClient<Channel>) -> Self {
        Self { client, wanted: Wanted::new(), open: StreamMap::new() }
    }

    /// Opens the streams that are missing and closes those that are wanted no longer.
    pub(super) fn want(&mut self, wanted: &Wanted) {
        // Span ids are never 0: `tracing` cannot represent it, and a target refuses it.
        let wanted: Wanted = wanted.iter().copied().filter(|id| *id != 0).take(MAX_STREAMS).collect();
        for id in self.wanted.difference(&wanted) {
            self.open.remove(id);
        }
        for id in wanted.difference(&self.wanted) {
            self.open.insert(*id, open(self.client.clone(), *id));
        }
        self.wanted = wanted;
    }

    /// The next message of any of them; waits for ever while none is open.
    pub(super) async fn next(&mut self) -> TaskDetails {
        loop {
            match self.open.next().await {
                Some((_, Ok(details))) => return details,
                Some((id, Err(status))) => {
                    self.open.remove(&id);
                    // The task is gone: its last details stay what they were.
                    if status.code() != Code::NotFound {
                        tracing::debug!(id, %status, "a details stream failed");
                    }
                }
                None => return std::future::pending().await,
            }
        }
    }
}

fn open(mut client: InstrumentClient<Channel>, id: u64) -> Guarded<TaskDetails> {
    let call = async move {
        let request = TaskDetailsRequest { id: Some(Id { id }) };
        client.watch_task_details(request).await.map(tonic::Response::into_inner)
    };
    guarded(stream::once(call).try_flatten())
}
