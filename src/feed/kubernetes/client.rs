//! Clients of clusters, one for each way in.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, ServiceBuilder};

use super::refusal;
use crate::feed::pod_target::Access;
use crate::words;

/// How long connecting to an API server may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long reading a kubeconfig may take, with the plugin that it names.
const BUILDING: Duration = Duration::from_secs(30);

/// How often an API server that is silent is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How often API servers are asked things.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests a second, over time.
    pub qps: f64,
    /// Requests at once.
    pub burst: u32,
}

impl Default for Rate {
    /// What kubectl allows itself.
    fn default() -> Self {
        Self { qps: 50.0, burst: 300 }
    }
}

/// The clusters of a run: targets of one cluster share its client.
#[derive(Clone)]
pub struct Clusters {
    slots: Arc<std::sync::Mutex<HashMap<Access, Slot>>>,
    rate: Rate,
}

/// The client of one way in, once it is built: whoever comes first builds it, and the others wait.
type Slot = Arc<Mutex<Option<Cluster>>>;

impl Default for Clusters {
    fn default() -> Self {
        Self::new(Rate::default())
    }
}

impl fmt::Debug for Clusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clusters")
    }
}

/// A cluster that can be asked things.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    /// Tells this client from those before and after it.
    built: Arc<()>,
    /// The context of the kubeconfig; none inside a pod, which has none.
    pub(super) context: Option<String>,
    /// The URL of its API server.
    pub(super) server: String,
}

impl Clusters {
    /// Clusters that are asked things no more often than so.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { slots: Arc::default(), rate }
    }

    /// The cluster of this access. The first time, the kubeconfig is read, and a plugin that it names is run.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) async fn cluster(&self, access: &Access) -> Result<Cluster, String> {
        let slot = self.slot(access);
        let mut slot = slot.lock().await;
        if let Some(cluster) = slot.as_ref() {
            return Ok(cluster.clone());
        }
        let (of, rate) = (access.clone(), self.rate);
        // A plugin may take its time, and kube waits for it on the spot.
        let building = spawn_blocking(move || Handle::current().block_on(build(&of, rate)));
        let built = timeout(BUILDING, building).await.map_err(|_| {
            format!(
                "Reading the kubeconfig and running its plugin took longer than {}. Log in first, for instance with `kubectl get pods`: a \
                 plugin cannot ask anything here.",
                words::limit(BUILDING)
            )
        })?;
        let cluster = built.map_err(|error| format!("The kubeconfig could not be read ({error})."))??;
        *slot = Some(cluster.clone());
        Ok(cluster)
    }

    /// Forgets a client that failed: the kubeconfig may have new credentials by now. One that another target has built since then stays.
    pub(super) async fn forget(&self, access: &Access, failed: &Cluster) {
        let slot = self.slot(access);
        let mut slot = slot.lock().await;
        if slot.as_ref().is_some_and(|it| Arc::ptr_eq(&it.built, &failed.built)) {
            *slot = None;
        }
    }

    fn slot(&self, access: &Access) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(access.clone()).or_default())
    }
}

async fn build(access: &Access, rate: Rate) -> Result<Cluster, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut config, context) = config(access).await?;
    if access.user.is_some() {
        config.auth_info.impersonate.clone_from(&access.user);
    }
    if !access.groups.is_empty() {
        config.auth_info.impersonate_groups = Some(access.groups.clone());
    }
    config.connect_timeout = Some(CONNECTING);
    let server = config.cluster_url.to_string();
    let client = client(&config, Arc::new(Pace::new(rate))).map_err(|error| refusal::unprepared(&config, &error))?;
    Ok(Cluster { client, built: Arc::default(), context, server })
}

/// The kubeconfig in force and its context, or what a pod is given by its cluster.
async fn config(access: &Access) -> Result<(Config, Option<String>), String> {
    let read = match &access.kubeconfig {
        Some(path) => Kubeconfig::read_from(Path::new(path)),
        None => Kubeconfig::read(),
    };
    let is_default = access.kubeconfig.is_none() && access.context.is_none();
    let mut kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) if is_default => {
            return Config::incluster().map(|it| (it, None)).map_err(|_| refusal::NO_KUBECONFIG.to_owned());
        }
        Err(error) => return Err(refusal::unreadable(&error)),
    };
    for named in &mut kubeconfig.auth_infos {
        if let Some(exec) = named.auth_info.as_mut().and_then(|info| info.exec.as_mut()) {
            // It would read the keys meant for the terminal view, and write over it.
            exec.interactive_mode = Some(ExecInteractiveMode::Never);
        }
    }
    let contexts: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let context = access.context.clone().or_else(|| kubeconfig.current_context.clone());
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map(|config| (config, context)).map_err(|error| match error {
        KubeconfigError::LoadContext(name) => refusal::no_such_context(&name, &contexts),
        error => refusal::unreadable(&error),
    })
}

/// The client that kube makes, but without waiting for more bytes before few are sent: a small call took 40 ms.
fn client(config: &Config, pace: Arc<Pace>) -> kube::Result<Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEP_ALIVE));
    http.set_connect_timeout(Some(CONNECTING));
    match &config.proxy_url {
        None => client_over(config, http, pace),
        Some(proxy) if proxy.authority().is_some_and(|it| it.as_str().contains('@')) => {
            Client::try_from(config.clone())
        }
        Some(proxy) if proxy.scheme_str() == Some("socks5") => {
            client_over(config, SocksV5::new(proxy.clone(), http), pace)
        }
        Some(proxy) if proxy.scheme_str() == Some("http") => {
            client_over(config, Tunnel::new(proxy.clone(), http), pace)
        }
        Some(_) => Client::try_from(config.clone()),
    }
}

fn client_over<C>(config: &Config, connector: C, pace: Arc<Pace>) -> kube::Result<Client>
where
    C: tower::Service<http::Uri> + Clone + Send + Sync + 'static,
    C::Response:
        hyper_util::client::legacy::connect::Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send + Sync + std::error::Error + 'static,
{
    let https = config.rustls_https_connector_with_connector(connector)?;
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let paced = tower::filter::AsyncFilterLayer::new(move |request: http::Request<Body>| {
        let pace = Arc::clone(&pace);
        async move {
            pace.turn().await;
            Ok::<_, BoxError>(request)
        }
    });
    let service = ServiceBuilder::new()
        .layer(paced)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// A token bucket: limits requests to a rate, with bursts.
struct Pace {
    rate: Rate,
    /// Turns that are left, and as of when.
    left: std::sync::Mutex<(f64, Instant)>,
}

impl Pace {
    fn new(rate: Rate) -> Self {
        Self { rate, left: std::sync::Mutex::new((f64::from(rate.burst.max(1)), Instant::now())) }
    }

    /// Waits for a turn.
    async fn turn(&self) {
        while let Some(wait) = self.take() {
            sleep(wait).await;
        }
    }

    /// Takes a turn, or says how long until there is one.
    fn take(&self) -> Option<Duration> {
        let mut state = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, as_of) = *state;
        let now = Instant::now();
        let earned = now.duration_since(as_of).as_secs_f64() * self.rate.qps;
        let left = (left + earned).min(f64::from(self.rate.burst.max(1)));
        let is_there = left >= 1.0;
        *state = (if is_there { left - 1.0 } else { left }, now);
        (!is_there).then(|| Duration::from_secs_f64(((1.0 - left) / self.rate.qps.max(0.01)).min(60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_come_in_bursts_and_then_at_their_rate() {
        let pace = Pace::new(Rate { qps: 10.0, burst: 5 });
        let began = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.turn().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((1.9..2.2).contains(&took), "{took}");
    }
}
