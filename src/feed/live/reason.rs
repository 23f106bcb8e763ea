//! What went wrong with a connection, and what to do about it, as sentences for the user.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use tonic::{Code, Status};

use crate::feed::endpoint::Address;
pub(super) use crate::feed::quote::quote;
use crate::setup::SERVE;
use crate::words;

/// How the user raises the limit on the size of a message.
const RAISE_LIMIT: &str = "--decode-limit";

/// What to do about a guard.
pub(super) const SHOW_CREDENTIALS: &str = "Pass what it asks for with --header NAME=@FILE, such as --header authorization=@token.txt; the file holds the whole value.";

/// The host has no address.
pub(super) fn no_such_host(host: &str, why: &str) -> String {
    format!("Cannot resolve the host `{}` ({}). Check its name, or use its IP address.", quote(host), quote(why))
}

/// The connection failed.
pub(super) fn not_connected(address: &Address, error: &io::Error, limit: Duration) -> String {
    let at = shown(address);
    match (error.kind(), address) {
        (io::ErrorKind::ConnectionRefused, _) => {
            format!("Nothing is listening at {at} (connection refused). Is the service running? {SERVE}.")
        }
        (io::ErrorKind::NotFound, Address::Unix(_)) => {
            format!("There is no socket at {at}. Is the service running? {SERVE}.")
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            format!(
                "Cannot open the socket {at} (permission denied). Run tokio-canary as the user that runs the service."
            )
        }
        (io::ErrorKind::TimedOut, _) => format!(
            "{at} did not accept a connection within {}. Check the host, the port, and any firewall or tunnel in between.",
            words::limit(limit)
        ),
        _ => format!(
            "Could not connect to {at} ({}). Check the address, and the network to it.",
            quote(&error.to_string())
        ),
    }
}

/// The connection broke before the call was answered.
pub(super) fn broke_off(address: &Address, error: &dyn Error) -> String {
    format!(
        "{} broke the connection off before it answered ({}). Either it is not a console-subscriber endpoint, or something in between \
         alters the stream.",
        shown(address),
        quote(&root_cause(error)),
    )
}

/// A service that was connected is not there any more.
pub(super) fn gone(address: &Address, since: SystemTime) -> String {
    format!(
        "Nothing is listening at {} any more: the connection to the service was lost at {}. tokio-canary reconnects when it is back.",
        shown(address),
        humantime::format_rfc3339_seconds(since)
    )
}

/// The subscription was not answered.
pub(super) fn no_answer(address: &Address, limit: Duration) -> String {
    format!(
        "{} accepted the connection but did not answer within {}. The process may be stopped or starved of CPU, or it is not a \
         console-subscriber.",
        shown(address),
        words::limit(limit)
    )
}

/// `WatchUpdates` was refused.
pub(super) fn refused(address: &Address, status: &Status) -> String {
    // A status that has a source was made by our side: the call was not answered in gRPC at all.
    if status.source().is_some() { broke_off(address, status) } else { said(address, status) }
}

/// The stream of updates ended with an error.
pub(super) fn stream_failed(address: &Address, status: &Status, decode_limit: usize) -> String {
    let at = shown(address);
    match status.code() {
        Code::OutOfRange if status.message().contains("message length too large") => format!(
            "{at} sent a message above the limit of {} MiB ({}). Raise the limit with {RAISE_LIMIT} MIB, or lower the retention of \
             the service.",
            decode_limit / (1024 * 1024),
            quote(status.message())
        ),
        Code::DataLoss => format!(
            "{at} sent an update that cannot be decoded ({}). Either it is not a console-subscriber of version 0.2 to 0.5, or something \
             in between alters the stream.",
            quote(status.message())
        ),
        _ if status.source().is_some() => broken(address, status),
        _ => said(address, status),
    }
}

/// The target ended the stream properly.
pub(super) fn stream_ended(address: &Address) -> String {
    format!(
        "{} closed the stream. The service is shutting down, or it dropped tokio-canary for not reading fast enough.",
        shown(address)
    )
}

/// The connection broke.
pub(super) fn broken(address: &Address, error: &dyn Error) -> String {
    format!(
        "The connection to {} broke ({}). The service has stopped, or the network to it is down.",
        shown(address),
        quote(&root_cause(error))
    )
}

/// The connection ended after a silence in which a keep-alive ping may have gone unanswered.
pub(super) fn went_silent(address: &Address, silent_for: Duration) -> String {
    format!(
        "The connection to {} ended after {} without a message. The process may be stopped or starved of CPU, or the network to it \
         is down.",
        shown(address),
        words::limit(Duration::from_secs(silent_for.as_secs()))
    )
}

/// A library that reads the target has panicked.
pub(super) fn beyond_us(address: &Address) -> String {
    format!(
        "{} sent something that made the reader of its feed fail. Either it is not a console-subscriber of version 0.2 to 0.5, or \
         something in between alters the stream; if neither is the case, please report it.",
        shown(address)
    )
}

fn said(address: &Address, status: &Status) -> String {
    let said = format!("{} closed the stream: {} ({:?}).", shown(address), quote(status.message()), status.code());
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => format!("{said} {SHOW_CREDENTIALS}"),
        _ => format!("{said} The log of the service, or of a proxy in between, may say why."),
    }
}

pub(super) fn shown(address: &Address) -> String {
    quote(&address.to_string())
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_listening_tells_how_a_service_is_instrumented() {
        let reason =
            not_connected(&Address::default(), &io::ErrorKind::ConnectionRefused.into(), Duration::from_secs(5));
        for part in [
            "http://127.0.0.1:6669",
            "console-subscriber",
            "console_subscriber::init()",
            "`tracing`",
            "--cfg tokio_unstable",
            "TOKIO_CONSOLE_BIND",
        ] {
            assert!(reason.contains(part), "{part} is missing: {reason}");
        }
    }

    #[test]
    fn an_oversized_message_names_the_limit_and_the_option() {
        let found = "Error, decoded message length too large: found 9000000 bytes, the limit is: 8388608 bytes";
        let reason = stream_failed(&Address::default(), &Status::out_of_range(found), 8 * 1024 * 1024);
        assert!(reason.contains("8 MiB") && reason.contains("9000000") && reason.contains(RAISE_LIMIT), "{reason}");
    }

    #[test]
    fn a_targets_words_are_escaped_and_cut() {
        let reason = refused(&Address::default(), &Status::internal(format!("\u{1b}[31m\n{}", "x".repeat(10_000))));
        assert!(!reason.contains(['\u{1b}', '\n']), "{reason:?}");
        assert!(reason.len() < 400, "{}", reason.len());
    }
}
