//! What the tests of several receivers do.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// What everything here can fail with.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What a test does.
pub(crate) type Test = fn() -> Outcome<()>;

/// Writes a file, and returns its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> io::Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Fails if something does not hold.
pub(crate) fn is(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}

/// Waits until something holds.
pub(crate) fn await_that(what: &str, holds: impl Fn() -> Outcome<bool>) -> Outcome<()> {
    let begun = Instant::now();
    while !holds()? {
        if begun.elapsed() > 2 * PATIENCE {
            return Err(format!("{what} does not come").into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
