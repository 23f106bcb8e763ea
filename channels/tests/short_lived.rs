//! Channels that live for one request.
#![expect(clippy::unwrap_used, unreachable_pub, dead_code, reason = "a test that fails must say so")]

mod recorder;

use std::time::Duration;

use recorder::Recorder;
use tokio_canary_channels::{mpsc, set_interval};

/// As many as are shown when they are made, before time brings more.
const SHOWN: usize = 128;

#[test]
fn a_million_channels_of_requests_do_not_flood_the_feed() {
    // No look falls into the test, so no time passes that would bring more.
    set_interval(Duration::from_secs(3600));
    let (subscriber, recorder) = Recorder::new();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (lasting, mut _receiver) = mpsc::unbounded_channel_named::<u8>("lasting");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            std::thread::spawn(move || {
                let _guard = tracing::dispatcher::set_default(&dispatch);
                for number in 0..250_000_u32 {
                    let (sender, mut receiver) = mpsc::unbounded_channel();
                    sender.send(number).unwrap();
                    assert_eq!(receiver.try_recv(), Ok(number));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    recorder.with(|seen| {
        assert_eq!(seen.resources.len(), SHOWN);
        let live = seen.resources.values().filter(|resource| !resource.ended);
        assert_eq!(live.filter_map(|resource| resource.last("name")).collect::<Vec<_>>(), ["lasting"]);
        // A span and a message size for each, and three spans and an event for each of the shown sends and receives.
        assert!(seen.spans <= SHOWN + 2 * 32, "{}", seen.spans);
        assert!(seen.events <= SHOWN + 1 + 32, "{}", seen.events);
    });
    // What comes too fast is shown when it lasts.
    let (late, _late_receiver) = mpsc::unbounded_channel_named::<u8>("late");
    assert!(recorder.with(|seen| seen.resources.len() == SHOWN));
    late.send(1).unwrap();
    set_interval(Duration::from_millis(10));
    recorder.until("the late one", |seen| {
        seen.resources
            .values()
            .any(|resource| resource.last("name") == Some("late") && resource.last("depth") == Some("1"))
    });
    recorder.with(|seen| {
        let late = seen.resources.values().find(|resource| resource.last("name") == Some("late")).unwrap();
        assert!(late.fields["loc.file"].ends_with("short_lived.rs"), "{:?}", late.fields);
    });
    drop(lasting);
}
