//! What a target says beyond the protocol of console-subscriber: `proto/canary.proto`.

use std::borrow::Cow;

use super::fields::fields;
use super::introduced::{Field, FieldName, FieldValue};

/// The field that has the facts, of whatever message has any.
pub(super) const FACTS: u32 = 1000;
/// Most holders of one resource that are read.
const MOST_HOLDERS: usize = 16;

/// Which process a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number in its own namespace.
    pub number: u64,
    /// When its feed began, in nanoseconds since the epoch.
    pub started: u64,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    /// Its future was ready.
    Completed,
    /// Its future was dropped before.
    Cancelled,
    /// It panicked.
    Panicked,
}

/// Who acquired a lock or permits and has not released them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The span id of the task; `None` for a thread that polled no task.
    pub task: Option<u64>,
    /// When it acquired them, in nanoseconds since the epoch.
    pub since: u64,
    /// How many permits.
    pub permits: u64,
    /// Whether no other task can have the guard.
    pub borrowed: bool,
}

/// A fact: its name and its value.
type Fact<'a> = (Cow<'a, str>, FieldValue<'a>);

/// Reads a fact; `None` for anything else.
pub(super) fn fact(bytes: &[u8]) -> Option<Fact<'_>> {
    match Field::usual(bytes)? {
        Field { name: Some(FieldName::Text(name)), value: Some(value), .. } => Some((name, value)),
        _ => None,
    }
}

impl TaskEnd {
    /// The end that a fact tells, if it tells one.
    pub(super) fn of((name, value): &Fact<'_>) -> Option<Self> {
        let FieldValue::Text(end) = value else { return None };
        match (&**name, &**end) {
            ("canary.end", "completed") => Some(Self::Completed),
            ("canary.end", "cancelled") => Some(Self::Cancelled),
            ("canary.end", "panicked") => Some(Self::Panicked),
            _ => None,
        }
    }
}

/// What a target says of those who hold a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// Those who have held it longest, oldest first.
    pub oldest: Vec<Holder>,
    /// Whether there are more.
    pub are_more: bool,
    /// Whether permits came back that nobody was seen to acquire, so that the target cannot tell who holds the others.
    pub are_unclear: bool,
}

impl Holders {
    /// Adds what a fact tells of holders: each begins with the fact that names it.
    pub(super) fn note(&mut self, (name, value): &Fact<'_>) {
        let FieldValue::Number(number) = *value else { return };
        match &**name {
            "canary.holder" if self.oldest.len() < MOST_HOLDERS => {
                let task = Some(number).filter(|task| *task != 0);
                self.oldest.push(Holder { task, since: 0, permits: 1, borrowed: false });
            }
            "canary.holder" => self.are_more = true,
            "canary.held_by_more" => self.are_more |= number != 0,
            "canary.holders_unclear" => self.are_unclear |= number != 0,
            _ => {}
        }
        let Some(last) = self.oldest.last_mut().filter(|_| !self.are_more) else { return };
        match &**name {
            "canary.held_since" => last.since = number,
            "canary.held_permits" => last.permits = number,
            "canary.held_borrowed" => last.borrowed = number != 0,
            _ => {}
        }
    }
}

/// The thread that a fact names, as debuggers know it.
pub(super) fn thread<'a>((name, value): &Fact<'a>) -> Option<Cow<'a, str>> {
    match value {
        FieldValue::Text(thread) if **name == *"canary.thread" => Some(thread.clone()),
        _ => None,
    }
}

/// The number of the runtime that a fact names.
pub(super) fn runtime((name, value): &Fact<'_>) -> Option<u64> {
    match value {
        FieldValue::Number(runtime) if **name == *"canary.runtime" => Some(*runtime),
        _ => None,
    }
}

/// Whether a fact says that the last poll of an op was ready.
pub(super) fn is_ready((name, value): &Fact<'_>) -> bool {
    **name == *"canary.ready" && *value == FieldValue::Number(1)
}

/// The facts of a message as a whole, or of an element.
fn facts(bytes: &[u8]) -> impl Iterator<Item = Fact<'_>> {
    raw(bytes).filter_map(fact)
}

/// The same, as they came.
pub(super) fn raw(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(bytes).filter(|field| field.number == FACTS).filter_map(|field| field.bytes())
}

/// Those of them that name nothing: numbers, and how tasks ended.
pub(super) fn nameless(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw(bytes).filter(|bytes| {
        fact(bytes).is_some_and(|it| matches!(it.1, FieldValue::Number(_)) || TaskEnd::of(&it).is_some())
    })
}

/// A number that a message says as a whole.
fn number(bytes: &[u8], wanted: &str) -> Option<u64> {
    facts(bytes).find_map(|(name, value)| match value {
        FieldValue::Number(number) if name == wanted => Some(number),
        _ => None,
    })
}

/// The process that a message is from, if it says so.
pub(super) fn process(bytes: &[u8]) -> Option<Process> {
    Some(Process { number: number(bytes, "canary.process")?, started: number(bytes, "canary.started")? })
}

/// Whether more pieces of the same state follow.
pub(super) fn has_more(bytes: &[u8]) -> bool {
    number(bytes, "canary.more") == Some(1)
}
