//! One recording of the black box: what the window had, then what follows, under its name once it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::shelf::{NOTE, Shelf, create, partial, publish};
use super::window::Entry;
use crate::feed::FeedEvent;
use crate::feed::recording::log::{Form, Log};
use crate::feed::recording::messages::arrival;
use crate::feed::recording::writer::{self, Outcome};
use crate::feed::recording::{Events, Note, RecordError, Recorder};

/// How long the feed is held back at most by a disk that takes nothing. After that the recording is given up.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Request {
    /// The file.
    pub path: PathBuf,
    /// When the finding fired, by the arrival of what showed it.
    pub at: SystemTime,
    /// What the finding is, for whoever finds the file.
    pub about: Vec<(&'static str, String)>,
}

/// Begins a recording with what the window has.
///
/// # Errors
/// The system has no thread for it. Whatever else goes wrong is told at the end.
pub(super) fn begin(request: &Request, target: &str, window: Vec<Entry>, shelf: Shelf) -> io::Result<Recorder> {
    let path = request.path.clone();
    let note = Note {
        name: NOTE.to_owned(),
        entries: request.about.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    };
    let (target, file) = (target.to_owned(), path.clone());
    let room = shelf.clone();
    let open = move || {
        room.make_room(None);
        open(&file, &target, note, &window)
    };
    let kept = path.clone();
    let close = move |outcome| {
        let outcome = close(&kept, outcome);
        shelf.make_room(Some(&kept));
        outcome
    };
    Recorder::spawn(open, close, &path, PATIENCE)
}

fn open(path: &Path, target: &str, note: Note, window: &[Entry]) -> Result<Log, RecordError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => RecordError::Exists { path: path.to_owned() },
        _ => RecordError::Create { path: path.to_owned(), source },
    };
    let file = create(&partial(path)).map_err(failed)?;
    let written = file.try_clone().map_err(failed)?;
    let begun = window.first().map_or_else(SystemTime::now, |first| arrival(first.log_time));
    let sync = Box::new(move || file.sync_data());
    let log = Log::begin(Box::new(written), sync, target, begun, Form::Short);
    let mut log = log.map_err(|error| writer::ended(&error, path.to_owned(), 0))?;
    let mut written = log.write_note(note);
    for entry in window {
        written = written.and_then(|()| log.record(entry.topic, entry.log_time, &entry.bytes, entry.is_live));
    }
    match written.and_then(|()| log.flush()) {
        Ok(()) => Ok(log),
        Err(error) => Err(writer::ended(&error, path.to_owned(), log.updates())),
    }
}

/// Gives the recording its name. One that ended early keeps what it has, if that can be played.
fn close(path: &Path, outcome: Outcome) -> Outcome {
    let unfinished = partial(path);
    if let Err(RecordError::Exists { .. } | RecordError::Create { .. }) = &outcome {
        return outcome;
    }
    if outcome.is_err() && !has_updates(&unfinished) {
        // What it could not be written for is the error that counts.
        let _ = fs::remove_file(&unfinished);
        return outcome;
    }
    let published = publish(&unfinished, path).map_err(|source| RecordError::Create { path: path.to_owned(), source });
    let bytes = fs::metadata(path).map_or(0, |it| it.len());
    outcome.and_then(|written| published.map(|()| super::Written { bytes, ..written }))
}

fn has_updates(path: &Path) -> bool {
    let is_update = |event: &FeedEvent| matches!(event, FeedEvent::Update(_));
    Events::open(path).is_ok_and(|mut events| events.any(|arrived| is_update(&arrived.event)))
}
