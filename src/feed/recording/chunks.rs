//! The messages of an MCAP file, out of its chunks.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use mcap::records::{Record, op};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};
use prost::bytes::Bytes;

use super::messages::Topic;
use super::parse::{explain, parse};
use super::records::{Damage, HEAD_BYTES, Head, RECORD_LIMIT, Records, broken};

/// Largest chunk, in bytes, that is unpacked whatever its compression ratio.
const HARMLESS: u64 = 16 * 1024 * 1024;
/// No larger chunk of real updates shrinks to less than this part of itself, and the recorder writes none that does: one that claims to is
/// built to fill the memory.
pub(super) const MOST_SHRINKING: u64 = 512;

/// A chunk begins with the times of its first and its last message, in bytes.
const CHUNK_TIMES: usize = 16;

/// One message as it is in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) topic: Topic,
    pub(super) log_time: u64,
    pub(super) bytes: Bytes,
}

/// An MCAP file that is read.
pub(super) struct Chunks<R> {
    records: Records<R>,
    unpacker: LinearReader,
    /// The chunk that the unpacker works on, as a whole record, and how much of it is taken.
    chunk: Vec<u8>,
    taken: usize,
    chunk_at: u64,
    catalog: Catalog,
}

/// What the file has declared so far.
#[derive(Default)]
struct Catalog {
    /// Name and encoding.
    schemas: BTreeMap<u16, (String, String)>,
    /// What is in which channel; `None` for a topic that is not known.
    channels: BTreeMap<u16, Option<Topic>>,
}

impl<R: Read + Seek> Chunks<R> {
    /// Checks what every MCAP file begins with, and returns the profile; `None` if it is not one.
    pub(super) fn begin(input: R) -> Result<Option<(Self, String)>, Damage> {
        let Some((records, profile)) = Records::begin(input)? else {
            return Ok(None);
        };
        let chunks = Self {
            records,
            unpacker: unpacker(),
            chunk: Vec::new(),
            taken: 0,
            chunk_at: 0,
            catalog: Catalog::default(),
        };
        Ok(Some((chunks, profile)))
    }

    /// The next message of a known topic; `None` at the proper end of the file. States are passed over unless they are wanted.
    pub(super) fn next(&mut self, states: bool) -> Result<Option<Raw>, Damage> {
        loop {
            let at = self.chunk_at;
            match self.unpacker.next_event() {
                None => return Err(broken(at, "a chunk ends in the middle of a record")),
                Some(Err(error)) => return Err(broken(at, &explain(&error))),
                Some(Ok(LinearReadEvent::ReadRequest(wanted))) => {
                    if self.taken == self.chunk.len() && !self.load()? {
                        return Ok(None);
                    }
                    let rest = &self.chunk[self.taken..];
                    let count = wanted.min(rest.len());
                    self.unpacker.insert(count).copy_from_slice(&rest[..count]);
                    self.unpacker.notify_read(count);
                    self.taken += count;
                }
                Some(Ok(LinearReadEvent::Record { opcode, data })) => {
                    if let Some(raw) = self.catalog.read(at, opcode, data, states)? {
                        return Ok(Some(raw));
                    }
                }
            }
        }
    }

    /// Where the chunk begins that was read last, in bytes.
    pub(super) fn chunk_at(&self) -> u64 {
        self.chunk_at
    }

    /// Goes to the last chunk that has a full state not younger than `log_time`. Goes nowhere and returns `false` if there is none, as
    /// far as the file can be read.
    pub(super) fn seek_state(&mut self, log_time: u64) -> Result<bool, Damage> {
        let back = self.records.position();
        let mut found = None;
        let mut chunk = None;
        let mut body = Vec::new();
        // A file that breaks off has been searched up to there; playing it will tell.
        while let Ok(head) = self.records.head() {
            let passed = match head.opcode {
                op::CHUNK => {
                    chunk = Some(head.at);
                    self.records.skip(head)
                }
                op::MESSAGE_INDEX => {
                    body.clear();
                    self.records.body(head, &mut body)
                }
                op::DATA_END | op::FOOTER => break,
                _ => self.records.skip(head),
            };
            if passed.is_err() {
                break;
            }
            if head.opcode == op::MESSAGE_INDEX && self.catalog.has_state(&body, log_time) {
                found = chunk;
            }
        }
        self.records.go_to(found.unwrap_or(back))?;
        if found.is_some() {
            self.unpacker = unpacker();
            self.chunk.clear();
            self.taken = 0;
        }
        Ok(found.is_some())
    }

    /// When the last message was recorded that the file claims to have from the present chunk on, without unpacking it; a file that breaks
    /// off has been looked at up to there. Goes to the end.
    pub(super) fn last_time(&mut self) -> u64 {
        let times = self.chunk.get(HEAD_BYTES..).unwrap_or_default();
        let mut last = last_of(times);
        let mut body = Vec::new();
        while let Ok(head) = self.records.head() {
            let passed = match head.opcode {
                op::CHUNK if head.length >= CHUNK_TIMES as u64 => {
                    body.clear();
                    let times = Head { length: CHUNK_TIMES as u64, ..head };
                    self.records.body(times, &mut body).and_then(|()| {
                        last = last.max(last_of(&body));
                        self.records.skip(Head { length: head.length - CHUNK_TIMES as u64, ..head })
                    })
                }
                op::DATA_END | op::FOOTER => break,
                _ => self.records.skip(head),
            };
            if passed.is_err() {
                break;
            }
        }
        last
    }

    /// Loads the next chunk; `false` at the proper end of the file.
    fn load(&mut self) -> Result<bool, Damage> {
        loop {
            let head = self.records.head()?;
            match head.opcode {
                op::CHUNK => {
                    let mut chunk = std::mem::take(&mut self.chunk);
                    chunk.clear();
                    chunk.push(head.opcode);
                    chunk.extend_from_slice(&head.length.to_le_bytes());
                    self.chunk_at = head.at;
                    self.records.body(head, &mut chunk)?;
                    check_chunk(head, &chunk[HEAD_BYTES..])?;
                    self.chunk = chunk;
                    self.taken = 0;
                    return Ok(true);
                }
                op::FOOTER => {
                    let mut body = Vec::new();
                    self.records.body(head, &mut body)?;
                    self.records.magic()?;
                    return Ok(false);
                }
                op::MESSAGE => return Err(broken(head.at, "a message is outside of a chunk")),
                _ => self.records.skip(head)?,
            }
        }
    }
}

impl Catalog {
    /// Takes a record out of the chunk that begins at a byte; returns it if it is a message of a known topic.
    fn read(&mut self, at: u64, opcode: u8, data: &[u8], states: bool) -> Result<Option<Raw>, Damage> {
        if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE) {
            return Ok(None);
        }
        match parse(opcode, data).map_err(|reason| broken(at, &reason))? {
            Record::Schema { header, .. } => {
                self.schemas.insert(header.id, (header.name, header.encoding));
            }
            Record::Channel(channel) => {
                let topic = topic(&channel, &self.schemas)?;
                self.channels.insert(channel.id, topic);
            }
            Record::Message { header, data } => match self.channels.get(&header.channel_id) {
                None => {
                    return Err(broken(at, "a message belongs to a channel that was not declared"));
                }
                Some(None) => {}
                Some(Some(Topic::State)) if !states => {}
                Some(Some(topic)) => {
                    let (topic, log_time, bytes) = (*topic, header.log_time, Bytes::from(data.into_owned()));
                    return Ok(Some(Raw { topic, log_time, bytes }));
                }
            },
            _ => {}
        }
        Ok(None)
    }

    /// Whether a message index is of a full state that is not younger.
    fn has_state(&self, index: &[u8], log_time: u64) -> bool {
        let Ok(Record::MessageIndex(index)) = parse(op::MESSAGE_INDEX, index) else {
            return false;
        };
        self.channels.get(&index.channel_id) == Some(&Some(Topic::State))
            && index.records.iter().any(|entry| entry.log_time <= log_time)
    }
}

/// The time of the last message of a chunk, of which this is the body; zero if it has none.
fn last_of(body: &[u8]) -> u64 {
    let times = body.get(..CHUNK_TIMES).and_then(|times| times.last_chunk());
    times.map_or(0, |end| u64::from_le_bytes(*end))
}

fn unpacker() -> LinearReader {
    LinearReader::new_with_options(
        LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_skip_end_magic(true)
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(RECORD_LIMIT),
    )
}

/// Lets only chunks of the form that we write through to the unpacker, which trusts more than it should in others.
fn check_chunk(head: Head, body: &[u8]) -> Result<(), Damage> {
    let record = parse(op::CHUNK, body).map_err(|reason| broken(head.at, &reason))?;
    let Record::Chunk { header, data } = record else {
        return Err(broken(head.at, "it is not a chunk"));
    };
    if header.compression != "zstd" {
        return Err(broken(head.at, &format!("a chunk is compressed by {:?}, not by zstd", header.compression)));
    }
    let most = (data.len() as u64).saturating_mul(MOST_SHRINKING).max(HARMLESS).min(RECORD_LIMIT as u64);
    if header.uncompressed_size > most {
        return Err(broken(head.at, &format!("a chunk claims to hold {} bytes", header.uncompressed_size)));
    }
    Ok(())
}

/// Which topic a channel is; `None` for one of a newer version, or somebody else's.
fn topic(channel: &mcap::records::Channel, schemas: &BTreeMap<u16, (String, String)>) -> Result<Option<Topic>, Damage> {
    let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name() == channel.topic) else {
        return Ok(None);
    };
    let (schema, encoding) = schemas.get(&channel.schema_id).cloned().unwrap_or_default();
    if schema == topic.schema() && encoding == "protobuf" && channel.message_encoding == "protobuf" {
        Ok(Some(topic))
    } else {
        Err(Damage::OtherSchema { topic: channel.topic.clone(), schema })
    }
}
