//! The events of a recording, one after the other, as fast as they are taken.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::feed::{Arrived, Ended, FeedEvent};

use super::chunks::Chunks;
use super::messages::{Content, Topic, arrival, log_time};
use super::records::Damage;
use super::{OpenError, PROFILE};

/// A recording that is being read. It yields what was recorded and, at last, how the recording ended.
///
/// What a live feed would have measured, lag and silence, is not in it: [`Playback`](super::Playback) adds that.
pub struct Events {
    source: Chunks<BufReader<File>>,
    target: String,
    version: String,
    begun: u64,
    /// Whether to begin at the next full state.
    at_state: bool,
    /// When the last event was recorded.
    last: SystemTime,
    closed: Option<(SystemTime, Ended)>,
    is_over: bool,
}

impl Events {
    /// Opens a recording at its begin.
    ///
    /// # Errors
    /// The file cannot be read, is not a recording, or is cut off before its first message.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let begun = Chunks::begin(BufReader::new(file)).map_err(|damage| open_error(path, damage))?;
        let (mut source, profile) = begun.ok_or_else(|| OpenError::NotMcap { path: path.to_owned() })?;
        if profile != PROFILE {
            return Err(OpenError::OtherProfile { path: path.to_owned(), profile });
        }
        let empty = |reason: String| OpenError::Empty { path: path.to_owned(), reason };
        let first = source.next(false).map_err(|damage| open_error(path, damage))?;
        let first = first.ok_or_else(|| empty("it has no messages".to_owned()))?;
        match Content::decode(first.topic, first.bytes) {
            Ok(Content::Header(header)) => {
                tracing::debug!(target_name = header.target, version = header.tool_version, "opened a recording");
                let begun = first.log_time;
                Ok(Self {
                    source,
                    target: header.target,
                    version: header.tool_version,
                    begun,
                    at_state: false,
                    last: arrival(begun),
                    closed: None,
                    is_over: false,
                })
            }
            Ok(_) => Err(empty("its first message is not a header".to_owned())),
            Err(error) => Err(empty(format!("its header cannot be decoded ({error})"))),
        }
    }

    /// The target as it was called when it was recorded.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The version of the tool that recorded it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When it begins and ends, as far as it can be read. Nothing can be read from it after that.
    pub(super) fn extent(mut self) -> (SystemTime, SystemTime) {
        let first = self.source.next(false).ok().flatten().map_or(self.begun, |raw| raw.log_time);
        if first >= self.begun {
            return (arrival(self.begun), arrival(self.source.last_time().max(first)));
        }
        // It was packed later: its header is younger than what it holds, and so is its first chunk.
        let mut last = first;
        while let Ok(Some(raw)) = self.source.next(false) {
            last = last.max(raw.log_time);
        }
        (arrival(first), arrival(last))
    }

    /// Goes to the last full state that is not later than `from` after the begin, and returns the time that `from` stands for; `None` if
    /// that is the begin. It is read from its begin if it has no such state.
    pub(super) fn seek(&mut self, from: Duration) -> Result<Option<SystemTime>, Damage> {
        let begun = arrival(self.begun);
        let from = begun.checked_add(from).filter(|from| *from > begun);
        if let Some(from) = from {
            self.at_state = self.source.seek_state(log_time(from))?;
        }
        Ok(from)
    }

    /// What was recorded next; `None` at the proper end of the file. A full state is an event only where the recording is entered.
    fn read(&mut self) -> Result<Option<Arrived>, Damage> {
        loop {
            let Some(raw) = self.source.next(self.at_state)? else {
                return Ok(None);
            };
            if self.at_state && raw.topic != Topic::State {
                continue;
            }
            self.at_state = false;
            let broken = |reason: String| Damage::Broken { at: self.source.chunk_at(), reason };
            let content = Content::decode(raw.topic, raw.bytes)
                .map_err(|error| broken(format!("a message cannot be decoded: {error}")))?;
            let event = match content {
                Content::Header(_) => continue,
                Content::Update(message) | Content::State(message) => FeedEvent::Update(Box::new(message.into())),
                Content::Details(details) => FeedEvent::Details(details),
                Content::Status(status) => FeedEvent::Status(status),
                Content::Paused(paused) => FeedEvent::Paused(paused),
                Content::End(end) => FeedEvent::Ended(end),
            };
            return Ok(Some(Arrived { at: arrival(raw.log_time), event }));
        }
    }

    /// How the recording ended, and why it cannot be read further if that is not its proper end.
    fn end(&mut self, reason: Option<String>) -> Arrived {
        self.is_over = true;
        let (at, end) = match (self.closed.take(), reason) {
            (Some(closed), None) => closed,
            (Some((at, _)), Some(reason)) => {
                (at, truncated(&format!("The recording has no index, but all of its updates were played: {reason}.")))
            }
            (None, reason) => {
                let reason = reason.unwrap_or_else(|| "it was not closed properly".to_owned());
                (self.last, truncated(&format!("The recording breaks off here: {reason}.")))
            }
        };
        Arrived { at, event: FeedEvent::Ended(end) }
    }
}

impl Iterator for Events {
    type Item = Arrived;

    fn next(&mut self) -> Option<Arrived> {
        while !self.is_over {
            match self.read() {
                Ok(Some(Arrived { at, event: FeedEvent::Ended(end) })) => self.closed = Some((at, end)),
                Ok(Some(arrived)) => {
                    self.last = arrived.at;
                    return Some(arrived);
                }
                Ok(None) => return Some(self.end(None)),
                Err(damage) => return Some(self.end(Some(damage.to_string()))),
            }
        }
        None
    }
}

pub(super) fn open_error(path: &Path, damage: Damage) -> OpenError {
    let path = path.to_owned();
    match damage {
        Damage::Io(source) => OpenError::Io { path, source },
        Damage::OtherSchema { topic, schema } => OpenError::OtherSchema { path, topic, schema },
        damage => OpenError::Empty { path, reason: damage.to_string() },
    }
}

fn truncated(reason: &str) -> Ended {
    Ended::Truncated { reason: reason.to_owned() }
}
