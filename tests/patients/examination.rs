//! One examination: start the patient, let the tool watch it, and write down what it says.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_canary::detect::severity::Severity;

use crate::corpus::{Patient, Stay};
use crate::process::{self, Line, PATIENCE};
use crate::verdict;

/// What the tool said about a patient.
pub(crate) struct Report {
    /// The lines of its output, with the time since it was started.
    pub(crate) lines: Vec<(Duration, Value)>,
    /// Its exit code; none if it was ended by a signal.
    pub(crate) exit_code: Option<i32>,
    /// Its standard error.
    pub(crate) complaints: String,
    /// The feed that it judged, if it was to be kept.
    pub(crate) recording: Option<PathBuf>,
}

/// Examines a patient with this build of the tool, and records the feed in a folder if there is one.
///
/// # Errors
///
/// When either cannot be started, or the tool does not come to its end, or says what is not JSON.
pub(crate) fn examine(patient: &Patient, tool: &Path, recordings: Option<&Path>) -> io::Result<Report> {
    let (subject, url) = process::start_patient(&patient.command)?;
    let way = patient.route.open(&url)?;
    let standstill = patient.standstill;
    let _pause = standstill.map(|it| process::pause(&subject.0, it.after, it.length)).transpose()?;
    thread::sleep(patient.head_start);

    let mut command = Command::new(tool);
    // Some findings about sick services are only worth knowing; a healthy one, or one with a disturbed feed, may have those too.
    let fail_on = match &patient.label {
        Some(label) if patient.exit_codes == [1] => label.severity,
        _ => Severity::Warning,
    };
    match patient.stay {
        Stay::For(watch) => {
            command.args(["check", &way.target, "--for", &format!("{}s", watch.as_secs()), "--no-early-exit"])
        }
        Stay::UntilFound { .. } => command.args(["watch", &way.target]),
    };
    // Some healthy programs rest for minutes: what is tested is that they raise no alarm.
    command.args(["--isolated", "--output", "ndjson", "--fail-on", fail_on.as_str(), "--min-activity", "0"]);
    let recording = recordings.map(|folder| folder.join(patient.recording()));
    if let Some(path) = &recording {
        command.arg("--record").arg(path);
    }
    way.explain(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut tool = process::start(&mut command)?;
    let output = process::collect_lines(tool.0.stdout.take());
    let complaints = tool.0.stderr.take().map(|stderr| thread::spawn(move || io::read_to_string(stderr)));
    let mut lines = listen(patient, &output, started)?;
    if matches!(patient.stay, Stay::UntilFound { .. }) {
        process::ask_to_end(&tool.0);
    }
    let status = process::await_end(&mut tool.0, PATIENCE)?;
    for line in output {
        lines.push(parse(line, started)?);
    }
    Ok(Report {
        lines,
        exit_code: status.code(),
        complaints: complaints.and_then(|reader| reader.join().ok()).transpose()?.unwrap_or_default(),
        recording,
    })
}

/// Takes down what the tool says, until it has said enough or has ended.
fn listen(patient: &Patient, output: &Receiver<Line>, started: Instant) -> io::Result<Vec<(Duration, Value)>> {
    let mut lines = Vec::new();
    let mut enough = match patient.stay {
        // It ends by itself.
        Stay::For(watch) => watch + PATIENCE,
        Stay::UntilFound { .. } => patient.longest_watch(),
    };
    let mut found = false;
    loop {
        let left = (started + enough).saturating_duration_since(Instant::now());
        let (after, line) = match output.recv_timeout(left) {
            Ok(line) => parse(line, started)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(lines),
        };
        if !found && patient.label.as_ref().is_some_and(|label| verdict::names(&line, label)) {
            found = true;
            if matches!(patient.stay, Stay::UntilFound { .. }) {
                enough = patient.enough(after);
            }
        }
        lines.push((after, line));
    }
}

fn parse((at, line): Line, started: Instant) -> io::Result<(Duration, Value)> {
    Ok((at - started, serde_json::from_str(&line?)?))
}
