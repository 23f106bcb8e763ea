//! What is in a recording: topics, their schemas, and their messages to and from events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console_api::tasks::TaskDetails;
use prost::Message as _;
use prost::bytes::Bytes;
use prost_types::Timestamp;

use crate::feed::{Ended, FeedEvent, Status};
use crate::wire::Message;

mod generated {
    #![expect(unreachable_pub, reason = "generated for use as a module of a library")]
    #![expect(clippy::doc_markdown, reason = "generated")]
    include!("../../../proto/generated/tokio_canary.recording.v1.rs");
}

use self::generated::Paused;
use self::generated::status::Stage;
pub(super) use self::generated::{End, Header};

static OWN_SCHEMAS: &[u8] = include_bytes!("../../../proto/recording.binpb");
static CONSOLE_SCHEMAS: &[u8] = include_bytes!("../../../proto/console.binpb");

/// Longest sentence that is read out of a recording, in bytes. Those that are written are shorter.
const LONGEST_SENTENCE: usize = 1024;

/// The kinds of messages in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Header,
    Update,
    Details,
    Status,
    Paused,
    State,
    End,
}

impl Topic {
    pub(super) const ALL: [Self; 7] =
        [Self::Header, Self::Update, Self::Details, Self::Status, Self::Paused, Self::State, Self::End];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Update => "update",
            Self::Details => "details",
            Self::Status => "status",
            Self::Paused => "paused",
            Self::State => "state",
            Self::End => "end",
        }
    }

    /// The full name of its message type.
    pub(super) fn schema(self) -> &'static str {
        match self {
            Self::Header => "tokio_canary.recording.v1.Header",
            Self::Status => "tokio_canary.recording.v1.Status",
            Self::Paused => "tokio_canary.recording.v1.Paused",
            Self::End => "tokio_canary.recording.v1.End",
            Self::Update | Self::State => "rs.tokio.console.instrument.Update",
            Self::Details => "rs.tokio.console.tasks.TaskDetails",
        }
    }

    /// The file descriptor set that describes it.
    pub(super) fn schema_data(self) -> &'static [u8] {
        match self {
            Self::Header | Self::Status | Self::Paused | Self::End => OWN_SCHEMAS,
            Self::Update | Self::State | Self::Details => CONSOLE_SCHEMAS,
        }
    }
}

/// One message of a recording.
#[derive(Debug)]
pub(super) enum Content {
    Header(Header),
    Update(Message),
    Details(Box<TaskDetails>),
    Status(Status),
    Paused(bool),
    State(Message),
    End(Ended),
}

impl Content {
    /// Reads one message; fails with the reason why it cannot be read.
    pub(super) fn decode(topic: Topic, bytes: Bytes) -> Result<Self, String> {
        let update = |bytes| Message::new(bytes).map_err(|error| error.to_string());
        let sentence = |error: prost::DecodeError| error.to_string();
        Ok(match topic {
            Topic::Update => Self::Update(update(bytes)?),
            Topic::State => Self::State(update(bytes)?),
            Topic::Header => Self::Header(Header::decode(bytes).map_err(sentence)?),
            Topic::Details => Self::Details(Box::new(TaskDetails::decode(bytes).map_err(sentence)?)),
            Topic::Status => Self::Status(generated::Status::decode(bytes).map_err(sentence)?.into()),
            Topic::Paused => Self::Paused(Paused::decode(bytes).map_err(sentence)?.paused),
            Topic::End => Self::End(match End::decode(bytes).map_err(sentence)?.truncated {
                Some(reason) => Ended::Truncated { reason: cut(reason) },
                None => Ended::Complete,
            }),
        })
    }
}

/// The message of an event; `None` for one that a replay finds out by itself, or that is the end.
pub(super) fn encode(event: &FeedEvent) -> Option<(Topic, Bytes)> {
    let (topic, bytes) = match event {
        FeedEvent::Update(update) => return Some((Topic::Update, update.message.with_few_poll_ops().bytes().clone())),
        FeedEvent::Details(details) => (Topic::Details, details.encode_to_vec()),
        FeedEvent::Status(status) => (Topic::Status, encode_status(status)),
        FeedEvent::Paused(paused) => (Topic::Paused, Paused { paused: *paused }.encode_to_vec()),
        FeedEvent::Quiet(_) | FeedEvent::Ended(_) => return None,
    };
    Some((topic, bytes.into()))
}

/// The message of a status.
fn encode_status(status: &Status) -> Vec<u8> {
    let stage = |stage: Stage| generated::Status { stage: stage.into(), ..Default::default() };
    let message = match status {
        Status::Resolving => stage(Stage::Resolving),
        Status::Chosen { place, is_new } => {
            generated::Status { place: place.clone(), is_new: *is_new, ..stage(Stage::Chosen) }
        }
        Status::Dialing => stage(Stage::Dialing),
        Status::Live => stage(Stage::Live),
        // A recording of a stranger has nothing in it.
        Status::Lost { reason, retry_at } | Status::Stranger { reason, retry_at } => generated::Status {
            stage: Stage::Lost.into(),
            reason: reason.clone(),
            retry_at: Some(timestamp(*retry_at)),
            ..Default::default()
        },
    };
    message.encode_to_vec()
}

impl From<generated::Status> for Status {
    fn from(status: generated::Status) -> Self {
        match status.stage() {
            Stage::Resolving => Self::Resolving,
            Stage::Chosen => Self::Chosen { place: cut(status.place), is_new: status.is_new },
            Stage::Dialing => Self::Dialing,
            Stage::Live => Self::Live,
            Stage::Lost => Self::Lost {
                reason: cut(status.reason),
                retry_at: status.retry_at.as_ref().and_then(system_time).unwrap_or(UNIX_EPOCH),
            },
            // A stage of a newer version: all that is sure is that nothing is known to be live.
            Stage::Unspecified => Self::Resolving,
        }
    }
}

/// A time as nanoseconds since the epoch, as MCAP wants it.
pub(super) fn log_time(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The reverse of [`log_time`].
pub(super) fn arrival(log_time: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_nanos(log_time)).unwrap_or(UNIX_EPOCH)
}

/// A time as protobuf wants it.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::from(at)
}

/// A sentence as long as one may be: a file can claim any.
fn cut(mut sentence: String) -> String {
    sentence.truncate(sentence.floor_char_boundary(LONGEST_SENTENCE));
    sentence
}

fn system_time(timestamp: &Timestamp) -> Option<SystemTime> {
    SystemTime::try_from(*timestamp).ok()
}
