//! The processes of an examination: started, listened to, and gone when they are no longer needed.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than any sensible answer takes on a machine with other work to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A child process that does not outlive its examination.
pub(crate) struct Ward(pub(crate) Child);

impl Drop for Ward {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of output and when it came.
pub(crate) type Line = (Instant, io::Result<String>);

/// Starts a process.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Ward> {
    let shown = command.get_program().to_owned();
    command.spawn().map(Ward).with_context(|| format!("{} does not start", shown.display()))
}

/// Starts this program again as a service, and waits until it says where its feed is.
///
/// # Errors
///
/// When it cannot be started, or says something else or nothing.
pub(crate) fn start_service(arguments: &[String]) -> anyhow::Result<(Ward, String)> {
    let mut program = Command::new(std::env::current_exe()?);
    let mut service = start(program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let lines = collect_lines(service.0.stdout.take());
    let (_, line) = lines.recv_timeout(PATIENCE).context("the service does not say where it listens")?;
    let line = line?;
    let target = line.strip_prefix("listening on ").with_context(|| format!("the service says: {line}"))?.to_owned();
    Ok((service, target))
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

/// Asks a process to end, and waits until it has.
///
/// # Errors
///
/// When it does not end.
pub(crate) fn end(child: &mut Child) -> anyhow::Result<()> {
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // One that has ended already has done so.
        let _ = kill_process(id, Signal::TERM);
    }
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        anyhow::ensure!(Instant::now() < deadline, "the tool does not end");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
