//! The soak: all healthy habits in one service, watched for long, while the service is killed, stopped and made to lose events.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::corpus::{FLAG, HEALTHY};
use crate::process::{self, Line, PATIENCE, Ward};

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
/// Which life of the service has so few places for events that some are lost.
const LOSSY_LIFE: usize = 2;
const FEW_EVENTS: &str = "64";

/// What is done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Restart,
    Stop,
    Visit,
}

/// What was done and said so far.
#[derive(Default)]
struct Record {
    lives: usize,
    stops: usize,
    visits: usize,
    lossy_reports: usize,
    connections: usize,
    /// Findings by detector that are no alarm: of the feed family, or only worth knowing.
    notes: BTreeMap<String, usize>,
    alarms: Vec<String>,
}

/// The service, its watcher and its visitors.
struct Soak<'a> {
    tool: &'a Path,
    address: SocketAddr,
    target: String,
    service: Ward,
    stopped: Option<Ward>,
    visitors: Vec<Ward>,
    scratch: PathBuf,
    record: Record,
}

/// Runs the soak for so long, prints what was done and found, and returns whether there was no alarm.
///
/// # Errors
///
/// When the service or the tool does not start or end, or the tool says what is not JSON.
pub(crate) fn run(length: Duration, tool: &Path) -> io::Result<bool> {
    let scratch = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (service, target) = live(address, false)?;
    let mut command = Command::new(tool);
    command.args(["watch", &target, "--isolated", "--output", "ndjson", "--fail-on", "warning"]);
    let mut watcher = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let output = process::collect_lines(watcher.0.stdout.take());
    let mut soak = Soak {
        tool,
        address,
        target,
        service,
        stopped: None,
        visitors: Vec::new(),
        scratch: scratch.path().to_owned(),
        record: Record { lives: 1, ..Record::default() },
    };
    let begun = Instant::now();
    let mut last = Value::Null;
    for (at, disturbance) in plan(length) {
        soak.listen(&output, begun, begun + at, &mut last)?;
        soak.disturb(disturbance)?;
    }
    soak.listen(&output, begun, begun + length, &mut last)?;
    process::ask_to_end(&watcher.0);
    let status = process::await_end(&mut watcher.0, PATIENCE)?;
    for line in output {
        soak.take(begun, line, &mut last)?;
    }
    soak.record.tell(length, &last)?;
    if status.code().is_none() || last["type"] != "summary" {
        return Err(io::Error::other(format!(
            "the tool did not end as it should: {status}, and its last line: {last}"
        )));
    }
    Ok(soak.record.alarms.is_empty())
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

/// Starts the service at an address, with all healthy habits.
fn live(address: SocketAddr, lossy: bool) -> io::Result<(Ward, String)> {
    let address = address.to_string();
    let mut arguments = vec![FLAG, HEALTHY, "--bind", &address, "--die-with-parent"];
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
                std::thread::sleep(ABSENCE);
                self.record.lives += 1;
                (self.service, self.target) = live(self.address, self.record.lives == LOSSY_LIFE)?;
            }
            Disturbance::Stop => {
                self.record.stops += 1;
                self.stopped = Some(process::pause(&self.service.0, Duration::ZERO, STOPPED)?);
            }
            Disturbance::Visit => {
                self.record.visits += 1;
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
        if self.record.visits.is_multiple_of(2) {
            command.args(["check", &self.target, "--isolated", "--for", &length]);
        } else {
            let file = self.scratch.join(format!("{}.mcap", self.record.visits));
            command.args(["record", &self.target, "--isolated", "--for", &length, "--output"]).arg(file);
        }
        process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Takes down what the watcher says until some time.
    fn listen(&mut self, output: &Receiver<Line>, begun: Instant, until: Instant, last: &mut Value) -> io::Result<()> {
        loop {
            match output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.take(begun, line, last)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other(format!("the tool ended: {last}"))),
            }
        }
    }

    fn take(&mut self, begun: Instant, (at, line): Line, last: &mut Value) -> io::Result<()> {
        let line: Value = serde_json::from_str(&line?)?;
        let record = &mut self.record;
        record.connections += usize::from(line["type"] == "status" && line["state"] == "live");
        let reasons = line["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        record.lossy_reports += usize::from(reasons.iter().any(|reason| reason == "dropped_events"));
        if line["type"] == "finding" && line["state"] == "firing" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (severity, detector) = (text(&line["severity"]), text(&line["detector"]));
            if line["family"] == "feed" || severity == "info" {
                *record.notes.entry(detector).or_default() += 1;
            } else {
                let (after, life) = ((at - begun).as_secs(), record.lives);
                let (place, summary) = (text(&line["subject"]["location"]), text(&line["summary"]));
                let alarm = format!(
                    "{severity} {detector} at {place:?}, after {after} s, in life {life}: {summary} {}",
                    line["evidence"]
                );
                writeln!(io::stdout(), "alarm: {alarm}")?;
                record.alarms.push(alarm);
            }
        }
        *last = line;
        Ok(())
    }
}

impl Record {
    fn tell(&self, length: Duration, last: &Value) -> io::Result<()> {
        let Self { lives, stops, visits, lossy_reports, connections, notes, alarms } = self;
        let mut out = io::stdout().lock();
        writeln!(out, "\nSoak of {}: all healthy habits in one process.", humantime::format_duration(length))?;
        writeln!(out, "- {lives} lives on one port, life {LOSSY_LIFE} with {FEW_EVENTS} places for events")?;
        writeln!(out, "- {stops} times stopped for {} s", STOPPED.as_secs())?;
        writeln!(out, "- {visits} visits of a second client of {} s each", VISIT.as_secs())?;
        writeln!(out, "- {} updates over {connections} connections", last["updates"])?;
        writeln!(out, "- {lossy_reports} times it was said that events were lost")?;
        for (detector, count) in notes {
            writeln!(out, "- {count} times {detector}, which is no alarm here")?;
        }
        writeln!(out, "- {} alarms", alarms.len())
    }
}
