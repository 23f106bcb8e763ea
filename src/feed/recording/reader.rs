//! Opens a recording and reads it on a thread of its own, message by message.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};

use crate::feed::lag::LagMeter;
use crate::feed::{Arrived, Ended, Feed, FeedEvent, Status, Update, Wanted};

use super::chunks::Chunks;
use super::messages::{Content, Topic, arrival, log_time};
use super::player;
use super::records::Damage;
use super::weight::is_plausible_update;
use super::{OpenError, PROFILE, Speed};

/// How many messages are read ahead; they may be large.
const READ_AHEAD: usize = 8;

/// How many events may wait for the consumer.
const EVENTS: usize = 64;

/// A recording that is being read.
type Source = Chunks<BufReader<File>>;

/// Plays a recording from its begin. Must be called inside a Tokio runtime.
///
/// The feed ends with [`FeedEvent::Ended`]. Which details are wanted has no influence: those that were recorded come.
///
/// # Errors
/// The file cannot be read, is not a recording, or is cut off before its first message.
pub fn open(path: impl AsRef<Path>, speed: Speed) -> Result<Feed, OpenError> {
    open_at(path, speed, Duration::ZERO)
}

/// Plays a recording from the last full state that is not later than `from` after its begin; what is before `from` comes at once. It is
/// played from its begin if it has no such state. Must be called inside a Tokio runtime.
///
/// # Errors
/// As [`open`].
pub fn open_at(path: impl AsRef<Path>, speed: Speed, from: Duration) -> Result<Feed, OpenError> {
    let path = path.as_ref();
    let (mut source, begin) = begin(path)?;
    let begin_at = arrival(begin);
    let from = begin_at.checked_add(from).filter(|from| *from > begin_at);
    let at_state = match from {
        Some(from) => source.seek_state(log_time(from)).map_err(|damage| open_error(path, damage))?,
        None => false,
    };
    let (sender, recorded) = mpsc::channel(READ_AHEAD);
    thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || read(source, at_state, begin_at, &sender))
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let (sink, events) = mpsc::channel(EVENTS);
    let (wanted, nobody) = watch::channel(Wanted::new());
    tokio::spawn(player::play(recorded, sink, speed, from, nobody));
    Ok(Feed { events, wanted })
}

/// Opens the file and reads its header. Returns when the recording began.
fn begin(path: &Path) -> Result<(Source, u64), OpenError> {
    let file = File::open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let begun = Chunks::begin(BufReader::new(file)).map_err(|damage| open_error(path, damage))?;
    let (mut source, profile) = begun.ok_or_else(|| OpenError::NotMcap { path: path.to_owned() })?;
    if profile != PROFILE {
        return Err(OpenError::OtherProfile { path: path.to_owned(), profile });
    }
    let empty = |reason: String| OpenError::Empty { path: path.to_owned(), reason };
    let first = source.next(false).map_err(|damage| open_error(path, damage))?;
    let first = first.ok_or_else(|| empty("it has no messages".to_owned()))?;
    match Content::decode(first.topic, &first.bytes) {
        Ok(Content::Header(header)) => {
            tracing::debug!(target_name = header.target, version = header.tool_version, "opened a recording");
            Ok((source, first.log_time))
        }
        Ok(_) => Err(empty("its first message is not a header".to_owned())),
        Err(error) => Err(empty(format!("its header cannot be decoded ({error})"))),
    }
}

fn open_error(path: &Path, damage: Damage) -> OpenError {
    let path = path.to_owned();
    match damage {
        Damage::Io(source) => OpenError::Io { path, source },
        Damage::OtherSchema { topic, schema } => OpenError::OtherSchema { path, topic, schema },
        damage => OpenError::Empty { path, reason: damage.to_string() },
    }
}

/// The reading thread: sends every event and the end, until nobody listens.
fn read(mut source: Source, mut at_state: bool, begin: SystemTime, events: &mpsc::Sender<Arrived>) {
    let mut lag = LagMeter::default();
    let mut last = begin;
    let mut closed = None;
    let reason = loop {
        match next(&mut source, &mut at_state, &mut lag) {
            Ok(Some(Arrived { at, event: FeedEvent::Ended(end) })) => closed = Some((at, end)),
            Ok(Some(arrived)) => {
                last = arrived.at;
                if events.blocking_send(arrived).is_err() {
                    return;
                }
            }
            Ok(None) if closed.is_some() => break None,
            Ok(None) => break Some("it was not closed properly".to_owned()),
            Err(damage) => break Some(damage.to_string()),
        }
    };
    let (at, event) = match (closed, reason) {
        (Some((at, end)), None) => (at, end),
        (Some((at, _)), Some(reason)) => {
            (at, truncated(&format!("The recording has no index, but all of its updates were played: {reason}.")))
        }
        (None, reason) => (last, truncated(&format!("The recording breaks off here: {}.", reason.unwrap_or_default()))),
    };
    // A listener that has gone does not miss it.
    let _ = events.blocking_send(Arrived { at, event: FeedEvent::Ended(event) });
}

fn truncated(reason: &str) -> Ended {
    Ended::Truncated { reason: reason.to_owned() }
}

/// The next event; `None` at the proper end of the file. A full state is one only where the recording is entered.
fn next(source: &mut Source, at_state: &mut bool, lag: &mut LagMeter) -> Result<Option<Arrived>, Damage> {
    loop {
        let Some(raw) = source.next(*at_state)? else {
            return Ok(None);
        };
        if *at_state && raw.topic != Topic::State {
            continue;
        }
        *at_state = false;
        let broken = |reason: String| Damage::Broken { at: source.chunk_at(), reason };
        if matches!(raw.topic, Topic::Update | Topic::State) && !is_plausible_update(&raw.bytes) {
            return Err(broken("it contains too many updates that are nearly empty".to_owned()));
        }
        let content = Content::decode(raw.topic, &raw.bytes)
            .map_err(|error| broken(format!("a message cannot be decoded: {error}")))?;
        let event = match content {
            Content::Header(_) => continue,
            Content::Update { message, wire_bytes } | Content::State { message, wire_bytes } => {
                let lag = lag.observe(&message);
                FeedEvent::Update(Box::new(Update { message: *message, lag, wire_bytes, ..Update::default() }))
            }
            Content::Details(details) => FeedEvent::Details(details),
            Content::Status(status) => {
                if status == Status::Live {
                    *lag = LagMeter::default();
                }
                FeedEvent::Status(status)
            }
            Content::Paused(paused) => FeedEvent::Paused(paused),
            Content::End(end) => FeedEvent::Ended(end),
        };
        return Ok(Some(Arrived { at: arrival(raw.log_time), event }));
    }
}
