//! Tells apart what closes a connection of HTTP/2 without a word: most web servers in Rust do, and most servers that expect TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::connect::{Resolved, dial_any, within};
use super::stranger::Stranger;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// Asks a web server about itself, not for anything that it serves.
const QUESTION: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The smallest greeting of TLS 1.2 that is well formed. Whether a server accepts or refuses it, it does so in TLS.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03tokio-canary only asks who is it\x00\x00\x02\x00\x2f\x01\x00";

/// What closes connections of HTTP/2, as far as it tells when it is greeted in another way.
pub(super) async fn what_closes(resolved: &Resolved) -> Stranger {
    if ask(resolved, QUESTION).await.is_ok_and(|answer| answer.starts_with(b"HTTP/")) {
        Stranger::Http1
    } else if ask(resolved, CLIENT_HELLO).await.is_ok_and(|answer| matches!(answer, [0x15 | 0x16, 3, ..])) {
        Stranger::Tls
    } else {
        Stranger::Closes
    }
}

/// The first bytes of an answer.
async fn ask(resolved: &Resolved, question: &[u8]) -> io::Result<[u8; 5]> {
    let asked = async {
        match resolved {
            Resolved::Tcp(addresses) => answer(dial_any(addresses, ANSWER).await?, question).await,
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
