//! A connection to one port of a pod, and what the server says of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::DuplexStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// What belongs to a connection besides its bytes. It is cut when this is dropped.
#[derive(Debug)]
pub(super) struct Forward {
    error: oneshot::Receiver<String>,
    task: AbortHandle,
}

impl Forward {
    /// Opens a connection.
    ///
    /// # Errors
    /// The API server does not let us, or is not there.
    pub(super) async fn open(pods: &Api<Pod>, name: &str, port: u16) -> kube::Result<(DuplexStream, Self)> {
        let mut forwarder = pods.portforward(name, &[port]).await?;
        let (stream, said) = (forwarder.take_stream(port), forwarder.take_error(port));
        let stream = stream.ok_or_else(|| kube::Error::Service("the port was not forwarded".into()))?;
        let (sender, error) = oneshot::channel();
        let task = tokio::spawn(async move {
            let abort = Abort(&forwarder);
            if let Some(said) = said
                && let Some(said) = said.await
            {
                // Nobody is left to hear it if the connection was given up meanwhile.
                let _ = sender.send(said);
            }
            drop(abort);
        });
        Ok((stream, Self { error, task: task.abort_handle() }))
    }

    /// What the server said of the port, if it has said something or does soon.
    pub(super) async fn last_words(mut self, limit: Duration) -> Option<String> {
        timeout(limit, &mut self.error).await.ok()?.ok()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends the task of a connection, which by itself goes on for as long as either side is silent.
struct Abort<'a>(&'a kube::api::Portforwarder);

impl Drop for Abort<'_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
