//! One examination: start the patient, let the tool watch it, and write down what it says.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::PATIENCE;
use crate::patients::{Patient, Standstill};

/// What the tool said about a patient.
pub(crate) struct Report {
    /// The lines of its output, with the time since it was started.
    pub(crate) lines: Vec<(Duration, Value)>,
    /// Its exit code; none if it was ended by a signal.
    pub(crate) exit_code: Option<i32>,
    /// Its standard error.
    pub(crate) complaints: String,
}

/// A child process that does not outlive its examination.
struct Ward(Child);

impl Drop for Ward {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Examines a patient with this build of the tool.
///
/// # Errors
///
/// When either cannot be started, or the tool does not come to its end, or says what is not JSON.
pub(crate) fn examine(patient: &Patient, tool: &Path) -> io::Result<Report> {
    let mut program = Command::new(std::env::current_exe()?);
    let mut subject = start(program.args(&patient.command).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let target = await_address(&mut subject.0)?;
    let _pause = patient.standstill.map(|standstill| pause(&subject.0, standstill)).transpose()?;

    let mut command = Command::new(tool);
    let watch = format!("{}s", patient.watch.as_secs());
    // Some findings about sick services are only worth knowing; a healthy one may have those too.
    let fail_on = if patient.exit_codes == [1] { "info" } else { "warning" };
    command.args(["check", &target, "--for", &watch, "--output", "ndjson", "--fail-on", fail_on]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut tool = start(&mut command)?;
    let lines = collect_lines(tool.0.stdout.take());
    let complaints = tool.0.stderr.take().map(|stderr| thread::spawn(move || io::read_to_string(stderr)));
    let status = await_end(&mut tool.0, patient.watch + PATIENCE)?;
    let lines = lines.into_iter().map(|(at, line)| Ok((at - started, serde_json::from_str(&line?)?)));
    Ok(Report {
        lines: lines.collect::<io::Result<_>>()?,
        exit_code: status.code(),
        complaints: complaints.and_then(|reader| reader.join().ok()).transpose()?.unwrap_or_default(),
    })
}

fn start(command: &mut Command) -> io::Result<Ward> {
    let shown = command.get_program().to_owned();
    let started = command.spawn().map(Ward);
    started.map_err(|error| io::Error::new(error.kind(), format!("{} does not start: {error}", shown.display())))
}

/// Reads the line with which a patient says where its feed is.
fn await_address(subject: &mut Child) -> io::Result<String> {
    let lines = collect_lines(subject.stdout.take());
    let (_, line) =
        lines.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the patient does not say where it listens"))?;
    let line = line?;
    let address =
        line.strip_prefix("listening on ").ok_or_else(|| io::Error::other(format!("the patient says: {line}")))?;
    Ok(address.to_owned())
}

fn collect_lines(output: Option<ChildStdout>) -> mpsc::Receiver<(Instant, io::Result<String>)> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let Some(output) = output else { return };
        for line in BufReader::new(output).lines() {
            if sender.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    lines
}

/// Stops a process for a while. A shell does it, because it goes on when this program is gone, so that nothing stays stopped for ever.
fn pause(subject: &Child, standstill: Standstill) -> io::Result<Ward> {
    let (id, after, length) = (subject.id(), standstill.after.as_secs(), standstill.length.as_secs());
    let script = format!("sleep {after}; kill -STOP {id}; sleep {length}; kill -CONT {id}");
    // A sleep that outlives its shell must not keep the output of this program open.
    start(Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}

fn await_end(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("the tool did not end within {} s", limit.as_secs())));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
