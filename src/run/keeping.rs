//! Texts that the user keeps from the terminal.

use std::fs;

/// Keeps a text in a file here, beside the clipboard, which not every terminal gives away. Returns what came of it.
pub(super) fn keep(text: &str, file: &str) -> String {
    match fs::write(file, text) {
        Ok(()) => format!("Copied to the clipboard, if the terminal allows it, and to {file}."),
        Err(error) => format!("Copied to the clipboard, if the terminal allows it. Cannot write {file}: {error}."),
    }
}
