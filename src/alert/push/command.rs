//! A command of the user that is run for each transition, one at a time: without a shell, with a limit, and with what a target is called
//! only where no shell reads it.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::attempt::{Attempt, Ending};
use super::receiver::{Receiver, Waiting};
use crate::alert::event::{Event, EventKind};
use crate::alert::ndjson;
use crate::config::receiver::{self as config, EVENT_PREFIX, Secret};
use crate::report::State;
use crate::report::finding::FindingView;
use crate::report::sanitize::bounded;
use crate::words;

/// The longest value of a variable, in bytes.
const VARIABLE: usize = 4096;
/// How much of the output of a command is kept, in bytes.
const OUTPUT: usize = 1024;
/// How often a command is looked after.
const LOOK: Duration = Duration::from_millis(20);
/// How long the output of a command may still be on its way when that has ended.
const DRAIN: Duration = Duration::from_millis(100);
/// How our own variables begin.
const OURS: &str = "TOKIO_CANARY_";

/// A command.
pub(super) struct Command {
    config: config::Command,
    /// Variables that it must not get.
    hidden: Vec<String>,
    waiting: Waiting<Transition>,
    since: Instant,
    ending: Ending,
}

/// What a command gets.
#[derive(Debug)]
struct Transition {
    variables: Vec<(String, String)>,
    line: String,
}

impl Command {
    /// Gets ready.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub(super) fn open(config: &config::Command, hidden: &[&Secret], ending: Ending) -> Result<Self, String> {
        let program = config.argv.first().map_or("", String::as_str);
        let is_there = |folder: &Path| folder.join(program).is_file();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = if program.contains('/') {
            Path::new(program).is_file()
        } else {
            std::env::split_paths(&path).any(|folder| is_there(&folder))
        };
        if !found {
            return Err(format!(
                "program `{program}` not found; to pass arguments, use the configuration file: command = [\"program\", \"argument\"]"
            ));
        }
        let variable = |secret: &&Secret| match secret {
            Secret::Variable(name) => Some(name.clone()),
            Secret::File(_) => None,
        };
        Ok(Self {
            config: config.clone(),
            hidden: hidden.iter().filter_map(variable).collect(),
            waiting: Waiting::default(),
            since: Instant::now(),
            ending,
        })
    }

    fn run(&self, transition: &Transition) -> Result<(), String> {
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let mut command = process::Command::new(self.config.argv.first().map_or("", String::as_str));
        command.args(self.config.argv.iter().skip(1)).process_group(0);
        let ours =
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|it| it.starts_with(OURS));
        for name in ours.chain(self.hidden.iter().cloned()) {
            command.env_remove(name);
        }
        command.envs(transition.variables.iter().map(|(name, value)| (name, value)));
        let errors = writer.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::piped()).stdout(writer).stderr(errors);
        let child = command.spawn();
        // It holds the ends of the pipe that belong to the child.
        drop(command);
        let mut child = child.map_err(|error| format!("could not be started: {error}"))?;
        let output = read_output(reader);
        write_stdin(&mut child, transition.line.clone());
        let outcome = self.wait(&mut child);
        let output = output.after(DRAIN);
        let output = if output.is_empty() { output } else { format!(": {output}") };
        match outcome {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(format!("{}{output}", describe(status))),
            Ok(None) if self.ending.within(Duration::MAX).is_zero() => {
                Err("was killed at the end of the run".to_owned())
            }
            Ok(None) => Err(format!("was killed after {}{output}", words::limit(self.config.limit))),
            Err(error) => Err(format!("could not be waited for: {error}")),
        }
    }

    /// Waits for the end, and kills the command with all that it has started if that does not come in time.
    fn wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            let left = self.ending.within(self.config.limit.saturating_sub(begun.elapsed()));
            if left.is_zero() {
                // It leads a group of its own.
                let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
                return child.wait().map(|_| None);
            }
            thread::sleep(LOOK.min(left));
        }
    }
}

impl Receiver for Command {
    fn take(&mut self, event: &Event) -> u64 {
        match &event.kind {
            EventKind::Finding(view) if view.row.state != State::Pending => {
                let about = format!("{} {}", view.fingerprint, event.target);
                self.waiting.push(about, Transition { variables: variables(event, view), line: ndjson::line(event) })
            }
            _ => 0,
        }
    }

    fn due(&self) -> Option<Instant> {
        (self.waiting.len() > 0).then_some(self.since)
    }

    fn attempt(&mut self) -> Attempt {
        let Some(transition) = self.waiting.next(1).first().copied() else { return Attempt::Delivered };
        let outcome = self.run(transition);
        self.waiting.drop_next(1);
        outcome.map_or_else(|why| Attempt::Refused { why, lost: 1 }, |()| Attempt::Delivered)
    }

    fn undelivered(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }
}

/// What is in the environment of a command. Nothing hidden is in it, a NUL byte, which no variable can have, included.
fn variables(event: &Event, view: &FindingView) -> Vec<(String, String)> {
    let variables = [
        ("STATE", view.row.state.as_str()),
        ("DETECTOR", view.row.detector),
        ("SEVERITY", view.row.severity.as_str()),
        ("TARGET", event.target.as_str()),
        ("FINGERPRINT", view.fingerprint.as_str()),
        ("NAME", view.subject.name.as_str()),
        ("LOCATION", view.subject.location.as_str()),
        ("SUMMARY", view.headline.as_str()),
        ("RECOMMENDATION", view.advice.as_str()),
    ];
    let recording = view.recording.as_ref().map(|path| ("RECORDING", path.display().to_string()));
    let variables = variables.into_iter().map(|(name, value)| (name, value.to_owned())).chain(recording);
    variables.map(|(name, value)| (format!("{EVENT_PREFIX}{name}"), bounded(&value, VARIABLE))).collect()
}

/// What a command has printed so far, as much as is kept.
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Output {
    /// Waits for the rest, but not for what the command has left behind.
    fn after(self, limit: Duration) -> String {
        let begun = Instant::now();
        while self.reader.as_ref().is_some_and(|it| !it.is_finished()) && begun.elapsed() < limit {
            thread::sleep(Duration::from_millis(1));
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        bounded(String::from_utf8_lossy(&text).trim(), OUTPUT)
    }
}

/// Reads everything that a command prints, so that it never waits, and keeps the beginning.
fn read_output(mut output: io::PipeReader) -> Output {
    let text = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&text);
    let read = move || {
        let mut part = [0; 4096];
        while let Ok(length) = output.read(&mut part)
            && length > 0
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OUTPUT.saturating_sub(kept.len()).min(length);
            kept.extend_from_slice(&part[..room]);
        }
    };
    Output { text, reader: thread::Builder::new().name("command".to_owned()).spawn(read).ok() }
}

/// Writes to the standard input of a command, which need not read it.
fn write_stdin(child: &mut Child, line: String) {
    if let Some(mut input) = child.stdin.take() {
        let write = move || drop(input.write_all(format!("{line}\n").as_bytes()));
        drop(thread::Builder::new().name("command".to_owned()).spawn(write));
    }
}

fn describe(status: ExitStatus) -> String {
    status.code().map_or_else(|| format!("ended with {status}"), |code| format!("failed with exit code {code}"))
}
