//! What attaching costs the service that is watched: `cargo bench --bench attach`.
//!
//! Starts a small service again and again, without console-subscriber, with it, and with each kind of client attached, and prints what it
//! gets done and what it takes. Compare the rows of one load with each other: they were measured one after the other on the same
//! machine, and a number alone says more about that machine.

#![expect(clippy::expect_used, reason = "a service that cannot serve measures nothing")]

mod client;
mod process;
#[path = "../../subscriber/benches/subscribers/requests.rs"]
mod requests;
mod service;
#[path = "../../subscriber/benches/subscribers/usage.rs"]
mod usage;

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::client::Client;
use crate::process::{Served, Usage};
use crate::service::{Load, Subscriber};

/// How long the service runs before anybody attaches: the first events are buffered by then.
const HEAD_START: Duration = Duration::from_secs(2);

/// From attaching to the first measurement: a client that catches up has done so.
const SETTLING: Duration = Duration::from_secs(10);

/// The load of which the end is measured, and for how long it goes on.
const ENDING: (u32, u32) = (600, 20);

/// How long it must not lag again to have caught up.
const STABLE: Duration = Duration::from_secs(3);

/// How long a client may take to catch up after its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures what attaching costs a service.
#[derive(Parser)]
struct Arguments {
    /// How long each case is measured.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    each: Duration,
    /// Measures at these loads only: requests a second, or `max`.
    #[arg(long, value_name = "LOAD", value_delimiter = ',', default_values = ["100", "500", "max"])]
    load: Vec<Load>,
    /// Measures a stock tokio-console at this path as well, in a terminal made by `script`.
    #[arg(long, value_name = "PATH")]
    console: Option<PathBuf>,
    /// Measures this build of tokio-canary.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tokio-canary"))]
    tool: PathBuf,
    /// Measures only the cases with tokio-canary attached.
    #[arg(long)]
    only_tool: bool,
    /// Measures also how long tokio-canary takes to catch up after a load has ended.
    #[arg(long)]
    ending: bool,
    /// Becomes the service under this load, for the measurement itself.
    #[arg(long, hide = true, num_args = 2, value_names = ["LOAD", "SUBSCRIBER"])]
    serve: Option<Vec<String>>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One row of the table.
struct Row {
    load: Load,
    name: String,
    usage: Usage,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed as well.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    if let Some(serve) = &arguments.serve {
        return service::run(serve);
    }
    let mut output = io::stdout();
    writeln!(output, "| Load | Attached | Requests/s | CPU | of it the subscriber's thread | Memory |")?;
    writeln!(output, "|---|---|---|---|---|---|")?;
    for load in &arguments.load {
        for (subscriber, client) in arguments.cases() {
            let row = measure(*load, subscriber, client, arguments.each)?;
            writeln!(output, "{row}")?;
        }
    }
    if arguments.ending {
        writeln!(output, "\n{}", catch_up(&arguments.tool)?)?;
    }
    Ok(())
}

/// What a client sees of a load that ends: the highest lag, and when it has caught up.
fn catch_up(tool: &Path) -> io::Result<String> {
    let (requests, seconds) = ENDING;
    let served = Served::start(Load::Ending(requests, seconds), Subscriber::On)?;
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let (mut lags, _client) = client::lags(tool, &served.address)?;
    let (mut highest, mut caught_up) = (0.0_f64, None);
    while Instant::now() < end + PATIENCE {
        let lag = lags.next().ok_or_else(|| io::Error::other("the client has ended by itself"))??;
        highest = highest.max(lag.unwrap_or_default());
        match lag {
            Some(_) => caught_up = None,
            None => caught_up = caught_up.or(Some(Instant::now())),
        }
        // It may have caught up for a moment only.
        if caught_up.is_some_and(|at| at.max(end) + STABLE < Instant::now()) {
            break;
        }
    }
    let after = caught_up.map(|at| at.saturating_duration_since(end).as_secs_f64());
    let when =
        after.map_or_else(|| "not caught up".to_owned(), |after| format!("caught up {after:.0} s after its end"));
    Ok(format!("{requests} requests/s for {seconds} s: lag of at most {highest:.1} s, {when}"))
}

impl Arguments {
    fn cases(&self) -> Vec<(Subscriber, Client)> {
        let canary = |arguments: &[&'static str]| Client::Canary(self.tool.clone(), arguments.to_vec());
        if self.only_tool {
            return vec![(Subscriber::On, canary(&[]))];
        }
        let mut cases = vec![
            (Subscriber::Off, Client::Nobody),
            (Subscriber::On, Client::Nobody),
            (Subscriber::On, Client::Reader),
            (Subscriber::On, canary(&["--no-pump"])),
            (Subscriber::On, canary(&[])),
        ];
        if let Some(console) = &self.console {
            cases.insert(3, (Subscriber::On, Client::Console(console.clone())));
        }
        cases
    }
}

fn measure(load: Load, subscriber: Subscriber, client: Client, each: Duration) -> io::Result<Row> {
    let mut served = Served::start(load, subscriber)?;
    std::thread::sleep(HEAD_START);
    let name = match subscriber {
        Subscriber::Off => "no subscriber in the service".to_owned(),
        Subscriber::On => client.to_string(),
    };
    let attached = client.attach(&served.address)?;
    std::thread::sleep(SETTLING);
    let usage = served.measure(each)?;
    attached.detach()?;
    Ok(Row { load, name, usage })
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { load, name, usage } = self;
        let Usage { requests, cpu, subscriber, memory } = usage;
        write!(f, "| {load} | {name} | {requests:.0} | {cpu:.1} % | {subscriber:.1} % | {memory} MiB |")
    }
}
