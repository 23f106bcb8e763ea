//! What is told of queues, to whom, and how often.
#![expect(clippy::unwrap_used, unreachable_pub, reason = "a test that fails must say so")]

mod recorder;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use recorder::{Recorder, Resource};
use tokio::runtime::{Builder, Runtime};
use tokio_canary_channels::{Gauge, Probe, broadcast, mpsc, set_interval, watch};
use tracing::Instrument;
use tracing::subscriber::DefaultGuard;

static QUICK: Once = Once::new();

/// A subscriber for this thread, and a runtime that runs its tasks on this thread too.
fn listen() -> (Recorder, DefaultGuard, Runtime) {
    QUICK.call_once(|| set_interval(Duration::from_millis(10)));
    let (subscriber, recorder) = Recorder::new();
    let guard = tracing::subscriber::set_default(subscriber);
    (recorder, guard, Builder::new_current_thread().enable_all().build().unwrap())
}

fn is_last(resource: Option<&Resource>, attribute: &str, value: &str) -> bool {
    resource.and_then(|resource| resource.last(attribute)) == Some(value)
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_unbounded_channel_tells_all_there_is_to_know() {
    let (recorder, _guard, runtime) = listen();
    let line = line!() + 1;
    let (sender, mut receiver) = mpsc::unbounded_channel_named::<[u8; 48]>("orders");
    for _ in 0..7 {
        sender.send([0; 48]).unwrap();
    }
    recorder.until("seven", |seen| is_last(seen.resource("mpsc::unbounded_channel"), "depth", "7"));
    runtime.block_on(async { assert!(receiver.recv().await.is_some()) });
    recorder.until("six", |seen| is_last(seen.resource("mpsc::unbounded_channel"), "depth", "6"));
    drop(receiver);
    recorder.with(|seen| {
        let resource = seen.resource("mpsc::unbounded_channel").unwrap();
        assert!(resource.ended, "nothing can be in a channel without a receiver, although there is a sender");
        assert!(resource.fields["loc.file"].ends_with("tests/emitted.rs"));
        assert_eq!(resource.fields["loc.line"], line.to_string());
        assert_eq!(resource.fields["kind"], "channel");
        assert_eq!(resource.fields["is_internal"], "false");
        let last = resource.told.iter().map(|(name, values)| (name.clone(), values.last().unwrap().clone()));
        let expected = [
            ("depth", "6"),
            ("high_water", "7"),
            ("message_size", "48"),
            ("name", "orders"),
            ("received", "1"),
            ("sent", "7"),
        ];
        assert_eq!(last.collect::<BTreeMap<_, _>>(), texts(&expected));
        assert!(resource.ways.values().all(|way| way == "override"), "{:?}", resource.ways);
    });
    drop(sender);
}

/// There is room for few such places in console-subscriber, which panics when there are more.
#[test]
fn all_attributes_are_told_from_one_place() {
    let (recorder, _guard, _runtime) = listen();
    let (orders, _received) = mpsc::channel_named::<u64>("orders", 8);
    let (prices, _shown) = broadcast::channel::<u64>(8);
    let (config, _watched) = watch::channel(0_u64);
    let _jobs = Probe::new("jobs", || 3).with_capacity(4);
    orders.try_send(1).unwrap();
    prices.send(1).unwrap();
    config.send(1).unwrap();
    for (resource, attribute) in [
        ("mpsc::channel", "received"),
        ("broadcast::channel", "missed"),
        ("watch::channel", "receivers"),
        ("Probe", "depth"),
    ] {
        recorder.until(attribute, |seen| seen.resource(resource).is_some_and(|it| it.last(attribute).is_some()));
    }
    recorder.with(|seen| assert_eq!(seen.state_places.len(), 1));
}

#[test]
fn only_what_has_changed_is_told() {
    let (recorder, _guard, _runtime) = listen();
    let (sender, _receiver) = mpsc::unbounded_channel();
    let gauge = Gauge::new("ticks");
    sender.send(()).unwrap();
    // The other queue shows that the sampler came by again and again.
    for tick in 1..=5_usize {
        gauge.set(tick);
        recorder.until("a tick", |seen| is_last(seen.resource("Gauge"), "depth", &tick.to_string()));
    }
    recorder.with(|seen| {
        let told = &seen.resource("mpsc::unbounded_channel").unwrap().told;
        for (name, values) in told {
            assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "{name} was told again: {values:?}");
        }
        assert_eq!(told["sent"].last().unwrap(), "1");
        assert_eq!(told["message_size"], ["0"]);
        assert!(!told.contains_key("name") && !told.contains_key("capacity"), "it has neither: {told:?}");
    });
}

#[test]
fn a_bounded_channel_tells_its_capacity_and_is_the_parent_of_tokios_semaphore() {
    let (recorder, _guard, runtime) = listen();
    let (sender, mut receiver) = mpsc::channel(3);
    runtime.block_on(async {
        sender.send(1).await.unwrap();
        sender.reserve().await.unwrap().send(2);
        let mut places = sender.reserve_many(1).await.unwrap();
        places.next().unwrap().send(3);
    });
    recorder.until("full", |seen| is_last(seen.resource("mpsc::channel"), "depth", "3"));
    recorder.with(|seen| {
        let (id, channel) =
            seen.resources.iter().find(|(_, resource)| resource.fields["concrete_type"] == "mpsc::channel").unwrap();
        assert_eq!(channel.last("capacity"), Some("3"));
        // Tokio tells of it because it is built with `tokio_unstable`, as all of this repository.
        let semaphore = seen.resource("Semaphore").unwrap();
        assert_eq!((semaphore.parent, semaphore.fields["is_internal"].as_str()), (Some(*id), "true"));
    });
    assert_eq!(receiver.try_recv(), Ok(1));
    let mut rest = Vec::new();
    runtime.block_on(async { assert_eq!(receiver.recv_many(&mut rest, 10).await, 2) });
    recorder.until("empty", |seen| is_last(seen.resource("mpsc::channel"), "depth", "0"));
    recorder.until("three", |seen| is_last(seen.resource("mpsc::channel"), "received", "3"));
    recorder.with(|seen| assert_eq!(seen.resource("mpsc::channel").unwrap().last("high_water"), Some("3")));
}

#[test]
fn a_receiver_that_waits_is_seen_in_its_task_as_long_as_it_waits() {
    let (recorder, _guard, runtime) = listen();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let consumer = async move {
        let first = receiver.recv().await;
        // Given up: nobody waits any more, and no message is lost.
        let given_up = tokio::time::timeout(Duration::from_millis(1), receiver.recv()).await;
        (first, given_up.is_err(), receiver)
    };
    let consumer = consumer.instrument(tracing::trace_span!("task", name = "consumer"));
    let (first, given_up, _receiver) = runtime.block_on(async {
        let consumer = tokio::spawn(consumer);
        tokio::task::yield_now().await;
        let producer = async {
            recorder.with(|seen| {
                let waits = seen.operations("UnboundedReceiver::recv");
                let [wait] = &waits[..] else { panic!("one wait: {waits:?}") };
                assert_eq!(
                    (wait.ended, wait.task.as_deref(), &wait.polls[..]),
                    (false, Some("consumer"), &[false][..])
                );
                assert_eq!(wait.entered, 1, "one poll");
                assert!(seen.resources.contains_key(&wait.resource.unwrap()));
            });
            sender.send(5).unwrap();
        };
        producer.instrument(tracing::trace_span!("task", name = "producer")).await;
        consumer.await.unwrap()
    });
    assert_eq!((first, given_up), (Some(5), true));
    recorder.with(|seen| {
        let waits = seen.operations("UnboundedReceiver::recv");
        assert!(waits.iter().all(|wait| wait.ended), "{waits:?}");
        assert_eq!(waits[0].polls, [false, true]);
        let sends = seen.operations("UnboundedSender::send");
        assert_eq!(sends.len(), 1);
        assert_eq!(
            (sends[0].task.as_deref(), &sends[0].polls[..], sends[0].ended),
            (Some("producer"), &[true][..], true)
        );
    });
}

#[test]
fn what_tasks_do_is_not_told_for_each_message() {
    let (recorder, _guard, runtime) = listen();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    runtime.block_on(async {
        tokio::spawn(async move {
            for number in 0..50_000 {
                sender.send(number).unwrap();
                // Each message is waited for.
                tokio::task::yield_now().await;
            }
        });
        while receiver.recv().await.is_some() {}
    });
    recorder.with(|seen| {
        // The budget of the process: 32, and 16 a second. No machine takes minutes for this.
        assert!((1..2000).contains(&seen.operations.len()), "{} of 50,000 messages were shown", seen.operations.len());
    });
}

#[test]
fn a_broadcast_tells_how_far_behind_its_slowest_receiver_is() {
    let (recorder, _guard, _runtime) = listen();
    let (sender, mut quick) = broadcast::channel_named("prices", 6);
    let mut slow = sender.subscribe();
    for price in 0..20 {
        sender.send(price).unwrap();
        assert_eq!(quick.try_recv(), Ok(price));
    }
    recorder.until("twenty", |seen| is_last(seen.resource("broadcast::channel"), "lag", "20"));
    recorder.with(|seen| {
        let resource = seen.resource("broadcast::channel").unwrap();
        let expected = [("capacity", "8"), ("depth", "8"), ("missed", "0"), ("receivers", "2"), ("sent", "20")];
        for (name, value) in expected {
            assert_eq!((name, resource.last(name)), (name, Some(value)));
        }
        assert_eq!(resource.last("received"), None, "each receives all: no total belongs to what was sent");
    });
    assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(12))));
    recorder.until("missed", |seen| is_last(seen.resource("broadcast::channel"), "missed", "12"));
    recorder.until("nearer", |seen| is_last(seen.resource("broadcast::channel"), "lag", "8"));
    drop(slow);
    recorder.until("alone", |seen| is_last(seen.resource("broadcast::channel"), "receivers", "1"));
    recorder.until("up to date", |seen| is_last(seen.resource("broadcast::channel"), "lag", "0"));
    let weak = sender.downgrade();
    drop(quick);
    assert!(recorder.with(|seen| !seen.resource("broadcast::channel").unwrap().ended), "a sender can subscribe");
    drop(sender);
    assert!(weak.upgrade().is_none());
    recorder.until("the end", |seen| seen.resource("broadcast::channel").unwrap().ended);
}

#[test]
fn a_watch_tells_what_was_sent_and_who_waits_but_no_depth() {
    let (recorder, _guard, runtime) = listen();
    let (sender, mut receiver) = watch::channel_named("config", 0);
    let others: Vec<_> = (0..2).map(|_| receiver.clone()).collect();
    recorder.until("three", |seen| is_last(seen.resource("watch::channel"), "receivers", "3"));
    drop(others);
    runtime.block_on(async {
        let wait = async { receiver.wait_for(|value| *value == 3).await.map(|value| *value) };
        let send = async {
            for value in 1..=3 {
                tokio::task::yield_now().await;
                sender.send(value).unwrap();
            }
        };
        let (value, ()) = tokio::join!(wait, send);
        assert_eq!(value.unwrap(), 3);
    });
    recorder.until("three", |seen| is_last(seen.resource("watch::channel"), "sent", "3"));
    recorder.until("one", |seen| is_last(seen.resource("watch::channel"), "receivers", "1"));
    recorder.with(|seen| {
        assert_eq!(seen.resource("watch::channel").unwrap().last("depth"), None);
        assert_eq!(seen.operations("Receiver::wait_for").len(), 1);
    });
    drop((sender, receiver));
    recorder.until("the end", |seen| seen.resource("watch::channel").unwrap().ended);
}

#[test]
fn a_probe_is_asked_as_long_as_it_lives() {
    let (recorder, _guard, _runtime) = listen();
    let jobs = Arc::new(Mutex::new(VecDeque::from([1, 2, 3])));
    let seen = Arc::clone(&jobs);
    let probe = Probe::new("jobs", move || seen.lock().unwrap().len()).with_capacity(10);
    recorder.until("three", |seen| is_last(seen.resource("Probe"), "depth", "3"));
    jobs.lock().unwrap().clear();
    recorder.until("none", |seen| is_last(seen.resource("Probe"), "depth", "0"));
    recorder.until("ten", |seen| is_last(seen.resource("Probe"), "capacity", "10"));
    recorder.with(|seen| {
        let resource = seen.resource("Probe").unwrap();
        assert_eq!((resource.last("name"), resource.fields["kind"].as_str()), (Some("jobs"), "queue"));
        assert_eq!(resource.last("sent"), None, "nobody counted");
    });
    drop(probe);
    assert!(recorder.with(|seen| seen.resource("Probe").unwrap().ended));
    // The sampler may have it in hands still; then it lets go of the closure, and what that holds.
    while Arc::strong_count(&jobs) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn a_probe_that_panics_is_given_up_and_the_others_are_not() {
    let (recorder, _guard, _runtime) = listen();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let _probe = Probe::new("broken", move || {
        counted.fetch_add(1, SeqCst);
        panic!("this panic is part of the test")
    });
    recorder.until("its end", |seen| seen.resource("Probe").is_some_and(|resource| resource.ended));
    let gauge = Gauge::new("healthy");
    for depth in 1..=3_usize {
        gauge.set(depth);
        recorder.until("its depth", |seen| is_last(seen.resource("Gauge"), "depth", &depth.to_string()));
    }
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_probe_may_be_dropped_by_its_own_closure() {
    struct Pool {
        _probe: Probe,
    }
    let (recorder, _guard, _runtime) = listen();
    let slot = Arc::new(Mutex::new(None::<Pool>));
    let own = Arc::clone(&slot);
    let probe = Probe::new("pool", move || {
        drop(own.lock().unwrap().take());
        1
    });
    *slot.lock().unwrap() = Some(Pool { _probe: probe });
    recorder.until("its end", |seen| seen.resource("Probe").is_some_and(|resource| resource.ended));
}

#[test]
fn a_gauge_that_is_counted_tells_totals_and_one_that_is_set_does_not() {
    let (recorder, _guard, _runtime) = listen();
    let counted = Gauge::new("counted");
    let clone = counted.clone();
    counted.add(5);
    clone.sub(2);
    let named = |seen: &recorder::Seen, name: &str| {
        seen.resources.values().find(|resource| resource.last("name") == Some(name)).cloned()
    };
    recorder.until("three", |seen| is_last(named(seen, "counted").as_ref(), "depth", "3"));
    recorder.with(|seen| {
        let resource = named(seen, "counted").unwrap();
        let told = ["sent", "received", "high_water"].map(|name| resource.last(name));
        assert_eq!(told, [Some("5"), Some("2"), Some("5")]);
    });
    let set = Gauge::new("set");
    set.set(9);
    set.set(4);
    recorder.until("four", |seen| is_last(named(seen, "set").as_ref(), "depth", "4"));
    recorder.with(|seen| {
        let resource = named(seen, "set").unwrap();
        assert_eq!((resource.last("sent"), resource.last("high_water")), (None, Some("9")));
    });
    drop(counted);
    clone.add(1);
    recorder.until("four again", |seen| is_last(named(seen, "counted").as_ref(), "depth", "4"));
    drop(clone);
    recorder.until("its end", |seen| named(seen, "counted").unwrap().ended);
}

#[test]
fn without_a_subscriber_nothing_is_asked_and_nothing_told() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let _probe = Probe::new("unheard", move || {
        counted.fetch_add(1, SeqCst);
        1
    });
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (recorder, _guard, _runtime) = listen();
    for number in 0..100 {
        sender.send(number).unwrap();
        assert_eq!(receiver.try_recv(), Ok(number));
    }
    let gauge = Gauge::new("heard");
    for depth in 1..=3_usize {
        gauge.set(depth);
        recorder.until("the other one", |seen| is_last(seen.resource("Gauge"), "depth", &depth.to_string()));
    }
    assert_eq!(calls.load(SeqCst), 0);
    recorder
        .with(|seen| assert!(seen.resource("Probe").is_none() && seen.resource("mpsc::unbounded_channel").is_none()));
}
