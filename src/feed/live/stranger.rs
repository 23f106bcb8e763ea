//! What answers at an address that is not a console: by far most often the service's own port.

use std::time::Duration;

use tonic::codegen::http::StatusCode;

use crate::feed::endpoint::{Address, DEFAULT_PORT};
use crate::words;

use super::greeting::Greeting;
use super::reason::{self, quote, shown};

/// How much of what it says is quoted.
const QUOTED: usize = 24;

/// Why there is no connection to a console.
pub(super) enum Failure {
    /// As a sentence for the user.
    Lost(String),
    /// Something else answers.
    Stranger(Stranger),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Lost(reason)
    }
}

/// How certain protocols begin. Redis calls the first line of HTTP/2 an unknown command; the others speak first.
const BEGINNINGS: [(&[u8], Stranger); 8] = [
    (b"HTTP/1.", Stranger::Http1),
    // A web server that takes the first line for HTTP/0.9 answers with the page alone.
    (b"<!DOCTYPE", Stranger::Http1),
    (b"<html", Stranger::Http1),
    (b"\x15\x03", Stranger::Tls),
    (b"SSH-", Stranger::Named("An SSH server")),
    (b"-ERR ", Stranger::Named("A Redis server")),
    (b"-DENIED ", Stranger::Named("A Redis server")),
    (b"E\0\0", Stranger::Named("A PostgreSQL server")),
];

/// Something that is not a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stranger {
    /// A web server.
    Http1,
    /// It speaks HTTP/2, but no gRPC.
    Http2(StatusCode),
    /// It speaks gRPC, but has no console feed.
    Grpc,
    /// It expects TLS.
    Tls,
    /// A server of a well-known protocol.
    Named(&'static str),
    /// A server of some other protocol, which begins so.
    Unknown(Vec<u8>),
    /// It accepts a connection and sends nothing.
    Silent(Duration),
    /// It accepts a connection and closes it without a word.
    Closes,
}

impl Stranger {
    /// What a greeting tells; none for one of HTTP/2, or one that has not come yet.
    pub(super) fn of(greeting: &Greeting) -> Option<Self> {
        let first = greeting.first.as_slice();
        let known = BEGINNINGS.iter().find(|(beginning, _)| first.starts_with(beginning)).map(|(_, it)| it.clone());
        match first {
            [] => greeting.closed.then_some(Self::Closes),
            _ if greeting.is_http2() => None,
            // MySQL and MariaDB: the first packet, of protocol version 10.
            [_, 0, 0, 0, 10, b'0'..=b'9', ..] => Some(Self::Named("A MySQL server")),
            _ => Some(known.unwrap_or_else(|| Self::Unknown(first.iter().take(QUOTED).copied().collect()))),
        }
    }

    /// Whether it will not become a console, however long one waits. A service that starts, a forwarded port and a proxy before a service
    /// that is down may yet.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Self::Http1 | Self::Grpc | Self::Tls | Self::Named(_) | Self::Unknown(_) => true,
            Self::Http2(status) => !status.is_server_error(),
            Self::Silent(_) | Self::Closes => false,
        }
    }

    /// The fact, and what to do, as sentences. Where there was a console before, the address is right.
    pub(super) fn describe(&self, address: &Address, was_console: bool) -> String {
        let at = shown(address);
        let no_console = format!("answers at {at}, not a console-subscriber endpoint");
        let (fact, remedy) = match self {
            Self::Http1 => (format!("A web server (HTTP/1) {no_console}"), ""),
            Self::Http2(status) if matches!(status.as_u16(), 401 | 403 | 407) => {
                let refusal = format!("{at} refuses access (HTTP status {})", status.as_u16());
                return format!("{refusal}. {}", reason::SHOW_CREDENTIALS);
            }
            Self::Http2(status) => (format!("A web server (HTTP/2, status {}) {no_console}", status.as_u16()), ""),
            Self::Grpc => (format!("A gRPC server without the console feed answers at {at}"), ""),
            Self::Tls => (
                format!("A TLS server {no_console}, which speaks plain HTTP/2"),
                " If the console feed is served behind TLS, use https://.",
            ),
            Self::Named(name) => (format!("{name} {no_console}"), ""),
            Self::Unknown(first) => {
                let first = quote(&String::from_utf8_lossy(first));
                (format!("Something {no_console}; it begins with `{first}`"), "")
            }
            Self::Silent(silent_for) => (
                format!("{at} accepts connections and has sent nothing for {}", words::limit(*silent_for)),
                " Check that the process is not stopped or starved of CPU.",
            ),
            Self::Closes => (
                format!("{at} accepts connections and closes them without a word"),
                " If it is a forwarded port, check that the service behind it is up.",
            ),
        };
        if was_console {
            return format!("{fact}.{remedy} tokio-canary reconnects when the service is back.");
        }
        format!("{fact}.{remedy} {}", where_it_is(address))
    }
}

/// How to find the console of a service.
fn where_it_is(address: &Address) -> String {
    match address {
        Address::Tcp { port: DEFAULT_PORT, .. } => {
            "Another program has taken the default port of console-subscriber: set TOKIO_CONSOLE_BIND to a free one in the service."
                .to_owned()
        }
        Address::Tcp { .. } => format!(
            "Attach to the port of console-subscriber, not to one of the service's own: it is {DEFAULT_PORT} unless TOKIO_CONSOLE_BIND says \
             otherwise."
        ),
        Address::Pod(_) => format!(
            "Name the port of console-subscriber, as in deploy/NAME:{DEFAULT_PORT}, and not one of the service's own: it is {DEFAULT_PORT} \
             unless TOKIO_CONSOLE_BIND says otherwise."
        ),
        Address::Tls { .. } => "Attach to the name and port behind which the proxy serves the port of console-subscriber.".to_owned(),
        Address::Unix(_) => "Attach to the socket that console-subscriber was told to serve (Builder::server_addr).".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(first: &[u8], closed: bool) -> Greeting {
        Greeting { first: first.to_vec(), closed, alert: None }
    }

    #[test]
    fn the_first_bytes_tell_what_answers() {
        for (first, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some(Stranger::Http1)),
            (b"<!DOCTYPE HTML>", Some(Stranger::Http1)),
            (b"\x15\x03\x01\x00\x02\x02\x46", Some(Stranger::Tls)),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Some(Stranger::Named("An SSH server"))),
            (b"-ERR unknown command 'PRI'", Some(Stranger::Named("A Redis server"))),
            (b"E\0\0\0\x6eSFATAL\0", Some(Stranger::Named("A PostgreSQL server"))),
            (b"\x4a\0\0\0\x0a8.0.36\0", Some(Stranger::Named("A MySQL server"))),
            (b"220 mail.example ESMTP", Some(Stranger::Unknown(b"220 mail.example ESMTP".to_vec()))),
            (b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", None),
            (b"", None),
        ] {
            assert_eq!(Stranger::of(&greeting(first, false)), expected, "{first:?}");
        }
        assert_eq!(Stranger::of(&greeting(b"", true)), Some(Stranger::Closes));
    }

    #[test]
    fn what_is_said_is_escaped_and_ends_with_what_to_do() {
        let address = Address::Tcp { host: "10.0.0.1".to_owned(), port: 8080 };
        let hostile = greeting(b"\x1b[2J\n\"quoted\" and more of it for quite a while", false);
        let sentence = Stranger::of(&hostile).expect("a stranger").describe(&address, false);
        assert!(!sentence.contains(['\u{1b}', '\n']), "{sentence:?}");
        assert!(!sentence.contains("a while"), "{sentence}");
        assert!(sentence.contains("http://10.0.0.1:8080") && sentence.contains("it is 6669 unless"), "{sentence}");
        let taken = Stranger::Http1.describe(&Address::default(), false);
        assert!(taken.contains("has taken the default port"), "{taken}");
    }
}
