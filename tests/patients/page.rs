//! Parts of pages in `docs` that a command writes: they stand between two markers.

use std::fs;
use std::io;
use std::path::Path;

/// The line before such a part, and the line after it.
pub(crate) type Markers = (&'static str, &'static str);

/// What stands before a part, the part itself, and what stands after it.
pub(crate) fn around(text: &str, markers: Markers) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(markers.0)?;
    let (part, after) = rest.split_once(markers.1)?;
    Some((before, part, after))
}

/// Replaces a part of a page.
///
/// # Errors
/// The page cannot be read or written, or has no such markers.
pub(crate) fn replace(page: &Path, markers: Markers, part: &str) -> io::Result<()> {
    let text = fs::read_to_string(page)?;
    let Some((before, _, after)) = around(&text, markers) else {
        return Err(io::Error::other(format!("{} has no lines {} and {}", page.display(), markers.0, markers.1)));
    };
    fs::write(page, format!("{before}{}\n{part}{}{after}", markers.0, markers.1))
}
