//! The process that is fed: with a limit to its memory and its time for each input, and an end at the first that exceeds them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cap::Cap;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::judge::judge;
use crate::mutate::{Input, Kind, input};
use crate::tape::Shelf;

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What an input may take of memory beyond what was taken before it: so much, and so many times its own size.
const FREE_BYTES: usize = 64 << 20;
const TIMES_SIZE: usize = 8;
/// What it may take of the processor's time.
const FREE_TIME: Duration = Duration::from_secs(10);
const TIME_PER_MEBIBYTE: Duration = Duration::from_secs(5);
/// What all inputs together may leave behind: more would be a leak, as nothing of an input stays.
const MAY_STAY: i64 = 32 << 20;
/// Inputs after which whatever is made once and kept has been made.
const WARM_UP: u64 = 2_000;
/// What libraries allocate by themselves counts too, in the end.
const ADDRESS_SPACE: u64 = 8 << 30;
/// Exit codes for the two faults that are noticed here.
pub(crate) const PANICKED: i32 = 101;
pub(crate) const TOO_SLOW: i32 = 102;

/// What the process does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Task {
    /// What is attacked.
    #[arg(long = "worker", value_name = "KIND", hide = true)]
    pub(crate) kind: Option<Kind>,
    /// Plays this file instead.
    #[arg(long = "worker-file", value_name = "FILE", hide = true)]
    pub(crate) file: Option<PathBuf>,
    /// Does a deliberate harm instead.
    #[arg(long = "worker-harm", value_name = "HARM", hide = true)]
    pub(crate) harm: Option<Harm>,
    /// The first input and how many follow.
    #[arg(long, default_value_t = 0, hide = true)]
    pub(crate) first: u64,
    #[arg(long, default_value_t = 1, hide = true)]
    pub(crate) count: u64,
    /// Where it is noted which input is at work.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) progress: Option<PathBuf>,
}

/// What an input could do to the tool, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Harm {
    Memory,
    Time,
    Panic,
    Overflow,
}

/// CPU time of the process at which the input at work has to be done, in nanoseconds.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Works through the inputs of a task. Returns only if nothing was wrong with any of them.
///
/// # Errors
///
/// When something of the test itself fails.
pub(crate) fn work(task: &Task, seed: u64) -> io::Result<()> {
    panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "{panic}");
        process::exit(PANICKED);
    }));
    let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) };
    setrlimit(Resource::As, limit).map_err(io::Error::from)?;
    thread::spawn(watch_time);
    let folder = tempfile::tempdir()?;
    if let Some(harm) = task.harm {
        return within(&Input::file(Vec::new()), |_| do_harm(harm));
    }
    if let Some(path) = &task.file {
        let input = Input::file(std::fs::read(path)?);
        return within(&input, |input| judge(input, folder.path()));
    }
    let Some(kind) = task.kind else { return Ok(()) };
    let shelf = Shelf::open()?;
    let progress = task.progress.as_deref().map(open_progress).transpose()?;
    let allocated = || i64::try_from(MEMORY.allocated()).unwrap_or(i64::MAX);
    let mut stayed = 0;
    for number in task.first..task.first + task.count {
        if let Some(progress) = &progress {
            progress.write_at(&number.to_le_bytes(), 0)?;
        }
        let input = input(kind, seed, number, &shelf);
        // A tape that was read for this input stays as well, so that counting begins here.
        let before = allocated();
        within(&input, |input| judge(input, folder.path()))?;
        stayed += allocated() - before;
        // What is made once and kept has been made by then.
        if number - task.first < WARM_UP {
            stayed = 0;
        }
        assert!(stayed <= MAY_STAY, "{stayed} bytes stay after {number} inputs");
    }
    Ok(())
}

/// Does something with an input, within its limits.
fn within(input: &Input, act: impl FnOnce(&Input)) -> io::Result<()> {
    let size = input.size();
    let allowed = MEMORY.allocated() + FREE_BYTES + TIMES_SIZE * size;
    MEMORY.set_limit(allowed).map_err(|()| io::Error::other("the limit is exceeded before anything was done"))?;
    let mebibytes = u32::try_from(size >> 20).unwrap_or(u32::MAX);
    let deadline = cpu_time() + FREE_TIME + TIME_PER_MEBIBYTE * mebibytes;
    DEADLINE.store(u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    act(input);
    DEADLINE.store(u64::MAX, Ordering::Relaxed);
    MEMORY.set_limit(usize::MAX).map_err(|()| io::Error::other("there is no limit to be exceeded"))
}

/// Ends the process when its input takes too long. CPU time is what it used itself: others on the machine do not count.
fn watch_time() {
    loop {
        thread::sleep(Duration::from_millis(200));
        let used = u64::try_from(cpu_time().as_nanos()).unwrap_or(u64::MAX);
        if used > DEADLINE.load(Ordering::Relaxed) {
            let _ = writeln!(io::stderr(), "it took longer than {} s, and more for its size", FREE_TIME.as_secs());
            process::exit(TOO_SLOW);
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn do_harm(harm: Harm) {
    match harm {
        Harm::Memory => drop(std::hint::black_box(vec![1_u8; 2 * FREE_BYTES])),
        Harm::Time => loop {
            std::hint::spin_loop();
        },
        Harm::Panic => panic!("harm was asked for"),
        Harm::Overflow => {
            let most = std::hint::black_box(u64::MAX);
            let _ = std::hint::black_box(most + std::hint::black_box(1));
        }
    }
}

fn open_progress(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}
