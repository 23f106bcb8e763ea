//! Clients of clusters, one for each way in.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

use super::bounded::Bounding;
use super::pace::{Pace, Rate};
use super::refusal;
use crate::feed::pod_target::Access;
use crate::words;

/// How long connecting to an API server may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long reading a kubeconfig may take, with the plugin that it names.
const BUILDING: Duration = Duration::from_secs(30);

/// How often an API server that is silent is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

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
        let cluster =
            built.map_err(|error| format!("The kubeconfig could not be read ({error}). {}", refusal::COMPARE))??;
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
    let client = client(&config, &Arc::new(Pace::new(rate))).map_err(|error| refusal::unprepared(&config, &error))?;
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
fn client(config: &Config, pace: &Arc<Pace>) -> kube::Result<Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEP_ALIVE));
    http.set_connect_timeout(Some(CONNECTING));
    match &config.proxy_url {
        None => client_over(config, http, pace),
        Some(proxy) if proxy.authority().is_some_and(|it| it.as_str().contains('@')) => client_of_kube(config),
        Some(proxy) if proxy.scheme_str() == Some("socks5") => {
            client_over(config, SocksV5::new(proxy.clone(), http), pace)
        }
        Some(proxy) if proxy.scheme_str() == Some("http") => {
            client_over(config, Tunnel::new(proxy.clone(), http), pace)
        }
        Some(_) => client_of_kube(config),
    }
}

/// The client that kube makes, which knows more kinds of proxies. Its requests cannot wait for turns: it cannot be cloned.
fn client_of_kube(config: &Config) -> kube::Result<Client> {
    let client = ClientBuilder::try_from(config.clone())?;
    Ok(client.with_layer(&Bounding).build())
}

fn client_over<C>(config: &Config, connector: C, pace: &Arc<Pace>) -> kube::Result<Client>
where
    C: tower::Service<http::Uri> + Clone + Send + Sync + 'static,
    C::Response:
        hyper_util::client::legacy::connect::Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send + Sync + std::error::Error + 'static,
{
    let https = config.rustls_https_connector_with_connector(connector)?;
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let service = ServiceBuilder::new()
        .layer(Bounding)
        .layer(pace.layer())
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
