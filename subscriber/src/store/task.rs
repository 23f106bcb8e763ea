//! A task, from its spawn to its drop.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::encode::{self, canary, duration, timestamp};
use crate::fields::WakerOp;
use crate::histogram::Histograms;
use crate::store::polls::Polls;
use crate::threads::{RuntimeNumber, Thread};
use crate::wire;

/// What is known of a task.
#[derive(Debug)]
pub(crate) struct Task {
    /// Its description, shared by all tasks of one place: its callsite and fields, and then where it was spawned.
    site: Arc<[u8]>,
    /// Where in the description the place begins.
    place: usize,
    /// The number by which the user knows it.
    number: Option<u64>,
    /// The task that spawned it.
    parent: Option<u64>,
    created: Moment,
    polls: Polls,
    /// Nanoseconds from wakes to the polls that followed.
    scheduled: u64,
    last_wake: Option<Moment>,
    wakes: u64,
    self_wakes: u64,
    waker_clones: u64,
    waker_drops: u64,
    /// The thread that polled it last.
    thread: Option<Thread>,
    runtime: Option<RuntimeNumber>,
    /// How its span was entered last, which for a task that ended is how it was dropped.
    last_entry: Entry,
    /// Only while somebody watches its details.
    pub(crate) histograms: Option<Box<Histograms>>,
}

/// How the span of a task was entered. Dropping a future enters its span once more; what happened on the thread just before tells why it
/// was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Entry {
    /// The thread did something else in between, or waited: the poll before had returned to the runtime.
    #[default]
    Later,
    /// The thread had just left it and did nothing else: the poll had completed the task.
    AtOnce,
    /// The thread had just left it because of a panic.
    Unwinding,
    /// The thread did nothing else that is reported, but took a while. It may have been preempted, or it may have been idle.
    Unclear,
}

impl Entry {
    /// A task is dropped directly after the poll that completes it: between the two, tokio does nothing that could wait.
    const AT_ONCE: u64 = 20_000;
    /// A thread is hardly ever preempted just there, and still more rarely for longer than this.
    const NOT_AT_ONCE: u64 = 1_000_000;

    /// The way in, so many nanoseconds after the thread left the same task and did nothing else.
    pub(crate) fn after(gap: u64) -> Self {
        if std::thread::panicking() {
            Self::Unwinding
        } else if gap < Self::AT_ONCE {
            Self::AtOnce
        } else if gap < Self::NOT_AT_ONCE {
            Self::Unclear
        } else {
            Self::Later
        }
    }
}

impl Task {
    pub(crate) fn new(
        site: Arc<[u8]>,
        place: usize,
        number: Option<u64>,
        parent: Option<u64>,
        created: Moment,
    ) -> Self {
        Self {
            site,
            place,
            number,
            parent,
            created,
            polls: Polls::default(),
            scheduled: 0,
            last_wake: None,
            wakes: 0,
            self_wakes: 0,
            waker_clones: 0,
            waker_drops: 0,
            thread: None,
            runtime: None,
            last_entry: Entry::Later,
            histograms: None,
        }
    }

    /// A poll begins on `thread`.
    pub(crate) fn start_poll(&mut self, now: Moment, entry: Entry, thread: Thread) {
        let last_ended = self.polls.ended;
        if !self.polls.start(now) {
            return;
        }
        self.last_entry = entry;
        self.thread = Some(thread);
        if self.polls.count == 1 {
            self.runtime = RuntimeNumber::current();
        }
        // A wake before the end of the poll before is one by itself: it waits from that end on.
        if let Some(due) = self.last_wake.max(last_ended) {
            let waited = now.since(due);
            self.scheduled += waited;
            if let Some(histograms) = &mut self.histograms {
                histograms.scheduled.record(waited);
            }
        }
    }

    /// A poll ends.
    pub(crate) fn end_poll(&mut self, now: Moment) {
        if let (Some(took), Some(histograms)) = (self.polls.end(now), &mut self.histograms) {
            histograms.polls.record(took);
        }
    }

    /// Something happens to one of its wakers.
    pub(crate) fn waker(&mut self, op: WakerOp, is_self: bool, now: impl FnOnce() -> Moment) {
        match op {
            WakerOp::Clone => self.waker_clones += 1,
            WakerOp::Drop => self.waker_drops += 1,
            WakerOp::Wake | WakerOp::WakeByRef => {
                // A waker that is used up is not dropped after it.
                self.waker_drops += u64::from(op == WakerOp::Wake);
                self.wakes += 1;
                self.self_wakes += u64::from(is_self);
                self.last_wake = self.last_wake.max(Some(now()));
            }
        }
    }

    /// Whether it is kept after its end: all tasks are.
    #[expect(clippy::unused_self, reason = "the others look at themselves")]
    pub(crate) fn is_kept(&self) -> bool {
        true
    }

    /// Appends what never changes, as an element of `TaskUpdate`.
    pub(crate) fn encode_new(&self, id: u64, out: &mut Vec<u8>) {
        wire::long(out, encode::task_update::NEW, |out| {
            encode::id(out, encode::task::ID, id);
            // In the order of their numbers, which clients may rely on to read it in one pass.
            let (description, place) = self.site.split_at(self.place.min(self.site.len()));
            out.extend_from_slice(description);
            if let Some(number) = self.number {
                wire::nested(out, encode::task::FIELDS, |out| {
                    wire::bytes(out, 1, b"task.id");
                    wire::uint(out, encode::value::U64, number);
                });
            }
            if let Some(parent) = self.parent {
                encode::id(out, encode::task::PARENTS, parent);
            }
            out.extend_from_slice(place);
        });
    }

    /// Appends what changes, as an element of `TaskUpdate`.
    pub(crate) fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
        wire::long(out, encode::task_update::STATS, |out| {
            wire::uint(out, 1, id);
            wire::long(out, 2, |out| self.encode_values(dropped, clock, out));
        });
    }

    fn encode_values(&self, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
        use encode::task_stats as number;
        timestamp(out, number::CREATED_AT, clock, Some(self.created));
        timestamp(out, number::DROPPED_AT, clock, dropped);
        wire::count(out, number::WAKES, self.wakes);
        wire::count(out, number::WAKER_CLONES, self.waker_clones);
        wire::count(out, number::WAKER_DROPS, self.waker_drops);
        timestamp(out, number::LAST_WAKE, clock, self.last_wake);
        self.polls.encode(out, number::POLL_STATS, clock);
        wire::count(out, number::SELF_WAKES, self.self_wakes);
        duration(out, number::SCHEDULED_TIME, Duration::from_nanos(self.scheduled));
        if let Some(thread) = self.thread {
            thread.name(|name| encode::fact_in_words(out, canary::THREAD, name));
        }
        if let Some(runtime) = self.runtime {
            encode::fact(out, canary::RUNTIME, runtime.get());
        }
        if let Some(end) = dropped.and_then(|_| self.end()) {
            encode::fact_in_words(out, canary::END, end);
        }
    }

    /// How it ended, if that is known. The last way in was the drop of its future.
    fn end(&self) -> Option<&'static str> {
        match self.last_entry {
            Entry::Later => Some("cancelled"),
            Entry::AtOnce => Some("completed"),
            Entry::Unwinding => Some("panicked"),
            Entry::Unclear => None,
        }
    }
}
