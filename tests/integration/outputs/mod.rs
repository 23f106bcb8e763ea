//! What a run writes, by the real binary: each format as its reader would read it, whatever a target is called.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod blame;
mod compared;
mod documents;
mod hostile;
mod redacted;
mod reference;
pub(crate) mod schema;

use console_api::field::{Name, Value as FieldValue};
use console_api::instrument::Update as Message;
use console_api::{Field, Location};
use serde_json::Value;
use tokio_canary::diagnosis::Arrived;
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::{Events, Kept, Note, save};

use crate::source::{in_repository, read};
use crate::tool::{Desk, corpus};

/// A recording of the corpus with every message changed, in a file of this folder.
fn changed(desk: &Desk, recording: &str, file: &str, mut change: impl FnMut(&mut Message)) -> String {
    let mut events: Vec<Arrived> = Events::open(corpus(recording)).unwrap().collect();
    for arrived in &mut events {
        if let FeedEvent::Update(update) = &mut arrived.event {
            let mut message = update.message.decoded();
            change(&mut message);
            **update = message.into();
        }
    }
    let kept = Kept { target: "changed", events: &events, note: Note::default() };
    save(&desk.file(file), &kept).unwrap();
    file.to_owned()
}

pub(crate) fn schema(name: &str) -> Value {
    // The published schema of SARIF has a bracket too many in a pattern, with which it is none.
    read(&in_repository("schema").join(name)).replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$").parse().unwrap()
}

/// What a schema says against a document.
pub(crate) fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn field(name: &str, value: FieldValue) -> Field {
    Field { name: Some(Name::StrName(name.to_owned())), value: Some(value), metadata_id: None }
}

/// Gives every task this name.
fn name_tasks(message: &mut Message, name: &str) {
    for task in message.task_update.iter_mut().flat_map(|part| &mut part.new_tasks) {
        task.fields.retain(|it| it.name != Some(Name::StrName("task.name".to_owned())));
        task.fields.push(field("task.name", FieldValue::StrVal(name.to_owned())));
    }
}

/// Changes every place of the service's own.
fn place_all(message: &mut Message, mut change: impl FnMut(&mut Location)) {
    let is_own = |location: &&mut Location| {
        location.file.as_ref().is_some_and(|file| !file.contains("/registry/") && !file.contains("-0."))
    };
    let tasks = message.task_update.iter_mut().flat_map(|part| &mut part.new_tasks);
    tasks.filter_map(|task| task.location.as_mut()).filter(is_own).for_each(&mut change);
    let resources = message.resource_update.iter_mut().flat_map(|part| &mut part.new_resources);
    resources.filter_map(|it| it.location.as_mut()).filter(is_own).for_each(&mut change);
}
