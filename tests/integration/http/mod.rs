//! The real binary with `--listen`: what it answers, and what clients and targets that misbehave can do to it.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod answers;
pub(crate) mod client;
mod trouble;

use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use console_api::field::{Name, Value};
use console_api::{Field, Id, Location, PollStats, instrument, tasks};
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::LIMIT;
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::{at, births, idle};
use crate::tool::{Notes, tool};

/// A run that serves HTTP, and ends with the test.
struct Run {
    child: Child,
    notes: Notes,
    server: SocketAddr,
}

impl Run {
    /// Starts the tool at a free port, and waits until it says which.
    fn start(arguments: &[&str]) -> Self {
        let mut child =
            tool(&[arguments, &["--listen", "127.0.0.1:0"]].concat()).stdout(Stdio::null()).spawn().unwrap();
        let mut notes = Notes::of(&mut child);
        let serving = notes.hear("Serving http://");
        let server = serving.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { child, notes, server }
    }

    fn watch(service: &FakeService, arguments: &[&str]) -> Self {
        Self::start(&[&["watch", &service.address.to_string()], arguments].concat())
    }

    /// Asks it to end, and returns what it came to.
    async fn end(mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.await_end().await;
        (status, self.notes.all())
    }

    async fn await_end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "it does not end");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When the fake services begin, in milliseconds since the epoch.
const BEGIN: u64 = 1_000_000;

/// A service whose first message is this.
async fn service(initial: &instrument::Update) -> FakeService {
    FakeService::start(Script { initial: Some(initial.encode_to_vec()), ..Script::default() }).await
}

/// Publishes updates in which nothing happens, a second apart by the service's clock.
fn publish(service: &FakeService, seconds: std::ops::Range<u64>) {
    seconds.for_each(|second| service.publish(&idle(BEGIN + second * 1_000)));
}

/// A message about tasks that have come and gone, with so many polls each.
fn polled(now: u64, tasks: u64, polls: u64) -> instrument::Update {
    let mut update = births(now, tasks, 100);
    if let Some(part) = &mut update.task_update {
        for task in &mut part.new_tasks {
            task.fields.push(text("kind", "task"));
        }
        for stats in part.stats_update.values_mut() {
            let (first, last) = (Some(at(now - 90)), Some(at(now - 20)));
            let polls = PollStats {
                polls,
                first_poll: first,
                last_poll_started: last,
                last_poll_ended: last,
                ..PollStats::default()
            };
            (stats.poll_stats, stats.dropped_at) = (Some(polls), Some(at(now - 10)));
        }
    }
    update
}

fn text(name: &str, value: &str) -> Field {
    Field {
        name: Some(Name::StrName(name.to_owned())),
        value: Some(Value::StrVal(value.to_owned())),
        metadata_id: None,
    }
}

/// A message that introduces a task of this name and place, which has been in one poll for so long, in milliseconds.
fn blocked(name: &str, file: &str, age: u64) -> instrument::Update {
    let location = Location { file: Some(file.to_owned()), line: Some(7), column: Some(1), module_path: None };
    let task = tasks::Task {
        id: Some(Id { id: 1 }),
        fields: vec![text("kind", "task"), text("task.name", name)],
        location: Some(location),
        ..tasks::Task::default()
    };
    let born = Some(at(BEGIN - age));
    let polls = PollStats { polls: 1, first_poll: born, last_poll_started: born, ..PollStats::default() };
    let stats = tasks::Stats { created_at: born, poll_stats: Some(polls), ..tasks::Stats::default() };
    let part =
        tasks::TaskUpdate { new_tasks: vec![task], stats_update: [(1, stats)].into(), ..tasks::TaskUpdate::default() };
    instrument::Update { task_update: Some(part), ..idle(BEGIN) }
}
