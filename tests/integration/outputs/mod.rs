//! What a run writes, by the real binary: each format as its reader would read it, whatever a target is called.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod documents;
mod hostile;
mod redacted;
mod reference;
mod schema;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use console_api::field::{Name, Value as FieldValue};
use console_api::instrument::Update as Message;
use console_api::{Field, Location};
use serde_json::Value;
use tokio_canary::diagnosis::Arrived;
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::{Events, Kept, Note, save};

use crate::source::{in_repository, read};

/// A folder to run commands in.
struct Desk {
    folder: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments)
    }

    fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokio-canary"));
        command.current_dir(self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path());
        command.env_remove("GITHUB_STEP_SUMMARY");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOKIO_CANARY_") {
                command.env_remove(name);
            }
        }
        let Output { status, stdout, stderr } =
            command.envs(variables.iter().copied()).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// A recording of the corpus with every message changed.
    fn changed(&self, recording: &str, file: &str, mut change: impl FnMut(&mut Message)) -> String {
        let mut events: Vec<Arrived> = Events::open(corpus(recording)).unwrap().collect();
        for arrived in &mut events {
            if let FeedEvent::Update(update) = &mut arrived.event {
                let mut message = update.message.decoded();
                change(&mut message);
                **update = message.into();
            }
        }
        let kept = Kept { target: "changed", events: &events, note: Note::default() };
        save(&self.file(file), &kept).unwrap();
        file.to_owned()
    }
}

fn corpus(recording: &str) -> PathBuf {
    in_repository("tests/recordings").join(format!("{recording}.mcap"))
}

fn schema(name: &str) -> Value {
    // The published schema of SARIF has a bracket too many in a pattern, with which it is none.
    read(&in_repository("schema").join(name)).replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$").parse().unwrap()
}

/// What a schema says against a document.
fn faults(schema: &Value, document: &Value) -> Vec<String> {
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
