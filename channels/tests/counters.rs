//! What is counted while many threads send and receive at once.
#![expect(clippy::unwrap_used, unreachable_pub, dead_code, reason = "a test that fails must say so")]

mod recorder;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use recorder::{Recorder, Seen};
use tokio::runtime::Builder;
use tokio_canary_channels::{broadcast, mpsc, set_interval};

const PRODUCERS: usize = 8;
const EACH: usize = 20_000;

fn listen() -> (Recorder, tracing::subscriber::DefaultGuard) {
    set_interval(Duration::from_millis(10));
    let (subscriber, recorder) = Recorder::new();
    (recorder, tracing::subscriber::set_default(subscriber))
}

fn number(seen: &Seen, concrete_type: &str, attribute: &str) -> Option<usize> {
    seen.resource(concrete_type)?.last(attribute)?.parse().ok()
}

#[test]
fn at_rest_what_was_sent_and_not_received_is_inside() {
    let (recorder, _guard) = listen();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (bounded, mut bounded_receiver) = mpsc::channel(64);
    let sent = Arc::new(AtomicUsize::new(0));
    // Some of the receives are given up, some take many, and in the end both stop although there is more.
    let consumer = runtime.spawn(async move {
        let mut taken = Vec::new();
        for round in 0_usize.. {
            tokio::select! {
                biased;
                () = tokio::task::yield_now(), if round % 3 == 0 => {}
                received = receiver.recv_many(&mut taken, 1 + round % 50) => assert!(received > 0),
            }
            if taken.len() >= PRODUCERS * EACH / 2 {
                break;
            }
        }
        (taken.len(), receiver)
    });
    let bounded_consumer = runtime.spawn(async move {
        let mut received = 0;
        while received < 1000 && bounded_receiver.recv().await.is_some() {
            received += 1;
        }
        (received, bounded_receiver)
    });
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (sender, bounded, sent) = (sender.clone(), bounded.clone(), Arc::clone(&sent));
            runtime.spawn(async move {
                for number in 0..EACH {
                    sender.send(number).unwrap();
                    if number % 8 == producer {
                        tokio::select! {
                            biased;
                            result = bounded.send(number) => {
                                result.unwrap();
                                sent.fetch_add(1, Relaxed);
                            }
                            () = tokio::task::yield_now() => {}
                        }
                    }
                }
            })
        })
        .collect();
    let (received, receiver) = runtime.block_on(async {
        for producer in producers {
            producer.await.unwrap();
        }
        consumer.await.unwrap()
    });
    let depth = receiver.len();
    assert_eq!(received + depth, PRODUCERS * EACH);
    recorder.until("all of it", |seen| {
        let number = |attribute| number(seen, "mpsc::unbounded_channel", attribute);
        number("sent") == Some(PRODUCERS * EACH)
            && number("received") == Some(received)
            && number("depth") == Some(depth)
    });
    assert!(recorder.with(|seen| number(seen, "mpsc::unbounded_channel", "high_water").unwrap()) >= depth);
    drop(bounded);
    let sent = sent.load(Relaxed);
    let (received, receiver) = runtime.block_on(bounded_consumer).unwrap();
    assert_eq!(received + receiver.len(), sent);
    recorder.until("the bounded one", |seen| {
        let number = |attribute| number(seen, "mpsc::channel", attribute);
        number("sent") == Some(sent) && number("received") == Some(received) && number("depth") == Some(receiver.len())
    });
}

#[test]
fn a_depth_that_is_read_while_messages_fly_was_never_more_than_there_were() {
    let (recorder, _guard) = listen();
    let (sender, mut receiver) = mpsc::channel(16);
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            std::thread::spawn(move || (0..100_000).for_each(|number| sender.blocking_send(number).unwrap()))
        })
        .collect();
    drop(sender);
    while receiver.blocking_recv().is_some() {}
    for producer in producers {
        producer.join().unwrap();
    }
    recorder.until("all of it", |seen| number(seen, "mpsc::channel", "received") == Some(400_000));
    recorder.with(|seen| {
        let channel = seen.resource("mpsc::channel").unwrap();
        let depths = channel.told["depth"].iter().chain(&channel.told["high_water"]);
        let deepest = depths.map(|depth| depth.parse::<usize>().unwrap()).max().unwrap();
        assert!(deepest <= 16, "{deepest} messages in 16 places");
        assert_eq!(channel.last("depth"), Some("0"));
    });
}

#[test]
fn receivers_that_come_and_go_leave_no_lag_behind() {
    let (recorder, _guard) = listen();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (sender, mut last) = broadcast::channel(1024);
    runtime.block_on(async {
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for _ in 0..200 {
                        let mut receiver = sender.subscribe();
                        for _ in 0..5 {
                            drop(receiver.try_recv());
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for number in 0..5000 {
            sender.send(number).unwrap();
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for receiver in receivers {
            receiver.await.unwrap();
        }
        while !last.is_empty() {
            drop(last.try_recv());
        }
    });
    recorder.until("everything received", |seen| {
        let number = |attribute| number(seen, "broadcast::channel", attribute);
        number("sent") == Some(5000) && number("lag") == Some(0) && number("receivers") == Some(1)
    });
    assert!(recorder.with(|seen| number(seen, "broadcast::channel", "missed").unwrap()) >= 5000 - 1024);
}
