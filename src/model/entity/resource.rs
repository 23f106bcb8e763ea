//! A resource: a lock, semaphore, channel, timer or other thing that tasks wait for.

use std::collections::VecDeque;
use std::time::Duration;

use thin_vec::ThinVec;

use crate::model::history::push_bounded;
use crate::model::history::waited::WaitRow;
use crate::model::history::waits::{GivenUp, Grants, Unserved, WaitLog};
use crate::model::keys::{OpKey, ResourceKey, SiteKey};
use crate::model::location::Location;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::{ResourceKind, attribute};

/// The time of an update and the counters in it are read one after the other: so much disorder is allowed.
const SAME_REPORT: Duration = Duration::from_millis(10);

/// Something that a resource says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Its name, such as `permits` or `depth`.
    pub name: Text,
    /// Its value.
    pub value: Value,
    /// The unit of its value.
    pub unit: Option<Text>,
}

/// The value of an attribute or a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count.
    Number(u64),
    /// A number below zero.
    Signed(i64),
    /// Yes or no.
    Bool(bool),
    /// Anything else.
    Text(Text),
}

impl Value {
    /// The value as a count, if it is one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Signed(number) => u64::try_from(*number).ok(),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The depth of a queue at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// When it was this deep.
    pub at: Timestamp,
    /// How many things were in it.
    pub depth: u64,
    /// How many had been taken out by then in total, where the queue tells; of a broadcast by the receiver that was furthest behind.
    pub received: Option<u64>,
    /// How far behind receivers were, where each of them gets everything.
    pub lag: Option<Lag>,
}

/// How far the receivers of a broadcast are behind, each of which gets everything that is sent unless it is overwritten before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How many messages had been sent in total.
    pub sent: u64,
    /// By how many messages the receiver is behind that is furthest behind.
    pub behind: u64,
    /// How many messages receivers have missed in total, counted when they come to them.
    pub missed: u64,
}

/// What is known of a bounded channel's capacity, or of a semaphore's permits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permits {
    /// Permits at birth, if they were reported before anybody took one.
    pub capacity: Option<u64>,
    /// When that was.
    pub(in crate::model) counted: Option<Timestamp>,
    /// The most that were ever reported.
    pub most: Option<u64>,
    /// Permits as reported last. Drifts: what `try_acquire` takes is not reported, what is given back always is.
    pub now: Option<u64>,
    /// Whether more were reported than there can be, so that the number means nothing any more.
    pub drifted: bool,
}

impl Permits {
    /// How many permits are taken, at least: fewer than the most that were ever free. What a queue has grown by shows in it even where its
    /// capacity is not known.
    pub fn taken(&self) -> Option<u64> {
        let most = self.most.filter(|most| *most > 0)?;
        Some(most.saturating_sub(self.now?))
    }

    /// Somebody has been there since a time. News of that may come late, after permits were counted which he had taken from already.
    pub(in crate::model) fn used(&mut self, since: Timestamp) {
        if self.counted.is_some_and(|counted| since <= counted.plus(SAME_REPORT)) {
            self.capacity = None;
        }
    }

    /// Takes over a reported number; `fresh` if nobody can have taken any yet, as far as is known now.
    fn note(&mut self, permits: u64, fresh: bool, now: Timestamp) {
        if fresh {
            self.capacity = Some(permits);
            self.counted = Some(now);
        }
        if self.capacity.is_some_and(|capacity| permits > capacity) {
            self.capacity = None;
            self.drifted = true;
        }
        self.most = self.most.max(Some(permits));
        self.now = Some(permits);
    }
}

/// Who holds a lock or permits, as the target says: others leave it to inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedHolder {
    /// The span id of the task; `None` for a thread that polled no task.
    pub task: Option<u64>,
    /// When it acquired them.
    pub since: Timestamp,
    /// How many permits.
    pub permits: u64,
    /// Whether no other task can have the guard.
    pub borrowed: bool,
}

/// What the target says of those who hold a lock or permits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportedHolders {
    /// Those who have held it longest, oldest first.
    pub oldest: ThinVec<ReportedHolder>,
    /// Whether there are more.
    pub are_more: bool,
    /// Whether the target cannot tell, because permits came back that nobody was seen to acquire.
    pub are_unclear: bool,
}

/// A resource of the target.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The span id that the feed uses for it; reused after its death.
    pub id: u64,
    /// Its kind.
    pub kind: ResourceKind,
    /// Its type as the target names it.
    pub concrete_type: Text,
    /// The target of its span, as `tracing` calls it, if it is known.
    pub target: Option<Text>,
    /// Where it was made; unknown for what has no place of its own.
    pub location: Location,
    /// The resource that this one is part of.
    pub parent: Option<ResourceKey>,
    /// Whether it is an internal part of another.
    pub internal: bool,
    /// The semaphore inside, where it is a lock or a semaphore and that was introduced.
    pub inner: Option<ResourceKey>,
    /// The last update at which nobody held any of its permits.
    pub free_at: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// Time of the update that introduced it.
    pub first_seen: Timestamp,
    /// When it was dropped.
    pub dropped: Option<Timestamp>,
    /// Whether only its counters are known, because its introduction was lost.
    pub placeholder: bool,
    /// What it says about itself.
    pub attributes: Box<[Attribute]>,
    /// Its permits, if it has any.
    pub permits: Permits,
    /// Depths of a queue, at most one a second, oldest first.
    pub depths: VecDeque<Depth>,
    /// Live outermost ops on it or its inner semaphore.
    pub ops: ThinVec<OpKey>,
    /// Who got in, last ones first out.
    pub grants: Grants,
    /// Who holds it, where the target says so.
    pub holders: ReportedHolders,
    /// How long the waits were, per way of entry.
    pub waits: WaitLog,
    /// Who waited some time and gave up, newest last.
    pub given_up: VecDeque<GivenUp>,
    /// The waits that were given up since anybody acquired it, as long as there was hardly a moment in which nobody waited.
    pub unserved: Option<Unserved>,
    /// The row of the total waits of the spawn site that waited last.
    pub(in crate::model) wait_row: Option<(Option<SiteKey>, WaitRow)>,
}

/// Updates come a second apart, give or take: depths closer than this are one.
const A_SECOND: Duration = Duration::from_millis(900);

/// Seconds of depths that are kept.
const DEPTHS: usize = 180;

impl Resource {
    /// Reads from every cache line of the resource, like [`Task::prefetch`](super::task::Task::prefetch).
    pub(in crate::model) fn prefetch(&self) -> u64 {
        let Self { id, internal, placeholder, permits, .. } = self;
        id ^ permits.now.unwrap_or_default() ^ u64::from(*internal) ^ u64::from(*placeholder)
    }

    /// The attribute of this name as a count.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.attributes.iter().find(|attribute| &*attribute.name == name)?.value.number()
    }

    /// What its program calls it.
    pub fn name(&self) -> Option<&str> {
        match &self.attributes.iter().find(|attribute| &*attribute.name == attribute::NAME)?.value {
            Value::Text(name) if !name.is_empty() => Some(name),
            _ => None,
        }
    }

    /// What it had told last at a time; nothing if that is not known any more.
    pub fn depth_at(&self, at: Timestamp) -> Option<&Depth> {
        let known = self.depths.partition_point(|depth| depth.at <= at);
        self.depths.get(known.checked_sub(1)?)
    }

    /// Whether a total has risen in each third of a time until `now`: what it counts happens all along, and not now and then.
    pub fn rises_all_along(&self, now: Timestamp, window: Duration, total: impl Fn(&Depth) -> Option<u64>) -> bool {
        let reported = |thirds| self.depth_at(now.minus(window * thirds / 3)).and_then(&total);
        let totals = [3, 2, 1, 0].map(reported);
        totals.iter().all(Option::is_some) && totals.windows(2).all(|pair| pair[0] < pair[1])
    }

    /// How much is queued in it: a reported depth or length, or the slots taken in a bounded channel.
    pub fn depth(&self) -> Option<u64> {
        if self.kind == ResourceKind::Channel {
            return self.permits.taken();
        }
        self.number(attribute::DEPTH).or_else(|| self.number(attribute::LEN))
    }

    /// How much fits in it, where that is known.
    pub fn capacity(&self) -> Option<u64> {
        match self.kind {
            ResourceKind::Channel => self.permits.capacity,
            _ => self.number(attribute::CAPACITY),
        }
    }

    /// Takes over newly reported attributes; `fresh` if they are those of its birth.
    pub(in crate::model) fn change(&mut self, attributes: Vec<Attribute>, fresh: bool, now: Timestamp) {
        if *self.attributes != *attributes {
            self.attributes = attributes.into();
        }
        if let Some(permits) = self.number(attribute::PERMITS) {
            // No channel is made without room: one that has none has been used already.
            let fresh = fresh && (permits > 0 || self.kind != ResourceKind::Channel);
            self.permits.note(permits, fresh, now);
        }
        if let Some(depth) = self.depth() {
            self.note_depth(now, depth);
        }
    }

    fn note_depth(&mut self, at: Timestamp, depth: u64) {
        let lag = self.lag();
        let received = self.number(attribute::RECEIVED).or(lag.map(|lag| lag.sent.saturating_sub(lag.behind)));
        let told = Depth { at, depth, received, lag };
        if self.depths.len() > 1
            && let Some(last) = self.depths.back_mut()
            && at.since(last.at) < A_SECOND
        {
            *last = Depth { at: last.at, ..told };
            return;
        }
        push_bounded(&mut self.depths, told, DEPTHS);
    }

    fn lag(&self) -> Option<Lag> {
        Some(Lag {
            sent: self.number(attribute::SENT)?,
            behind: self.number(attribute::LAG)?,
            missed: self.number(attribute::MISSED)?,
        })
    }
}
