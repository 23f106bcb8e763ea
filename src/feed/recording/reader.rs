//! Opens a recording as a feed, and reads it on a thread of its own, message by message.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::feed::queue::Queue;
use crate::feed::{Feed, Wanted};

use super::events::{Events, open_error};
use super::player::Control;
use super::{OpenError, Speed, player};

/// How many messages are read ahead.
const READ_AHEAD: usize = 8;

/// How many events may wait for the consumer.
const EVENTS: usize = 64;

/// A recording that is played under control. Dropping the feed stops it.
#[derive(Debug)]
pub struct Deck {
    /// What it delivers.
    pub feed: Feed,
    /// How it is played.
    pub control: watch::Sender<Control>,
}

/// Plays a recording from its begin. Must be called inside a Tokio runtime.
///
/// The feed ends with [`FeedEvent::Ended`](crate::feed::FeedEvent::Ended). Which details are wanted has no influence: those that were
/// recorded come.
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
    let mut recorded = Events::open(path)?;
    let until = recorded.seek(from).map_err(|damage| open_error(path, damage))?;
    start(path, recorded, Control { speed, until, ..Control::default() }, 0).map(|deck| deck.feed)
}

/// Plays a recording from its begin, under control, without the first `skip` events, which were delivered before. Must be called inside a
/// Tokio runtime.
///
/// # Errors
/// As [`open`].
pub fn deck(path: impl AsRef<Path>, control: Control, skip: u64) -> Result<Deck, OpenError> {
    let path = path.as_ref();
    start(path, Events::open(path)?, control, skip)
}

/// When a recording begins and ends, as far as it can be read: from its header to its last message.
///
/// # Errors
/// As [`open`].
pub fn extent(path: impl AsRef<Path>) -> Result<(SystemTime, SystemTime), OpenError> {
    Ok(Events::open(path)?.extent())
}

fn start(path: &Path, recorded: Events, control: Control, skip: u64) -> Result<Deck, OpenError> {
    let (mut queue, ahead) = Queue::new(READ_AHEAD);
    let runtime = Handle::current();
    thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || read(recorded, &mut queue, &runtime))
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let (sink, events) = Queue::new(EVENTS);
    let ((wanted, nobody), (control, controlled)) = (watch::channel(Wanted::new()), watch::channel(control));
    tokio::spawn(player::play(ahead, sink, controlled, skip, nobody));
    Ok(Deck { feed: Feed { events, wanted }, control })
}

/// The reading thread: sends every event and the end, until nobody listens.
fn read(recorded: Events, events: &mut Queue, runtime: &Handle) {
    for arrived in recorded {
        if runtime.block_on(events.send(arrived)).is_err() {
            return;
        }
    }
}
