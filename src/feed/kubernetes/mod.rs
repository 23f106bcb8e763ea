//! Pods of Kubernetes: which one is meant, how it is reached, and what became of it. The only module that speaks to a cluster.

mod bounded;
mod client;
mod discover;
mod forward;
mod pace;
mod pod;
mod refusal;
mod review;
pub mod rights;
mod scope;

use std::time::Duration;

use futures_util::stream::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use tokio::io::DuplexStream;

use self::client::Cluster;
use self::forward::Forward;
use self::pace::within;
use self::pod::{Identity, name_of};
use self::refusal::{Asked, Refusal, RefusalKind};
use self::scope::Scope;
use crate::feed::pod_target::PodTarget;
use crate::feed::quote::quote;
use crate::words;

const _: () = assert!(crate::feed::endpoint::REACHES_PODS, "pods are refused in a build that reaches them");

pub use self::client::Clusters;
pub use self::discover::discover;
pub use self::pace::Rate;
pub(in crate::feed) use self::review::Allowed;

/// How long to wait for what the server says of a port when a connection through it has failed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long one look at a pod may take that is only to explain something.
const LOOK: Duration = Duration::from_secs(2);

/// How long the API server keeps a watch open.
const WATCHING: u32 = 290;

/// The way to a pod.
#[derive(Debug)]
pub(in crate::feed) struct Reach {
    target: PodTarget,
    clusters: Clusters,
    /// The pod of the last attempt, and its connection.
    found: Option<Found>,
    forward: Option<Forward>,
    /// The process that was connected last.
    connected: Option<Identity>,
    /// The pods to watch until the next attempt, and since when.
    watched: Option<(Scope, String)>,
}

/// The pod that was chosen.
#[derive(Debug, Clone)]
struct Found {
    pod: Pod,
    scope: Scope,
    container: String,
    port: u16,
    identity: Identity,
    others: usize,
}

/// What was chosen, for the user.
#[derive(Debug)]
pub(in crate::feed) struct Choice {
    /// A phrase that names it.
    pub(in crate::feed) place: String,
    /// Whether it is known not to be the process that was connected before.
    pub(in crate::feed) is_new: bool,
}

impl Reach {
    pub(in crate::feed) fn new(target: PodTarget, clusters: Clusters) -> Self {
        Self { target, clusters, found: None, forward: None, connected: None, watched: None }
    }

    /// Chooses a pod, anew at each attempt: names change.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(in crate::feed) async fn find(&mut self, limit: Duration) -> Result<Choice, String> {
        (self.found, self.forward, self.watched) = (None, None, None);
        let cluster = self.clusters.cluster(&self.target.access).await?;
        let found = within(limit, self.choose(&cluster)).await;
        let found = found.ok_or_else(|| refusal::no_answer(&cluster.server, &words::limit(limit)))?;
        let found = match found {
            Ok(found) => found,
            Err(refusal) => return Err(self.refused(refusal, &cluster).await),
        };
        let is_new = self.connected.as_ref().is_some_and(|before| found.identity.is_other_than(before));
        let place = found.describe();
        self.found = Some(found);
        Ok(Choice { place, is_new })
    }

    async fn choose(&mut self, cluster: &Cluster) -> Result<Found, Refusal> {
        let scope = Scope::of(cluster, &self.target).await?;
        let (pods, version) = match list(cluster, &scope).await {
            Err(refusal) if refusal.kind == RefusalKind::Missing => {
                // Without a version, a watch begins with what there is by then.
                self.watched = Some((scope, String::new()));
                return Err(refusal);
            }
            listed => listed?,
        };
        self.watched = Some((scope.clone(), version));
        let of_pod = |pod: Pod| {
            let place = pod::place(&pod, scope.port.as_ref(), self.target.container.as_deref());
            let hindrance = match &place {
                Ok(place) => pod::hindrance(&pod, &place.container).map(|it| it.advice()),
                Err(sentence) => Some(sentence.clone()),
            };
            (pod, place.unwrap_or_else(|_| pod::Place { port: 0, container: String::new() }), hindrance)
        };
        let mut pods: Vec<_> = pods.into_iter().map(of_pod).collect();
        let before = self.connected.as_ref().map(|it| it.uid.as_str());
        pods.sort_by_cached_key(|(pod, _, hindrance)| {
            // Whatever else has changed: the process that is known already is the one to go on with.
            let is_known = before.is_some()
                && pod.metadata.uid.as_deref() == before
                && !pod::is_deleting(pod)
                && hindrance.is_none();
            (
                !is_known,
                hindrance.is_some(),
                pod::is_deleting(pod),
                !scope.prefers(pod),
                pod::rank(pod, hindrance.is_none()),
            )
        });
        let others = pods.iter().skip(1).filter(|(.., hindrance)| hindrance.is_none()).count();
        match pods.into_iter().next() {
            None => Err(Refusal { sentence: Self::nothing(&scope), kind: RefusalKind::Other }),
            Some((_, _, Some(hindrance))) => Err(Refusal { sentence: hindrance, kind: RefusalKind::Other }),
            Some((pod, place, None)) => {
                let identity = pod::identity(&pod, &place.container);
                Ok(Found { pod, scope, container: place.container, port: place.port, identity, others })
            }
        }
    }

    fn nothing(scope: &Scope) -> String {
        let labels = quote(scope.labels.as_deref().unwrap_or_default());
        format!(
            "There is no pod in namespace `{}` with the labels `{labels}`. tokio-canary attaches when there is one; `kubectl get pods -n {} -l \
             '{labels}'` shows them.",
            scope.namespace, scope.namespace
        )
    }

    async fn refused(&mut self, refusal: Refusal, cluster: &Cluster) -> String {
        if matches!(refusal.kind, RefusalKind::Credentials | RefusalKind::Unreachable) {
            self.clusters.forget(&self.target.access, cluster).await;
        }
        refusal.sentence
    }

    /// Connects to the port of the pod that was chosen.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(in crate::feed) async fn dial(&mut self, limit: Duration) -> Result<DuplexStream, String> {
        let Some(found) = &self.found else { return Err("No pod was chosen.".to_owned()) };
        let cluster = self.clusters.cluster(&self.target.access).await?;
        let name = found.name();
        let asked = Asked {
            verb: "get",
            group: "",
            resource: "pods/portforward",
            namespace: &found.scope.namespace,
            name: &name,
        };
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &found.scope.namespace);
        match within(limit, Forward::open(&pods, &name, found.port)).await {
            Some(Ok((stream, forward))) => {
                self.forward = Some(forward);
                Ok(stream)
            }
            Some(Err(error)) => {
                let refusal = refusal::of(&error, &cluster.server, asked);
                Err(self.refused(refusal, &cluster).await)
            }
            None => Err(refusal::no_answer(&cluster.server, &words::limit(limit))),
        }
    }

    /// Says that updates come from the pod.
    pub(in crate::feed) fn connected(&mut self) {
        self.connected = self.found.as_ref().map(|found| found.identity.clone());
    }

    /// Why a connection through the API server failed, as far as the cluster knows it better than the connection does.
    pub(in crate::feed) async fn explain(&mut self) -> Option<String> {
        let found = self.found.clone()?;
        let said = match self.forward.take() {
            Some(forward) => forward.last_words(LAST_WORDS).await,
            None => None,
        };
        let cluster = match self.clusters.cluster(&self.target.access).await {
            Ok(cluster) => cluster,
            Err(sentence) => return Some(sentence),
        };
        let became = match within(LOOK, look(&cluster, &found)).await {
            Some(Ok(pod)) => found.became(pod.as_ref(), self.target.is_followed),
            // It was reached a moment ago: so it is the API server that is gone, and not the service.
            Some(Err(refusal)) if matches!(refusal.kind, RefusalKind::Unreachable | RefusalKind::Credentials) => {
                return Some(self.refused(refusal, &cluster).await);
            }
            Some(Err(_)) | None => None,
        };
        became.or_else(|| said.map(|said| found.refused(&said)))
    }

    /// What the server says of the port over a new connection on which we say nothing. A node that closes a connection in which something is
    /// unread resets it, and what it has said of the port is lost.
    pub(in crate::feed) async fn hear(&mut self, limit: Duration) -> Option<String> {
        let _stream = self.dial(limit).await.ok()?;
        let said = self.forward.take()?.last_words(LAST_WORDS).await?;
        Some(self.found.as_ref()?.refused(&said))
    }

    /// Waits until something has become of the pods that were looked at last, or for ever where that cannot be watched.
    pub(in crate::feed) async fn changed(&mut self) {
        if let Some((scope, version)) = self.watched.take()
            && let Ok(cluster) = self.clusters.cluster(&self.target.access).await
        {
            let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &scope.namespace);
            if let Ok(events) = pods.watch(&scope.watch_params(), &version).await {
                let mut events = std::pin::pin!(events);
                while let Ok(Some(event)) = events.try_next().await {
                    match event {
                        WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => return,
                        WatchEvent::Bookmark(_) => {}
                        // The version is too old (410): what there is now is seen at the next attempt.
                        WatchEvent::Error(_) => break,
                    }
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Whether a pod of which a process was connected before runs, so that the next one can be expected any moment.
    pub(in crate::feed) fn is_returning(&self) -> bool {
        self.found.is_some() && self.connected.is_some()
    }
}

impl Found {
    fn name(&self) -> String {
        self.pod.metadata.name.clone().unwrap_or_default()
    }

    /// Which pod it is, with how many others there are.
    fn describe(&self) -> String {
        let others = match self.others {
            0 => String::new(),
            1 => "; 1 other pod matches".to_owned(),
            others => format!("; {others} other pods match"),
        };
        format!(
            "pod `{}` in namespace `{}` (container `{}`, port {}{others})",
            name_of(&self.pod),
            self.scope.namespace,
            quote(&self.container),
            self.port
        )
    }

    /// What became of the pod, if anything did.
    fn became(&self, now: Option<&Pod>, is_followed: bool) -> Option<String> {
        let (name, container) = (name_of(&self.pod), &self.container);
        let Some(now) = now else { return Some(format!("Pod `{name}` was deleted. {}", self.next(is_followed))) };
        let identity = pod::identity(now, container);
        if identity.uid != self.identity.uid {
            return Some(format!("Pod `{name}` was replaced by another of the same name. {RECONNECTS}"));
        }
        if pod::is_deleting(now) {
            return Some(format!("Pod `{name}` is being deleted. {}", self.next(is_followed)));
        }
        if let Some(hindrance) = pod::hindrance(now, container) {
            return Some(hindrance.advice());
        }
        identity.is_other_than(&self.identity).then(|| {
            format!(
                "Container `{}` of pod `{name}` was restarted ({} in all): another process runs in it. {RECONNECTS}",
                quote(container),
                words::count(u64::try_from(pod::restarts(now, container)).unwrap_or_default(), "restart"),
            )
        })
    }

    fn next(&self, is_followed: bool) -> String {
        match self.scope.name {
            Some(_) if is_followed => "tokio-canary follows the pod that takes its place.".to_owned(),
            Some(_) => "tokio-canary attaches when there is one of this name again; name its Deployment (deploy/NAME) to follow its pods.".to_owned(),
            None => "tokio-canary attaches to the next one that runs.".to_owned(),
        }
    }

    /// What the node said of the port.
    fn refused(&self, said: &str) -> String {
        let (name, container, port) = (name_of(&self.pod), quote(&self.container), self.port);
        if !said.contains("connection refused") {
            return format!(
                "Port {port} of pod `{name}` cannot be reached ({}). `kubectl describe pod {name} -n {}` shows how it and its node are.",
                quote(said),
                self.scope.namespace
            );
        }
        format!(
            "Nothing listens at port {port} of pod `{name}` (connection refused). Either container `{container}` still starts, or its console is at \
             another port: it is 6669 unless TOKIO_CONSOLE_BIND says otherwise, and has to listen on 127.0.0.1 or 0.0.0.0, not on the address of \
             the pod alone. Name the port as POD:PORT. Ports that the pod declares: {}.",
            pod::declared_ports(&self.pod)
        )
    }
}

const RECONNECTS: &str = "tokio-canary connects to it.";

impl Scope {
    fn list_params(&self) -> ListParams {
        ListParams { label_selector: self.labels.clone(), ..ListParams::default() }
    }

    fn watch_params(&self) -> WatchParams {
        let fields = self.name.as_ref().map(|name| format!("metadata.name={name}"));
        WatchParams {
            label_selector: self.labels.clone(),
            field_selector: fields,
            timeout: Some(WATCHING),
            bookmarks: true,
            ..WatchParams::default()
        }
    }
}

/// The pod that was chosen, as it is now; `None` if it is gone.
async fn look(cluster: &Cluster, found: &Found) -> Result<Option<Pod>, Refusal> {
    let scope = Scope { name: Some(found.name()), labels: None, ..found.scope.clone() };
    match list(cluster, &scope).await {
        Ok((pods, _)) => Ok(pods.into_iter().next()),
        Err(refusal) if refusal.kind == RefusalKind::Missing => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The pods of a scope, and the version of the list.
async fn list(cluster: &Cluster, scope: &Scope) -> Result<(Vec<Pod>, String), Refusal> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &scope.namespace);
    let asked = |verb, name| Asked { verb, group: "", resource: "pods", namespace: &scope.namespace, name };
    if let Some(name) = &scope.name {
        let pod = pods.get(name).await.map_err(|error| refusal::of(&error, &cluster.server, asked("get", name)))?;
        let version = pod.metadata.resource_version.clone().unwrap_or_default();
        return Ok((vec![pod], version));
    }
    let listed = pods.list(&scope.list_params()).await;
    let list = listed.map_err(|error| refusal::of(&error, &cluster.server, asked("list", "")))?;
    Ok((list.items, list.metadata.resource_version.unwrap_or_default()))
}
