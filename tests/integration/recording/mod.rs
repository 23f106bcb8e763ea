//! Recordings: what was written is what is played, from anywhere, also when the file is cut off or hostile.

#![expect(clippy::unwrap_used, reason = "a failed test says enough")]

mod hostile;
mod support;

use std::fs;
use std::time::{Duration, SystemTime};

use tokio_canary::feed::lag::LagMeter;
use tokio_canary::feed::recording::{Control, Deck, RecordError, Recorder, Speed, deck, extent, open, open_at, tee};
use tokio_canary::feed::{Ended, Feed, FeedEvent, Status, Wanted};
use tokio_canary::wire::Survey;

use self::support::{assert_same, at, collect, feed_of, mirror_of, record, service, status, updates};

/// Two minutes of a service, recorded.
async fn two_minutes(path: &std::path::Path) -> Vec<tokio_canary::feed::Arrived> {
    let events: Vec<_> = [status(0, Status::Resolving), status(0, Status::Dialing), status(0, Status::Live)]
        .into_iter()
        .chain(service(0..120))
        .collect();
    record(path, &events).await;
    events
}

#[tokio::test]
async fn what_is_played_is_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let mut events = two_minutes(&path).await;
    events.push(support::paused(120, true));
    events.push(support::details(121));
    events.push(support::paused(122, false));
    events.push(status(123, Status::Lost { reason: "a\nreason".to_owned(), retry_at: at(130) }));
    let path = folder.path().join("b.mcap");
    let written = record(&path, &events).await;
    assert_eq!(written.updates, 120);
    assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());

    let played = collect(open(&path, Speed::Max).unwrap()).await;
    let (end, played) = played.split_last().unwrap();
    assert!(matches!(end.event, FeedEvent::Ended(Ended::Complete)), "{end:?}");
    assert_same(played, &events);
}

#[tokio::test]
async fn the_machine_that_built_the_service_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let events = support::built_in("/home/jane");
    record(&path, &events).await;
    let bytes = fs::read(&path).unwrap();
    let mut topics = std::collections::BTreeSet::new();
    for message in mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap) {
        let told = message.data.windows(4).any(|text| text == b"jane");
        assert!(!told, "{}: {}", message.channel.topic, message.data.escape_ascii());
        topics.insert(message.channel.topic.clone());
    }
    assert!(["update", "state"].iter().all(|topic| topics.contains(*topic)), "{topics:?}");

    let played = collect(open(&path, Speed::Max).unwrap()).await;
    let places = ["bank/src/main.rs:7:5", "tokio-1.54.1/src/sync/mutex.rs:7:5"];
    assert_eq!(support::places(&played), places, "the files can still be told");
    assert_eq!(support::places(&events), places, "and are called what they were while it ran");
}

#[tokio::test]
async fn a_service_that_spins_can_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let events = support::spinning(5);
    let written = record(&path, &events).await;
    assert_eq!(written.updates, 5);
    let played = collect(open(&path, Speed::Max).unwrap()).await;
    assert_eq!(updates(&played).count(), 5, "{:?}", played.last());
}

#[tokio::test]
async fn a_replay_measures_lag_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lag.mcap");
    let events = support::lagging(10);
    record(&path, &events).await;
    let mut meter = LagMeter::default();
    let expected: Vec<_> = updates(&events).map(|update| meter.observe(&Survey::of(&update.message))).collect();
    assert!(expected.iter().any(Option::is_some));
    let played = collect(open(&path, Speed::Max).unwrap()).await;
    assert_eq!(updates(&played).map(|update| update.lag).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_finished_file_has_index_and_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    two_minutes(&path).await;
    let bytes = fs::read(&path).unwrap();
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    let statistics = summary.stats.unwrap();
    // Header, three states of the connection, 120 updates, four full states, and the end.
    assert_eq!(statistics.message_count, 1 + 3 + 120 + 4 + 1);
    assert_eq!(statistics.schema_count, 6);
    assert!(summary.chunk_indexes.len() >= 120 / 5, "{}", summary.chunk_indexes.len());
    assert!(summary.chunk_indexes.iter().all(|chunk| !chunk.message_index_offsets.is_empty()));
    for channel in summary.channels.values() {
        let schema = channel.schema.as_ref().unwrap();
        let described: prost_types::FileDescriptorSet = prost::Message::decode(&schema.data[..]).unwrap();
        let found = described
            .file
            .iter()
            .any(|file| file.message_type.iter().any(|it| format!("{}.{}", file.package(), it.name()) == schema.name));
        assert!(found, "{} is not in its schema", schema.name);
    }
}

#[tokio::test]
async fn a_full_state_is_there_every_thirty_seconds_and_first_in_its_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    two_minutes(&path).await;
    let bytes = fs::read(&path).unwrap();
    let states: Vec<_> = mcap::MessageStream::new(&bytes)
        .unwrap()
        .map(|message| message.unwrap())
        .filter(|message| message.channel.topic == "state")
        .map(|message| SystemTime::UNIX_EPOCH + Duration::from_nanos(message.log_time))
        .collect();
    assert_eq!(states, [at(0), at(30), at(60), at(90)]);
}

#[tokio::test]
async fn playing_from_any_state_comes_to_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    two_minutes(&path).await;
    let whole = collect(open(&path, Speed::Max).unwrap()).await;
    let expected = mirror_of(&whole);
    // The header is written by the clock of now, which is later than that of the events.
    let begin = support::begin_of(&path);
    for seconds in 0..125 {
        let from = at(seconds).duration_since(begin).unwrap();
        let played = collect(open_at(&path, Speed::Max, from).unwrap()).await;
        let first = updates(&played).next().unwrap();
        let entered = at(seconds / 30 * 30).min(at(90));
        assert_eq!(first.message.decoded().now, Some(entered.into()), "from {seconds}");
        assert!(matches!(played[0].event, FeedEvent::Status(_)), "{:?}", played[0]);
        assert!(mirror_of(&played) == expected, "from {seconds}");
    }
}

#[tokio::test]
async fn an_existing_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    fs::write(&path, "precious").unwrap();
    let error = Recorder::create(&path, "target").unwrap_err();
    assert!(matches!(error, RecordError::Exists { .. }));
    assert!(error.to_string().contains("Choose another name"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let error = Recorder::create(folder.path().join("no/such/folder"), "target").unwrap_err();
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
}

#[tokio::test]
async fn an_abandoned_recorder_leaves_a_file_that_says_where_it_breaks_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let mut recorder = Recorder::create(&path, "target").unwrap();
    for event in service(0..3) {
        recorder.record(&event).await.unwrap();
    }
    // As after a crash, nothing is closed.
    std::mem::forget(recorder);
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    let played = loop {
        let played = collect(open(&path, Speed::Max).unwrap()).await;
        if updates(&played).count() == 3 {
            break played;
        }
        assert!(std::time::Instant::now() < limit, "{played:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let end = &played.last().unwrap().event;
    assert!(matches!(end, FeedEvent::Ended(Ended::Truncated { reason }) if reason.contains("cut off")), "{end:?}");
}

#[tokio::test]
async fn a_tee_passes_everything_on_and_closes_the_file_when_the_feed_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let events = service(0..20);
    let tee = tee(feed_of(&events), Recorder::create(&path, "target").unwrap());
    assert_same(&collect(tee.feed).await, &events);
    assert_eq!(tee.done.await.unwrap().unwrap().updates, 20);
    let played = collect(open(&path, Speed::Max).unwrap()).await;
    assert_eq!(updates(&played).count(), 20);
}

#[tokio::test]
async fn a_tee_closes_the_file_when_its_consumer_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let (sender, events) = tokio::sync::mpsc::channel(8);
    let (wanted, listener) = tokio::sync::watch::channel(Wanted::new());
    let mut tee = tee(Feed { events, wanted }, Recorder::create(&path, "target").unwrap());
    tee.feed.wanted.send_replace(Wanted::from([7]));
    assert_eq!(*listener.borrow(), Wanted::from([7]));
    for event in service(0..2) {
        sender.send(event).await.unwrap();
        tee.feed.events.recv().await.unwrap();
    }
    drop(tee.feed);
    assert_eq!(tee.done.await.unwrap().unwrap().updates, 2);
    assert!(sender.is_closed(), "the feed is stopped");
    let played = collect(open(&path, Speed::Max).unwrap()).await;
    assert!(matches!(played.last().unwrap().event, FeedEvent::Ended(Ended::Complete)));
}

#[tokio::test]
async fn a_recording_of_a_replay_is_the_same_and_remembers_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    two_minutes(&path).await;
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 8]).unwrap();
    let copy = folder.path().join("b.mcap");
    let tee = tee(open(&path, Speed::Max).unwrap(), Recorder::create(&copy, "target").unwrap());
    let original = collect(tee.feed).await;
    tee.done.await.unwrap().unwrap();
    let copied = collect(open(&copy, Speed::Max).unwrap()).await;
    let (original_end, original) = original.split_last().unwrap();
    let (end, copied) = copied.split_last().unwrap();
    assert_same(copied, original);
    assert!((1..120).contains(&original.len()), "{}", original.len());
    let FeedEvent::Ended(Ended::Truncated { reason }) = &end.event else { panic!("{end:?}") };
    assert!(reason.contains("breaks off here"), "{reason}");
    assert!(
        matches!(&original_end.event, FeedEvent::Ended(Ended::Truncated { reason: original }) if original == reason)
    );
}

#[tokio::test(start_paused = true)]
async fn events_come_at_the_speed_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    record(&path, &service(0..61)).await;
    for (speed, seconds) in [("1x", 60.0), ("10x", 6.0), ("0.5x", 120.0), ("max", 0.0)] {
        let mut feed = open(&path, speed.parse().unwrap()).unwrap();
        let begun = tokio::time::Instant::now();
        let mut last = Duration::ZERO;
        while let Some(event) = feed.events.recv().await {
            if matches!(event.event, FeedEvent::Update(_)) {
                last = begun.elapsed();
            }
        }
        assert!((last.as_secs_f64() - seconds).abs() < 0.1, "{speed}: {last:?}");
    }
    // What is before the wanted time comes at once.
    let from = at(50).duration_since(support::begin_of(&path)).unwrap();
    let begun = tokio::time::Instant::now();
    let played = collect(open_at(&path, Speed::RECORDED, from).unwrap()).await;
    assert_eq!(updates(&played).count(), 31);
    assert!((begun.elapsed().as_secs_f64() - 10.0).abs() < 0.5, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn silence_is_played_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let events: Vec<_> = service(0..10).into_iter().chain(service(20..22)).collect();
    record(&path, &events).await;
    let played = collect(open(&path, Speed::Max).unwrap()).await;
    let quiet: Vec<_> = played
        .iter()
        .filter_map(|it| match it.event {
            FeedEvent::Quiet(quiet) => Some((it.at, quiet.as_secs())),
            _ => None,
        })
        .collect();
    // Nothing from 9 to 20, at one update a second.
    assert_eq!(quiet, [(at(14), 5), (at(15), 6), (at(16), 7), (at(17), 8), (at(18), 9), (at(19), 10), (at(20), 11)]);
}

#[tokio::test]
async fn a_deck_waits_steps_and_continues_at_another_speed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played");
    two_minutes(&path).await;
    let (begins, ends) = extent(&path).unwrap();
    let until = at(20);
    let control = Control { is_paused: true, until: Some(until), ..Control::default() };
    let Deck { mut feed, control } = deck(&path, control, 0).unwrap();
    let mut last = begins;
    let mut now = 0;
    while last < until {
        let arrived = feed.events.recv().await.unwrap();
        now += usize::from(matches!(arrived.event, FeedEvent::Update(_)));
        last = arrived.at;
    }
    assert!(last <= until && now > 10, "{now} updates");
    let wait = tokio::time::timeout(Duration::from_millis(50), feed.events.recv());
    assert!(wait.await.is_err(), "it waits");
    control.send_modify(|control| control.steps += 1);
    let step = feed.events.recv().await.unwrap();
    assert!(matches!(step.event, FeedEvent::Update(_)) && step.at > until, "{step:?}");
    let wait = tokio::time::timeout(Duration::from_millis(50), feed.events.recv());
    assert!(wait.await.is_err(), "it waits again");
    control.send_modify(|control| (control.is_paused, control.speed) = (false, Speed::Max));
    let rest = collect(feed).await;
    assert_eq!(rest.last().unwrap().at, ends);
    drop(control);
}

#[tokio::test]
async fn a_deck_continues_after_any_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played");
    two_minutes(&path).await;
    let whole = collect(open(&path, Speed::Max).unwrap()).await;
    let control = Control { speed: Speed::Max, ..Control::default() };
    for skip in [0, 1, 37, whole.len() - 1, whole.len()] {
        let Deck { feed, control: _control } = deck(&path, control, skip as u64).unwrap();
        assert_same(&whole[skip..], &collect(feed).await);
    }
}

#[test]
fn the_length_of_a_recording_is_known_before_it_is_played() {
    for (recording, seconds) in [("old-0.4-crossed-mutexes", 2..120), ("feed-process-paused", 2..120)] {
        let path = crate::tool::corpus(recording);
        let (begins, ends) = extent(&path).unwrap();
        let length = ends.duration_since(begins).unwrap().as_secs();
        assert!(seconds.contains(&length), "{recording}: {length} s");
        let last = tokio_canary::feed::recording::Events::open(&path).unwrap().last().unwrap();
        assert_eq!(last.at, ends, "{recording}");
    }
}
