//! No recording tells the folders of the machine that built the service.

use std::fs;
use std::path::Path;

use console_api::instrument::Update;
use mcap::MessageStream;
use prost::Message;
use tokio_canary::paths;

/// What only paths of a machine have in them.
const FOLDERS: [&[u8]; 7] =
    [b"/home/", b"/Users/", b"/.cargo/", b"/registry/src/", b"/git/checkouts/", b"/rustc/", b":\\"];

/// The paths of a machine that a recording tells.
pub(crate) fn told(recording: &Path) -> Vec<String> {
    let bytes = fs::read(recording).expect("the recording can be read");
    let messages = MessageStream::new(&bytes).expect("it is a recording").map(|message| message.expect("it is whole"));
    let mut told: Vec<String> = messages
        .flat_map(|message| {
            let update = matches!(message.channel.topic.as_str(), "update" | "state");
            let places = if update { long_places(&message.data) } else { Vec::new() };
            let folders =
                FOLDERS.iter().filter(|folder| message.data.windows(folder.len()).any(|text| text == **folder));
            places.into_iter().chain(folders.map(|folder| folder.escape_ascii().to_string())).collect::<Vec<_>>()
        })
        .collect();
    told.sort();
    told.dedup();
    told
}

/// The places in an update that the recorder would have shortened.
fn long_places(update: &[u8]) -> Vec<String> {
    let update = Update::decode(update).expect("it is an update");
    let tasks = update.task_update.iter().flat_map(|part| &part.new_tasks).map(|task| &task.location);
    let resources = update.resource_update.iter().flat_map(|part| &part.new_resources).map(|it| &it.location);
    let metadata = update.new_metadata.iter().flat_map(|part| &part.metadata).filter_map(|new| new.metadata.as_ref());
    let places = tasks.chain(resources).chain(metadata.clone().map(|metadata| &metadata.location)).flatten();
    let files = places.filter_map(|place| place.file.as_deref()).filter(|file| paths::short(file) != *file);
    let names = metadata.map(|it| it.name.as_str()).filter(|name| paths::short_callsite(name) != *name);
    files.chain(names).map(str::to_owned).collect()
}
