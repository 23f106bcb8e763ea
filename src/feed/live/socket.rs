//! From an address to a connection over which nothing has been said yet.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use crate::feed::endpoint::Address;
use crate::words;

use super::reason;

/// What an address stands for: for a host, all of its IP addresses.
pub(super) enum Resolved {
    Tcp(Vec<SocketAddr>),
    /// TLS, and the name that the certificate has to be for.
    Tls(Vec<SocketAddr>, String),
    Unix(PathBuf),
}

/// Looks up the address.
///
/// # Errors
/// A sentence for the user.
pub(super) async fn resolve(address: &Address, limit: Duration) -> Result<Resolved, String> {
    let (host, port) = match address {
        Address::Tcp { host, port } | Address::Tls { host, port } => (host.as_str(), *port),
        Address::Unix(path) => return Ok(Resolved::Unix(path.clone())),
        Address::Pod(_) => return Err("A pod has no address outside of its cluster.".to_owned()),
    };
    match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() {
                Err(reason::no_such_host(host, "it has no address"))
            } else if matches!(address, Address::Tls { .. }) {
                Ok(Resolved::Tls(found, host.to_owned()))
            } else {
                Ok(Resolved::Tcp(found))
            }
        }
        Ok(Err(error)) => Err(reason::no_such_host(host, &error.to_string())),
        Err(_) => Err(reason::no_such_host(host, &format!("no answer within {}", words::limit(limit)))),
    }
}

/// A connection over which nothing has been sent.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects, and nothing more.
///
/// # Errors
/// There is no connection.
pub(super) async fn connect(resolved: &Resolved, limit: Duration) -> io::Result<Socket> {
    match resolved {
        Resolved::Tcp(addresses) | Resolved::Tls(addresses, _) => dial_any(addresses, limit).await.map(Socket::Tcp),
        Resolved::Unix(path) => within(limit, UnixStream::connect(path)).await.map(Socket::Unix),
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
