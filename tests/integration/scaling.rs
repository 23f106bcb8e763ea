//! What many findings at a time cost: in proportion to how many there are, from the scan to the outputs and the screen.
//!
//! Times are compared with each other, within one run and by the thread's own CPU time, never with a number.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::time::{Duration, SystemTime};

use console_api::field::{Name, Value};
use console_api::{Field, Id, Location, PollStats, instrument, tasks};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rustix::time::{ClockId, clock_gettime};
use tokio_canary::alert::event::Event;
use tokio_canary::alert::sink::Sink;
use tokio_canary::alert::{LineFormat, Lines};

use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::Diagnosis;
use tokio_canary::feed::{Arrived, FeedEvent, Status};
use tokio_canary::fleet::Fleet;
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::report::sanitize::Charset;
use tokio_canary::tui::state::UiState;

use crate::support::updates::{at, idle};

/// How many findings there are at first, and how many times as many later.
const FEW: usize = 500;
const TIMES: usize = 4;
/// How much more each finding may cost among so many: caches, and the logarithms of trees and sorting. What compares every finding with
/// every other one costs [`TIMES`] times as much.
const ALLOWANCE: f64 = 1.6;
/// Updates in which they stay.
const UPDATES: u64 = 8;
/// The shortest of so many runs is the one that was disturbed least.
const RUNS: usize = 3;

/// What every place has, in milliseconds since the epoch: a task whose poll does not end, whose future is huge, and one that was woken since
/// and is not polled.
fn many_faults(places: usize) -> instrument::Update {
    let begun = 1_000_000;
    let mut part = tasks::TaskUpdate::default();
    for place in (0..).take(places) {
        let blocking = 2 * place + 1;
        for id in [blocking, blocking + 1] {
            let field = |name: &str, value| Field {
                name: Some(Name::StrName(name.to_owned())),
                value: Some(value),
                metadata_id: None,
            };
            let location =
                Location { file: Some(format!("src/at{place}.rs")), line: Some(7), column: Some(1), module_path: None };
            part.new_tasks.push(tasks::Task {
                id: Some(Id { id }),
                fields: vec![
                    field("kind", Value::StrVal("task".to_owned())),
                    field("size.bytes", Value::U64Val(200_000)),
                ],
                location: Some(location),
                ..tasks::Task::default()
            });
        }
        let created_at = Some(at(begun));
        let polls = PollStats {
            polls: 1,
            first_poll: created_at,
            last_poll_started: Some(at(begun + 10 + place % 500)),
            ..PollStats::default()
        };
        part.stats_update
            .insert(blocking, tasks::Stats { created_at, poll_stats: Some(polls), ..tasks::Stats::default() });
        let woken = tasks::Stats { created_at, wakes: 1, last_wake: Some(at(begun + 600)), ..tasks::Stats::default() };
        part.stats_update.insert(blocking + 1, woken);
    }
    instrument::Update { task_update: Some(part), ..idle(begun + 1_000) }
}

/// The CPU time that it takes to watch so many faults for a while, and how many findings there are in the end.
fn cost(places: usize) -> (Duration, usize) {
    let mut fleet = Fleet::default();
    let target = fleet.join(Diagnosis::new("many".to_owned(), Settings::default(), DEFAULT_RETENTION));
    let mut screen = UiState::default();
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a terminal in memory");
    let mut lines = Lines::new(Vec::new(), LineFormat::Ndjson, Charset::Unicode);
    let later = (1..UPDATES).map(|second| idle(1_001_000 + second * 1_000));
    let updates: Vec<_> = std::iter::once(many_faults(places)).chain(later).collect();
    let begun = cpu_time();
    let updates = updates.into_iter().map(|message| FeedEvent::Update(Box::new(message.into())));
    for event in std::iter::once(FeedEvent::Status(Status::Live)).chain(updates) {
        let step = fleet.apply(target, Arrived { at: SystemTime::UNIX_EPOCH, event });
        for event in Event::of(&step, &fleet) {
            lines.take(&event).expect("memory takes everything");
        }
        screen.sync(&fleet);
        terminal
            .draw(|frame| tokio_canary::tui::draw(frame, &mut screen, &fleet, SystemTime::UNIX_EPOCH))
            .expect("a terminal in memory");
    }
    (cpu_time().saturating_sub(begun), fleet.findings().len())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().expect("not negative"), time.tv_nsec.try_into().expect("below a second"))
}

#[test]
fn many_findings_cost_in_proportion() {
    let least = |places: usize| (0..RUNS).map(|_| cost(places)).min().expect("there are runs");
    let (few, fewer) = least(FEW);
    let (many, more) = least(FEW * TIMES);
    assert!(fewer >= FEW && more >= FEW * TIMES, "{fewer} and {more} findings");
    let allowed = few.mul_f64(ALLOWANCE) * TIMES.try_into().expect("a few");
    assert!(many <= allowed, "{fewer} findings cost {few:?}, and {more} cost {many:?}: more than {allowed:?}");
}
