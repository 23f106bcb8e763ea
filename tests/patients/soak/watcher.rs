//! A tool that watches for the whole soak, and what it says.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::memory::{Memory, PARTS};
use super::stalls::Stalls;
use crate::process::{self, Line, PATIENCE, Ward};

/// A running tool.
pub(super) struct Watcher {
    name: &'static str,
    process: Ward,
    lines: Receiver<Line>,
    begun: Instant,
    last: Value,
    shown_parts: usize,
    said: Said,
    /// Its memory over time.
    pub(super) memory: Memory,
}

/// What it said, but for what comes all the time.
#[derive(Default)]
struct Said {
    lossy_reports: usize,
    connections: usize,
    /// Findings by detector that are no alarm: of the feed family, or only worth knowing.
    notes: BTreeMap<String, usize>,
    /// What would be an alarm, if the whole machine had not stopped just then.
    excused: Vec<String>,
    alarms: Vec<String>,
    faults: Vec<String>,
}

impl Watcher {
    /// Starts a tool on a target, which records the feed to a file if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(tool: &Path, target: &str, record: Option<&Path>, length: Duration) -> io::Result<Self> {
        let mut command = Command::new(tool);
        command.args(["watch", target, "--isolated", "--output", "ndjson", "--fail-on", "warning"]);
        if let Some(file) = record {
            command.arg("--record").arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = process::start(&mut command)?;
        let lines = process::collect_lines(process.0.stdout.take());
        Ok(Self {
            name: if record.is_some() { "watch --record" } else { "watch" },
            begun: Instant::now(),
            last: Value::Null,
            shown_parts: 0,
            said: Said::default(),
            memory: Memory::of(process.0.id(), length),
            process,
            lines,
        })
    }

    /// Takes down what it has said by now, and how much memory it has. Returns whether it still runs.
    ///
    /// # Errors
    ///
    /// When nobody is left to tell an alarm to.
    pub(super) fn attend(&mut self, stalls: &Stalls) -> io::Result<bool> {
        self.memory.sample(self.begun.elapsed());
        loop {
            match self.lines.try_recv() {
                Ok(line) => self.take(line, stalls)?,
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => {
                    self.said.faults.push("it ended before it was asked to".to_owned());
                    return Ok(false);
                }
            }
        }
    }

    /// Prints the memory of each part of the run that is over and was not printed yet.
    ///
    /// # Errors
    ///
    /// When nobody is left to tell it to.
    pub(super) fn show_parts(&mut self, over: usize) -> io::Result<()> {
        while self.shown_parts < over.min(PARTS) {
            let part = self.memory.part(self.shown_parts);
            self.shown_parts += 1;
            let shown = part.map_or_else(|| "no sample".to_owned(), |part| part.to_string());
            writeln!(io::stdout(), "part {:>2} of {PARTS}, {:<14}  {shown}", self.shown_parts, self.name)?;
        }
        Ok(())
    }

    /// Ends it, takes down its last words, says what it came to, and returns whether that is as it should be.
    ///
    /// # Errors
    ///
    /// When nobody is left to tell it to.
    pub(super) fn conclude(mut self, stalls: &Stalls) -> io::Result<bool> {
        self.show_parts(PARTS)?;
        process::ask_to_end(&self.process.0);
        match process::await_end(&mut self.process.0, PATIENCE) {
            Ok(status) => {
                while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
                    self.take(line, stalls)?;
                }
                if status.code().is_none() || self.last["type"] != "summary" {
                    self.said
                        .faults
                        .push(format!("it did not end as it should: {status}, and its last line: {}", self.last));
                }
            }
            Err(error) => self.said.faults.push(error.to_string()),
        }
        self.tell()
    }

    fn take(&mut self, (at, line): Line, stalls: &Stalls) -> io::Result<()> {
        let line: Value = match line.map_err(io::Error::other).and_then(|line| Ok(serde_json::from_str(&line)?)) {
            Ok(line) => line,
            Err(error) => {
                self.said.faults.push(format!("it says what is not JSON: {error}"));
                return Ok(());
            }
        };
        let said = &mut self.said;
        said.connections += usize::from(line["type"] == "status" && line["state"] == "live");
        let reasons = line["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        said.lossy_reports += usize::from(reasons.iter().any(|reason| reason == "dropped_events"));
        if line["type"] == "finding" && line["state"] == "firing" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (severity, detector) = (text(&line["severity"]), text(&line["detector"]));
            if line["family"] == "feed" || severity == "info" {
                *said.notes.entry(detector).or_default() += 1;
            } else {
                let place = text(&line["subject"]["location"]);
                let (after, summary) = ((at - self.begun).as_secs(), text(&line["summary"]));
                let alarm =
                    format!("{severity} {detector} at {place:?}, after {after} s: {summary} {}", line["evidence"]);
                let excused = stalls.excuse(at);
                writeln!(io::stdout(), "{}: {alarm}", if excused { "the machine had stopped" } else { "alarm" })?;
                if excused { said.excused.push(alarm) } else { said.alarms.push(alarm) }
            }
        }
        self.last = line;
        Ok(())
    }

    fn tell(&self) -> io::Result<bool> {
        let Said { lossy_reports, connections, notes, excused, alarms, faults } = &self.said;
        let trend = self.memory.trend();
        let mut out = io::stdout().lock();
        writeln!(out, "\n{}", self.name)?;
        writeln!(out, "- {} updates over {connections} connections", self.last["updates"])?;
        writeln!(out, "- {lossy_reports} times it was said that events were lost")?;
        for (detector, count) in notes {
            writeln!(out, "- {count} times {detector}, which is no alarm here")?;
        }
        match trend {
            Some(trend) => writeln!(out, "- memory {trend}; peak {} MiB", self.memory.peak())?,
            None => writeln!(out, "- memory not measured")?,
        }
        writeln!(out, "- {:.1} % of a core", self.memory.cpu_percent())?;
        for fault in faults {
            writeln!(out, "- FAULT: {fault}")?;
        }
        writeln!(out, "- {} alarms, and {} while the machine had stopped", alarms.len(), excused.len())?;
        Ok(alarms.is_empty() && faults.is_empty() && !trend.is_some_and(|trend| trend.grows()))
    }
}
