//! Something that is written into a recording about it, and is no part of the feed: a metadata record of MCAP.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use mcap::records::{Record, op};

use super::events::open_error;
use super::parse::parse;
use super::records::{Damage, Records, broken};
use super::{OpenError, PROFILE};

/// A note larger than this is not read, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Something about a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// What kind of note it is.
    pub name: String,
    /// What it says, by key. From a file, so hostile until escaped.
    pub entries: BTreeMap<String, String>,
}

impl Note {
    /// The note of this name in a recording; `None` if it has none, as far as it can be read.
    ///
    /// # Errors
    /// The file cannot be read, or is not a recording.
    pub fn read(path: impl AsRef<Path>, name: &str) -> Result<Option<Self>, OpenError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let begun = Records::begin(BufReader::new(file)).map_err(|damage| open_error(path, damage))?;
        let (mut records, profile) = begun.ok_or_else(|| OpenError::NotMcap { path: path.to_owned() })?;
        if profile != PROFILE {
            return Err(OpenError::OtherProfile { path: path.to_owned(), profile });
        }
        match find(&mut records, name) {
            Ok(note) => Ok(note),
            // Whoever plays it is told.
            Err(Damage::Cut { .. }) => Ok(None),
            Err(damage) => Err(open_error(path, damage)),
        }
    }
}

fn find(records: &mut Records<BufReader<File>>, name: &str) -> Result<Option<Note>, Damage> {
    loop {
        let head = records.head()?;
        match head.opcode {
            op::DATA_END | op::FOOTER => return Ok(None),
            op::METADATA if head.length <= LONGEST => {
                let mut body = Vec::new();
                records.body(head, &mut body)?;
                match parse(head.opcode, &body).map_err(|reason| broken(head.at, &reason))? {
                    Record::Metadata(found) if found.name == name => {
                        return Ok(Some(Note { name: found.name, entries: found.metadata }));
                    }
                    _ => {}
                }
            }
            _ => records.skip(head)?,
        }
    }
}
