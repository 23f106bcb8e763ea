//! Writes events that are at hand as a recording, at one go: equal events are equal files.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use mcap::{McapError, McapResult};

use crate::feed::Arrived;

use super::RecordError;
use super::log::{Form, Log};
use super::messages::{encode, log_time};
use super::note::Note;
use super::writer::Written;

/// What is to be kept as a recording.
#[derive(Debug, Clone)]
pub struct Kept<'a> {
    /// What the target is called.
    pub target: &'a str,
    /// What came from it, in order; each update whole.
    pub events: &'a [Arrived],
    /// What is to be said about it.
    pub note: Note,
}

/// Writes a recording. If that fails, there is no file.
///
/// # Errors
/// The file exists, or cannot be created or written.
pub fn save(path: &Path, kept: &Kept<'_>) -> Result<Written, RecordError> {
    let created = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => RecordError::Exists { path: path.to_owned() },
        _ => RecordError::Create { path: path.to_owned(), source },
    };
    let file = File::options().write(true).create_new(true).open(path).map_err(created)?;
    match write(file, kept) {
        Ok(updates) => {
            Ok(Written { path: path.to_owned(), updates, bytes: fs::metadata(path).map_or(0, |it| it.len()) })
        }
        Err(error) => {
            // The error says more than that this failed too.
            let _ = fs::remove_file(path);
            Err(created(match error {
                McapError::Io(source) => source,
                other => io::Error::other(other),
            }))
        }
    }
}

fn write(file: File, kept: &Kept<'_>) -> McapResult<u64> {
    let written = file.try_clone()?;
    let begun = kept.events.first().map_or(std::time::UNIX_EPOCH, |first| first.at);
    let sync = Box::new(move || file.sync_data());
    let mut log = Log::begin(Box::new(written), sync, kept.target, begun, Form::Short)?;
    log.write_note(kept.note.clone())?;
    let mut last = begun;
    for Arrived { at, event } in kept.events {
        last = *at;
        if let Some((topic, bytes)) = encode(event) {
            log.record(topic, log_time(*at), &bytes, false)?;
        }
    }
    let updates = log.updates();
    log.finish_at(log_time(last), None)?;
    Ok(updates)
}
