//! A client of HTTP that says exactly what a test wants it to say.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::LIMIT;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        self.body.parse().unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for a path, as a client that means what it says.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Answer {
    request(server, "GET", path, "Host: localhost\r\n", "").await
}

/// Sends a request with these further header lines and this body.
pub(super) async fn request(server: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let text = format!("{method} {path} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}");
    parse(&raw(server, text.as_bytes()).await)
}

/// Sends bytes, and returns all that comes back until the end.
pub(super) async fn raw(server: SocketAddr, bytes: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.unwrap();
        // A server that has had enough may have left already.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(LIMIT, exchange).await.unwrap_or_else(|_| panic!("the server neither answers nor ends"))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_default(), head: head.to_lowercase(), body: body.to_owned() }
}

/// Asks for a path again and again until the answer is as it should be.
pub(super) async fn eventually(server: SocketAddr, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = None;
    let asked = async {
        loop {
            let answer = get(server, path).await;
            if is_so(&answer) {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = timeout(LIMIT, asked).await;
    answer.unwrap_or_else(|_| panic!("{path} never came to this: {last:?}"))
}

/// The value of the first series of a metric with these words in its labels.
pub(super) fn value(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
    });
    line?.rsplit_once(' ')?.1.parse().ok()
}
