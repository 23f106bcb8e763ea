//! What stands in for [`kubernetes`](self) in a build without the feature `k8s`: no pod can be reached.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::discovery::Discovery;
use super::endpoint::{REACHES_PODS, WITHOUT_KUBERNETES};
use super::pod_target::PodTarget;

const _: () = assert!(!REACHES_PODS, "pods are not refused in a build that does not reach them");

/// How often API servers are asked things.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Requests a second, over time.
    pub qps: f64,
    /// Requests at once.
    pub burst: u32,
}

/// The clusters of a run: there are none.
#[derive(Debug, Clone, Default)]
pub struct Clusters(());

impl Clusters {
    /// None.
    #[must_use]
    pub fn new(_: Rate) -> Self {
        Self(())
    }
}

/// Finds nothing.
#[must_use]
pub fn discover(_: PodTarget, _: Clusters) -> Discovery {
    let (_, events) = mpsc::channel(1);
    Discovery { events }
}

/// The way to a pod: there is none.
#[derive(Debug)]
pub(in crate::feed) struct Reach;

/// What a user may do: nothing is ever asked.
#[derive(Debug)]
#[expect(dead_code, reason = "as where there is something to ask")]
pub(in crate::feed) enum Allowed {
    Everything(String),
    Perhaps(String),
}

/// What was chosen: nothing ever is.
#[derive(Debug)]
pub(in crate::feed) struct Choice {
    pub(in crate::feed) place: String,
    pub(in crate::feed) is_new: bool,
}

#[expect(clippy::unused_async, reason = "as where there is something to wait for")]
#[expect(clippy::unused_self, reason = "as where there is something to ask")]
impl Reach {
    pub(in crate::feed) fn new(_: PodTarget, _: Clusters) -> Self {
        Self
    }

    pub(in crate::feed) async fn access(&self) -> Result<String, String> {
        Err(WITHOUT_KUBERNETES.to_owned())
    }

    pub(in crate::feed) async fn greet(&self, _: Duration) -> Result<String, String> {
        Err(WITHOUT_KUBERNETES.to_owned())
    }

    pub(in crate::feed) async fn rights(&self, _: Duration) -> Result<Allowed, String> {
        Err(WITHOUT_KUBERNETES.to_owned())
    }

    pub(in crate::feed) async fn find(&mut self, _: Duration) -> Result<Choice, String> {
        Err(WITHOUT_KUBERNETES.to_owned())
    }

    pub(in crate::feed) async fn dial(&mut self, _: Duration) -> Result<DuplexStream, String> {
        Err(WITHOUT_KUBERNETES.to_owned())
    }

    pub(in crate::feed) fn connected(&mut self) {}

    pub(in crate::feed) async fn explain(&mut self) -> Option<String> {
        None
    }

    pub(in crate::feed) async fn hear(&mut self, _: Duration) -> Option<String> {
        None
    }

    pub(in crate::feed) async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }

    pub(in crate::feed) fn is_returning(&self) -> bool {
        false
    }
}
