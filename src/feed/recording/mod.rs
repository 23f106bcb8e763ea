//! The stream itself in a file (MCAP), without the folders of the machine that built the service: written while it is watched, played
//! back as a target.

pub mod black_box;
mod chunks;
mod density;
mod events;
mod log;
mod messages;
mod mirror;
mod note;
mod parse;
mod playback;
mod player;
mod reader;
mod records;
mod save;
mod silence;
mod speed;
mod tee;
mod writer;

use std::io;
use std::path::PathBuf;

use crate::words;

pub use self::events::Events;
pub use self::mirror::Mirror;
pub use self::note::Note;
pub use self::playback::Playback;
pub use self::player::Control;
pub use self::reader::{Deck, deck, extent, open, open_at};
pub use self::save::{Kept, save};
pub use self::speed::{Speed, SpeedError};
pub use self::tee::{Tee, tee};
pub use self::writer::{Flusher, Recorder, Written};

/// The MCAP profile that marks a file as a recording of ours.
pub const PROFILE: &str = "tokio-canary";

/// Largest message that is written or read, in bytes.
const MESSAGE_LIMIT: usize = 512 * 1024 * 1024;

/// Why a recording could not be begun, or ended before it should. Each is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The output file is there already.
    #[error(
        "{} already exists, and a recording never overwrites a file. Choose another name, or remove it first.",
        path.display()
    )]
    Exists {
        /// The output file.
        path: PathBuf,
    },
    /// The output file cannot be created.
    #[error("Cannot create the recording {}: {source}.", path.display())]
    Create {
        /// The output file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The output file cannot be written any more.
    #[error(
        "The recording {} ended early, after {}: cannot write to it ({reason}). What it contains can be played. Free some space or \
         choose another disk.",
        path.display(),
        words::count(*updates, "update")
    )]
    Write {
        /// The output file.
        path: PathBuf,
        /// Updates before it.
        updates: u64,
        /// What the system says.
        reason: String,
    },
    /// The disk is slower than the feed.
    #[error(
        "The recording {} ended early: {} were waiting to be written and the disk took nothing for {}. What it contains can be played. \
         Choose a faster disk.",
        path.display(),
        words::bytes(*queued_bytes),
        words::limit(*waited)
    )]
    TooSlow {
        /// The output file.
        path: PathBuf,
        /// What was waiting.
        queued_bytes: usize,
        /// How long the feed was held back for it.
        waited: std::time::Duration,
    },
    /// A message is too large to be played again.
    #[error(
        "The recording {} ended early: it cannot hold an update of {} (limit {}). Lower the retention of the service.",
        path.display(),
        words::bytes(*bytes),
        words::bytes(MESSAGE_LIMIT)
    )]
    TooLarge {
        /// The output file.
        path: PathBuf,
        /// Size of the message.
        bytes: usize,
    },
    /// A message compresses so well that a player would refuse it as an attack.
    #[error(
        "The recording {} ended early, after {}: an update of {} repeats itself so much that no player would accept it. What the recording \
         contains can be played. Find out why the service sends such updates.",
        path.display(),
        words::count(*updates, "update"),
        words::bytes(*bytes)
    )]
    TooDense {
        /// The output file.
        path: PathBuf,
        /// Updates before it.
        updates: u64,
        /// Size of the message.
        bytes: usize,
    },
    /// The recording had ended before.
    #[error("The recording has already ended.")]
    Over,
}

/// Why a recording cannot be played. Each is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("Cannot read the recording {}: {source}. Check its path, and who may read it.", path.display())]
    Io {
        /// The recording.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not an MCAP file.
    #[error(
        "{} is not a recording (not an MCAP file). Record a service with `tokio-canary record TARGET -o FILE`.",
        path.display()
    )]
    NotMcap {
        /// The file.
        path: PathBuf,
    },
    /// The file is an MCAP file of another kind.
    #[error(
        "{} is an MCAP file, but not a recording of tokio-canary: its profile is {profile:?} instead of {PROFILE:?}. Record a service with \
         `tokio-canary record TARGET -o FILE`.",
        path.display()
    )]
    OtherProfile {
        /// The file.
        path: PathBuf,
        /// Its profile.
        profile: String,
    },
    /// The recording was written by a newer version.
    #[error(
        "The recording {} has messages of the unknown kind {schema:?} in its topic {topic:?}. Play it with the version of tokio-canary \
         that recorded it, or a newer one (this is {}).",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    OtherSchema {
        /// The recording.
        path: PathBuf,
        /// The topic.
        topic: String,
        /// The name of its schema.
        schema: String,
    },
    /// The file breaks off or is damaged before its first message.
    #[error("The recording {} contains nothing that can be played: {reason}. Record the service again.", path.display())]
    Empty {
        /// The recording.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
