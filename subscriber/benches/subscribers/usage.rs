//! What a service that is measured takes.

use std::fs;
use std::io::{self, BufRead};

/// Resident memory of a process, in MiB.
pub(crate) fn resident(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let kibibytes: u64 = resident.unwrap_or("0").parse().map_err(io::Error::other)?;
    Ok(kibibytes / 1024)
}

/// The next line that a service prints.
///
/// # Errors
/// It has ended by itself.
pub(crate) fn next_line(output: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match output.read_line(&mut line)? {
        0 => Err(io::Error::other("the service has ended by itself")),
        _ => Ok(line.trim_end().to_owned()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few million at most")]
pub(crate) fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}
