//! One queue: its numbers, and what was told of them.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Span;
use tracing::dispatcher::{self, Dispatch};

use crate::counter::{self, Side};
use crate::emit::{self, Number, Numbers, Operation};
use crate::roster::Roster;
use crate::{interest, sampler};

/// A queue's name: a literal, or made when the program runs.
pub(crate) type Name = Cow<'static, str>;

/// What does not change.
#[derive(Debug)]
pub(crate) struct Description {
    /// What it is, such as `mpsc::channel`.
    pub(crate) concrete_type: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) name: Option<Name>,
    /// Where it was made.
    pub(crate) place: &'static Location<'static>,
    /// How many bytes a message has, without what it points to.
    pub(crate) message_size: Option<usize>,
}

/// Where the depth of a queue comes from.
pub(crate) enum Source {
    /// What was sent and not received.
    Counted,
    /// What the receiver that is furthest behind has not received.
    Broadcast(Broadcast),
    /// There is no depth: only the last value is kept. How many receivers there are.
    Watch(AtomicUsize),
    /// Somebody else's closure, or nothing once it has panicked.
    Polled(Mutex<Option<Polled>>),
    /// Set by hand, besides what is counted; less than nothing is stored as two's complement.
    Gauge(AtomicUsize),
}

pub(crate) type Polled = Box<dyn FnMut() -> usize + Send>;

/// The receivers of a broadcast channel.
pub(crate) struct Broadcast {
    pub(crate) seats: Roster<Seat>,
    /// Messages that were overwritten before a receiver came to them.
    pub(crate) missed: AtomicUsize,
}

/// How far one receiver of a broadcast channel is, on a line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Seat(pub(crate) AtomicUsize);

/// A queue that somebody wants to hear of.
#[repr(align(128))]
pub(crate) struct Queue {
    pub(crate) sending: Side,
    pub(crate) receiving: Side,
    pub(crate) source: Source,
    description: Description,
    /// 0 if it has no limit.
    capacity: AtomicUsize,
    high_water: AtomicUsize,
    face: Mutex<Face>,
}

/// How a queue appears to the outside. Never locked while a subscriber is called: it may use a queue itself.
struct Face {
    stage: Stage,
    /// The numbers that were told last.
    told: Numbers,
}

enum Stage {
    /// Nobody knows of it yet; whether the sampler has come by.
    New { listener: Dispatch, seen: bool },
    /// It is a resource.
    Shown { listener: Dispatch, span: Span },
    /// It is over, or the subscriber does not want it.
    Off,
}

/// What the sampler has to do with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing: it may be over before the next time.
    Young,
    /// It stays. It should be shown.
    Due,
    /// It is shown, and should tell its news.
    Shown,
    /// Nothing any more.
    Off,
}

impl Queue {
    /// A queue, if somebody wants to hear of it. It is shown at once unless too many were made in a short time: then the sampler shows it
    /// when it has come by twice and the queue is still there.
    pub(crate) fn open(description: Description, source: Source, capacity: usize) -> Option<Arc<Self>> {
        let listener = interest::listener()?;
        let queue = Arc::new(Self {
            sending: Side::default(),
            receiving: Side::default(),
            source,
            description,
            capacity: AtomicUsize::new(capacity),
            high_water: AtomicUsize::new(0),
            face: Mutex::new(Face { stage: Stage::New { listener, seen: false }, told: Numbers::default() }),
        });
        if sampler::SHOWN_AT_BIRTH.take() {
            queue.show();
            if queue.is_off() {
                return None;
            }
            queue.ask();
        }
        sampler::watch(&queue);
        Some(queue)
    }

    /// Its span, once it is shown.
    pub(crate) fn span(&self) -> Option<Span> {
        match &self.face().stage {
            Stage::Shown { span, .. } => Some(span.clone()),
            Stage::New { .. } | Stage::Off => None,
        }
    }

    /// The resource is over.
    pub(crate) fn end(&self) {
        let last = std::mem::replace(&mut self.face().stage, Stage::Off);
        // Closing a span calls the subscriber, so the face must not be locked here.
        drop(last);
    }

    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Relaxed);
    }

    pub(crate) fn note_depth(&self, depth: usize) {
        self.high_water.fetch_max(depth, Relaxed);
    }

    /// What was counted as inside. A message is counted when it is in and when it is out: in its place may be another one before that.
    pub(crate) fn inside(&self, counted: usize) -> usize {
        match self.capacity.load(Relaxed) {
            0 => counted,
            capacity => counted.min(capacity),
        }
    }

    /// What the sampler has to do with it now.
    pub(crate) fn look(&self) -> Look {
        match &mut self.face().stage {
            Stage::New { seen: true, .. } => Look::Due,
            Stage::New { seen, .. } => {
                *seen = true;
                Look::Young
            }
            Stage::Shown { .. } => Look::Shown,
            Stage::Off => Look::Off,
        }
    }

    /// Wants to know who sends, receives and waits.
    pub(crate) fn ask(&self) {
        self.sending.ask();
        self.receiving.ask();
    }

    /// Makes it a resource, and says what does not change. The sampler tells the rest.
    pub(crate) fn show(&self) {
        let listener = match &self.face().stage {
            Stage::New { listener, .. } => listener.clone(),
            Stage::Shown { .. } | Stage::Off => return,
        };
        let description = &self.description;
        let span = dispatcher::with_default(&listener, || {
            let span = emit::resource(description.concrete_type, description.kind, description.place);
            if !span.is_disabled() {
                span.in_scope(|| self.describe());
            }
            span
        });
        let stage = if span.is_disabled() { Stage::Off } else { Stage::Shown { listener, span } };
        let mut face = self.face();
        // It may have ended in the meantime.
        let unused =
            if matches!(face.stage, Stage::New { .. }) { std::mem::replace(&mut face.stage, stage) } else { stage };
        drop(face);
        drop(unused);
    }

    /// Tells what has changed, if it is shown.
    pub(crate) fn tell(&self) {
        let Some(now) = self.numbers() else { return self.end() };
        let (listener, span, before) = {
            let mut face = self.face();
            let Stage::Shown { listener, span } = &face.stage else { return };
            if face.told == now {
                return;
            }
            let (listener, span) = (listener.clone(), span.clone());
            (listener, span, std::mem::replace(&mut face.told, now))
        };
        dispatcher::with_default(&listener, || {
            span.in_scope(|| now.changed_since(&before).for_each(|(number, value)| emit::number(number, value)));
        });
    }

    /// One that is just done, in the context of who did it; nothing if the queue is not shown or too much was told already.
    #[cold]
    pub(crate) fn show_done(&self, side: &Side, source: &'static str, name: &'static str) {
        if side.answer() {
            drop(self.operation(source, name, true));
        }
    }

    /// A wait that begins, in the context of who waits.
    #[cold]
    pub(crate) fn show_wait(&self, side: &Side, source: &'static str, name: &'static str) -> Option<Box<Operation>> {
        if side.answer_wait() { self.operation(source, name, false).map(Box::new) } else { None }
    }

    fn operation(&self, source: &'static str, name: &'static str, ready: bool) -> Option<Operation> {
        let span = self.span()?;
        sampler::OPERATIONS.take().then(|| Operation::new(span, source, name, ready))
    }

    fn is_off(&self) -> bool {
        matches!(self.face().stage, Stage::Off)
    }

    fn describe(&self) {
        if let Some(name) = &self.description.name {
            emit::name(name);
        }
        if let Some(bytes) = self.description.message_size {
            emit::message_size(bytes);
        }
        match self.capacity.load(Relaxed) {
            0 => {}
            capacity => emit::number(Number::Capacity, capacity),
        }
    }

    /// How deep it is, if that costs nothing to find out.
    pub(crate) fn backlog(&self) -> usize {
        match self.source {
            Source::Polled(_) => 0,
            _ => counter::difference(self.sending.count(), self.receiving.count()),
        }
    }

    /// All numbers; nothing if a closure has panicked.
    fn numbers(&self) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        let depth = match &self.source {
            Source::Counted => {
                let (sent, received) = counter::between(|| self.sending.count(), || self.receiving.count());
                numbers.set(Number::Sent, sent);
                numbers.set(Number::Received, received);
                Some(self.inside(counter::difference(sent, received)))
            }
            Source::Broadcast(broadcast) => Some(self.furthest_behind(broadcast, &mut numbers)),
            Source::Watch(receivers) => {
                numbers.set(Number::Sent, self.sending.count());
                numbers.set(Number::Receivers, receivers.load(Relaxed));
                None
            }
            Source::Polled(closure) => Some(poll(closure)?),
            Source::Gauge(set) => {
                let (added, removed) = counter::between(|| self.sending.count(), || self.receiving.count());
                if added != 0 || removed != 0 {
                    numbers.set(Number::Sent, added);
                    numbers.set(Number::Received, removed);
                }
                Some(counter::difference(set.load(Relaxed).wrapping_add(added), removed))
            }
        };
        let capacity = self.capacity.load(Relaxed);
        if capacity > 0 {
            numbers.set(Number::Capacity, capacity);
        }
        if let Some(depth) = depth {
            self.note_depth(depth);
            numbers.set(Number::Depth, depth);
            numbers.set(Number::HighWater, self.high_water.load(Relaxed));
        }
        Some(numbers)
    }

    /// What waits in a broadcast channel for the receiver that is furthest behind. What is overwritten before it gets there does not.
    fn furthest_behind(&self, broadcast: &Broadcast, numbers: &mut Numbers) -> usize {
        let seats = broadcast.seats.living();
        // Whoever receives in the meantime is nearer then than it seems; none is further.
        let sent = self.sending.count();
        let behind = seats.iter().map(|seat| counter::difference(sent, seat.0.load(Relaxed))).max().unwrap_or(0);
        numbers.set(Number::Sent, sent);
        numbers.set(Number::Receivers, seats.len());
        numbers.set(Number::Lag, behind);
        numbers.set(Number::Missed, broadcast.missed.load(Relaxed));
        self.inside(behind)
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls a closure, and never again if it panics.
fn poll(closure: &Mutex<Option<Polled>>) -> Option<usize> {
    let mut closure = closure.lock().unwrap_or_else(PoisonError::into_inner);
    let depth = catch_unwind(AssertUnwindSafe(closure.as_mut()?));
    if depth.is_err() {
        *closure = None;
    }
    depth.ok()
}
