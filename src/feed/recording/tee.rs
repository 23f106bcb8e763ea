//! Puts a recorder between a feed and its consumer.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::feed::queue::Queue;
use crate::feed::{Arrived, Feed};

use super::{Flusher, RecordError, Recorder, Written};

/// How many events may wait for the consumer.
const EVENTS: usize = 64;

/// A feed that is recorded.
#[derive(Debug)]
pub struct Tee {
    /// The feed, with everything that the recorded one delivers. It continues when the recording fails.
    pub feed: Feed,
    /// Resolves when the recording has ended: after the feed has, was dropped or was asked to end, and the file is closed; or as soon as
    /// it fails. Wait for this before the process exits.
    pub done: JoinHandle<Result<Written, RecordError>>,
    /// Brings to the disk what was recorded so far.
    pub flusher: Flusher,
    /// Ends the feed and the recording, whatever the consumer is doing.
    pub end: Arc<Notify>,
}

/// Records a feed while it is consumed.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn tee(feed: Feed, recorder: Recorder) -> Tee {
    let Feed { events: source, wanted } = feed;
    let (sink, events) = Queue::new(EVENTS);
    let (ended, done) = oneshot::channel();
    let (flusher, end) = (recorder.flusher(), Arc::new(Notify::new()));
    tokio::spawn(pass_on(source, sink, (recorder, ended), Arc::clone(&end)));
    let done = tokio::spawn(async move { done.await.unwrap_or(Err(RecordError::Over)) });
    Tee { feed: Feed { events, wanted }, done, flusher, end }
}

async fn pass_on(mut source: mpsc::Receiver<Arrived>, mut sink: Queue, recording: Recording, end: Arc<Notify>) {
    let mut recording = Some(recording);
    let mut closed = std::pin::pin!(sink.closed());
    loop {
        let next = tokio::select! {
            () = end.notified() => None,
            () = &mut closed => None,
            next = source.recv() => next,
        };
        let Some(arrived) = next else { break };
        recording = match recording {
            Some((recorder, ended)) => record(recorder, ended, &arrived).await,
            None => None,
        };
        let is_sent = tokio::select! {
            () = end.notified() => false,
            sent = sink.send(arrived) => sent.is_ok(),
        };
        if !is_sent {
            break;
        }
    }
    if let Some((recorder, ended)) = recording {
        // Whoever wants to know waits for it.
        let _ = ended.send(recorder.finish().await);
    }
}

type Recording = (Recorder, oneshot::Sender<Result<Written, RecordError>>);

/// Records one event; `None` if that ended the recording.
async fn record(
    mut recorder: Recorder,
    ended: oneshot::Sender<Result<Written, RecordError>>,
    arrived: &Arrived,
) -> Option<Recording> {
    match recorder.record(arrived).await {
        Ok(()) => Some((recorder, ended)),
        Err(error) => {
            tracing::error!(%error, "the recording failed; the feed continues");
            let _ = ended.send(Err(error));
            None
        }
    }
}
