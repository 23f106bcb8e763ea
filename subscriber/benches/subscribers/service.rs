//! The service that is measured: each request is a task, a lock, a round trip through a channel, an answer and a short sleep.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tracing_subscriber::prelude::*;

use crate::floor::Floor;
use crate::requests::{arrive, flat_out, free_address};

/// Requests that are served at a time when the service runs flat out: so many that the processor is the limit, not the sleep.
const AT_A_TIME: usize = 512;

/// What `console-subscriber` keeps. With its default of an hour its cost would never become steady; this one is given the same.
const RETENTION: Duration = Duration::from_secs(10);

/// How many requests arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many a second.
    PerSecond(u32),
    /// As many as it can serve.
    Max,
}

/// What the service is instrumented with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subscriber {
    /// Nothing.
    None,
    /// A layer that reads and counts.
    Floor,
    /// `console-subscriber`.
    Console,
    /// This one, as a layer.
    Layer,
    /// This one, as `init` installs it.
    Canary,
}

impl Subscriber {
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Floor, Self::Console, Self::Layer, Self::Canary];

    /// Whether a client can attach to it.
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::Console | Self::Layer | Self::Canary)
    }
}

impl FromStr for Load {
    type Err = io::Error;

    fn from_str(text: &str) -> Result<Self, io::Error> {
        match text {
            "max" => Ok(Self::Max),
            number => number
                .parse()
                .map(Self::PerSecond)
                .map_err(|_| io::Error::other(format!("neither a number of requests nor `max`: {text}"))),
        }
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(requests) => write!(f, "{requests}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Subscriber {
    type Err = io::Error;

    fn from_str(text: &str) -> Result<Self, io::Error> {
        Self::ALL
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| io::Error::other(format!("no such subscriber: {text}")))
    }
}

impl Display for Subscriber {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Floor => "floor",
            Self::Console => "console-subscriber",
            Self::Layer => "tokio-canary-subscriber-layer",
            Self::Canary => "tokio-canary-subscriber",
        })
    }
}

/// Becomes the service, until standard input ends. Answers each line of it with the number of requests served so far.
pub(crate) fn run(load: Load, subscriber: Subscriber) -> io::Result<()> {
    let address = free_address()?;
    match subscriber {
        Subscriber::None => {}
        Subscriber::Floor => tracing_subscriber::registry().with(Floor::default()).init(),
        Subscriber::Console => {
            let feed = console_subscriber::ConsoleLayer::builder().server_addr(address).retention(RETENTION).spawn();
            tracing_subscriber::registry().with(feed).init();
        }
        Subscriber::Layer => {
            let feed =
                tokio_canary_subscriber::ConsoleLayer::builder().server_addr(address).retention(RETENTION).spawn();
            tracing_subscriber::registry().with(feed).init();
        }
        Subscriber::Canary => {
            tokio_canary_subscriber::ConsoleLayer::builder().server_addr(address).retention(RETENTION).init();
        }
    }
    let served = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&served);
    thread::spawn(move || serve(load, &count));
    let mut output = io::stdout();
    writeln!(output, "{address}")?;
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(output, "{}", served.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn serve(load: Load, served: &Arc<AtomicU64>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match load {
            Load::PerSecond(requests) => arrive(requests, 0, served).await,
            Load::Max => flat_out(AT_A_TIME, served).await,
        }
    });
}
