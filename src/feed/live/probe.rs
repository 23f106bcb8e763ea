//! Tells apart what closes a connection of HTTP/2 without a word: most web servers in Rust do, and most servers that expect TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::feed::kubernetes::Reach;

use super::socket::{Resolved, dial_any, within};
use super::stranger::Stranger;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// Asks a web server about itself, not for anything that it serves.
const QUESTION: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The smallest greeting of TLS 1.2 that is well formed. Whether a server accepts or refuses it, it does so in TLS.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03tokio-canary only asks who is it\x00\x00\x02\x00\x2f\x01\x00";

/// How a client of HTTP/2 begins: the preface, and a frame of settings that has none.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What answers without TLS where it was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Http1,
    Http2,
}

/// Whether a server that does not answer in TLS speaks without it.
pub(super) async fn speaks_without_tls(address: SocketAddr) -> Option<Plain> {
    let resolved = Resolved::Tcp(vec![address]);
    // The type of the first frame is in its fourth byte.
    if ask(&resolved, PREFACE).await.is_ok_and(|answer| matches!(answer, [_, _, _, 4, 0])) {
        return Some(Plain::Http2);
    }
    ask(&resolved, QUESTION).await.is_ok_and(|answer| answer.starts_with(b"HTTP/")).then_some(Plain::Http1)
}

/// What closes connections of HTTP/2, as far as it tells when it is greeted in another way.
pub(super) async fn what_closes(resolved: &Resolved) -> Stranger {
    if matches!(resolved, Resolved::Tls(..)) {
        // It has answered in TLS, and these greetings are none.
        Stranger::Closes
    } else if ask(resolved, QUESTION).await.is_ok_and(|answer| answer.starts_with(b"HTTP/")) {
        Stranger::Http1
    } else if ask(resolved, CLIENT_HELLO).await.is_ok_and(|answer| matches!(answer, [0x15 | 0x16, 3, ..])) {
        Stranger::Tls
    } else {
        Stranger::Closes
    }
}

/// The same of a port of a pod.
pub(super) async fn what_closes_in(reach: &mut Reach, limit: Duration) -> Stranger {
    if ask_pod(reach, limit, QUESTION).await.is_ok_and(|answer| answer.starts_with(b"HTTP/")) {
        Stranger::Http1
    } else if ask_pod(reach, limit, CLIENT_HELLO).await.is_ok_and(|answer| matches!(answer, [0x15 | 0x16, 3, ..])) {
        Stranger::Tls
    } else {
        Stranger::Closes
    }
}

async fn ask_pod(reach: &mut Reach, limit: Duration, question: &[u8]) -> io::Result<[u8; 5]> {
    let stream = reach.dial(limit).await.map_err(io::Error::other)?;
    within(ANSWER, answer(stream, question)).await
}

/// The first bytes of an answer.
async fn ask(resolved: &Resolved, question: &[u8]) -> io::Result<[u8; 5]> {
    let asked = async {
        match resolved {
            Resolved::Tcp(addresses) | Resolved::Tls(addresses, _) => {
                answer(dial_any(addresses, ANSWER).await?, question).await
            }
            Resolved::Unix(path) => answer(UnixStream::connect(path).await?, question).await,
        }
    };
    within(ANSWER, asked).await
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, question: &[u8]) -> io::Result<[u8; 5]> {
    stream.write_all(question).await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
