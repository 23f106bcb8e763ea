//! A stand-in for the API server of Kubernetes, which answers as the real one of version 1.36 does as far as pods and port-forwards go.
//!
//! Each pod stands for programs on ports of this machine.

mod forward;
mod link;
mod objects;
mod server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_canary::feed::kubernetes::rights::RULES;
use tokio_rustls::rustls::ServerConfig;

pub(crate) use self::link::Link;
use self::objects::Objects;
pub(crate) use self::objects::PodSketch;
pub(crate) use self::server::Tls;

/// The API server. Dropping it stops it.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<Objects>,
    switches: Mutex<Switches>,
    /// Connections, and the forwards that run over them.
    connections: Mutex<JoinSet<()>>,
    forwards: Mutex<JoinSet<()>>,
    /// Paths that were asked for.
    requests: Mutex<Vec<String>>,
    /// What was asked for: groups, resources and verbs.
    asked: Mutex<BTreeSet<(String, String, &'static str)>>,
    /// For whom: users and their groups, where others than the one of the credentials are meant.
    users: Mutex<BTreeSet<Vec<String>>>,
}

/// How the server behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switches {
    /// The bearer token that is accepted; any is if there is none.
    pub(crate) token: Option<String>,
    /// Verbs and resources that are forbidden, such as `get pods/portforward`.
    pub(crate) forbidden: BTreeSet<&'static str>,
    /// Why a policy of the cluster refuses forwards.
    pub(crate) denial: Option<&'static str>,
    /// What the node says of a port at which nothing listens, where that is not that it refused the connection.
    pub(crate) port_fault: Option<&'static str>,
    /// Whether what the node says is lost where the client has sent something already: a node that closes a connection with unread bytes in it
    /// resets it, and with that discards its own last words.
    pub(crate) words_get_lost: bool,
    /// Whether the kubelet is down.
    pub(crate) kubelet_is_down: bool,
    /// Whether a watch sends one line that has no end.
    pub(crate) line_is_endless: bool,
    /// The line over which new connections come, where it is a slow one.
    pub(crate) link: Option<Link>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default(), None).await
    }

    pub(crate) async fn start_with(tls: Tls) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default(), Some(Arc::new(tls.config))).await
    }

    async fn start_at(at: SocketAddr, shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(at).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(server::accept(listener, shared.clone(), tls.clone()));
        Self { address, shared, tls, tasks }
    }

    /// Stops at once, with all connections. What it knows can be started again.
    pub(crate) async fn stop(mut self) -> Stopped {
        self.tasks.shutdown().await;
        *lock(&self.shared.connections) = JoinSet::new();
        self.break_forwards();
        Stopped { address: self.address, shared: self.shared.clone(), tls: self.tls.clone() }
    }

    /// Adds a pod, or changes it.
    pub(crate) fn set_pod(&self, pod: &PodSketch) {
        lock(&self.shared.objects).set_pod(pod);
    }

    pub(crate) fn delete_pod(&self, name: &str) {
        lock(&self.shared.objects).delete_pod(name);
    }

    /// Adds something else than a pod, at the path at which it is read.
    pub(crate) fn set_object(&self, path: &str, object: Value) {
        lock(&self.shared.objects).others.insert(path.to_owned(), object);
    }

    /// Forgets what it knows of the past: watches have to begin anew.
    pub(crate) fn forget_history(&self) {
        lock(&self.shared.objects).forget_history();
    }

    pub(crate) fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut lock(&self.shared.switches));
    }

    /// Cuts all forwards without a word.
    pub(crate) fn break_forwards(&self) {
        *lock(&self.shared.forwards) = JoinSet::new();
    }

    /// How many forwards run.
    pub(crate) fn forwards(&self) -> usize {
        let mut forwards = lock(&self.shared.forwards);
        while forwards.try_join_next().is_some() {}
        forwards.len()
    }

    /// Paths that were asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// The users that were impersonated so far, each followed by its groups; an empty one for a request that impersonates nobody.
    pub(crate) fn users(&self) -> BTreeSet<Vec<String>> {
        lock(&self.shared.users).clone()
    }

    /// Checks at its end that nothing was asked for that no rule allows.
    pub(crate) fn audit(&self) -> Audit {
        Audit(Arc::clone(&self.shared))
    }

    /// Writes a kubeconfig for it, with lines of its user and of its cluster.
    pub(crate) fn kubeconfig(&self, folder: &Path, user: &str, cluster: &str) -> PathBuf {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = self.address;
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: here\n  cluster:\n    server: {scheme}://{address}\n{cluster}\
             contexts:\n- name: here\n  context:\n    cluster: here\n    user: me\n    namespace: shop\nusers:\n- name: me\n  user:\n{user}"
        );
        let path = folder.join("kubeconfig");
        std::fs::write(&path, text).expect("a kubeconfig");
        path
    }
}

/// Fails when it is dropped if something was asked for that [`RULES`] do not allow.
pub(crate) struct Audit(Arc<Shared>);

impl Drop for Audit {
    fn drop(&mut self) {
        let is_allowed = |(group, resource, verb): &&(String, String, &str)| {
            RULES.iter().any(|rule| rule.group == group && rule.resource == resource && rule.verbs.contains(verb))
        };
        let asked = lock(&self.0.asked);
        let others: Vec<_> = asked.iter().filter(|it| !is_allowed(it)).collect();
        assert!(others.is_empty() || std::thread::panicking(), "asked for without a rule: {others:?}");
    }
}

/// A server that does not run, at whose place it can run again.
pub(crate) struct Stopped {
    address: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
}

impl Stopped {
    pub(crate) async fn start(self) -> Cluster {
        Cluster::start_at(self.address, self.shared, self.tls).await
    }
}
