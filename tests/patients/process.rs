//! The processes of an examination: started, listened to, stopped for a while, and gone when they are no longer needed.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any sensible answer takes on a machine with other work to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A child process that does not outlive its examination.
pub(crate) struct Ward(pub(crate) Child);

/// A line of output and when it came.
pub(crate) type Line = (Instant, io::Result<String>);

impl Drop for Ward {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn start(command: &mut Command) -> io::Result<Ward> {
    let shown = command.get_program().to_owned();
    let started = command.spawn().map(Ward);
    started.map_err(|error| io::Error::new(error.kind(), format!("{} does not start: {error}", shown.display())))
}

/// Starts this program again as a patient, and waits until it says where its feed is.
///
/// # Errors
///
/// When it cannot be started, or says something else or nothing.
pub(crate) fn start_patient(arguments: &[String]) -> io::Result<(Ward, String)> {
    let mut program = Command::new(std::env::current_exe()?);
    let mut subject = start(program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let target = await_address(&mut subject.0)?;
    Ok((subject, target))
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

/// The lines of a process as they come.
pub(crate) fn collect_lines(output: Option<ChildStdout>) -> mpsc::Receiver<Line> {
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
///
/// # Errors
///
/// When there is no shell.
pub(crate) fn pause(subject: &Child, after: Duration, length: Duration) -> io::Result<Ward> {
    let (id, after, length) = (subject.id(), after.as_secs(), length.as_secs());
    let script = format!("sleep {after}; kill -STOP {id}; sleep {length}; kill -CONT {id}");
    // A sleep that outlives its shell must not keep the output of this program open.
    start(Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// Asks a process to end. One that has ended already has done so.
pub(crate) fn ask_to_end(child: &Child) {
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
}

/// Waits until a process has ended.
///
/// # Errors
///
/// When it does not.
pub(crate) fn await_end(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
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
