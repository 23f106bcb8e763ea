//! The way from the tool to a program: straight to its port, or to the pod that it stands for, through the API server of a cluster.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::cluster::{Cluster, Link, PodSketch};

/// The pod that a program stands for, and where it is.
const POD: &str = "web-1";
pub(crate) const TARGET: &str = "k8s://shop/web-1";

/// A line to a cluster that is far away: a round trip of 100 ms, and 200 kB a second.
const FAR: Link = Link { delay: Duration::from_millis(50), rate: 200_000 };

/// The way to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Its port.
    Direct,
    /// A port-forward to its pod.
    Pod,
    /// The same over a slow line.
    FarPod,
}

/// A way that is open.
pub(crate) struct Way {
    /// What the tool calls the program.
    pub(crate) target: String,
    cluster: Option<Running>,
}

/// A cluster that runs as long as this is kept.
struct Running {
    _cluster: Cluster,
    folder: TempDir,
    _runtime: Runtime,
}

impl Route {
    /// The word for it in names.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pod => "pod",
            Self::FarPod => "far-pod",
        }
    }

    /// Opens the way to a program whose feed is at this URL.
    ///
    /// # Errors
    ///
    /// When there is no room for a cluster, or the URL has no address.
    pub(crate) fn open(self, url: &str) -> io::Result<Way> {
        let link = match self {
            Self::Direct => return Ok(Way { target: url.to_owned(), cluster: None }),
            Self::Pod => None,
            Self::FarPod => Some(FAR),
        };
        let address: SocketAddr = url.trim_start_matches("http://").parse().map_err(io::Error::other)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let cluster = runtime.block_on(Cluster::start());
        cluster.switch(|it| it.link = link);
        cluster.set_pod(&PodSketch::running(POD, "u1").serving(address));
        let folder = tempfile::tempdir()?;
        cluster.kubeconfig(folder.path(), "    token: good\n", "");
        let cluster = Running { _cluster: cluster, folder, _runtime: runtime };
        Ok(Way { target: TARGET.to_owned(), cluster: Some(cluster) })
    }
}

impl Way {
    /// Says to the tool how to reach the cluster, if there is one.
    pub(crate) fn explain(&self, tool: &mut Command) {
        if let Some(cluster) = &self.cluster {
            tool.env("KUBECONFIG", cluster.folder.path().join("kubeconfig"));
        }
    }
}
