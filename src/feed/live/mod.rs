//! A live target over gRPC: connect, subscribe, pump, reconnect.

mod cadence;
mod codec;
mod connect;
mod details;
pub mod examine;
mod greeting;
mod guarded;
mod outbox;
mod pieces;
mod probe;
mod pump;
mod reason;
mod retry;
mod session;
mod socket;
mod stranger;
mod subscribe;
mod tls;
mod tls_error;

pub use self::connect::check_headers_to;

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use crate::feed::access::Access;
use crate::feed::endpoint::Address;
use crate::feed::kubernetes::Clusters;
use crate::feed::queue::Queue;
use crate::feed::{Feed, Wanted};

use self::outbox::Outbox;
use self::session::Session;

/// How to watch a live target. The defaults suit every target that is not extraordinary.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest message that is accepted, in bytes. A target limits its first message to 4 MiB, later ones not at all.
    pub decode_limit: usize,
    /// Whether a target that lags is made to hand over its events faster, at the price of some of its CPU.
    pub pump: bool,
    /// How many events wait at most for a reader that does not keep up, before the target's stream is held back.
    pub buffer: usize,
    /// How long finding the address and connecting may take, each.
    pub connect_timeout: Duration,
    /// How long a target may take to answer a subscription.
    pub subscribe_timeout: Duration,
    /// The longest wait before the next attempt to connect.
    pub longest_wait: Duration,
    /// A live target is called quiet after this long without an update, or after five of its publish intervals if that is longer.
    pub quiet_after: Duration,
    /// How to get past what guards the target.
    pub access: Access,
    /// The clusters of pods. Targets that share them share the clients to their API servers.
    pub clusters: Clusters,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            decode_limit: 256 * 1024 * 1024,
            pump: true,
            buffer: 64,
            connect_timeout: Duration::from_secs(5),
            subscribe_timeout: Duration::from_secs(10),
            longest_wait: Duration::from_secs(5),
            quiet_after: Duration::from_secs(5),
            access: Access::default(),
            clusters: Clusters::default(),
        }
    }
}

/// Looks whether there are certificate authorities to trust: those of a file (PEM), or those of the system.
///
/// # Errors
/// A sentence for the user.
pub fn check_authorities(ca: Option<&Path>) -> Result<(), String> {
    tls::config(ca).map(drop)
}

/// Starts to watch a target on a task of its own, and keeps at it until the [`Feed`] is dropped: it never ends by itself.
///
/// # Panics
/// Outside of a Tokio runtime.
#[must_use]
pub fn open(address: Address, options: Options) -> Feed {
    let (queue, events) = Queue::new(options.buffer.max(1));
    let (wanted, wanted_receiver) = watch::channel(Wanted::new());
    tokio::spawn(async move {
        let closed = queue.closed();
        let session = Session::new(address, options, Outbox::new(queue), wanted_receiver);
        // Everything the session does is inside its future, or in tasks that end when it is dropped.
        tokio::select! {
            () = closed => {}
            () = session.run() => {}
        }
    });
    Feed { events, wanted }
}
