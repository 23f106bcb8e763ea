//! The spans and events that console-subscriber understands as resources, their attributes, and those who wait for them.

use std::panic::Location;

use tracing::{Span, trace, trace_span};

use crate::interest::TARGET;

/// What a queue can say of itself in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Depth,
    Capacity,
    HighWater,
    Sent,
    Received,
    Receivers,
    Lag,
    Missed,
}

impl Number {
    pub(crate) const ALL: [Self; 8] = [
        Self::Depth,
        Self::Capacity,
        Self::HighWater,
        Self::Sent,
        Self::Received,
        Self::Receivers,
        Self::Lag,
        Self::Missed,
    ];
}

/// Numbers of a queue; nothing where it has none of that kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Numbers([Option<usize>; Number::ALL.len()]);

impl Numbers {
    pub(crate) fn set(&mut self, number: Number, value: usize) {
        self.0[number as usize] = Some(value);
    }

    pub(crate) fn get(&self, number: Number) -> Option<usize> {
        self.0[number as usize]
    }

    /// Those that are here and were something else before.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (Number, usize)> + 'a {
        let changed = |number: &Number| self.get(*number) != before.get(*number);
        Number::ALL.into_iter().filter(changed).filter_map(|number| Some((number, self.get(number)?)))
    }
}

/// The span that makes a queue a resource.
pub(crate) fn resource(concrete_type: &'static str, kind: &'static str, place: &'static Location<'static>) -> Span {
    trace_span!(
        target: TARGET,
        parent: None,
        "runtime.resource",
        concrete_type,
        kind,
        is_internal = false,
        loc.file = place.file(),
        loc.line = place.line(),
        loc.col = place.column(),
    )
}

/// Says the name of the resource whose span is entered.
pub(crate) fn name(name: &str) {
    state(Some(name), None, None);
}

/// Says what a message of the resource whose span is entered takes in memory, without what it points to.
pub(crate) fn message_size(bytes: usize) {
    state(None, Some(bytes), None);
}

/// Says a number of the resource whose span is entered.
pub(crate) fn number(number: Number, value: usize) {
    state(None, None, Some((number, value)));
}

/// Says one attribute, because the console reads one from each event. All are fields of the same event, of which only one has a value:
/// console-subscriber has room for 32 places in a program that tell of the state of resources, more than that make it panic
/// (<https://github.com/tokio-rs/console/pull/629>), and tokio itself has some fifty.
fn state(name: Option<&str>, message_size: Option<usize>, number: Option<(Number, usize)>) {
    let of = |which| number.filter(|(number, _)| *number == which).map(|(_, value)| value);
    trace!(
        target: "runtime::resource::state_update",
        name,
        message_size,
        message_size.unit = message_size.map(|_| "bytes"),
        depth = of(Number::Depth),
        capacity = of(Number::Capacity),
        high_water = of(Number::HighWater),
        sent = of(Number::Sent),
        received = of(Number::Received),
        receivers = of(Number::Receivers),
        lag = of(Number::Lag),
        missed = of(Number::Missed),
        state.op = "override",
    );
}

/// Something that a task does with a queue, from its first look until it is done or given up.
///
/// Its spans are entered in the task's own context only, after what they tell of: entered by somebody else, or around the work itself, they
/// would count as polls that never were, or give their place to what is created inside.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "each of the spans has its name")]
pub(crate) struct Operation {
    resource: Span,
    operation: Span,
    poll: Span,
    name: &'static str,
}

impl Operation {
    /// One that has just been polled for the first time.
    pub(crate) fn new(resource: Span, source: &'static str, name: &'static str, ready: bool) -> Self {
        let operation = resource.in_scope(
            || trace_span!(target: TARGET, "runtime.resource.async_op", source, inherits_child_attrs = false),
        );
        let mut new = Self { resource, operation, poll: Span::none(), name };
        // To enter the operation a second time would be a second poll.
        new.poll = new.resource.in_scope(|| {
            new.operation.in_scope(|| {
                let poll = trace_span!(target: TARGET, "runtime.resource.async_op.poll");
                poll.in_scope(|| new.tell(ready));
                poll
            })
        });
        new
    }

    /// It was polled again, and still waits. The console counts polls by the spans; an event for each would only fill its buffer.
    pub(crate) fn waits(&self) {
        self.polled(|| ());
    }

    /// It was polled again, and has what it waited for.
    pub(crate) fn is_done(&self) {
        self.polled(|| self.tell(true));
    }

    fn polled(&self, tell: impl FnOnce()) {
        self.resource.in_scope(|| self.operation.in_scope(|| self.poll.in_scope(tell)));
    }

    fn tell(&self, ready: bool) {
        trace!(target: "runtime::resource::poll_op", op_name = self.name, is_ready = ready);
    }
}
