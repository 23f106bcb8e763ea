//! Streams whose reading may panic: tonic does, for one, at a status whose details are not base64.

use std::pin::Pin;

use futures_util::stream::{self, Stream};
use hyper::rt::Executor;
use tonic::Status;

use crate::panics::{self, catch};

/// A stream of what a target sends, with whatever type it has.
pub(super) type Guarded<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The same stream, that ends with an error where reading it panics.
pub(super) fn guarded<T>(stream: impl Stream<Item = Result<T, Status>> + Send + 'static) -> Guarded<T> {
    let mut inner = Some(Box::pin(stream));
    Box::pin(stream::poll_fn(move |context| {
        let Some(stream) = &mut inner else { return None.into() };
        catch(|| stream.as_mut().poll_next(context)).unwrap_or_else(|panicked| {
            inner = None;
            Some(Err(Status::internal(panicked.to_string()))).into()
        })
    }))
}

/// Runs the tasks of a connection. One that panics ends, and with it the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedTasks;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for GuardedTasks {
    fn execute(&self, task: F) {
        tokio::spawn(async move {
            if let Err(panicked) = panics::caught(task).await {
                tracing::debug!(%panicked, "a task of a connection ended");
            }
        });
    }
}
