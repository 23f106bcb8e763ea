//! A process in which somebody listens, but not to queues.
#![expect(clippy::unwrap_used, unreachable_pub, dead_code, reason = "a test that fails must say so")]

mod recorder;

use std::sync::Arc;

use recorder::Recorder;
use tokio_canary_channels::{Gauge, Probe, broadcast, mpsc, watch};
use tracing_subscriber::layer::{Layer, SubscriberExt};

#[test]
fn nothing_is_done_for_a_subscriber_that_does_not_want_resources() {
    let recorder = Recorder::default();
    let wants = tracing_subscriber::filter::filter_fn(|metadata| metadata.target() == "a_service");
    let subscriber = tracing_subscriber::registry().with(recorder.clone().with_filter(wants));
    let _guard = tracing::subscriber::set_default(subscriber);
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let _probe = Probe::new("unwanted", move || Arc::strong_count(&holds));
    assert_eq!(Arc::strong_count(&held), 1, "the closure is dropped at once: nobody will call it");
    let _gauge = Gauge::new("unwanted");
    let (sender, mut receiver) = mpsc::channel(1);
    let _others = (mpsc::unbounded_channel::<u8>(), broadcast::channel::<u8>(2), watch::channel(1));
    assert!(sender.try_send(7).is_ok() && receiver.try_recv() == Ok(7));
    tracing::trace!(target: "a_service", "it listens");
    recorder.with(|seen| assert_eq!((seen.spans, seen.events), (0, 1), "{seen:?}"));
    let threads = std::fs::read_dir("/proc/self/task").map(|tasks| {
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.collect::<String>()
    });
    assert!(!threads.is_ok_and(|names| names.contains("canary-channels")), "no thread was started");
}
