//! A slow line to the stand-in: every byte comes late, and no more than some come in a second.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How slow a line is, each way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// How long a byte is on its way.
    pub(crate) delay: Duration,
    /// How many bytes come in a second.
    pub(crate) rate: u32,
}

/// Bytes that are read at once, and pieces that may be on their way: a line holds little more than what its delay makes of its rate.
const PIECE: usize = 4 * 1024;
const ON_THEIR_WAY: usize = 16;

impl Link {
    /// The near end of such a line to what is at its far end.
    pub(super) fn to(self, far: impl AsyncRead + AsyncWrite + Send + 'static) -> DuplexStream {
        let (near, end) = duplex(PIECE);
        let ((from_near, to_near), (from_far, to_far)) = (split(end), split(far));
        tokio::spawn(self.carry(from_near, to_far));
        tokio::spawn(self.carry(from_far, to_near));
        near
    }

    async fn carry(
        self,
        mut from: impl AsyncRead + Send + Unpin + 'static,
        mut to: impl AsyncWrite + Send + Unpin + 'static,
    ) {
        let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY);
        let reading = async move {
            let mut buffer = vec![0; PIECE];
            let mut free = Instant::now();
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                let takes = Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / self.rate;
                free = free.max(Instant::now()) + takes;
                if sender.send((free + self.delay, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
                // The line takes the next piece when this one is on it.
                sleep_until(free).await;
            }
        };
        let writing = async move {
            while let Some((at, piece)) = pieces.recv().await {
                sleep_until(at).await;
                if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
            let _ = to.shutdown().await;
        };
        // Whoever does not listen any more is not written to.
        tokio::select! {
            () = writing => {}
            ((), ()) = async { tokio::join!(reading, std::future::pending::<()>()) } => {}
        }
    }
}
