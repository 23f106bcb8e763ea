//! One message of the stream of updates, and what was measured about it on arrival.

use std::time::Duration;

use console_api::instrument;
use prost::bytes::Bytes;

use crate::wire::{Malformed, Message};

/// One message of `WatchUpdates`.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The message as it came.
    pub message: Message,
    /// How far new entities lag behind the message's `now` (see [`lag`](super::lag)); `None` where it is not known.
    pub lag: Option<Duration>,
    /// The share of its time, about, that the target works on calls that make it hand over its events; zero in a recording.
    pub pumping: f64,
}

impl Update {
    /// Takes in a message as it came.
    ///
    /// # Errors
    /// The bytes are no message of this kind.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        Ok(Message::new(bytes)?.into())
    }

    /// Size of the encoded message in bytes.
    pub fn wire_bytes(&self) -> usize {
        self.message.wire_bytes()
    }
}

impl From<Message> for Update {
    fn from(message: Message) -> Self {
        Self { message, ..Self::default() }
    }
}

impl From<instrument::Update> for Update {
    fn from(update: instrument::Update) -> Self {
        Message::from(&update).into()
    }
}
