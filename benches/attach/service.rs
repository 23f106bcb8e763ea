//! The service that is measured: each request is a task, a lock, a round trip through a channel, an answer and a short sleep.

use std::fmt::{self, Display, Formatter};
use std::future::pending;
use std::io::{self, BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use console_subscriber::ConsoleLayer;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tracing_subscriber::prelude::*;

use crate::requests::{arrive, flat_out, free_address};

/// Requests that are served at a time when the service runs flat out.
const AT_A_TIME: usize = 64;

/// Requests at the start, all at once. Their events fill the buffer of console-subscriber to the half, from which it drains itself, as half a
/// minute of 100 requests a second does: before, a service seems to cost less than it will.
const START: u32 = 3_500;

/// How long console-subscriber keeps what has ended. Each turn of it walks all of that, so with its default of an hour there would be no steady
/// state to measure.
const RETENTION: Duration = Duration::from_secs(10);

/// How many requests arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many a second, after many at once.
    PerSecond(u32),
    /// So many a second for so many seconds, and none from then on.
    Ending(u32, u32),
    /// As many as it can serve.
    Max,
}

/// Whether console-subscriber is part of the service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subscriber {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("neither a number of requests nor `max`: {text}"));
        match (text, text.split_once('x')) {
            ("max", _) => Ok(Self::Max),
            (_, Some((requests, seconds))) => Ok(Self::Ending(number(requests)?, number(seconds)?)),
            _ => Ok(Self::PerSecond(number(text)?)),
        }
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(requests) => write!(f, "{requests}"),
            Self::Ending(requests, seconds) => write!(f, "{requests}x{seconds}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Subscriber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("neither `on` nor `off`: {text}")),
        }
    }
}

impl Display for Subscriber {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// Becomes the service, until standard input ends. Answers each line of it with the number of requests served so far.
pub(crate) fn run(arguments: &[String]) -> io::Result<()> {
    let [load, subscriber] = arguments else { return Err(io::Error::other("a load and whether it has a subscriber")) };
    let load = Load::from_str(load).map_err(io::Error::other)?;
    let address = free_address()?;
    if let Subscriber::On = Subscriber::from_str(subscriber).map_err(io::Error::other)? {
        let feed = ConsoleLayer::builder().server_addr(address).retention(RETENTION).spawn();
        tracing_subscriber::registry().with(feed).try_init().map_err(io::Error::other)?;
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
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        match load {
            Load::PerSecond(requests) => arrive(requests, START, served).await,
            Load::Ending(requests, seconds) => {
                let end = Duration::from_secs(seconds.into());
                let _over = timeout(end, arrive(requests, 0, served)).await;
                pending::<()>().await;
            }
            Load::Max => flat_out(AT_A_TIME, served).await,
        }
    });
}
