//! What the facts of a process mean: for each kind of evidence a table of processes, with the fault and with what only looks like it, and what
//! evidence sees of them at the last update, a second before their end.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

mod answers;
mod attachment;
mod barrier;
mod blame;
mod cancellations;
mod crowd;
mod demand;
mod flow;
mod hold_and_wait;
mod jobs;
mod lock_role;
mod permit_habits;
mod poll_time;
mod population;
mod running_polls;
mod senders;
mod sizing;
mod spin;
mod stragglers;
mod task_wait;
mod timeouts;
mod undriven;
mod users;
mod waiters;

use std::time::Duration;

use tokio_canary::evidence::Evidence;
use tokio_canary::model::entity::resource::Resource;
use tokio_canary::model::entity::site::Site;
use tokio_canary::model::{ResourceKey, SiteKey, TaskKey};

use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Told, play};

/// A process, in the form of a scenario without what that expects, and what is to be seen of it.
struct Case {
    name: &'static str,
    process: &'static str,
    seen: &'static str,
}

const fn case(name: &'static str, process: &'static str, seen: &'static str) -> Case {
    Case { name, process, seen }
}

/// Plays each process and compares what is seen of it at its end.
fn check(cases: &[Case], see: impl Fn(&Evidence<'_>) -> String) {
    let wrong = cases.iter().filter_map(|case| {
        let process = format!("about = \"A case of a table.\"\n{}", case.process);
        let timeline = play(&Scenario::parse(&process), Told::Once);
        let seen = see(&timeline.diagnosis.evidence());
        (seen != case.seen).then(|| format!("{}:\n  seen     {seen}\n  expected {}", case.name, case.seen))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The site of this name. Tasks of different sizes or kinds would make several.
fn site<'a>(evidence: &'a Evidence<'_>, name: &str) -> (SiteKey, &'a Site) {
    evidence.sites().find(|(_, site)| &*site.id.name == name).expect("a site of that name")
}

/// The tasks of this name that are listed, by their ids.
fn tasks(evidence: &Evidence<'_>, name: &str) -> Vec<TaskKey> {
    let named = evidence.tasks().filter(|(_, task)| task.name().is_some_and(|it| **it == *name));
    let mut tasks: Vec<(_, TaskKey)> = named.map(|(key, task)| (task.stats.created, key)).collect();
    tasks.sort_unstable();
    tasks.into_iter().map(|(_, key)| key).collect()
}

/// What was made at this place.
fn made_at<'a>(evidence: &'a Evidence<'_>, place: &str) -> (ResourceKey, &'a Resource) {
    let found = evidence.resources().find(|(_, it)| it.location.as_str().ends_with(place));
    found.expect("a resource made there")
}

/// A time in a table: tenths of seconds are enough.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A share in a table.
fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
