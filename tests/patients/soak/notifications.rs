//! A healthy and a flapping service, watched for long with a black box: what that costs, and how many notifications somebody gets.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_canary::feed::recording::Note;

use super::memory::{Memory, PARTS};
use super::{ATTEND_EVERY, flapping, over};
use crate::corpus::{FLAG, HEALTHY};
use crate::process::{self, Line, PATIENCE, Ward};

/// From this length of a run on, repeats must have been held back: the first time for that is five minutes.
const LIMITED_FROM: Duration = Duration::from_secs(6 * 60);

/// The habits of the healthy service: what small services do all day, a few events a second each, so that an hour costs a few percent of a
/// core. Each may go on for ever. Left out are those that change with time, such as a gate that opens after minutes or a load that rises
/// for good, and those whose tasks by the dozen a second are what makes a watch dear.
const HABITS: &[&str] = &[
    "idle-accept-loop",
    "shutdown-waiters",
    "actors",
    "intervals",
    "idle-timeouts",
    "timeout-and-select",
    "free-locks",
    "lock-with-timeout",
    "worker-pool",
    "batch-limiter",
    "bursts",
    "barrier-rounds",
    "two-locks",
    "replica-race",
];

/// A service and the tool that watches it.
struct Pair {
    name: &'static str,
    flaps: bool,
    service: Ward,
    tool: Ward,
    lines: Receiver<Line>,
    folder: PathBuf,
    memory: Memory,
    own: Memory,
    shown_parts: usize,
    said: Said,
}

/// What the tool said.
#[derive(Default)]
struct Said {
    /// By what it is, such as `contended-lock firing`.
    events: BTreeMap<String, usize>,
    /// Openings that were held back, by the digests.
    held_back: u64,
    digests: usize,
    alarms: usize,
    recordings: usize,
    last: Value,
    faults: Vec<String>,
}

/// Watches both for so long, prints what it cost, and returns whether all was as it should be.
///
/// # Errors
///
/// When a service or a tool does not start.
pub(crate) fn run(length: Duration, tool: &Path) -> io::Result<bool> {
    let scratch = tempfile::tempdir()?;
    let healthy = [FLAG, HEALTHY, "--pattern", &HABITS.join(",")].map(str::to_owned).to_vec();
    let flapping = [FLAG, flapping::PROGRAM].map(str::to_owned).to_vec();
    let mut pairs = vec![
        Pair::start("healthy", healthy, tool, scratch.path(), length)?,
        Pair::start("flapping", flapping, tool, scratch.path(), length)?,
    ];
    pairs[1].flaps = true;
    writeln!(io::stdout(), "resident memory in MiB: least / median / most")?;
    let begun = Instant::now();
    let mut all_run = true;
    while all_run && begun.elapsed() < length {
        thread::sleep(ATTEND_EVERY.min(length.saturating_sub(begun.elapsed())));
        for pair in &mut pairs {
            all_run &= pair.attend(begun.elapsed())?;
            pair.show_parts(over(begun.elapsed(), length))?;
        }
    }
    let mut is_well = all_run;
    for pair in pairs {
        is_well &= pair.conclude(tool, length)?;
    }
    writeln!(io::stdout(), "\n{}", if is_well { "PASS" } else { "FAIL" })?;
    if !is_well {
        writeln!(io::stdout(), "what was saved is kept in {}", scratch.keep().display())?;
    }
    Ok(is_well)
}

impl Pair {
    fn start(
        name: &'static str,
        service: Vec<String>,
        tool: &Path,
        scratch: &Path,
        length: Duration,
    ) -> io::Result<Self> {
        let common = ["--bind", "127.0.0.1:0", "--die-with-parent"].map(str::to_owned);
        let (service, target) = process::start_patient(&[service, common.to_vec()].concat())?;
        let folder = scratch.join(name);
        let mut command = Command::new(tool);
        command.args(["watch", &target, "--isolated", "--output", "ndjson", "--black-box"]).arg(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut tool = process::start(&mut command)?;
        let lines = process::collect_lines(tool.0.stdout.take());
        let (memory, own) = (Memory::of(tool.0.id(), length), Memory::of(service.0.id(), length));
        let said = Said::default();
        Ok(Self { name, flaps: false, service, tool, lines, folder, memory, own, shown_parts: 0, said })
    }

    /// Takes down what the tool has said by now. Returns whether it and the service still run.
    fn attend(&mut self, after: Duration) -> io::Result<bool> {
        if let Some(status) = self.service.0.try_wait()? {
            self.said.faults.push(format!("the service ended: {status}"));
            return Ok(false);
        }
        self.memory.sample(after);
        self.own.sample(after);
        loop {
            match self.lines.try_recv() {
                Ok((_, line)) => self.said.take(after, self.name, &line?)?,
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => {
                    self.said.faults.push("the tool ended before it was asked to".to_owned());
                    return Ok(false);
                }
            }
        }
    }

    fn show_parts(&mut self, over: usize) -> io::Result<()> {
        while self.shown_parts < over.min(PARTS) {
            let part = self.memory.part(self.shown_parts);
            self.shown_parts += 1;
            let shown = part.map_or_else(|| "no sample".to_owned(), |part| part.to_string());
            writeln!(io::stdout(), "part {:>2} of {PARTS}, {:<8}  {shown}", self.shown_parts, self.name)?;
        }
        Ok(())
    }

    /// Ends the tool and the service, says what it came to, and returns whether that is as it should be.
    fn conclude(mut self, tool: &Path, length: Duration) -> io::Result<bool> {
        self.show_parts(PARTS)?;
        process::ask_to_end(&self.tool.0);
        process::await_end(&mut self.tool.0, PATIENCE)?;
        while let Ok((_, line)) = self.lines.recv_timeout(PATIENCE) {
            self.said.take(length, self.name, &line?)?;
        }
        drop(self.service);
        let saved = saved(&self.folder)?;
        self.said.judge(self.flaps, length, saved.len());
        for file in &saved {
            self.said.faults.extend(fault_of(file, tool)?);
        }
        let trend = self.memory.trend();
        if trend.is_some_and(|trend| trend.grows()) {
            self.said.faults.push("its memory grows".to_owned());
        }
        let bytes: u64 = saved.iter().filter_map(|file| fs::metadata(file).ok()).map(|it| it.len()).sum();
        let mut out = io::stdout().lock();
        writeln!(out, "\n{} service, watched for {}", self.name, humantime::format_duration(length))?;
        writeln!(out, "- {} updates", self.said.last["updates"])?;
        if let Some(trend) = trend {
            writeln!(out, "- memory {trend}; peak {} MiB", self.memory.peak())?;
        }
        writeln!(out, "- {:.2} % of a core; the service {:.2} %", self.memory.cpu_percent(), self.own.cpu_percent())?;
        for (event, count) in &self.said.events {
            writeln!(out, "- {count} times {event}")?;
        }
        writeln!(out, "- {} openings held back, told in {} digests", self.said.held_back, self.said.digests)?;
        writeln!(out, "- {} recordings, {} KiB", saved.len(), bytes / 1024)?;
        for fault in &self.said.faults {
            writeln!(out, "- FAULT: {fault}")?;
        }
        Ok(self.said.faults.is_empty())
    }
}

impl Said {
    fn take(&mut self, after: Duration, name: &str, line: &str) -> io::Result<()> {
        let line: Value = serde_json::from_str(line)?;
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let after = after.as_secs();
        match line["type"].as_str() {
            Some("finding") => {
                let (detector, state, severity) = (text("detector"), text("state"), text("severity"));
                let is_alarm = state == "firing" && severity != "info" && line["family"] != "feed";
                self.alarms += usize::from(is_alarm);
                self.recordings += usize::from(line["recording"].is_string());
                *self.events.entry(format!("{severity} {detector} {state}")).or_default() += 1;
                writeln!(io::stdout(), "{name}, {after} s: {severity} {detector} {state} {}", line["recording"])?;
            }
            Some("digest") => {
                self.digests += 1;
                self.held_back += line["openings"].as_u64().unwrap_or_default();
                writeln!(io::stdout(), "{name}, {after} s: {line}")?;
            }
            _ => {}
        }
        self.last = line;
        Ok(())
    }

    fn judge(&mut self, flaps: bool, length: Duration, saved: usize) {
        if self.last["type"] != "summary" {
            self.faults.push(format!("its last line is {}", self.last));
        }
        if !flaps && self.alarms > 0 {
            self.faults.push(format!("{} alarms about a healthy service", self.alarms));
        }
        if flaps && (self.alarms == 0 || saved == 0) {
            self.faults.push(format!("{} alarms and {saved} recordings of a faulty service", self.alarms));
        }
        if flaps && length >= LIMITED_FROM && self.digests == 0 {
            self.faults.push("nothing was held back".to_owned());
        }
    }
}

/// What is wrong with a recording: it does not show the finding for which it was saved.
fn fault_of(file: &Path, tool: &Path) -> io::Result<Option<String>> {
    let Ok(Some(note)) = Note::read(file, "tokio-canary.black-box") else {
        return Ok(Some(format!("{} does not say what it was saved for", file.display())));
    };
    let fingerprint = note.entries.get("fingerprint").map(String::as_str).unwrap_or_default();
    let mut check = Command::new(tool);
    check.args(["check", "--isolated", "--output", "ndjson"]).arg(file).stdin(Stdio::null());
    let played = check.output()?.stdout;
    let lines = played.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut firing = lines.filter(|line| line["type"] == "finding" && line["state"] == "firing");
    let shows = firing.any(|line| line["fingerprint"] == fingerprint);
    Ok((!shows).then(|| format!("{} does not show {fingerprint} again", file.display())))
}

/// The recordings in a folder, in the order of their names; what is not finished is a fault of its own.
fn saved(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Ok(files)
}
