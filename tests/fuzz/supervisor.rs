//! Starts workers, and says which input ended one and how.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::mutate::{Kind, input};
use crate::tape::Shelf;
use crate::worker::{Harm, PANICKED, TOO_SLOW};

/// How many inputs that do harm are looked for before it is enough.
const ENOUGH: usize = 5;

/// How many inputs a worker is given. Each worker reads recordings and simulates scenarios anew. After each share, a long run says how far it is.
const SHARE: u64 = 50_000;

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    Panicked(String),
    TooSlow(String),
    /// It was ended by the system or its allocator.
    Killed(String),
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) inputs: u64,
    pub(crate) took: Duration,
    pub(crate) faults: Vec<String>,
}

/// Feeds so many inputs of a kind from a number on, and writes those that do harm to a folder if there is one.
///
/// # Errors
///
/// When no worker can be started.
pub(crate) fn feed(kind: Kind, seed: u64, numbers: Range<u64>, keep: Option<&Path>) -> io::Result<Run> {
    let begun = Instant::now();
    let progress = tempfile::NamedTempFile::new()?;
    let mut faults = Vec::new();
    let mut next = numbers.start;
    while next < numbers.end && faults.len() < ENOUGH {
        let arguments = [
            format!("--worker={}", kind.word()),
            format!("--seed={seed}"),
            format!("--first={next}"),
            format!("--count={}", SHARE.min(numbers.end - next)),
            format!("--progress={}", progress.path().display()),
        ];
        let end = start(&arguments)?;
        if end == End::Well {
            next = numbers.end.min(next + SHARE);
            if next < numbers.end {
                let (fed, of) = (next - numbers.start, numbers.end - numbers.start);
                writeln!(io::stderr(), "{}: {fed} of {of} inputs after {} s", kind.word(), begun.elapsed().as_secs())?;
            }
            continue;
        }
        let mut number = [0; 8];
        progress
            .reopen()?
            .read_exact(&mut number)
            .map_err(|_| io::Error::other(format!("no input was begun: {end}")))?;
        let number = u64::from_le_bytes(number);
        let kept = keep.map(|folder| write(kind, seed, number, folder)).transpose()?.unwrap_or_default();
        let again = format!("--test fuzz -- {} --seed {seed} --only {number}", kind.word());
        faults.push(format!("input {number} of seed {seed}: {end}{kept}\n    again: {again}"));
        next = number + 1;
    }
    Ok(Run { inputs: next - numbers.start, took: begun.elapsed(), faults })
}

/// Writes an input as a recording, and says where it is.
fn write(kind: Kind, seed: u64, number: u64, folder: &Path) -> io::Result<String> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}-{seed}-{number}.mcap", kind.word()));
    std::fs::write(&path, input(kind, seed, number, &Shelf::open()?).to_file())?;
    Ok(format!(" (kept as {})", path.display()))
}

/// Plays a file in a worker.
pub(crate) fn play(path: &Path) -> Result<(), Failed> {
    match start(&[format!("--worker-file={}", path.display())]) {
        Ok(End::Well) => Ok(()),
        Ok(end) => Err(Failed::from(end)),
        Err(error) => Err(Failed::from(error)),
    }
}

/// Lets a worker do harm, and says how that ended.
pub(crate) fn harm(harm: Harm) -> io::Result<End> {
    start(&[format!("--worker-harm={}", format!("{harm:?}").to_lowercase())])
}

/// Starts this program again as a worker, and waits for its end.
fn start(arguments: &[String]) -> io::Result<End> {
    let mut command = Command::new(std::env::current_exe()?);
    // Panics are said in a line.
    command.args(arguments).env_remove("RUST_BACKTRACE").stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).output()?;
    Ok(End::of(output.status, &String::from_utf8_lossy(&output.stderr)))
}

impl End {
    fn of(status: ExitStatus, said: &str) -> Self {
        let said = said.trim().replace('\n', " ");
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Well,
            (Some(TOO_SLOW), _) => Self::TooSlow(said),
            (Some(PANICKED), _) => Self::Panicked(said),
            (code, signal) => Self::Killed(format!("{said} (exit code {code:?}, signal {signal:?})")),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Well => write!(out, "nothing is wrong"),
            Self::Panicked(said) => write!(out, "it panicked: {said}"),
            Self::TooSlow(said) => write!(out, "it is too slow: {said}"),
            Self::Killed(said) => write!(out, "it took too much memory, or was killed: {said}"),
        }
    }
}
