//! Files that are cut off, damaged, or were never recordings.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};
use proptest::prelude::*;
use tokio_canary::feed::recording::{OpenError, PROFILE, Speed, open, open_at};
use tokio_canary::feed::{Arrived, Ended, FeedEvent};

use super::support::{assert_same, collect, record, service};

/// Plays bytes; the events before the end, and the reason of the cut if there is one. Every feed must tell its end.
async fn play(folder: &Path, bytes: &[u8]) -> Result<(Vec<Arrived>, Option<String>), OpenError> {
    let path = folder.join("played.mcap");
    fs::write(&path, bytes).unwrap();
    // Seeking reads other parts of the file.
    if let Ok(feed) = open_at(&path, Speed::Max, std::time::Duration::from_secs(40 * 365 * 86_400)) {
        assert!(matches!(collect(feed).await.last().map(|it| &it.event), Some(FeedEvent::Ended(_))));
    }
    let mut events = collect(open(&path, Speed::Max)?).await;
    match events.pop().map(|it| it.event) {
        Some(FeedEvent::Ended(Ended::Complete)) => Ok((events, None)),
        Some(FeedEvent::Ended(Ended::Truncated { reason })) => Ok((events, Some(reason))),
        other => panic!("the feed ended with {other:?}"),
    }
}

async fn recorded(folder: &Path, seconds: u64) -> (Vec<Arrived>, Vec<u8>) {
    let path = folder.join("recorded.mcap");
    let events = service(0..seconds);
    record(&path, &events).await;
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    (events, bytes)
}

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_is_played_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (mut events, bytes) = recorded(folder.path(), 40).await;
    // A recording that does not begin with a connection is live from its first event on.
    events.insert(0, super::status(0, tokio_canary::feed::Status::Live));
    let mut longest = 0;
    for length in (0..bytes.len()).step_by(61).chain(bytes.len() - 40..bytes.len()) {
        match play(folder.path(), &bytes[..length]).await {
            Ok((played, reason)) => {
                assert!(reason.is_some_and(|it| it.contains("byte")), "cut at {length}");
                assert_same(&played, &events[..played.len()]);
                assert!(played.len() >= longest, "cut at {length}");
                longest = played.len();
            }
            // Not even the header is there.
            Err(error) => assert_eq!(longest, 0, "cut at {length}: {error}"),
        }
    }
    assert_eq!(longest, events.len());
}

#[tokio::test]
async fn what_is_no_recording_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [&b""[..], b"\x89MC", b"not a recording at all", &[0; 4096]] {
        let error = play(folder.path(), bytes).await.unwrap_err();
        assert!(matches!(error, OpenError::NotMcap { .. }), "{error:?}");
        assert!(error.to_string().contains("tokio-canary record"), "{error}");
    }
    let error = play(folder.path(), &file("", &[])).await.unwrap_err();
    assert!(matches!(&error, OpenError::OtherProfile { profile, .. } if profile.is_empty()), "{error:?}");
    let error = play(folder.path(), &file("ros2\u{1b}[31m", &[])).await.unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
    let error = play(folder.path(), &file(PROFILE, &[])).await.unwrap_err();
    assert!(matches!(error, OpenError::Empty { .. }), "{error:?}");
    let error = play(folder.path(), &file(PROFILE, &[("header", "somebody.else.Header", b"")])).await.unwrap_err();
    assert!(matches!(error, OpenError::OtherSchema { .. }), "{error:?}");
    assert!(error.to_string().contains("somebody.else.Header"), "{error}");
    let error = open(folder.path().join("missing"), Speed::Max).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    let error = open(folder.path(), Speed::Max).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

const HEADER: (&str, &str, &[u8]) = ("header", "tokio_canary.recording.v1.Header", b"");
const UPDATE: &str = "rs.tokio.console.instrument.Update";

#[tokio::test]
async fn topics_of_a_newer_version_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = file(PROFILE, &[HEADER, ("logs", "future.Log", b"\xff\xff"), ("update", UPDATE, b"")]);
    let (played, reason) = play(folder.path(), &bytes).await.unwrap();
    // The connection and the update.
    assert_eq!(played.len(), 2);
    assert!(reason.is_some_and(|it| it.contains("not closed properly")));
}

#[tokio::test]
async fn a_damaged_message_ends_the_play() {
    let folder = tempfile::tempdir().unwrap();
    let bytes =
        file(PROFILE, &[HEADER, ("update", UPDATE, b""), ("update", UPDATE, b"\x0a\xff"), ("update", UPDATE, b"")]);
    let (played, reason) = play(folder.path(), &bytes).await.unwrap();
    assert_eq!(played.len(), 2);
    assert!(reason.is_some_and(|it| it.contains("cannot be decoded")));
}

#[tokio::test]
async fn a_chunk_of_another_compression_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = file_with(PROFILE, &[HEADER], None);
    let error = play(folder.path(), &bytes).await.unwrap_err();
    assert!(error.to_string().contains("not by zstd"), "{error}");
}

#[tokio::test]
async fn a_chunk_that_would_fill_the_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = vec![0; 64 * 1024 * 1024];
    let bytes = file(PROFILE, &[HEADER, ("update", UPDATE, &bomb)]);
    assert!(bytes.len() < 100_000);
    let error = play(folder.path(), &bytes).await.unwrap_err();
    assert!(error.to_string().contains("claims to hold"), "{error}");
}

fn file(profile: &str, messages: &[(&str, &str, &[u8])]) -> Vec<u8> {
    file_with(profile, messages, Some(Compression::Zstd))
}

/// An MCAP file of these messages (topic, schema, content), in one chunk.
fn file_with(profile: &str, messages: &[(&str, &str, &[u8])], compression: Option<Compression>) -> Vec<u8> {
    let options = WriteOptions::new().profile(profile).compression(compression).chunk_size(None);
    let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
    for (sequence, (topic, schema, data)) in (0..).zip(messages) {
        let schema = writer.add_schema(schema, "protobuf", b"").unwrap();
        let channel_id = writer.add_channel(schema, topic, "protobuf", &BTreeMap::new()).unwrap();
        let header = MessageHeader { channel_id, sequence, log_time: 1, publish_time: 1 };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_gives_a_part_of_what_it_held(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let (_, mut bytes) = recorded(folder.path(), 12).await;
            let (whole, _) = play(folder.path(), &bytes).await.unwrap();
            for (at, with) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok((played, _)) = play(folder.path(), &bytes).await {
                // A flip in the head of a record can hide it, but what is played was recorded.
                assert!(played.len() <= whole.len() + 1);
            }
        });
    }

    #[test]
    fn any_bytes_after_the_magic_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let file: Vec<u8> = mcap::MAGIC.iter().copied().chain(bytes).collect();
        block_on(async { drop(play(folder.path(), &file).await) });
    }

    #[test]
    fn any_content_of_any_topic_is_survived(
        messages in prop::collection::vec((0..7usize, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
    ) {
        let topics = [
            ("header", "tokio_canary.recording.v1.Header"),
            ("update", UPDATE),
            ("state", UPDATE),
            ("details", "rs.tokio.console.tasks.TaskDetails"),
            ("status", "tokio_canary.recording.v1.Status"),
            ("paused", "tokio_canary.recording.v1.Paused"),
            ("end", "tokio_canary.recording.v1.End"),
        ];
        let mut all = vec![HEADER];
        all.extend(messages.iter().map(|(topic, data)| (topics[*topic].0, topics[*topic].1, &data[..])));
        let folder = tempfile::tempdir().unwrap();
        block_on(async { drop(play(folder.path(), &file(PROFILE, &all)).await.unwrap()) });
    }
}
