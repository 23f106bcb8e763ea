//! Whether a message shrinks so far that a player takes it for one that is built to fill its memory.

use std::io::{self, Write};

use super::chunks::MOST_SHRINKING;

/// Largest message, in bytes, of any compression ratio: with the rest of its chunk it stays below what a player always unpacks.
const HARMLESS: usize = 8 * 1024 * 1024;

/// The recorder stays below what a player takes: its chunks are compressed by another level, and together with other messages.
const MARGIN: u64 = 4;

/// Whether a message can be played again after it was recorded.
pub(super) fn is_playable(message: &[u8]) -> io::Result<bool> {
    if message.len() <= HARMLESS {
        return Ok(true);
    }
    let mut encoder = zstd::stream::Encoder::new(Count(0), 1)?;
    encoder.write_all(message)?;
    let Count(compressed) = encoder.finish()?;
    Ok(message.len() as u64 / compressed.max(1) <= MOST_SHRINKING / MARGIN)
}

/// Counts what is written to it.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
