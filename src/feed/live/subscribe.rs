//! The call by which a console is told from everything else that answers at an address.

use std::error::Error;
use std::time::SystemTime;

use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::feed::Update;
use crate::feed::endpoint::Address;

use super::codec::{Answer, watch_updates};
use super::connect::{Channel, Line, dial};
use super::reason::shown;
use super::socket::Resolved;
use super::stranger::{Failure, Stranger};
use super::{Options, reason, tls};

/// Dials and calls `WatchUpdates`. A service that was connected before, until `last_live`, is known to be instrumented.
///
/// # Errors
/// There is no connection, or no console answers.
pub(super) async fn subscribe(
    address: &Address,
    resolved: &Resolved,
    options: &Options,
    last_live: Option<SystemTime>,
) -> Result<(Channel, Streaming<Update>), Failure> {
    subscribe_over(dial(address, resolved, options, last_live).await?, address, options).await
}

/// Calls `WatchUpdates`. What answers in gRPC with a stream is taken for a console, and nothing else is.
///
/// # Errors
/// No console answers.
pub(super) async fn subscribe_over(
    line: Line,
    address: &Address,
    options: &Options,
) -> Result<(Channel, Streaming<Update>), Failure> {
    let limit = options.subscribe_timeout;
    let call = watch_updates(line.channel.clone(), options.decode_limit);
    let status = match timeout(limit, call).await {
        Ok(Ok(Answer::Updates(updates))) => return Ok((line.channel, updates)),
        Ok(Ok(Answer::NoUpdates)) => return Err(reason::stream_ended(address).into()),
        Ok(Ok(Answer::NoGrpc(status))) => return Err(Failure::Stranger(Stranger::Http2(status))),
        Ok(Err(status)) => Some(status),
        Err(_) => None,
    };
    let greeting = line.heard.greeting();
    if let Some(alert) = greeting.alert {
        return Err(tls::refused(&shown(address), alert).into());
    }
    let stranger = match (Stranger::of(&greeting), &status) {
        (None, Some(status)) if status.code() == Code::Unimplemented => Some(Stranger::Grpc),
        (None, Some(status)) if greeting.first.is_empty() && status.source().is_some() => Some(Stranger::Closes),
        (None, None) if greeting.first.is_empty() => Some(Stranger::Silent(limit)),
        (stranger, _) => stranger,
    };
    Err(match (stranger, status) {
        (Some(stranger), _) => Failure::Stranger(stranger),
        (None, Some(status)) => reason::refused(address, &status).into(),
        (None, None) => reason::no_answer(address, limit).into(),
    })
}
