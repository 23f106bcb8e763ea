//! What a message through a channel costs more than through tokio's own: `cargo bench -p tokio-canary-channels --bench overhead`.
//!
//! The two take turns, many short rounds each, and the lower quartile of the rounds is compared: what else the machine does then falls on
//! both. That is why this is no divan bench, which measures one after the other. The exit code is 1 if one of them costs more than allowed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may fail loudly")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// Allowed for a message, sent and received: so much, or so much of what it costs anyway, whichever is more.
const ALLOWED: Duration = Duration::from_nanos(25);
const ALLOWED_SHARE: f64 = 0.15;
const ROUNDS: usize = 61;
const MESSAGES: usize = 20_000;

/// The same work for the channels of one module.
macro_rules! work {
    ($name:ident, $($module:ident)::+) => {
        mod $name {
            use std::future::Future;

            use super::{MESSAGES, Runtime};
            use $($module)::+::mpsc;

            /// One task sends and receives: nobody else has the cache lines.
            pub(super) fn unbounded_alone(runtime: &Runtime) {
                run(runtime, async {
                    let (sender, mut receiver) = mpsc::unbounded_channel();
                    for number in 0..MESSAGES {
                        sender.send(number).unwrap();
                        assert_eq!(receiver.recv().await, Some(number));
                    }
                });
            }

            pub(super) fn bounded_alone(runtime: &Runtime) {
                run(runtime, async {
                    let (sender, mut receiver) = mpsc::channel(64);
                    for number in 0..MESSAGES {
                        sender.send(number).await.unwrap();
                        assert_eq!(receiver.recv().await, Some(number));
                    }
                });
            }

            pub(super) fn unbounded_one(runtime: &Runtime) {
                unbounded(runtime, 1);
            }

            pub(super) fn unbounded_many(runtime: &Runtime) {
                unbounded(runtime, 8);
            }

            pub(super) fn bounded_one(runtime: &Runtime) {
                bounded(runtime, 1);
            }

            pub(super) fn bounded_many(runtime: &Runtime) {
                bounded(runtime, 8);
            }

            /// As many channels as messages.
            pub(super) fn unbounded_each(runtime: &Runtime) {
                run(runtime, async {
                    for number in 0..MESSAGES {
                        let (sender, mut receiver) = mpsc::unbounded_channel();
                        sender.send(number).unwrap();
                        assert_eq!(receiver.recv().await, Some(number));
                    }
                });
            }

            fn unbounded(runtime: &Runtime, producers: usize) {
                run(runtime, async move {
                    let (sender, mut receiver) = mpsc::unbounded_channel();
                    for _ in 0..producers {
                        let sender = sender.clone();
                        tokio::spawn(async move {
                            for number in 0..MESSAGES / producers {
                                sender.send(number).unwrap();
                                // As a service that has other things to do in between: it lets others run at times.
                                if number % 64 == 0 {
                                    tokio::task::yield_now().await;
                                }
                            }
                        });
                    }
                    drop(sender);
                    while receiver.recv().await.is_some() {}
                });
            }

            fn bounded(runtime: &Runtime, producers: usize) {
                run(runtime, async move {
                    let (sender, mut receiver) = mpsc::channel(64);
                    for _ in 0..producers {
                        let sender = sender.clone();
                        tokio::spawn(async move {
                            for number in 0..MESSAGES / producers {
                                sender.send(number).await.unwrap();
                            }
                        });
                    }
                    drop(sender);
                    while receiver.recv().await.is_some() {}
                });
            }

            fn run(runtime: &Runtime, work: impl Future<Output = ()> + Send + 'static) {
                runtime.block_on(async { tokio::spawn(work).await.unwrap() });
            }
        }
    };
}

work!(plain, tokio::sync);
work!(ours, tokio_canary_channels);

type Work = fn(&Runtime);

const ALL: [(&str, Work, Work); 6] = [
    ("unbounded, sent and received by one task", plain::unbounded_alone, ours::unbounded_alone),
    ("unbounded, one producer", plain::unbounded_one, ours::unbounded_one),
    ("unbounded, eight producers", plain::unbounded_many, ours::unbounded_many),
    ("bounded, sent and received by one task", plain::bounded_alone, ours::bounded_alone),
    ("bounded, one producer", plain::bounded_one, ours::bounded_one),
    ("bounded, eight producers", plain::bounded_many, ours::bounded_many),
];

fn main() -> ExitCode {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    println!("{ROUNDS} rounds of {MESSAGES} messages each; ns for a message, sent and received");
    let mut within = compare("without a subscriber", &runtime);
    // A real one, with its server, as in a service; nobody is connected.
    let layer = console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).spawn();
    tracing::subscriber::set_global_default({
        use tracing_subscriber::layer::SubscriberExt;
        tracing_subscriber::registry().with(layer)
    })
    .unwrap();
    within &= compare("with console-subscriber", &runtime);
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a table. Returns whether all is within what is allowed.
fn compare(title: &str, runtime: &Runtime) -> bool {
    println!("\n{title:<44} {:>9} {:>9} {:>9} {:>7}  verdict", "tokio", "ours", "more", "ratio");
    let mut all_within = true;
    for (name, plain, ours) in ALL {
        let (plain, ours) = take_turns(plain, ours, runtime);
        let more = ours - plain;
        let allowed = (plain * ALLOWED_SHARE).max(nanoseconds(ALLOWED));
        let within = more <= allowed;
        let verdict = if within { "within" } else { "OVER" };
        println!("{name:<44} {plain:>9.1} {ours:>9.1} {more:>9.1} {:>7.2}  {verdict} {allowed:.0}", ours / plain);
        all_within &= within;
    }
    // Nothing is promised of this one: it is what a channel costs, not a message.
    let (plain, ours) = take_turns(plain::unbounded_each, ours::unbounded_each, runtime);
    let name = "unbounded, a new channel for each message";
    println!("{name:<44} {plain:>9.1} {ours:>9.1} {:>9.1} {:>7.2}", ours - plain, ours / plain);
    all_within
}

/// What a message costs with each of the two. Who is first in a turn changes, since what the first leaves behind falls on the second: the
/// console's own thread still works on what it was told.
fn take_turns(plain: Work, ours: Work, runtime: &Runtime) -> (f64, f64) {
    let (mut plain_rounds, mut our_rounds) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            plain_rounds.push(time(plain, runtime));
        }
        our_rounds.push(time(ours, runtime));
        if round % 2 != 0 {
            plain_rounds.push(time(plain, runtime));
        }
    }
    (lower_quartile(plain_rounds), lower_quartile(our_rounds))
}

/// Nanoseconds for a message.
fn time(work: Work, runtime: &Runtime) -> f64 {
    let began = Instant::now();
    work(runtime);
    nanoseconds(began.elapsed()) / f64::from(u32::try_from(MESSAGES).unwrap())
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn lower_quartile(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 4]
}
