//! What spans and events say in their fields. Each visitor takes what its callsite is known to say and leaves the rest.

use std::fmt;

use tracing_core::Field;
use tracing_core::field::Visit;

use crate::encode;
use crate::wire;

/// The static description of a task as the feed carries it, encoded while it is read: nothing is allocated once the buffer has grown.
pub(crate) struct TaskFields<'a> {
    /// The encoded fields.
    pub(crate) out: &'a mut Vec<u8>,
    /// The number of the callsite, which each field repeats.
    pub(crate) metadata: u64,
    /// The number by which the user knows the task, the only field that differs from task to task of one place.
    pub(crate) task: Option<u64>,
    /// Where it was spawned.
    pub(crate) place: Place,
}

/// A place in the source, as it arrives: the file first, which is encoded at once into a buffer of its own.
#[derive(Default)]
pub(crate) struct Place {
    file: Vec<u8>,
    line: Option<u64>,
    column: Option<u64>,
}

impl Place {
    /// Forgets the last place and keeps its buffer.
    pub(crate) fn clear(&mut self) {
        self.file.clear();
        self.line = None;
        self.column = None;
    }

    fn take_number(&mut self, name: &str, value: u64) -> bool {
        match name {
            "loc.line" => self.line = Some(value),
            "loc.col" => self.column = Some(value),
            _ => return false,
        }
        true
    }

    /// Appends the place as a message if it is complete.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, field: u32) {
        if let (false, Some(line), Some(column)) = (self.file.is_empty(), self.line, self.column) {
            wire::nested(out, field, |out| {
                wire::bytes(out, encode::location::FILE, &self.file);
                wire::uint(out, encode::location::LINE, line);
                wire::uint(out, encode::location::COLUMN, column);
            });
        }
    }
}

impl TaskFields<'_> {
    fn field(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        encode::field(self.out, encode::task::FIELDS, name, self.metadata, write);
    }
}

impl Visit for TaskFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), |out| wire::formatted(out, encode::value::DEBUG, format_args!("{value:?}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "task.id" {
            self.task = Some(value);
        } else if !self.place.take_number(field.name(), value) {
            self.field(field.name(), |out| wire::uint(out, encode::value::U64, value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), |out| wire::sint(out, encode::value::I64, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), |out| wire::uint(out, encode::value::BOOL, value.into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "loc.file" {
            self.place.file.extend_from_slice(value.as_bytes());
        } else {
            self.field(field.name(), |out| wire::bytes(out, encode::value::STR, value.as_bytes()));
        }
    }
}

/// The static description of a resource.
pub(crate) struct ResourceFields<'a> {
    /// The encoded type and kind.
    pub(crate) out: &'a mut Vec<u8>,
    /// Where it was made.
    pub(crate) place: Place,
    /// Whether it also has the attributes of its children.
    pub(crate) inherits: bool,
    /// Whether it is an internal part of another.
    pub(crate) is_internal: bool,
    has_type: bool,
    has_kind: bool,
}

impl<'a> ResourceFields<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, place: Place) -> Self {
        Self { out, place, inherits: false, is_internal: false, has_type: false, has_kind: false }
    }

    /// Whether it said what a resource has to say.
    pub(crate) fn is_complete(&self) -> bool {
        self.has_type && self.has_kind
    }
}

impl Visit for ResourceFields<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "concrete_type" => {
                self.has_type = true;
                wire::bytes(self.out, encode::resource::CONCRETE_TYPE, value.as_bytes());
            }
            "kind" => {
                self.has_kind = true;
                wire::nested(self.out, encode::resource::KIND, |out| match value {
                    "timer" => wire::uint(out, encode::resource::kind::KNOWN, encode::resource::kind::TIMER),
                    other => wire::bytes(out, encode::resource::kind::OTHER, other.as_bytes()),
                });
            }
            "loc.file" => self.place.file.extend_from_slice(value.as_bytes()),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "is_internal" => self.is_internal = value,
            "inherits_child_attrs" => self.inherits = value,
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.place.take_number(field.name(), value);
    }
}

/// The static description of an operation.
pub(crate) struct AsyncOpFields<'a> {
    /// The encoded source.
    pub(crate) out: &'a mut Vec<u8>,
    /// Whether it also has the attributes of the operation inside.
    pub(crate) inherits: bool,
    /// Whether it takes permits of a semaphore that it hands to a task: then the task holds them.
    pub(crate) acquires: bool,
    /// Whether what it acquires can be passed on to another task.
    pub(crate) owned: bool,
    /// Whether it said what an operation has to say.
    pub(crate) has_source: bool,
}

impl Visit for AsyncOpFields<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "source" {
            self.has_source = true;
            self.acquires = value.starts_with("Semaphore::acquire");
            self.owned = value.ends_with("_owned");
            wire::bytes(self.out, encode::async_op::SOURCE, value.as_bytes());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "inherits_child_attrs" {
            self.inherits = value;
        }
    }
}

/// What happened to a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WakerOp {
    /// It was used up: a wake and a drop in one.
    Wake,
    /// It was used.
    WakeByRef,
    /// There is one more.
    Clone,
    /// There is one less.
    Drop,
}

/// An event about a waker.
#[derive(Default)]
pub(crate) struct WakerFields {
    /// The span of the task that it wakes.
    pub(crate) task: Option<u64>,
    /// What happened.
    pub(crate) op: Option<WakerOp>,
}

impl Visit for WakerFields {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "task.id" {
            self.task = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "op" {
            self.op = match value {
                "waker.wake" => Some(WakerOp::Wake),
                "waker.wake_by_ref" => Some(WakerOp::WakeByRef),
                "waker.clone" => Some(WakerOp::Clone),
                "waker.drop" => Some(WakerOp::Drop),
                _ => None,
            };
        }
    }
}

/// An event about the poll of an operation.
#[derive(Default)]
pub(crate) struct PollOpFields {
    /// Whether it was ready.
    pub(crate) is_ready: Option<bool>,
    /// Whether the operation itself was polled. A semaphore's own report comes twice a poll, the first time for the cooperative budget,
    /// which says nothing of the permits.
    pub(crate) is_whole: bool,
}

impl Visit for PollOpFields {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "is_ready" {
            self.is_ready = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "op_name" {
            self.is_whole = value == "poll";
        }
    }
}

/// What an attribute is set to, or changed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// An unsigned number.
    U64(u64),
    /// A signed number.
    I64(i64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Str(Box<str>),
    /// What `Debug` wrote.
    Debug(Box<str>),
}

/// How an attribute changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// By adding.
    Add,
    /// By subtracting.
    Subtract,
    /// It is replaced.
    Replace,
}

/// An event about an attribute. It carries one, beside the attribute's unit and how it changes.
#[derive(Default)]
pub(crate) struct StateFields {
    /// The attribute.
    pub(crate) attribute: Option<(&'static str, Value)>,
    /// How it changes, where it said so.
    pub(crate) change: Option<Change>,
    /// The unit.
    pub(crate) unit: Option<Box<str>>,
}

/// What a field of such an event is: the attribute, or something about it.
enum Role {
    Attribute,
    Change,
    Unit,
}

impl Role {
    fn of(field: &Field) -> Self {
        let name = field.name().as_bytes();
        if name.ends_with(b".op") {
            Self::Change
        } else if name.ends_with(b".unit") {
            Self::Unit
        } else {
            Self::Attribute
        }
    }
}

impl StateFields {
    fn take(&mut self, field: &Field, value: Value) {
        if let Role::Attribute = Role::of(field) {
            self.attribute = Some((field.name(), value));
        }
    }
}

impl Visit for StateFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, Value::Debug(format!("{value:?}").into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Value::U64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Value::I64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match Role::of(field) {
            Role::Attribute => self.attribute = Some((field.name(), Value::Str(value.into()))),
            Role::Unit => self.unit = Some(value.into()),
            Role::Change => {
                self.change = match value {
                    "add" => Some(Change::Add),
                    "sub" => Some(Change::Subtract),
                    "override" => Some(Change::Replace),
                    _ => None,
                };
            }
        }
    }
}
