//! The soak: healthy habits in one service, watched for long, while the service is killed, stopped and made to lose events.
//!
//! Two tools watch it from the first minute to the last, one of which records what it sees. There may be no alarm, and the memory of
//! neither may grow. Habits whose poll times are what they are about are left out: other work on the machine makes those longer.

pub(crate) mod flapping;
mod memory;
pub(crate) mod notifications;
mod stalls;
mod watcher;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use self::memory::PARTS;
use self::stalls::Stalls;
use self::watcher::Watcher;
use crate::corpus::{FLAG, HEALTHY};
use crate::healthy::FAMILIES;
use crate::process::{self, PATIENCE, Ward};

/// How often each thing happens, unless the soak is too short for it.
const RESTART_EVERY: Duration = Duration::from_secs(7 * 60);
const STOP_EVERY: Duration = Duration::from_secs(4 * 60);
const VISIT_EVERY: Duration = Duration::from_secs(3 * 60);
/// How long the process is stopped.
const STOPPED: Duration = Duration::from_secs(5);
/// How long nothing listens between two lives of the service.
const ABSENCE: Duration = Duration::from_secs(2);
/// How long a second client stays.
const VISIT: Duration = Duration::from_secs(20);
/// In which lives the service has so few places for events that some are lost: the second of every three.
const LOSSY_LIVES: usize = 3;
const FEW_EVENTS: &str = "64";
/// How often it is looked what the tools say and how much memory they have.
const ATTEND_EVERY: Duration = Duration::from_secs(1);
/// Ports that no system gives out by itself: the service comes back to its own.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What is done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Restart,
    Stop,
    Visit,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    lives: usize,
    lossy_lives: usize,
    stops: usize,
    visits: usize,
}

/// The service, its watchers and its visitors.
struct Soak<'a> {
    tool: &'a Path,
    begun: Instant,
    length: Duration,
    address: SocketAddr,
    target: String,
    service: Ward,
    stopped: Option<Ward>,
    watchers: Vec<Watcher>,
    visitors: Vec<Ward>,
    stalls: Stalls,
    scratch: PathBuf,
    done: Done,
}

/// Runs the soak for so long, prints what was done and found, and returns whether there was no alarm and no memory grew.
///
/// # Errors
///
/// When the service or the tool does not start.
pub(crate) fn run(length: Duration, tool: &Path) -> io::Result<bool> {
    let scratch = tempfile::tempdir()?;
    let address = free_address()?;
    let (service, target) = live(address, false)?;
    let recording = scratch.path().join("soak.mcap");
    let watchers = [None, Some(recording.as_path())].map(|record| Watcher::start(tool, &target, record, length));
    let mut soak = Soak {
        tool,
        begun: Instant::now(),
        length,
        address,
        target,
        service,
        stopped: None,
        watchers: watchers.into_iter().collect::<io::Result<_>>()?,
        visitors: Vec::new(),
        stalls: Stalls::watch(),
        scratch: scratch.path().to_owned(),
        done: Done { lives: 1, ..Done::default() },
    };
    writeln!(io::stdout(), "resident memory in MiB: least / median / most")?;
    let mut all_run = true;
    for (at, disturbance) in plan(length) {
        all_run = soak.attend(at)?;
        if !all_run {
            break;
        }
        soak.disturb(disturbance)?;
    }
    if all_run {
        soak.attend(length)?;
    }
    let is_well = soak.conclude(&recording)?;
    if !is_well {
        writeln!(io::stdout(), "- what was recorded is kept in {}", scratch.keep().display())?;
    }
    Ok(is_well)
}

/// When to do what. Restarts come first where several would fall together, and nothing happens near the end.
fn plan(length: Duration) -> Vec<(Duration, Disturbance)> {
    let kinds = [
        (Disturbance::Restart, RESTART_EVERY.min(length / 4)),
        (Disturbance::Stop, STOP_EVERY.min(length / 6)),
        (Disturbance::Visit, VISIT_EVERY.min(length / 5)),
    ];
    let mut plan = Vec::new();
    for (kind, every) in kinds {
        // Each begins at another part of its period, so that they seldom meet.
        let first = match kind {
            Disturbance::Restart => every,
            Disturbance::Stop => every / 2,
            Disturbance::Visit => every / 3,
        };
        let times = (0..).map(|count| first + every * count).take_while(|at| *at + PATIENCE / 3 < length);
        plan.extend(times.map(|at| (at, kind)));
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn free_address() -> io::Result<SocketAddr> {
    // Two soaks at a time look from different ports on.
    let first = usize::try_from(std::process::id()).unwrap_or(0) % PORTS.len();
    let mut addresses =
        PORTS.cycle().skip(first).take(PORTS.len()).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).ok_or_else(|| io::Error::other("no port is free"))
}

/// All healthy habits but those about poll times.
fn habits() -> String {
    let families = FAMILIES.iter().filter(|family| !family.measures);
    let habits: Vec<_> = families.flat_map(|family| family.patterns).map(|pattern| pattern.id).collect();
    habits.join(",")
}

/// Starts the service at an address, with all healthy habits but those about poll times.
fn live(address: SocketAddr, lossy: bool) -> io::Result<(Ward, String)> {
    let address = address.to_string();
    let habits = habits();
    let mut arguments = vec![FLAG, HEALTHY, "--bind", &address, "--die-with-parent", "--pattern", &habits];
    if lossy {
        arguments.extend(["--event-buffer", FEW_EVENTS]);
    }
    process::start_patient(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

impl Soak<'_> {
    fn disturb(&mut self, disturbance: Disturbance) -> io::Result<()> {
        match disturbance {
            Disturbance::Restart => {
                self.service.0.kill()?;
                self.service.0.wait()?;
                thread::sleep(ABSENCE);
                self.done.lives += 1;
                let lossy = self.done.lives % LOSSY_LIVES == 2;
                self.done.lossy_lives += usize::from(lossy);
                (self.service, self.target) = live(self.address, lossy)?;
            }
            Disturbance::Stop => {
                self.done.stops += 1;
                self.stopped = Some(process::pause(&self.service.0, Duration::ZERO, STOPPED)?);
            }
            Disturbance::Visit => {
                self.done.visits += 1;
                let visitor = self.visitor()?;
                self.visitors.retain_mut(|visitor| matches!(visitor.0.try_wait(), Ok(None)));
                self.visitors.push(visitor);
            }
        }
        Ok(())
    }

    /// A second client for a while: one that records, or one that judges.
    fn visitor(&self) -> io::Result<Ward> {
        let mut command = Command::new(self.tool);
        let length = format!("{}s", VISIT.as_secs());
        if self.done.visits.is_multiple_of(2) {
            command.args(["check", &self.target, "--isolated", "--for", &length]);
        } else {
            let file = self.scratch.join(format!("{}.mcap", self.done.visits));
            command.args(["record", &self.target, "--isolated", "--for", &length, "--output"]).arg(file);
        }
        process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Attends to the watchers until some time since the start. Returns whether all still run.
    fn attend(&mut self, until: Duration) -> io::Result<bool> {
        loop {
            let after = self.begun.elapsed();
            let mut all_run = true;
            for watcher in &mut self.watchers {
                all_run &= watcher.attend(&self.stalls)?;
                watcher.show_parts(over(after, self.length))?;
            }
            if !all_run || after >= until {
                return Ok(all_run);
            }
            thread::sleep(until.saturating_sub(after).min(ATTEND_EVERY));
        }
    }

    fn conclude(self, recording: &Path) -> io::Result<bool> {
        let Done { lives, lossy_lives, stops, visits } = self.done;
        let mut is_well = true;
        for watcher in self.watchers {
            is_well &= watcher.conclude(&self.stalls)?;
        }
        let recorded = recording.metadata().map_or(0, |file| file.len());
        let (stalls, longest) = self.stalls.count_and_longest();
        let mut out = io::stdout().lock();
        writeln!(out, "\nSoak of {}", humantime::format_duration(self.length))?;
        writeln!(out, "- {lives} lives on one port, {lossy_lives} of them with {FEW_EVENTS} places for events")?;
        writeln!(out, "- {stops} times stopped for {} s", STOPPED.as_secs())?;
        writeln!(out, "- {visits} visits of a second client of {} s each", VISIT.as_secs())?;
        writeln!(out, "- {} MiB recorded", recorded / (1024 * 1024))?;
        writeln!(out, "- the machine stopped {stalls} times, for {} ms at most", longest.as_millis())?;
        writeln!(out, "- {}", if is_well { "PASS: no alarm, and no memory that grows" } else { "FAIL" })?;
        Ok(is_well)
    }
}

/// How many parts of the run are over after so long.
fn over(after: Duration, length: Duration) -> usize {
    (1..=PARTS).take_while(|part| after * 10 >= length * u32::try_from(*part).unwrap_or(0)).count()
}
