//! What is in a recording: topics, their schemas, and their messages to and from events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console_api::instrument;
use console_api::tasks::TaskDetails;
use prost::Message;
use prost_types::Timestamp;

use crate::feed::{Ended, FeedEvent, Status};

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
    Update { message: Box<instrument::Update>, wire_bytes: usize },
    Details(Box<TaskDetails>),
    Status(Status),
    Paused(bool),
    State { message: Box<instrument::Update>, wire_bytes: usize },
    End(Ended),
}

impl Content {
    /// Reads one message.
    pub(super) fn decode(topic: Topic, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let wire_bytes = bytes.len();
        Ok(match topic {
            Topic::Header => Self::Header(Header::decode(bytes)?),
            Topic::Update => Self::Update { message: Box::new(Message::decode(bytes)?), wire_bytes },
            Topic::Details => Self::Details(Box::new(TaskDetails::decode(bytes)?)),
            Topic::Status => Self::Status(generated::Status::decode(bytes)?.into()),
            Topic::Paused => Self::Paused(Paused::decode(bytes)?.paused),
            Topic::State => Self::State { message: Box::new(Message::decode(bytes)?), wire_bytes },
            Topic::End => Self::End(match End::decode(bytes)?.truncated {
                Some(reason) => Ended::Truncated { reason },
                None => Ended::Complete,
            }),
        })
    }
}

/// The message of an event; `None` for one that a replay finds out by itself, or that is the end.
pub(super) fn encode(event: &FeedEvent) -> Option<(Topic, Vec<u8>)> {
    match event {
        FeedEvent::Update(update) => Some((Topic::Update, update.encode())),
        FeedEvent::Details(details) => Some((Topic::Details, details.encode_to_vec())),
        FeedEvent::Status(status) => Some((Topic::Status, encode_status(status))),
        FeedEvent::Paused(paused) => Some((Topic::Paused, Paused { paused: *paused }.encode_to_vec())),
        FeedEvent::Quiet(_) | FeedEvent::Ended(_) => None,
    }
}

/// The message of a status.
fn encode_status(status: &Status) -> Vec<u8> {
    let stage = |stage: Stage| generated::Status { stage: stage.into(), ..Default::default() };
    let message = match status {
        Status::Resolving => stage(Stage::Resolving),
        Status::Dialing => stage(Stage::Dialing),
        Status::Live => stage(Stage::Live),
        // A recording of a stranger has nothing in it.
        Status::Lost { reason, retry_at } | Status::Stranger { reason, retry_at } => generated::Status {
            stage: Stage::Lost.into(),
            reason: reason.clone(),
            retry_at: Some(timestamp(*retry_at)),
        },
    };
    message.encode_to_vec()
}

impl From<generated::Status> for Status {
    fn from(status: generated::Status) -> Self {
        match status.stage() {
            Stage::Resolving => Self::Resolving,
            Stage::Dialing => Self::Dialing,
            Stage::Live => Self::Live,
            Stage::Lost => Self::Lost {
                reason: status.reason,
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

/// A time of the target's clock as nanoseconds since the epoch; `None` for one that MCAP cannot express.
pub(super) fn publish_time(now: Option<&Timestamp>) -> Option<u64> {
    let Timestamp { seconds, nanos } = now?;
    let seconds = u64::try_from(*seconds).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(u64::try_from(*nanos).ok()?)
}

/// A time as protobuf wants it.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::from(at)
}

fn system_time(timestamp: &Timestamp) -> Option<SystemTime> {
    SystemTime::try_from(*timestamp).ok()
}
