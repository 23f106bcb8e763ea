//! The records of an MCAP file, without trusting a byte of it.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use mcap::MAGIC;
use mcap::records::{Record, op};

use super::MESSAGE_LIMIT;
use super::parse::parse;

/// Largest record of the file: a chunk is closed before the message that makes it larger than this.
pub(super) const RECORD_LIMIT: usize = MESSAGE_LIMIT + 16 * 1024 * 1024;

/// Opcode and length.
pub(super) const HEAD_BYTES: usize = 9;

/// What keeps a file from being read on.
#[derive(Debug)]
pub(super) enum Damage {
    /// It ends too early.
    Cut { at: u64 },
    /// It is not what it should be.
    Broken { at: u64, reason: String },
    /// The system cannot read it.
    Io(io::Error),
    /// A topic that is known has another schema than it should.
    OtherSchema { topic: String, schema: String },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { at } => write!(f, "it is cut off at byte {at}"),
            Self::Broken { at, reason } => {
                write!(f, "it is damaged at byte {at} ({})", reason.escape_debug())
            }
            Self::Io(error) => write!(f, "the rest cannot be read ({error})"),
            Self::OtherSchema { topic, schema } => {
                write!(f, "its topic {topic:?} has messages of the unknown kind {schema:?}")
            }
        }
    }
}

/// The beginning of a record in the file; its body follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) opcode: u8,
    pub(super) length: u64,
    pub(super) at: u64,
}

/// An MCAP file as a sequence of records.
pub(super) struct Records<R> {
    input: R,
    position: u64,
}

impl<R: Read + Seek> Records<R> {
    /// Checks what every MCAP file begins with, and returns the profile; `None` if it is not one.
    pub(super) fn begin(input: R) -> Result<Option<(Self, String)>, Damage> {
        let mut records = Self { input, position: 0 };
        match records.magic() {
            Ok(()) => {}
            Err(Damage::Cut { .. } | Damage::Broken { .. }) => return Ok(None),
            Err(other) => return Err(other),
        }
        let head = records.head()?;
        let mut body = Vec::new();
        records.body(head, &mut body)?;
        match parse_header(head, &body)? {
            Some(profile) => Ok(Some((records, profile))),
            None => Err(broken(head.at, "its first record is not a header")),
        }
    }

    /// Where the next record begins, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes to where a record begins.
    pub(super) fn go_to(&mut self, position: u64) -> Result<(), Damage> {
        self.input.seek(SeekFrom::Start(position)).map_err(Damage::Io)?;
        self.position = position;
        Ok(())
    }

    /// Reads what is at both ends of the file.
    pub(super) fn magic(&mut self) -> Result<(), Damage> {
        let at = self.position;
        let mut magic = [0; 8];
        self.fill(&mut magic)?;
        if magic == MAGIC { Ok(()) } else { Err(broken(at, "the magic bytes of MCAP are missing")) }
    }

    /// Reads the beginning of the next record.
    pub(super) fn head(&mut self) -> Result<Head, Damage> {
        let at = self.position;
        let mut opcode = [0; 1];
        let mut length = [0; 8];
        self.fill(&mut opcode)?;
        self.fill(&mut length)?;
        Ok(Head { opcode: opcode[0], length: u64::from_le_bytes(length), at })
    }

    /// Appends the rest of a record. Grows with what is in the file, not with what the head claims.
    pub(super) fn body(&mut self, head: Head, body: &mut Vec<u8>) -> Result<(), Damage> {
        if head.length > RECORD_LIMIT as u64 {
            return Err(broken(head.at, &format!("a record of {} bytes is too large", head.length)));
        }
        let read = self.input.by_ref().take(head.length).read_to_end(body).map_err(Damage::Io)? as u64;
        self.position += read;
        if read < head.length { Err(Damage::Cut { at: self.position }) } else { Ok(()) }
    }

    /// Passes over the rest of a record.
    pub(super) fn skip(&mut self, head: Head) -> Result<(), Damage> {
        let beyond = || broken(head.at, &format!("a record of {} bytes is too large", head.length));
        let length = i64::try_from(head.length).map_err(|_| beyond())?;
        self.position = self.position.checked_add(head.length).ok_or_else(beyond)?;
        self.input.seek_relative(length).map_err(Damage::Io)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Damage> {
        match self.input.read_exact(buffer) {
            Ok(()) => {
                self.position += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Damage::Cut { at: self.position }),
            Err(error) => Err(Damage::Io(error)),
        }
    }
}

/// The profile; `None` if it is not a header.
fn parse_header(head: Head, body: &[u8]) -> Result<Option<String>, Damage> {
    if head.opcode != op::HEADER {
        return Ok(None);
    }
    match parse(head.opcode, body) {
        Ok(Record::Header(header)) => Ok(Some(header.profile)),
        Ok(_) => Ok(None),
        Err(reason) => Err(broken(head.at, &reason)),
    }
}

pub(super) fn broken(at: u64, reason: &str) -> Damage {
    Damage::Broken { at, reason: reason.to_owned() }
}
