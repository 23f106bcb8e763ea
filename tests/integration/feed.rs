//! The live feed against a fake service: what it delivers, and what it makes of a service that misbehaves.

use std::time::{Duration, SystemTime};

use console_api::Id;
use console_api::tasks::TaskDetails;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_canary::feed::endpoint::Address;
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::{FeedEvent, Status, Wanted};

use crate::support::fake_service::{FakeService, Script};
use crate::support::reader::Reader;
use crate::support::updates::{births, idle, large, now_of};
use crate::support::{eventually, run};

fn without_pump() -> Options {
    Options { pump: false, ..Options::default() }
}

/// Opens a feed and waits until its subscription has arrived.
async fn attach(service: &FakeService, options: Options) -> Reader {
    let mut reader = Reader { feed: open(service.address.clone(), options) };
    reader.live().await;
    eventually("a watcher", || service.watchers() == 1).await;
    reader
}

#[test]
fn updates_come_in_order_with_their_size_after_every_step_of_connecting() {
    run(async {
        let initial = large(1_000, 10_000);
        let script = Script { initial: Some(initial.encode_to_vec()), ..Script::default() };
        let service = FakeService::start(script).await;
        let mut reader = Reader { feed: open(service.address.clone(), without_pump()) };
        for expected in [Status::Resolving, Status::Dialing, Status::Live] {
            match reader.next().await {
                FeedEvent::Status(status) => assert_eq!(status, expected),
                other => panic!("{other:?} instead of {expected:?}"),
            }
        }
        let first = reader.update().await;
        assert_eq!(first.message.decoded(), initial);
        assert_eq!(first.wire_bytes(), initial.encoded_len());
        for now in 2..50 {
            service.publish(&idle(now * 1_000));
        }
        for now in 2..50 {
            assert_eq!(now_of(&reader.update().await.message), now * 1_000);
        }
    });
}

#[test]
fn a_unix_socket_is_a_target() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("console.sock");
        let service = FakeService::start_on_socket(&path, Script::default());
        let mut reader = attach(&service, without_pump()).await;
        service.publish(&idle(1_000));
        assert_eq!(now_of(&reader.update().await.message), 1_000);

        let missing = Address::Unix(folder.path().join("missing.sock"));
        let mut reader = Reader { feed: open(missing, without_pump()) };
        let reason = reader.lost().await;
        assert!(
            reason.contains("There is no socket at unix:") && reason.contains("console_subscriber::init()"),
            "{reason}"
        );
    });
}

#[test]
fn a_broken_connection_is_told_and_made_again_each_time() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        for now in 1..=3 {
            service.publish(&idle(now * 1_000));
            assert_eq!(now_of(&reader.update().await.message), now * 1_000);
            service.break_connections();
            let (reason, retry_in) = reader
                .find(|event| match event {
                    FeedEvent::Status(Status::Lost { reason, retry_at }) => {
                        Some((reason, retry_at.duration_since(SystemTime::now()).unwrap_or_default()))
                    }
                    _ => None,
                })
                .await;
            assert!(reason.contains("broke"), "{reason}");
            assert!(
                retry_in <= Duration::from_millis(500),
                "each connection was good, so the wait stays short: {retry_in:?}"
            );
            reader.live().await;
            eventually("a new watcher", || service.watchers() == 1).await;
        }
    });
}

#[test]
fn a_stream_that_the_target_ends_is_opened_again() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        service.end_streams();
        let reason = reader.lost().await;
        assert!(reason.contains("closed the stream"), "{reason}");
        reader.live().await;
        eventually("a new watcher", || service.watchers() == 1).await;
        service.publish(&idle(5_000));
        assert_eq!(now_of(&reader.update().await.message), 5_000);
    });
}

#[test]
fn a_target_that_restarts_is_found_again() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let at = service.socket_addr();
        let mut reader = attach(&service, without_pump()).await;
        service.stop().await;
        let reason = reader
            .find(|event| match event {
                FeedEvent::Status(Status::Lost { reason, .. }) if reason.contains("any more") => Some(reason),
                _ => None,
            })
            .await;
        assert!(reason.contains(&at.to_string()) && reason.contains("was lost at 20"), "{reason}");
        assert!(!reason.contains("Cargo.toml"), "it is instrumented: {reason}");

        let service = FakeService::start_at(at, Script::default()).await;
        reader.live().await;
        eventually("a watcher", || service.watchers() == 1).await;
        service.publish(&idle(1_000));
        assert_eq!(now_of(&reader.update().await.message), 1_000);
    });
}

#[test]
fn a_first_message_of_40_mib_is_read() {
    run(async {
        let bytes = 40 * 1024 * 1024;
        let initial = Some(large(1_000, bytes).encode_to_vec());
        let service = FakeService::start(Script { initial, ..Script::default() }).await;
        let mut reader = Reader { feed: open(service.address.clone(), Options::default()) };
        let update = reader.update().await;
        assert!(update.wire_bytes() >= bytes, "{}", update.wire_bytes());
    });
}

#[test]
fn a_message_above_the_limit_says_which_option_raises_it_and_later_ones_are_read() {
    run(async {
        let initial = Some(large(1_000, 2 * 1024 * 1024).encode_to_vec());
        let service = FakeService::start(Script { initial, ..Script::default() }).await;
        let options = Options { decode_limit: 1024 * 1024, ..without_pump() };
        let mut reader = Reader { feed: open(service.address.clone(), options) };
        for _ in 0..2 {
            let reason = reader.lost().await;
            assert!(reason.contains("limit of 1 MiB") && reason.contains("--decode-limit"), "{reason}");
        }
        service.set_script(Script::default());
        reader.live().await;
        eventually("a watcher", || service.watchers() == 1).await;
        service.publish(&idle(9_000));
        assert_eq!(now_of(&reader.update().await.message), 9_000);
    });
}

#[test]
fn a_target_without_an_initial_state_is_live_and_its_updates_are_read() {
    run(async {
        let service = FakeService::start(Script { initial: None, ..Script::default() }).await;
        let mut reader = attach(&service, Options::default()).await;
        service.publish(&births(1_000, 3, 10));
        assert_eq!(reader.update().await.message.decoded(), births(1_000, 3, 10));
    });
}

#[test]
fn a_malformed_message_is_a_reason_and_not_the_end() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        for bytes in [&[0xff; 100][..], b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x05hello"] {
            service.publish_bytes(bytes);
            let reason = reader.lost().await;
            assert!(reason.contains("cannot be decoded"), "{reason}");
            reader.live().await;
            eventually("a new watcher", || service.watchers() == 1).await;
            service.publish(&idle(4_000));
            assert_eq!(now_of(&reader.update().await.message), 4_000);
        }
    });
}

#[test]
fn a_refusal_that_cannot_be_read_is_a_reason_and_not_the_end() {
    run(async {
        let service = FakeService::start(Script { refuses_unreadably: true, ..Script::default() }).await;
        let mut reader = Reader { feed: open(service.address.clone(), without_pump()) };
        for _ in 0..2 {
            let reason = reader.lost().await;
            assert!(reason.contains("made the reader of its feed fail"), "{reason}");
        }
        service.set_script(Script::default());
        reader.live().await;
    });
}

#[test]
fn a_target_without_watch_state_is_watched_like_any_other() {
    run(async {
        let service = FakeService::start(Script { serves_state: false, ..Script::default() }).await;
        let mut reader = attach(&service, without_pump()).await;
        service.publish(&idle(1_000));
        service.publish(&idle(2_000));
        for expected in [1_000, 2_000] {
            match reader.next().await {
                FeedEvent::Update(update) => assert_eq!(now_of(&update.message), expected),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_pause_is_told_once_however_often_the_target_says_it() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        service.set_paused(true);
        let mut reader = attach(&service, without_pump()).await;
        assert!(
            matches!(reader.next().await, FeedEvent::Paused(true)),
            "a target that is already paused is said to be"
        );
        for _ in 0..100 {
            service.publish_state();
        }
        service.set_paused(false);
        assert!(matches!(reader.next().await, FeedEvent::Paused(false)));
        for _ in 0..100 {
            service.publish_state();
        }
        service.publish(&idle(1_000));
        assert!(matches!(reader.next().await, FeedEvent::Update(_)));
    });
}

#[test]
fn a_pause_is_told_again_on_a_new_connection_and_ends_with_the_target() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let at = service.socket_addr();
        service.set_paused(true);
        let mut reader = attach(&service, without_pump()).await;
        let mut paused = async |expected: bool| {
            let found = reader.find(|event| if let FeedEvent::Paused(it) = event { Some(it) } else { None }).await;
            assert_eq!(found, expected);
        };
        paused(true).await;
        service.break_connections();
        paused(true).await;
        service.stop().await;
        // Another process in its place, of a version that cannot be paused.
        let _service = FakeService::start_at(at, Script { serves_state: false, ..Script::default() }).await;
        paused(false).await;
    });
}

#[test]
fn a_reader_that_rests_loses_nothing() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, Options { buffer: 4, ..without_pump() }).await;
        for now in 1..=1_000 {
            service.publish(&births(now * 1_000, 20, 10));
        }
        eventually("a full channel", || reader.feed.events.len() == 4).await;
        for now in 1..=1_000 {
            assert_eq!(now_of(&reader.update().await.message), now * 1_000);
        }
    });
}

#[test]
fn a_reader_that_rests_holds_the_target_back_instead_of_growing() {
    run(async {
        let service = FakeService::start(Script { client_buffer: 200, ..Script::default() }).await;
        let mut reader = attach(&service, Options { buffer: 4, ..without_pump() }).await;
        for now in 1..=200 {
            service.publish(&large(now * 1_000, 500_000));
        }
        eventually("a full channel", || reader.feed.events.len() == 4).await;
        // 100 MB were sent; only what the channel and the HTTP/2 windows hold may have been taken over.
        let mut last = service.backlog();
        for _ in 0..50 {
            sleep(Duration::from_millis(10)).await;
            last = service.backlog();
        }
        assert!(last > 150, "only {last} of 200 messages are still in the target");
        assert!(reader.feed.events.len() <= 4);

        // Then the target's buffer is full, too, and it drops the watcher.
        for now in 201..=260 {
            service.publish(&large(now * 1_000, 1_000));
        }
        assert_eq!(service.watchers(), 0);
        let reason = reader.lost().await;
        assert!(reason.contains("not reading fast enough"), "{reason}");
        reader.live().await;
        eventually("a new watcher", || service.watchers() == 1).await;
        service.publish(&idle(999_000));
        assert_eq!(now_of(&reader.update().await.message), 999_000);
    });
}

#[test]
fn dropping_a_feed_stops_everything_it_started() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let reader = attach(&service, Options::default()).await;
        reader.feed.wanted.send_replace(Wanted::from([1, 2]));
        eventually("open details", || service.open_details() == [1, 2]).await;
        drop(reader);
        eventually("no connection", || service.connections() == 0).await;
        assert_eq!(service.watchers(), 0);
    });
}

#[test]
fn dropping_a_feed_stops_it_whatever_it_waits_for() {
    run(async {
        let tasks = || Handle::current().metrics().num_alive_tasks();
        // Full of connections that nobody takes: it accepts and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent =
            Address::Tcp { host: "127.0.0.1".to_owned(), port: silent.local_addr().expect("an address").port() };
        let before = tasks();

        let mut reader = Reader { feed: open(silent, Options::default()) };
        reader.find(|event| matches!(event, FeedEvent::Status(Status::Dialing)).then_some(())).await;
        drop(reader);
        eventually("no task after a drop while it dials", || tasks() == before).await;

        let nowhere = Address::Unix("/nonexistent/socket".into());
        let mut reader = Reader { feed: open(nowhere, Options::default()) };
        for _ in 0..3 {
            reader.lost().await;
        }
        drop(reader);
        eventually("no task after a drop while it waits to retry", || tasks() == before).await;

        let service = FakeService::start(Script::default()).await;
        let reader = attach(&service, Options { buffer: 1, ..Options::default() }).await;
        for now in 1..10 {
            service.publish(&idle(now * 1_000));
        }
        eventually("a full channel", || reader.feed.events.len() == 1).await;
        drop(reader);
        eventually("no connection", || service.connections() == 0).await;
        service.stop().await;
        eventually("no task after a drop while it is held back", || tasks() == before).await;
    });
}

#[test]
fn something_that_accepts_and_never_answers_is_told() {
    run(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address =
            Address::Tcp { host: "127.0.0.1".to_owned(), port: silent.local_addr().expect("an address").port() };
        let options = Options { subscribe_timeout: Duration::from_millis(200), ..Options::default() };
        let mut reader = Reader { feed: open(address, options) };
        let reason = reader.lost().await;
        assert!(reason.contains("has sent nothing for 200 ms"), "{reason}");
    });
}

#[test]
fn something_that_is_no_console_is_told() {
    run(async {
        // A web server.
        let web = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = web.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = web.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            }
        });
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
        let reason = Reader { feed: open(address, Options::default()) }.lost().await;
        assert!(reason.contains("A web server (HTTP/1) answers"), "{reason}");

        // A gRPC server of something else.
        let grpc = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = grpc.local_addr().expect("an address").port();
        let incoming = futures_util::stream::unfold(grpc, async |grpc| {
            Some((grpc.accept().await.map(|(stream, _)| stream), grpc))
        });
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_routes(tonic::service::Routes::default())
                .serve_with_incoming(Box::pin(incoming)),
        );
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
        let reason = Reader { feed: open(address, Options::default()) }.lost().await;
        assert!(reason.contains("A gRPC server without the console feed"), "{reason}");

        // Nothing.
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
        let reason = Reader { feed: open(address, Options::default()) }.lost().await;
        assert!(reason.contains("Nothing is listening at http://127.0.0.1:"), "{reason}");
    });
}

#[test]
fn details_are_watched_on_demand_and_again_after_a_reconnect() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        assert!(service.details_calls().is_empty());

        reader.feed.wanted.send_replace(Wanted::from([5]));
        eventually("details of 5 open", || service.open_details() == [5]).await;
        service.publish_details(TaskDetails { task_id: Some(Id { id: 5 }), ..TaskDetails::default() });
        let details = reader.find(|event| if let FeedEvent::Details(it) = event { Some(it) } else { None }).await;
        assert_eq!(details.task_id, Some(Id { id: 5 }));

        reader.feed.wanted.send_replace(Wanted::from([7, 8]));
        eventually("details of 7 and 8 open", || service.open_details() == [7, 8]).await;

        service.break_connections();
        reader.lost().await;
        reader.live().await;
        eventually("details open again", || service.open_details() == [7, 8]).await;
        reader.feed.wanted.send_replace(Wanted::new());
        eventually("no details open", || service.open_details().is_empty()).await;
    });
}

#[test]
fn details_of_unknown_tasks_are_asked_for_once_and_never_more_than_eight_at_a_time() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        reader.feed.wanted.send_replace(Wanted::from([0, 1_000]));
        eventually("one call", || !service.details_calls().is_empty()).await;
        reader.feed.wanted.send_replace((1..=20).collect());
        eventually("eight open", || service.open_details().len() == 8).await;
        service.publish(&idle(1_000));
        assert_eq!(now_of(&reader.update().await.message), 1_000, "an unknown task does not cost the connection");
        assert_eq!(service.open_details(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(service.details_calls().iter().filter(|id| **id == Some(1_000)).count(), 1);
        assert!(!service.details_calls().contains(&Some(0)));
    });
}

/// Publishes like a target of the given interval until enough updates were sent, or something is so.
async fn publish_until(
    service: &FakeService,
    reader: &mut Reader,
    update: impl Fn(u64) -> console_api::instrument::Update,
    mut is_so: impl FnMut(&FakeService) -> bool,
) -> bool {
    for n in 1..=100 {
        service.publish(&update(100_000 + n * 100));
        reader.update().await;
        if is_so(service) {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn pump_calls(service: &FakeService) -> usize {
    service.details_calls().iter().filter(|id| **id == Some(u64::MAX)).count()
}

#[test]
fn a_target_that_lags_is_pumped_until_it_keeps_up() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, Options::default()).await;
        let lags = |now| births(now, 127, 5_000);
        let pumped = publish_until(&service, &mut reader, lags, |service| pump_calls(service) >= 50).await;
        assert!(pumped, "{} calls", pump_calls(&service));

        for n in 1..=3 {
            service.publish(&idle(200_000 + n * 100));
            reader.update().await;
        }
        let before = pump_calls(&service);
        sleep(Duration::from_millis(300)).await;
        let after = pump_calls(&service);
        assert!(after <= before + 1, "{} calls while nothing lags", after - before);
    });
}

/// The lag rises while a backlog is drained, for nothing new is born: that is no reason to give up.
#[test]
fn a_backlog_is_drained_after_the_load_has_ended() {
    run(async {
        let turn = Duration::from_millis(4);
        let service = FakeService::start(Script { turn, ..Script::default() }).await;
        let mut reader = attach(&service, Options::default()).await;
        // 20,320 events of a load that ended 30 s ago, 6,000 of them a second.
        let (interval, mut backlog, mut calls, mut updates) = (100, 160 * 127, 0, 0);
        while backlog > 0 && updates < 50 {
            updates += 1;
            let made = pump_calls(&service) - calls;
            calls += made;
            let drained = backlog.min(127 * (u64::try_from(made).unwrap() + 1));
            backlog -= drained;
            let lag = 30_000 + updates * interval + backlog / 6;
            service.publish(&births(200_000 + updates * interval, drained, lag));
            reader.update().await;
            sleep(Duration::from_millis(interval)).await;
        }
        assert_eq!(backlog, 0, "after {updates} updates and {calls} calls");
    });
}

#[test]
fn a_target_that_lags_is_left_alone_if_the_pump_is_off() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        let lags = |now| births(now, 127, 5_000);
        publish_until(&service, &mut reader, lags, |_| false).await;
        assert_eq!(service.details_calls(), []);
    });
}

#[test]
fn the_lag_is_measured_from_the_third_update_on() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let mut reader = attach(&service, without_pump()).await;
        let mut lags = Vec::new();
        for n in 1..=4 {
            service.publish(&births(100_000 + n * 1_000, 100, 700));
            lags.push(reader.update().await.lag);
        }
        let lag = Some(Duration::from_millis(700));
        assert_eq!(lags, [None, None, lag, lag]);
    });
}

#[test]
fn a_live_target_that_says_nothing_is_quiet_until_it_speaks() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let options = Options { quiet_after: Duration::from_millis(300), ..without_pump() };
        let mut reader = attach(&service, options).await;
        for n in 1..=4 {
            service.publish(&idle(n * 10));
            reader.update().await;
        }
        let quiet = async |reader: &mut Reader| match reader.next().await {
            FeedEvent::Quiet(quiet) => quiet,
            other => panic!("{other:?}"),
        };
        let first = quiet(&mut reader).await;
        assert!(first >= Duration::from_millis(300), "{first:?}");
        let second = quiet(&mut reader).await;
        assert!(second >= first + Duration::from_millis(900), "{first:?} {second:?}");
        service.publish(&idle(9_000));
        assert!(matches!(reader.next().await, FeedEvent::Update(_)));
        // By its median the interval is still short: quiet again, counted from the last update.
        let again = quiet(&mut reader).await;
        assert!(again < second, "{again:?}");
    });
}

#[test]
fn a_paused_target_is_not_called_quiet() {
    run(async {
        let service = FakeService::start(Script::default()).await;
        let options = Options { quiet_after: Duration::from_millis(100), ..without_pump() };
        let mut reader = attach(&service, options).await;
        for n in 1..=4 {
            service.publish(&idle(n * 10));
            reader.update().await;
        }
        service.set_paused(true);
        reader.find(|event| matches!(event, FeedEvent::Paused(true)).then_some(())).await;
        let silence = timeout(Duration::from_millis(1_500), reader.next()).await;
        assert!(silence.is_err(), "{silence:?}");
        service.set_paused(false);
        assert!(matches!(reader.next().await, FeedEvent::Paused(false)));
        assert!(matches!(reader.next().await, FeedEvent::Quiet(_)));
    });
}

#[test]
fn an_unknown_host_is_told() {
    run(async {
        let address = Address::Tcp { host: "no-such-host.invalid".to_owned(), port: 6669 };
        let options = Options { connect_timeout: Duration::from_secs(2), ..Options::default() };
        let reason = Reader { feed: open(address, options) }.lost().await;
        assert!(reason.contains("Cannot resolve the host `no-such-host.invalid`"), "{reason}");
    });
}
