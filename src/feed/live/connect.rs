//! From a connection to a gRPC channel over it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{self, Endpoint};
use tonic::{Request, Status};

use crate::feed::access::Access;
use crate::feed::endpoint::Address;

use super::greeting::{Heard, Listened};
use super::guarded::GuardedTasks;
use super::socket::{Resolved, Socket, connect};
use super::stranger::{Failure, Stranger};
use super::tls::{Peer, secure};
use super::{Options, reason};

/// A connection that carries nothing is asked this often whether its other end still answers.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long the other end has for that answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest piece of a message that is taken at once, in bytes. At HTTP/2's default of 16 KiB a large message would wake the tool hundreds of times.
const FRAME: u32 = 256 * 1024;

/// A connection that breaks after so long a silence was perhaps given up by us, and not broken by the target.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(14);

/// A connection on which calls can be made, and what its other end has said first.
pub(super) struct Line {
    /// Ends with its connection: it never dials again by itself.
    pub(super) channel: Channel,
    pub(super) heard: Heard,
}

/// What calls are made on: each of them carries the headers of the user.
pub(super) type Channel = InterceptedService<transport::Channel, Headers>;

/// Headers that every call carries.
#[derive(Clone)]
pub(super) struct Headers(Arc<[(AsciiMetadataKey, AsciiMetadataValue)]>);

impl Headers {
    /// Reads their values, to be sent to an address.
    ///
    /// # Errors
    /// A sentence about one that is not there, or about an address where others could read them. No value is in it.
    pub(super) async fn of(access: &Access, address: &Address) -> Result<Self, String> {
        if !access.headers.is_empty() {
            check_headers_to(address)?;
        }
        let access = access.clone();
        // A file may be a pipe that nobody writes to.
        let read = tokio::task::spawn_blocking(move || access.metadata()).await;
        let headers = read.unwrap_or_else(|_| Err("The headers could not be read.".to_owned()))?;
        Ok(Self(headers.into()))
    }
}

/// Looks whether headers, which may be secrets, can be sent to an address.
///
/// # Errors
/// A sentence for the user.
pub fn check_headers_to(address: &Address) -> Result<(), String> {
    if address.is_in_the_clear() {
        return Err(format!(
            "Headers would go to {address} where anyone on the way can read them. Use https://, or a tunnel to this machine."
        ));
    }
    Ok(())
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in self.0.iter() {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// Connects. A service that was connected before, until `last_live`, is known to be instrumented.
///
/// # Errors
/// There is no connection, or none that anything can be written to.
pub(super) async fn dial(
    address: &Address,
    resolved: &Resolved,
    options: &Options,
    last_live: Option<SystemTime>,
) -> Result<Line, Failure> {
    let limit = options.connect_timeout;
    let headers = Headers::of(&options.access, address).await?;
    let socket = connect(resolved, limit).await.map_err(|error| match (error.kind(), last_live) {
        (io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, Some(since)) => reason::gone(address, since),
        _ => reason::not_connected(address, &error, limit),
    })?;
    match (socket, resolved) {
        (Socket::Tcp(stream), Resolved::Tls(_, host)) => {
            let stream = secure(stream, Peer { address, host, ca: options.access.ca.as_deref() }, limit).await?;
            line_over(stream, address, headers).await
        }
        (Socket::Tcp(stream), _) => line_over(stream, address, headers).await,
        (Socket::Unix(stream), _) => line_over(stream, address, headers).await,
    }
}

/// Makes a channel of a connection.
///
/// # Errors
/// Nothing can be written to it.
pub(super) async fn line_over<S>(stream: S, address: &Address, headers: Headers) -> Result<Line, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // The origin is what requests say; the connection is there, so the other URI is for nothing.
    let origin = match address {
        Address::Tcp { .. } | Address::Tls { .. } => address.to_string(),
        Address::Unix(_) | Address::Pod(_) => "http://localhost".to_owned(),
    };
    let origin = origin.parse().map_err(|error| reason::broken(address, &error))?;
    let endpoint = Endpoint::from_static("http://localhost")
        .origin(origin)
        .user_agent(concat!("tokio-canary/", env!("CARGO_PKG_VERSION")))
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
    Ok(Line { channel: InterceptedService::new(channel, headers), heard })
}
