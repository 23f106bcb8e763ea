//! The server: what clients such as `tokio-canary` and `tokio-console` connect to.

mod codec;
pub(crate) mod listener;
mod pieces;
mod publisher;
mod queue;
mod service;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use self::listener::ServerAddr;
use self::publisher::Publisher;
pub use self::service::InstrumentService;
use crate::histogram::Limits;
use crate::recorder::Recorder;

/// Requests that may wait for the publisher.
const COMMANDS: usize = 256;

/// What ends a server.
pub type Error = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Serves what a [`ConsoleLayer`](crate::ConsoleLayer) records.
#[derive(Debug)]
pub struct Server {
    recorder: Arc<Recorder>,
    settings: Settings,
}

/// How a server serves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: ServerAddr,
    pub(crate) interval: Duration,
    pub(crate) histograms: Limits,
    /// The bytes that a client may leave unread.
    pub(crate) unread: usize,
    pub(crate) token: Option<Arc<str>>,
}

/// The parts of a server, for programs that have a gRPC server already.
#[non_exhaustive]
pub struct ServerParts {
    /// The service, to be added to a server.
    pub instrument_service: InstrumentService,
    /// What answers the service. It must run as long as the server does.
    pub publisher: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for ServerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerParts").field("instrument_service", &self.instrument_service).finish_non_exhaustive()
    }
}

impl Server {
    /// The address that is bound by default: loopback, because whoever can connect can read the service's structure.
    pub const DEFAULT_IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// The port that is bound by default, that of `console-subscriber`.
    pub const DEFAULT_PORT: u16 = 6669;

    pub(crate) fn new(recorder: Arc<Recorder>, settings: Settings) -> Self {
        Self { recorder, settings }
    }

    /// Serves until the server fails.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn serve(self) -> Result<(), Error> {
        self.serve_with(tonic::transport::Server::builder()).await
    }

    /// Serves with a configured server of tonic.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn serve_with(self, mut builder: tonic::transport::Server) -> Result<(), Error> {
        let address = self.settings.address.clone();
        let ServerParts { instrument_service, publisher } = self.into_parts();
        let router = builder.add_service(instrument_service);
        let serve = async {
            match address {
                ServerAddr::Tcp(address) => router.serve_with_incoming(listener::tcp(address).await?).await?,
                #[cfg(unix)]
                ServerAddr::Unix(path) => router.serve_with_incoming(listener::unix(&path).await?).await?,
            }
            Ok(())
        };
        tokio::select! {
            served = serve => served,
            // It ends when the service is dropped, and the service is dropped with the server.
            () = publisher => Ok(()),
        }
    }

    /// The service and what answers it, for a server that serves other services as well. The address of this server is not used then, and
    /// all connections are paused together.
    pub fn into_parts(self) -> ServerParts {
        let Self { recorder, settings } = self;
        let (commands, received) = mpsc::channel(COMMANDS);
        let publisher = Publisher::new(recorder, &settings);
        ServerParts {
            instrument_service: InstrumentService::new(commands, settings.token),
            publisher: Box::pin(publisher.run(received)),
        }
    }
}
