//! The committed descriptors and the committed Rust of `proto/` are what their sources give.

#![expect(clippy::unwrap_used, reason = "a failed test says enough")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;

const CONSOLE: [&str; 5] = ["common.proto", "tasks.proto", "resources.proto", "async_ops.proto", "instrument.proto"];

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

fn compile(folder: &Path, files: &[&str], comments: bool) -> FileDescriptorSet {
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler.include_imports(true).include_source_info(comments).open_files(files).unwrap();
    compiler.file_descriptor_set()
}

/// Every generated file by its path in `proto/`.
fn generate() -> BTreeMap<&'static str, Vec<u8>> {
    let folder = proto();
    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new().out_dir(out.path()).compile_fds(compile(&folder, &["recording.proto"], true)).unwrap();
    let rust = fs::read(out.path().join("tokio_canary.recording.v1.rs")).unwrap();
    BTreeMap::from([
        ("recording.binpb", compile(&folder, &["recording.proto"], false).encode_to_vec()),
        ("console.binpb", compile(&folder.join("console"), &CONSOLE, false).encode_to_vec()),
        ("generated/tokio_canary.recording.v1.rs", rust),
    ])
}

#[test]
fn generated_files_are_what_their_sources_give() {
    let update = std::env::var_os("UPDATE_GENERATED").is_some_and(|it| it == "1");
    for (file, content) in generate() {
        let path = proto().join(file);
        if update {
            fs::write(&path, &content).unwrap();
        }
        assert!(
            fs::read(&path).is_ok_and(|committed| committed == content),
            "{file} is stale: run `UPDATE_GENERATED=1 cargo test --test integration proto`"
        );
    }
}

#[test]
fn the_console_contract_is_that_of_the_console_api_crate() {
    let ours = compile(&proto().join("console"), &CONSOLE, false);
    let update =
        ours.file.iter().flat_map(|file| &file.message_type).find(|message| message.name() == "Update").unwrap();
    let numbers: Vec<_> = update.field.iter().map(|field| (field.name(), field.number())).collect();
    let known = console_api::instrument::Update {
        now: Some(prost_types::Timestamp::default()),
        task_update: Some(console_api::tasks::TaskUpdate::default()),
        resource_update: Some(console_api::resources::ResourceUpdate::default()),
        async_op_update: Some(console_api::async_ops::AsyncOpUpdate::default()),
        new_metadata: Some(console_api::RegisterMetadata::default()),
    };
    // Each field is an empty message, so the encoding is the keys of all fields with a length of 0.
    let keys: Vec<_> = known.encode_to_vec().chunks(2).map(|field| i32::from(field[0] >> 3)).collect();
    assert_eq!(numbers.iter().map(|(_, number)| *number).collect::<Vec<_>>(), keys, "{numbers:?}");
}
