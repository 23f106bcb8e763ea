//! Which texts are Tokio's own and stay, and which come from the service and get stand-ins.

use std::collections::BTreeMap;

use console_api::field::{Name, Value};
use console_api::resources::resource::{Kind, kind};
use console_api::{Attribute, Field, Metadata};

use super::places::{Places, is_of_tokio};
use super::stand_ins::{Scheme, StandIns, TaskNames};
use crate::model::tokio::{
    AcquireKind, ResourceKind, attribute, field as task_field, is_block_in_place, is_worker_thread,
};

/// What Tokio and its instrumentation call things besides what the rules read.
const OTHER_FIELDS: &[&str] = &[
    "arrived",
    "concrete_type",
    "current_readers",
    "high_water",
    "inherits_child_attrs",
    "is_internal",
    "is_ready",
    "loc.col",
    "loc.file",
    "loc.line",
    "locked",
    "op",
    "op_name",
    "rx_dropped",
    "source",
    "tx_dropped",
    "value_received",
    "value_sent",
    "write_locked",
];

/// Types by which Tokio and its instrumentation call the owners of async ops.
const OWNERS: &[&str] = &[
    "Acquire",
    "Barrier",
    "Interval",
    "Mutex",
    "Notify",
    "OnceCell",
    "Receiver",
    "RwLock",
    "Semaphore",
    "Sender",
    "Sleep",
    "UnboundedReceiver",
    "UnboundedSender",
];

/// Units in which Tokio and its instrumentation measure.
const UNITS: &[&str] = &["bytes", "ms", "ns", "s", "us"];

/// The names of Tokio's spans.
const SPANS: &[&str] =
    &["runtime.resource", "runtime.resource.async_op", "runtime.resource.async_op.poll", "runtime.spawn"];

/// The targets of its events that are not its modules.
const EVENTS: &[&str] =
    &["runtime::resource::async_op::state_update", "runtime::resource::poll_op", "runtime::resource::state_update"];

/// The modules of the channels that can be instrumented.
const CHANNELS: &[&str] = &["broadcast", "mpsc", "watch"];

/// Most callsites whose names of fields are kept.
const MOST_REGISTERED: usize = 16_384;

/// Stand-ins for texts that are no places.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    names: TaskNames,
    values: StandIns,
    fields: StandIns,
    functions: StandIns,
    resources: StandIns,
    types: StandIns,
    targets: StandIns,
    /// The names of fields that are only pointed at, by the ids of metadata.
    registered: BTreeMap<u64, Vec<String>>,
}

impl Texts {
    /// Stand-ins that are chosen like this.
    pub(super) fn new(scheme: Scheme) -> Self {
        let [values, fields, functions, resources, types, targets] = [(); 6].map(|()| StandIns::new(scheme));
        let (names, registered) = (TaskNames::new(scheme), BTreeMap::new());
        Self { names, values, fields, functions, resources, types, targets, registered }
    }

    /// The stand-in for the name of a task.
    pub(super) fn task_name(&mut self, name: &str) -> String {
        self.names.of(name)
    }

    /// Replaces what a field of a task says.
    pub(super) fn field(&mut self, field: &mut Field, places: &mut Places) {
        let name = self.rename(field);
        let Some(value) = &mut field.value else { return };
        let is_number = !matches!(value, Value::StrVal(_) | Value::DebugVal(_));
        if is_number && is_known(&name) || name == task_field::KIND {
            return;
        }
        let text = in_words(value);
        let stand_in = match name.as_str() {
            task_field::NAME => self.task_name(&text),
            task_field::FUNCTION => self.function(&text),
            "loc.file" => places.file(&text),
            _ => self.values.of(&text, |letters| format!("value-{letters}")),
        };
        *value = match value {
            Value::DebugVal(_) => Value::DebugVal(stand_in),
            _ => Value::StrVal(stand_in),
        };
    }

    /// Replaces what an attribute of a resource or an async op says.
    pub(super) fn attribute(&mut self, attribute: &mut Attribute) {
        let Some(field) = &mut attribute.field else { return };
        let name = self.rename(field);
        let is_said_by_tokio = |unit: &String| is_known(&name) && UNITS.contains(&unit.as_str());
        attribute.unit = attribute.unit.take().filter(is_said_by_tokio);
        match &mut field.value {
            Some(Value::StrVal(text) | Value::DebugVal(text)) if name == attribute::NAME => {
                *text = self.resources.of(text, |letters| format!("resource-{letters}"));
            }
            Some(Value::StrVal(text) | Value::DebugVal(text)) => {
                *text = self.values.of(text, |letters| format!("value-{letters}"));
            }
            // Numbers count something, and a rule may compare them.
            _ => {}
        }
    }

    /// Replaces what metadata say.
    pub(super) fn metadata(&mut self, id: u64, metadata: &mut Metadata, places: &mut Places) {
        // What is not known here gets a stand-in all the same, so that a target that registers without end costs nothing but that.
        if self.registered.len() < MOST_REGISTERED || self.registered.contains_key(&id) {
            self.registered.insert(id, metadata.field_names.clone());
        }
        if !SPANS.contains(&metadata.name.as_str()) {
            // The name of an event is its place.
            "event".clone_into(&mut metadata.name);
        }
        if !(is_of_tokio(&metadata.target) || EVENTS.contains(&metadata.target.as_str())) {
            metadata.target = self.targets.of(&metadata.target, |letters| format!("target_{letters}"));
        }
        metadata.module_path = places.module(&metadata.module_path);
        metadata.location.iter_mut().for_each(|location| places.redact(location));
        for name in &mut metadata.field_names {
            *name = self.field_name(name);
        }
    }

    /// The stand-in for the type of a resource.
    pub(super) fn concrete_type(&mut self, name: &str, is_internal: bool, has_parent: bool) -> String {
        let is_channel = name.split_once("::").is_some_and(|(module, _)| CHANNELS.contains(&module));
        match ResourceKind::of(name, is_internal, has_parent) {
            ResourceKind::Other if !is_channel => self.types.of(name, |letters| format!("Type_{letters}")),
            _ => name.to_owned(),
        }
    }

    /// Replaces the kind of a resource, where it is a word.
    pub(super) fn kind(&mut self, kind: &mut Kind) {
        if let Some(kind::Kind::Other(word)) = &mut kind.kind
            && !matches!(word.as_str(), "Sync" | "channel" | "queue")
        {
            *word = self.values.of(word, |letters| format!("value-{letters}"));
        }
    }

    /// The stand-in for the source of an async op, which stays of the same kind.
    pub(super) fn source(&mut self, source: &str) -> String {
        match source.split_once("::") {
            Some((owner, _)) if OWNERS.contains(&owner) => source.to_owned(),
            None if source.is_empty() => String::new(),
            split => {
                let owner = split.map_or("", |(owner, _)| owner);
                let owner = self.types.of(owner, |letters| format!("Type_{letters}"));
                let owned = if source.ends_with("_owned") { "_owned" } else { "" };
                format!("{owner}::{}{owned}", AcquireKind::parse(source).as_str())
            }
        }
    }

    /// Replaces the name of a field, and returns what it was.
    fn rename(&mut self, field: &mut Field) -> String {
        let registered = field.metadata_id.and_then(|id| self.registered.get(&id.id));
        match &mut field.name {
            Some(Name::StrName(name)) => {
                let stand_in = self.field_name(name);
                std::mem::replace(name, stand_in)
            }
            // It is replaced where it is registered.
            Some(Name::NameIdx(index)) => {
                let name = registered.zip(usize::try_from(*index).ok()).and_then(|(names, index)| names.get(index));
                name.cloned().unwrap_or_default()
            }
            None => String::new(),
        }
    }

    fn field_name(&mut self, name: &str) -> String {
        if is_known(name) || name.is_empty() {
            name.to_owned()
        } else {
            self.fields.of(name, |letters| format!("field_{letters}"))
        }
    }

    /// The stand-in for the type of a function. What makes it the runtime's own stays.
    fn function(&mut self, name: &str) -> String {
        if is_worker_thread(name) {
            return "tokio::runtime::scheduler::multi_thread::worker::Launch::launch".to_owned();
        }
        if is_block_in_place(name) {
            return "tokio::runtime::scheduler::multi_thread::worker::maybe_move_runtime".to_owned();
        }
        self.functions.of(name, |letters| format!("function_{letters}"))
    }
}

/// The stand-in for the name of a poll op: what a rule reads stays.
pub(super) fn poll_op(name: &str) -> &str {
    match name {
        "poll" | "poll_acquire" | "poll_elapsed" | "poll_recv" | "poll_tick" | "recv" | "send" => name,
        _ => "poll_other",
    }
}

/// Whether a field or attribute is Tokio's, and its name says nothing about the service.
fn is_known(name: &str) -> bool {
    use task_field::{FUNCTION, ID, KIND, NAME, ORIGINAL_SIZE, SIZE};
    let name = name.strip_suffix(".op").or_else(|| name.strip_suffix(".unit")).unwrap_or(name);
    [KIND, NAME, ID, SIZE, ORIGINAL_SIZE, FUNCTION].contains(&name)
        || attribute::ALL.contains(&name)
        || OTHER_FIELDS.contains(&name)
}

fn in_words(value: &Value) -> String {
    match value {
        Value::StrVal(text) | Value::DebugVal(text) => text.clone(),
        Value::U64Val(number) => number.to_string(),
        Value::I64Val(number) => number.to_string(),
        Value::BoolVal(yes) => yes.to_string(),
    }
}
