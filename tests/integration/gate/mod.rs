//! `check` as a gate, by the real binary: the command that it starts and stops, criteria, the baseline, and what is expected.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod baseline;
mod command;
mod criteria;
mod expectations;

use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

use console_api::instrument::Update;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::updates::{births, idle};
use crate::tool::{Notes, deadlock, tool};

/// A run of `check` and what it has said.
struct Check {
    child: Child,
    notes: Notes,
    begun: Instant,
}

/// What a run came to.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    verdict: String,
    notes: String,
    took: Duration,
}

/// Runs `check` to its end.
fn check(arguments: &[&str]) -> Outcome {
    Check::start(arguments).end()
}

impl Check {
    fn start(arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let mut child = tool(&[&["check"], arguments].concat()).spawn().unwrap();
        let notes = Notes::of(&mut child);
        Self { child, notes, begun }
    }

    /// Waits for a line on standard error that contains some words.
    fn hears(&mut self, words: &str) -> String {
        self.notes.hear(words)
    }

    /// Where the console of the command that it has started should be.
    fn console(&mut self) -> SocketAddr {
        let line = self.hears("TOKIO_CONSOLE_BIND=");
        let address = line.split("TOKIO_CONSOLE_BIND=").nth(1).unwrap().split(';').next().unwrap();
        address.parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> Outcome {
        let mut verdict = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut verdict).unwrap();
        let status = self.child.wait().unwrap();
        Outcome { code: status.code(), verdict, notes: self.notes.all(), took: self.begun.elapsed() }
    }
}

/// Updates of a service with a few tasks that does nothing, a second apart.
fn resting() -> impl Iterator<Item = Update> {
    std::iter::once(births(1_000_000, 3, 60_000)).chain((1..).map(|second| idle(1_000_000 + second * 1_000)))
}
