//! The real binary and receivers of alerts: those that work, and those that hang, refuse, vanish or lead astray.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod commands;
pub(crate) mod fake_receiver;
mod messages;
mod trouble;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::LIMIT;
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::idle;
use crate::tool::{Outcome, deadlock, tool};

/// What a run came to: exit code, standard output, standard error, and how long it took.
struct Ran {
    code: Option<i32>,
    output: String,
    notes: String,
    took: Duration,
}

fn run(command: &mut Command) -> Ran {
    let begun = Instant::now();
    let Outcome { code, stdout, stderr } = Outcome::of(command);
    Ran { code, output: stdout, notes: stderr, took: begun.elapsed() }
}

/// Judges the deadlock with these further arguments.
fn check(arguments: &[&str]) -> Ran {
    run(&mut tool(&[&["check", &deadlock()], arguments].concat()))
}

/// A service that says nothing any more, which is a finding, until it is told to.
async fn silent_service() -> FakeService {
    FakeService::start(Script { initial: Some(idle(1_000).encode_to_vec()), ..Script::default() }).await
}

/// A process that is ended with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Asks it to end, and returns what it came to.
    fn end(&mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let mut notes = String::new();
        std::io::Read::read_to_string(self.0.stderr.as_mut().unwrap(), &mut notes).unwrap();
        (self.0.wait().unwrap().code(), notes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds.
fn await_that(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a file for a test.
fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
