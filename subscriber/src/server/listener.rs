//! Where clients connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;

/// The pause after a connection that could not be accepted.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl From<SocketAddr> for ServerAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<std::net::SocketAddrV4> for ServerAddr {
    fn from(address: std::net::SocketAddrV4) -> Self {
        Self::Tcp(address.into())
    }
}

impl From<std::net::SocketAddrV6> for ServerAddr {
    fn from(address: std::net::SocketAddrV6) -> Self {
        Self::Tcp(address.into())
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ServerAddr {
    fn from(address: (I, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

#[cfg(unix)]
impl From<std::path::PathBuf> for ServerAddr {
    fn from(path: std::path::PathBuf) -> Self {
        Self::Unix(path)
    }
}

#[cfg(unix)]
impl From<&std::path::Path> for ServerAddr {
    fn from(path: &std::path::Path) -> Self {
        Self::Unix(path.to_path_buf())
    }
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) connection: u64,
}

/// An accepted connection with a number of its own.
pub(crate) struct Accepted<S> {
    stream: S,
    peer: Peer,
}

impl<S> Accepted<S> {
    fn new(stream: S) -> Self {
        // Zero is for connections that somebody else's server accepted.
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        Self { stream, peer: Peer { connection: CONNECTIONS.fetch_add(1, Ordering::Relaxed) } }
    }
}

impl<S> Connected for Accepted<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Accepted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Accepted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts TCP connections.
pub(crate) async fn tcp(address: SocketAddr) -> io::Result<impl Stream<Item = io::Result<Accepted<TcpStream>>>> {
    let listener = TcpListener::bind(address).await?;
    Ok(tokio_stream::wrappers::TcpListenerStream::new(listener).then(unhurried).map(|accepted| {
        let stream = accepted?;
        // Messages are whole: nothing is gained by waiting for more. Without it they are only later.
        let _later = stream.set_nodelay(true);
        Ok(Accepted::new(stream))
    }))
}

/// Accepts connections of a Unix domain socket. A socket that an earlier life of the process has left is replaced; one that somebody listens
/// on is not, nor is any other file.
#[cfg(unix)]
pub(crate) async fn unix(
    path: &std::path::Path,
) -> io::Result<impl Stream<Item = io::Result<Accepted<UnixStream>>> + use<>> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left(path).await => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let accepted = tokio_stream::wrappers::UnixListenerStream::new(listener).then(unhurried);
    Ok(accepted.map(|accepted| accepted.map(Accepted::new)))
}

/// Whether a path is that of a socket on which nobody listens.
#[cfg(unix)]
async fn is_left(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).await.err().is_some_and(refused)
}

/// What was accepted; an error only after a while, since a process without free file descriptors would be asked again at once.
async fn unhurried<T>(accepted: io::Result<T>) -> io::Result<T> {
    if accepted.is_err() {
        tokio::time::sleep(AFTER_ERROR).await;
    }
    accepted
}
