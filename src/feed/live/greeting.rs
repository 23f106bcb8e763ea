//! What the other end of a connection says first, which tells a console from everything else that may listen at an address.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls_error::cause;

/// How much of it is kept.
const KEPT: usize = 64;

/// The first bytes that came over a connection, and whether the other end has closed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) first: Vec<u8>,
    pub(super) closed: bool,
    /// The alert of TLS with which it was closed. In TLS 1.3 a server rejects the client after the client's part of the handshake.
    pub(super) alert: Option<AlertDescription>,
}

impl Greeting {
    /// Whether the other end speaks HTTP/2: it begins with a frame of settings, on stream 0.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.first.as_slice(), [_, _, _, 4, 0 | 1, 0, 0, 0, 0, ..])
    }
}

/// The greeting of a connection, as far as it has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Greeting>>);

impl Heard {
    pub(super) fn greeting(&self) -> Greeting {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, read: Option<&[u8]>) {
        let mut greeting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Some(bytes) => {
                let room = KEPT - greeting.first.len();
                greeting.first.extend(bytes.iter().take(room));
            }
            None => greeting.closed = true,
        }
    }

    fn fail(&self, error: &io::Error) {
        if let Some(rustls::Error::AlertReceived(alert)) = cause(error) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).alert = Some(*alert);
        }
    }
}

/// A connection whose greeting is kept.
pub(super) struct Listened<S> {
    stream: S,
    /// None once the greeting is complete.
    heard: Option<Heard>,
}

impl<S> Listened<S> {
    pub(super) fn new(stream: S) -> (Self, Heard) {
        let heard = Heard::default();
        (Self { stream, heard: Some(heard.clone()) }, heard)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buf);
        if let (Poll::Ready(outcome), Some(heard)) = (&poll, &self.heard) {
            outcome.as_ref().err().into_iter().for_each(|error| heard.fail(error));
            // A connection that is reset is closed.
            heard.note(buf.filled().get(before..).filter(|read| outcome.is_ok() && !read.is_empty()));
            if heard.greeting().first.len() == KEPT {
                self.heard = None;
            }
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_and_the_end_are_kept_and_nothing_is_lost() {
        let (near, mut far) = duplex(1024);
        let (mut listened, heard) = Listened::new(near);
        far.write_all(b"SSH-2.0-").await.unwrap();
        assert_eq!(listened.read_u8().await.unwrap(), b'S');
        assert_eq!(heard.greeting(), Greeting { first: b"S".to_vec(), ..Greeting::default() });
        drop(far);
        let mut rest = Vec::new();
        listened.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"SH-2.0-");
        assert_eq!(heard.greeting(), Greeting { first: b"SSH-2.0-".to_vec(), closed: true, ..Greeting::default() });

        let (near, mut far) = duplex(1024);
        let (mut listened, heard) = Listened::new(near);
        far.write_all(&[b'x'; 1000]).await.unwrap();
        drop(far);
        listened.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 7 + 1000);
        assert_eq!(heard.greeting().first.len(), KEPT);
    }
}
