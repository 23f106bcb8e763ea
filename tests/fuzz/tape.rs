//! What inputs are made of: the messages of recordings and of scenarios.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use mcap::records::MessageHeader;
use mcap::{Compression, MessageStream, WriteOptions};
use tokio_canary::feed::recording::PROFILE;

use crate::in_repository;
use crate::simulator::messages::messages;
use crate::simulator::scenario::Scenario;

/// The longest beginning of a recording or a scenario that an input is made of.
const LONGEST: usize = 64;
const UPDATE: &str = "rs.tokio.console.instrument.Update";

/// The topics of a recording, each with the name of its message type.
pub(crate) const TOPICS: [(&str, &str); 7] = [
    ("header", "tokio_canary.recording.v1.Header"),
    ("update", UPDATE),
    ("state", UPDATE),
    ("details", "rs.tokio.console.tasks.TaskDetails"),
    ("status", "tokio_canary.recording.v1.Status"),
    ("paused", "tokio_canary.recording.v1.Paused"),
    ("end", "tokio_canary.recording.v1.End"),
];

/// A message of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: &'static str,
    /// When it arrived, in nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Everything that inputs begin from.
pub(crate) struct Shelf {
    tapes: Vec<(PathBuf, OnceCell<Tape>)>,
}

/// A recording, or the messages of a scenario.
pub(crate) struct Tape {
    pub(crate) messages: Vec<Message>,
    /// The file as it is, if it is one.
    pub(crate) file: Option<Vec<u8>>,
}

impl Shelf {
    /// All recordings and scenarios of the repository, in the same order everywhere. None of them is read yet.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read.
    pub(crate) fn open() -> io::Result<Self> {
        let mut paths = Vec::new();
        for folder in ["tests/recordings", "tests/scenarios"] {
            collect(&in_repository(folder), &mut paths)?;
        }
        paths.sort();
        Ok(Self { tapes: paths.into_iter().map(|path| (path, OnceCell::new())).collect() })
    }

    /// One of them: recordings as often as scenarios, which are many.
    pub(crate) fn choose(&self, rng: &mut Rng) -> &Tape {
        let wanted = if rng.bool() { "mcap" } else { "toml" };
        let of_kind: Vec<_> = self.tapes.iter().filter(|(path, _)| has_extension(path, wanted)).collect();
        let (path, tape) = of_kind[rng.usize(0..of_kind.len())];
        tape.get_or_init(|| Tape::read(path))
    }

    /// A recording.
    pub(crate) fn recording(&self, rng: &mut Rng) -> &Tape {
        let of_kind: Vec<_> = self.tapes.iter().filter(|(path, _)| has_extension(path, "mcap")).collect();
        let (path, tape) = of_kind[rng.usize(0..of_kind.len())];
        tape.get_or_init(|| Tape::read(path))
    }
}

impl Tape {
    fn read(path: &Path) -> Self {
        if has_extension(path, "toml") {
            let scenario = Scenario::read(path);
            let updates = messages(&scenario, u64::try_from(LONGEST).unwrap_or(0));
            let messages = updates.into_iter().map(|(at, bytes)| Message { topic: "update", at, bytes }).collect();
            return Self { messages, file: None };
        }
        let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stream = MessageStream::new(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let messages = stream.map_while(Result::ok).filter_map(|message| {
            let (topic, _) = TOPICS.iter().find(|(topic, _)| *topic == message.channel.topic)?;
            Some(Message { topic, at: message.log_time, bytes: message.data.to_vec() })
        });
        let messages = messages.take(LONGEST).collect();
        Self { messages, file: Some(file) }
    }
}

/// A recording of these messages. It begins with a header, whatever they are.
pub(crate) fn record(messages: &[Message]) -> Vec<u8> {
    let options = WriteOptions::new().profile(PROFILE).compression(Some(Compression::Zstd)).chunk_size(Some(64 * 1024));
    let written = || -> Result<Vec<u8>, mcap::McapError> {
        let mut writer = options.create(Cursor::new(Vec::new()))?;
        let header = Message { topic: "header", at: messages.first().map_or(1, |first| first.at), bytes: Vec::new() };
        let needs_header = messages.first().is_none_or(|first| first.topic != "header");
        for (sequence, message) in (0..).zip(needs_header.then_some(&header).into_iter().chain(messages)) {
            let schema = TOPICS.iter().find(|(topic, _)| *topic == message.topic).map_or(UPDATE, |(_, schema)| schema);
            let schema = writer.add_schema(schema, "protobuf", b"")?;
            let channel_id = writer.add_channel(schema, message.topic, "protobuf", &BTreeMap::new())?;
            let header = MessageHeader { channel_id, sequence, log_time: message.at, publish_time: message.at };
            writer.write_to_known_channel(&header, &message.bytes)?;
        }
        writer.finish()?;
        Ok(writer.into_inner().into_inner())
    };
    written().unwrap_or_else(|error| panic!("memory takes every recording: {error}"))
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if has_extension(&path, "mcap") || (has_extension(&path, "toml") && is_scenario(&path)) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Labels of recordings are in files of the same kind, beside them.
fn is_scenario(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "scenarios")
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}
