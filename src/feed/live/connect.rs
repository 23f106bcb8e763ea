//! From an address to a gRPC channel over one connection.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::feed::endpoint::Address;
use crate::words;

use super::greeting::{Heard, Listened};
use super::guarded::GuardedTasks;
use super::reason;
use super::stranger::{Failure, Stranger};

/// A connection that carries nothing is asked this often whether its other end still answers.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long the other end has for that answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest piece of a message that is taken at once, in bytes. At HTTP/2's default of 16 KiB a large message would wake the tool hundreds of times.
const FRAME: u32 = 256 * 1024;

/// A connection that breaks after so long a silence was perhaps given up by us, and not broken by the target.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(14);

/// What an address stands for: for a host, all of its IP addresses.
pub(super) enum Resolved {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// Looks up the address.
///
/// # Errors
/// A sentence for the user.
pub(super) async fn resolve(address: &Address, limit: Duration) -> Result<Resolved, String> {
    let (host, port) = match address {
        Address::Tcp { host, port } => (host.as_str(), *port),
        Address::Unix(path) => return Ok(Resolved::Unix(path.clone())),
        Address::Pod(_) => return Err("A pod has no address outside of its cluster.".to_owned()),
    };
    match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() {
                Err(reason::no_such_host(host, "it has no address"))
            } else {
                Ok(Resolved::Tcp(found))
            }
        }
        Ok(Err(error)) => Err(reason::no_such_host(host, &error.to_string())),
        Err(_) => Err(reason::no_such_host(host, &format!("no answer within {}", words::limit(limit)))),
    }
}

/// A connection on which calls can be made, and what its other end has said first.
pub(super) struct Line {
    /// Ends with its connection: it never dials again by itself.
    pub(super) channel: Channel,
    pub(super) heard: Heard,
}

/// Connects. A service that was connected before, until `last_live`, is known to be instrumented.
///
/// # Errors
/// There is no connection, or none that anything can be written to.
pub(super) async fn dial(
    address: &Address,
    resolved: &Resolved,
    limit: Duration,
    last_live: Option<SystemTime>,
) -> Result<Line, Failure> {
    let failed = |error: io::Error| match (error.kind(), last_live) {
        (io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, Some(since)) => reason::gone(address, since),
        _ => reason::not_connected(address, &error, limit),
    };
    match resolved {
        Resolved::Tcp(addresses) => {
            let stream = dial_any(addresses, limit).await.map_err(failed)?;
            line_over(stream, address).await
        }
        Resolved::Unix(path) => {
            let stream = within(limit, UnixStream::connect(path)).await.map_err(failed)?;
            line_over(stream, address).await
        }
    }
}

/// Tries one after the other; each has an equal part of the time, so that a dead one does not use up that of the next.
pub(super) async fn dial_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match within(share, TcpStream::connect(address)).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

pub(super) async fn line_over<S>(stream: S, address: &Address) -> Result<Line, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let origin = match address {
        Address::Tcp { .. } => address.to_string(),
        Address::Unix(_) | Address::Pod(_) => "http://localhost".to_owned(),
    };
    let endpoint = Endpoint::from_shared(origin)
        .and_then(|endpoint| endpoint.user_agent(concat!("tokio-canary/", env!("CARGO_PKG_VERSION"))))
        .map_err(|error| reason::broken(address, &error))?
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .max_frame_size(FRAME)
        .executor(GuardedTasks);
    let (stream, heard) = Listened::new(stream);
    let mut stream = Some(TokioIo::new(stream));
    let once = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    // All that happens here is that a few bytes are written.
    let channel = endpoint.connect_with_connector(once).await.map_err(|_| Failure::Stranger(Stranger::Closes))?;
    Ok(Line { channel, heard })
}
