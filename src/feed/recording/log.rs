//! The file of a recording while it is written: chunks, full states, and the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use mcap::records::{MessageHeader, Metadata};
use mcap::{Compression, McapError, McapResult, WriteOptions};
use prost::Message as _;
use prost::bytes::Bytes;

use super::density::is_playable;
use super::messages::{End, Header, Topic, log_time, timestamp};
use super::mirror::Mirror;
use super::note::Note;
use super::{MESSAGE_LIMIT, PROFILE};
use crate::wire::Message;

/// A chunk is closed this long after its first message, so that a crash loses less than 5 s with the time it takes to write one.
pub(super) const CHUNK_SPAN: Duration = Duration::from_secs(4);

/// A chunk that holds more than this is closed before the next message, in bytes before compression.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// How often the full state is written, by arrival times.
const STATE_EVERY: Duration = Duration::from_secs(30);

/// What a recording is written to.
pub(super) trait Output: Write + Seek + Send {}

impl<T: Write + Seek + Send> Output for T {}

/// An update that no player would accept, and its size in bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("an update of {0} bytes repeats itself too much")]
pub(super) struct TooDense(pub(super) usize);

/// For whom a recording is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For somebody who seeks in it: with full states, and with the schemas in its index too.
    Long,
    /// For somebody who plays it from begin to end: as small as it can be.
    Short,
}

/// A recording that is being written. Dropping it closes it, without an `end`.
pub(super) struct Log {
    writer: mcap::Writer<Box<dyn Output>>,
    /// Brings to the disk what was written.
    sync: Box<dyn Fn() -> io::Result<()> + Send>,
    channels: BTreeMap<Topic, u16>,
    sequence: u32,
    chunk: Option<Chunk>,
    mirror: Mirror,
    has_states: bool,
    last_state: Option<u64>,
    last: Last,
    updates: u64,
}

/// The chunk that collects messages now.
struct Chunk {
    opened: Instant,
    first: u64,
}

/// The newest message: when it was recorded by the clock that the messages have, and by ours.
struct Last {
    log_time: u64,
    recorded: Instant,
}

impl Log {
    /// Creates the file, with its header on the disk.
    ///
    /// # Errors
    /// Of kind `AlreadyExists` where there is such a file.
    pub(super) fn create(path: &Path, target: &str) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let written = file.try_clone()?;
        Self::begin(Box::new(written), Box::new(move || file.sync_data()), target, SystemTime::now(), Form::Long)
            .map_err(io_error)
    }

    /// Begins a recording with its header, as of a time.
    pub(super) fn begin(
        output: Box<dyn Output>,
        sync: Box<dyn Fn() -> io::Result<()> + Send>,
        target: &str,
        now: SystemTime,
        form: Form,
    ) -> McapResult<Self> {
        let writer = WriteOptions::new()
            .profile(PROFILE)
            .library(concat!("tokio-canary/", env!("CARGO_PKG_VERSION")))
            .compression(Some(Compression::Zstd))
            // It has a thread of its own already, and must not take more than one core from what it watches.
            .compression_threads(0)
            .chunk_size(Some(CHUNK_BYTES))
            .repeat_schemas(form == Form::Long)
            // Chunks are built in memory: a crash leaves whole chunks in the file.
            .disable_seeking(true)
            .create(output)?;
        let mut log = Self {
            writer,
            sync,
            channels: BTreeMap::new(),
            sequence: 0,
            chunk: None,
            mirror: Mirror::default(),
            has_states: form == Form::Long,
            last_state: None,
            last: Last { log_time: log_time(now), recorded: Instant::now() },
            updates: 0,
        };
        let header = Header {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.to_owned(),
            started_at: Some(timestamp(now)),
        };
        for topic in Topic::ALL {
            let schema = log.writer.add_schema(topic.schema(), "protobuf", topic.schema_data())?;
            let channel = log.writer.add_channel(schema, topic.name(), "protobuf", &BTreeMap::new())?;
            log.channels.insert(topic, channel);
        }
        log.write(Topic::Header, log_time(now), None, &header.encode_to_vec())?;
        log.flush()?;
        Ok(log)
    }

    /// Writes something about the recording that is no part of the feed.
    pub(super) fn write_note(&mut self, note: Note) -> McapResult<()> {
        self.flush()?;
        self.writer.write_metadata(&Metadata { name: note.name, metadata: note.entries })
    }

    /// How many updates are in it.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// How long the open chunk may still stay open; `None` if there is none.
    pub(super) fn flush_due(&self) -> Option<Duration> {
        self.chunk.as_ref().map(|chunk| CHUNK_SPAN.saturating_sub(chunk.opened.elapsed()))
    }

    /// Writes one message, and the full state after it if that is due.
    pub(super) fn record(&mut self, topic: Topic, log_time: u64, bytes: &Bytes, is_live: bool) -> McapResult<()> {
        self.last = Last { log_time, recorded: Instant::now() };
        if self.chunk.as_ref().is_some_and(|chunk| log_time.abs_diff(chunk.first) >= nanos(CHUNK_SPAN)) {
            self.flush()?;
        }
        if is_live {
            self.mirror.reconnect();
        }
        if topic != Topic::Update {
            return self.write(topic, log_time, None, bytes);
        }
        let message = Message::new(bytes.clone()).map_err(io::Error::other)?.with_short_places();
        if !is_playable(message.bytes())? {
            return Err(io::Error::other(TooDense(message.wire_bytes())).into());
        }
        self.write(topic, log_time, message.now(), message.bytes())?;
        self.updates += 1;
        if !self.has_states {
            return Ok(());
        }
        self.mirror.apply(&message);
        if self.last_state.is_none_or(|last| log_time.abs_diff(last) >= nanos(STATE_EVERY)) {
            self.write_state(log_time)?;
        }
        Ok(())
    }

    /// The state begins a chunk: a reader that starts at it needs nothing before it.
    fn write_state(&mut self, log_time: u64) -> McapResult<()> {
        self.last_state = Some(log_time);
        self.mirror.expire();
        let state = self.mirror.render();
        if state.wire_bytes() > MESSAGE_LIMIT || !is_playable(state.bytes())? {
            tracing::warn!(
                bytes = state.wire_bytes(),
                "the full state cannot be recorded; seeking starts at the one before"
            );
            return Ok(());
        }
        self.flush()?;
        self.write(Topic::State, log_time, state.now(), state.bytes())
    }

    fn write(&mut self, topic: Topic, log_time: u64, publish_time: Option<u64>, bytes: &[u8]) -> McapResult<()> {
        let channel_id = self.channels.get(&topic).copied().unwrap_or_default();
        let header = MessageHeader {
            channel_id,
            sequence: self.sequence,
            log_time,
            publish_time: publish_time.unwrap_or(log_time),
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.chunk.get_or_insert_with(|| Chunk { opened: Instant::now(), first: log_time });
        self.writer.write_to_known_channel(&header, bytes)
    }

    /// Closes the open chunk and brings it to the disk.
    pub(super) fn flush(&mut self) -> McapResult<()> {
        if self.chunk.take().is_some() {
            self.writer.flush()?;
            (self.sync)()?;
        }
        Ok(())
    }

    /// Writes the end, the index and the summary.
    pub(super) fn finish(self, truncated: Option<String>) -> McapResult<()> {
        // The end is as long after the last message as it was on our clock: the silence before it is part of the recording.
        let since_last = u64::try_from(self.last.recorded.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let at = self.last.log_time.saturating_add(since_last);
        self.finish_at(at, truncated)
    }

    /// The same with the time of the end.
    pub(super) fn finish_at(mut self, at: u64, truncated: Option<String>) -> McapResult<()> {
        self.write(Topic::End, at, None, &End { truncated }.encode_to_vec())?;
        self.writer.finish()?;
        (self.sync)()?;
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn io_error(error: McapError) -> io::Error {
    match error {
        McapError::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::feed::recording::chunks::Chunks;

    /// Log times of the updates that can be read from a file, in seconds from the first.
    fn readable(path: &Path, first: u64) -> Vec<u64> {
        let file = BufReader::new(File::open(path).unwrap());
        let (mut chunks, _) = Chunks::begin(file).unwrap().unwrap();
        let mut times = Vec::new();
        while let Ok(Some(raw)) = chunks.next(false) {
            if raw.topic == Topic::Update {
                times.push((raw.log_time - first) / 1_000_000_000);
            }
        }
        times
    }

    #[test]
    fn a_crash_loses_less_than_five_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crash");
        let mut log = Log::create(&path, "target").unwrap();
        let first = log.last.log_time;
        for second in 0..70 {
            log.record(Topic::Update, first + second * 1_000_000_000, &Bytes::new(), false).unwrap();
            let readable = readable(&path, first);
            assert!(second < 5 || readable.last() > Some(&(second - 5)), "second {second}: {readable:?}");
            assert_eq!(readable, (0..readable.len() as u64).collect::<Vec<_>>());
        }
        // As after a crash, nothing may be closed.
        std::mem::forget(log);
    }

    #[test]
    fn an_open_chunk_is_due_four_seconds_after_its_first_message() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(&folder.path().join("due"), "target").unwrap();
        assert_eq!(log.flush_due(), None);
        log.record(Topic::Paused, 0, &Bytes::new(), false).unwrap();
        assert!(log.flush_due().is_some_and(|due| due <= CHUNK_SPAN));
        log.flush().unwrap();
        assert_eq!(log.flush_due(), None);
    }
}
