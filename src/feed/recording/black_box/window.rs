//! The last minutes of a feed, and the state of the target at their begin: bounded in time and in memory.

use std::collections::VecDeque;
use std::time::Duration;

use prost::bytes::Bytes;

use crate::feed::recording::MESSAGE_LIMIT;
use crate::feed::recording::messages::{Topic, encode, log_time};
use crate::feed::recording::mirror::Mirror;
use crate::feed::{Arrived, FeedEvent, Status};
use crate::wire::Message;

/// How often the state forgets what has ended, by arrival times.
const EXPIRE_EVERY: Duration = Duration::from_secs(30);
/// The same while the state takes much of the memory, as where thousands of tasks end every second, and for how long those are kept then.
const EXPIRE_UNDER_PRESSURE: Duration = Duration::from_secs(1);
const KEPT_UNDER_PRESSURE: Duration = Duration::from_secs(5);
/// Events that were thrown away longer ago than this say nothing about what follows.
const DROPPED_MATTERS: Duration = Duration::from_secs(60);
/// What an event takes besides its bytes.
const PLACE: usize = size_of::<Entry>() + 32;

/// One event as a recording has it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) topic: Topic,
    pub(super) log_time: u64,
    pub(super) bytes: Bytes,
    pub(super) is_live: bool,
}

/// The last minutes of a feed.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    memory: usize,
    /// The target at the begin of the window: what has left it, added up.
    mirror: Mirror,
    status: Option<Entry>,
    paused: Option<Entry>,
    begins: u64,
    expired: u64,
    dropped: Option<u64>,
    entries: VecDeque<Entry>,
    bytes: usize,
    is_blind: bool,
}

impl Window {
    /// An empty window of this length that takes at most so many bytes.
    pub(super) fn new(length: Duration, memory: usize) -> Self {
        Self {
            length,
            memory,
            mirror: Mirror::default(),
            status: None,
            paused: None,
            begins: 0,
            expired: 0,
            dropped: None,
            entries: VecDeque::new(),
            bytes: 0,
            is_blind: false,
        }
    }

    /// Takes an event in, and lets go of what is too old or too much. Returns its size in bytes, as it is recorded.
    pub(super) fn take(&mut self, arrived: &Arrived) -> usize {
        let Some(entry) = entry(arrived) else { return 0 };
        let size = entry.bytes.len();
        if self.is_blind && !entry.is_live {
            return size;
        }
        self.is_blind = false;
        self.bytes += PLACE + size;
        let newest = entry.log_time;
        self.entries.push_back(entry);
        while self.is_too_much() || self.is_too_old(newest) {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= PLACE + entry.bytes.len();
            self.roll(entry);
        }
        if self.mirror.bytes() > self.most_of_state() {
            *self = Self { is_blind: true, ..Self::new(self.length, self.memory) };
        }
        size
    }

    /// Whether what lives in the target takes too much memory: nothing is kept until it connects again.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// The memory that it takes, in bytes, about.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.mirror.bytes()
    }

    /// Everything that it has, from a complete state on.
    pub(super) fn events(&self) -> Vec<Entry> {
        let mut events = Vec::with_capacity(self.entries.len() + 3);
        let then = |entry: &Entry| Entry { log_time: self.begins, ..entry.clone() };
        if !self.mirror.is_empty() {
            let live = FeedEvent::Status(Status::Live);
            let state = FeedEvent::Update(Box::new(self.mirror.render().into()));
            let encoded = |event| encode(&event).map(|(topic, bytes)| (topic, bytes, self.begins));
            for (topic, bytes, log_time) in [live, state].into_iter().filter_map(encoded) {
                events.push(Entry { topic, log_time, bytes, is_live: topic == Topic::Status });
            }
        }
        events.extend(self.paused.iter().map(then));
        let is_said = |status: &&Entry| status.is_live && !self.mirror.is_empty();
        events.extend(self.status.iter().filter(|status| !is_said(status)).map(then));
        events.extend(self.entries.iter().cloned());
        events
    }

    fn is_too_much(&self) -> bool {
        self.memory() > self.memory
    }

    fn is_too_old(&self, newest: u64) -> bool {
        let is_old = |entry: &Entry| Duration::from_nanos(newest.saturating_sub(entry.log_time)) > self.length;
        self.entries.front().is_some_and(is_old)
    }

    /// The rest is for the last minutes.
    fn most_of_state(&self) -> usize {
        (self.memory / 4 * 3).min(MESSAGE_LIMIT)
    }

    /// Adds what has left the window to the state at its begin.
    fn roll(&mut self, entry: Entry) {
        self.begins = entry.log_time;
        match entry.topic {
            Topic::Update => self.add(&entry),
            Topic::Status => {
                if entry.is_live {
                    self.mirror.reconnect();
                }
                self.status = Some(entry);
            }
            Topic::Paused => self.paused = Some(entry),
            Topic::Header | Topic::Details | Topic::State | Topic::End => {}
        }
    }

    fn add(&mut self, entry: &Entry) {
        let dropped = self.mirror.apply(&Message::again(entry.bytes.clone()));
        let now = entry.log_time;
        if dropped.total() > 0 {
            self.dropped = Some(now);
        } else if self.dropped.is_some_and(|at| Duration::from_nanos(now.abs_diff(at)) > DROPPED_MATTERS) {
            self.mirror.forget_dropped();
            self.dropped = None;
        }
        let since = Duration::from_nanos(now.abs_diff(self.expired));
        if self.mirror.bytes() > self.memory / 2 && since >= EXPIRE_UNDER_PRESSURE {
            self.mirror.expire_after(KEPT_UNDER_PRESSURE);
            self.expired = now;
        } else if since >= EXPIRE_EVERY {
            self.mirror.expire();
            self.expired = now;
        }
    }
}

/// An event as it is kept; `None` for one that a replay finds out by itself.
fn entry(arrived: &Arrived) -> Option<Entry> {
    let (topic, bytes) = match &arrived.event {
        FeedEvent::Update(update) => {
            let message = update.message.with_few_poll_ops().with_short_places();
            // What came may be a piece of a much larger buffer, which it would keep.
            (Topic::Update, Bytes::copy_from_slice(message.bytes()))
        }
        event => encode(event)?,
    };
    let is_live = matches!(arrived.event, FeedEvent::Status(Status::Live));
    Some(Entry { topic, log_time: log_time(arrived.at), bytes, is_live })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use console_api::instrument::Update;
    use console_api::{Id, tasks};

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// An update at a time that introduces tasks of these ids, created then and ended at once if they are to be.
    fn update(seconds: u64, ids: std::ops::Range<u64>, name: &str, has_ended: bool) -> Arrived {
        let task = |id| tasks::Task {
            id: Some(Id { id }),
            location: Some(console_api::Location { file: Some(name.to_owned()), ..Default::default() }),
            ..Default::default()
        };
        let stats = tasks::Stats {
            created_at: Some(time(seconds).into()),
            dropped_at: has_ended.then(|| time(seconds).into()),
            ..Default::default()
        };
        let message = Message::from(&Update {
            now: Some(time(seconds).into()),
            task_update: Some(tasks::TaskUpdate {
                new_tasks: ids.clone().map(task).collect(),
                stats_update: ids.map(|id| (id, stats)).collect(),
                dropped_events: 0,
            }),
            ..Default::default()
        });
        Arrived { at: time(seconds), event: FeedEvent::Update(Box::new(message.into())) }
    }

    fn status(seconds: u64, status: Status) -> Arrived {
        Arrived { at: time(seconds), event: FeedEvent::Status(status) }
    }

    fn lost() -> Status {
        Status::Lost { reason: "gone".to_owned(), retry_at: time(0) }
    }

    fn taken(window: &mut Window, events: impl IntoIterator<Item = Arrived>) {
        for arrived in events {
            window.take(&arrived);
        }
    }

    /// Time, topic and the ids of the tasks that are introduced, of each event.
    fn told(window: &Window) -> Vec<(u64, Topic, Vec<u64>)> {
        let ids = |entry: &Entry| match entry.topic {
            Topic::Update => {
                let message = Message::new(entry.bytes.clone()).unwrap();
                message.introduced_ids(crate::wire::Kind::Task).flatten().collect()
            }
            _ => Vec::new(),
        };
        window.events().iter().map(|entry| (entry.log_time / 1_000_000_000, entry.topic, ids(entry))).collect()
    }

    #[test]
    fn a_window_that_is_not_full_has_everything_as_it_came() {
        let mut window = Window::new(Duration::from_secs(10), MIB);
        taken(&mut window, [status(1, Status::Live), update(2, 0..2, "a", false), update(11, 2..3, "a", false)]);
        let expected = [(1, Topic::Status, vec![]), (2, Topic::Update, vec![0, 1]), (11, Topic::Update, vec![2])];
        assert_eq!(told(&window), expected);
    }

    #[test]
    fn what_has_left_the_window_is_in_the_state_at_its_begin() {
        let mut window = Window::new(Duration::from_secs(10), MIB);
        taken(&mut window, [status(1, Status::Live), Arrived { at: time(1), event: FeedEvent::Paused(false) }]);
        taken(&mut window, (2..30).map(|n| update(n, n..n + 1, "a", false)));
        let told = told(&window);
        let state = [(18, Topic::Status, vec![]), (18, Topic::Update, (2..19).collect()), (18, Topic::Paused, vec![])];
        assert_eq!(told[..3], state);
        assert_eq!(told[3..], (19..30).map(|n| (n, Topic::Update, vec![n])).collect::<Vec<_>>());
    }

    #[test]
    fn a_restart_leaves_nothing_of_the_process_before() {
        let mut window = Window::new(Duration::from_secs(10), MIB);
        taken(&mut window, [status(1, Status::Live), update(2, 0..5, "a", false), status(3, lost())]);
        taken(&mut window, [status(4, Status::Live), update(4, 7..8, "b", false), update(14, 8..9, "b", false)]);
        // It is lost at the begin of the window: the state is that of before.
        let lost = [
            (3, Topic::Status, vec![]),
            (3, Topic::Update, vec![0, 1, 2, 3, 4]),
            (3, Topic::Status, vec![]),
            (4, Topic::Status, vec![]),
        ];
        assert_eq!(told(&window)[..4], lost);
        taken(&mut window, [update(16, 9..10, "b", false)]);
        let again = [(4, Topic::Status, vec![]), (4, Topic::Update, vec![7]), (14, Topic::Update, vec![8])];
        assert_eq!(told(&window)[..3], again);
    }

    #[test]
    fn a_budget_of_bytes_makes_the_window_shorter() {
        let mut window = Window::new(Duration::from_secs(10_000), MIB);
        let long = "x".repeat(10_000);
        for n in 0..1_000 {
            taken(&mut window, [update(n, 0..1, &long, true)]);
            assert!(window.memory() <= MIB);
        }
        assert!(!window.is_blind());
        assert!((80..110).contains(&window.events().len()), "{}", window.events().len());
    }

    #[test]
    fn many_short_lives_do_not_fill_the_state() {
        let mut window = Window::new(Duration::from_secs(1), MIB);
        for n in 0..100 {
            taken(&mut window, [update(n, n * 300..(n + 1) * 300, "src/a.rs", true)]);
            assert!(window.memory() <= MIB && !window.is_blind(), "second {n}");
        }
    }

    #[test]
    fn a_target_that_outgrows_the_memory_is_given_up_until_it_connects_again() {
        let mut window = Window::new(Duration::from_secs(2), MIB);
        for n in 0..100 {
            taken(&mut window, [update(n, n * 1_000..(n + 1) * 1_000, "src/a.rs", false)]);
            assert!(window.memory() <= MIB, "second {n}");
        }
        assert!(window.is_blind() && window.events().is_empty());
        taken(&mut window, [status(101, Status::Live), update(102, 0..1, "src/a.rs", false)]);
        assert!(!window.is_blind());
        assert_eq!(told(&window), [(101, Topic::Status, vec![]), (102, Topic::Update, vec![0])]);
    }

    #[test]
    fn a_single_message_larger_than_the_memory_is_not_kept() {
        let mut window = Window::new(Duration::from_secs(60), MIB);
        taken(&mut window, [update(1, 0..1, &"x".repeat(2 * MIB), false)]);
        assert!(window.is_blind() && window.memory() == 0);
    }
}
