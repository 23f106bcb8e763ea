//! Data on standard output, for commands that print once.

use std::io::{self, Write};

use super::exit::SUCCESS;

/// Standard output takes no more, though somebody would read it.
#[derive(Debug, thiserror::Error)]
#[error("Cannot write to standard output: {0}.")]
pub(super) struct PrintError(io::Error);

/// Prints a text. A reader that has left wanted no more.
///
/// # Errors
/// It could not be written, such as to a full disk.
pub(super) fn print(text: &str) -> Result<u8, PrintError> {
    let mut output = io::stdout().lock();
    printed(output.write_all(text.as_bytes()).and_then(|()| output.flush()))
}

/// What comes of something that was printed.
pub(super) fn printed(result: io::Result<()>) -> Result<u8, PrintError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(PrintError(error)),
        Ok(()) | Err(_) => Ok(SUCCESS),
    }
}
