//! What a subscriber costs the service that has it: `cargo bench --bench subscribers`, and whether it grows: `-- soak MINUTES`.
//!
//! Starts a small service again and again: without a subscriber, with a layer that only reads what tokio reports (the floor), with
//! `console-subscriber`, and with this one, each with nobody attached and with a client that reads all updates. Compare the rows of one
//! load with each other: they were measured one after the other on the same machine.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a service that cannot serve measures nothing; the table is the result"
)]

mod floor;
mod process;
mod reader;
mod requests;
mod service;
mod usage;

use std::io;
use std::thread;
use std::time::Duration;

use crate::process::Served;
use crate::reader::Reader;
use crate::service::{Load, Subscriber};

/// The loads of the table.
const LOADS: [Load; 4] = [Load::PerSecond(100), Load::PerSecond(500), Load::PerSecond(5_000), Load::Max];

/// From the start of the service to the first measurement.
const SETTLING: Duration = Duration::from_secs(5);

/// How long each case is measured.
const LENGTH: Duration = Duration::from_secs(10);

const MINUTE: Duration = Duration::from_secs(60);

/// The load under which memory is looked at for a long time.
const SOAK: Load = Load::PerSecond(500);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [serve, load, subscriber] if serve == "--serve" => service::run(load.parse()?, subscriber.parse()?),
        [soak, minutes] if soak == "soak" => self::soak(minutes.parse().map_err(io::Error::other)?),
        [] => table(&LOADS, &Subscriber::ALL, LENGTH),
        [load, rest @ ..] => {
            let named: Vec<Subscriber> = rest.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
            table(&[load.parse()?], if named.is_empty() { &Subscriber::ALL } else { &named }, LENGTH)
        }
    }
}

fn table(loads: &[Load], subscribers: &[Subscriber], length: Duration) -> io::Result<()> {
    println!("| Requests/s | Subscriber | Attached | Served/s | CPU | Memory | Updates late by |");
    println!("|---|---|---|---|---|---|---|");
    for load in loads {
        for subscriber in subscribers {
            let attached: &[bool] = if subscriber.serves() { &[false, true] } else { &[false] };
            for attached in attached {
                row(*load, *subscriber, *attached, length)?;
            }
        }
    }
    Ok(())
}

fn row(load: Load, subscriber: Subscriber, attached: bool, length: Duration) -> io::Result<()> {
    let mut served = Served::start(load, subscriber)?;
    let reader = attached.then(|| Reader::attach(&served.address));
    thread::sleep(SETTLING);
    let usage = served.measure(length)?;
    let late = reader.map_or_else(String::new, |reader| in_words(reader.lag()));
    let client = if attached { "a reader" } else { "nobody" };
    println!(
        "| {load} | {subscriber} | {client} | {:.0} | {:.1} % | {} MiB | {late} |",
        usage.requests, usage.cpu, usage.memory
    );
    Ok(())
}

/// Prints every minute what this subscriber takes, with nobody attached and with a client, in services that run beside each other.
fn soak(minutes: u32) -> io::Result<()> {
    let (mut alone, mut watched) = (Served::start(SOAK, Subscriber::Canary)?, Served::start(SOAK, Subscriber::Canary)?);
    let reader = Reader::attach(&watched.address);
    println!("{SOAK} requests/s");
    println!("| After | Nobody attached | CPU | A reader | CPU | Updates late by |");
    println!("|---|---|---|---|---|---|");
    for minute in 1..=minutes {
        thread::scope(|scope| {
            let [alone, watched] = [&mut alone, &mut watched].map(|it| scope.spawn(|| it.measure(MINUTE)));
            let [alone, watched] = [alone, watched].map(|it| it.join().expect("a measurement"));
            let (alone, watched, late) = (alone?, watched?, in_words(reader.lag()));
            println!(
                "| {minute} min | {} MiB | {:.1} % | {} MiB | {:.1} % | {late} |",
                alone.memory, alone.cpu, watched.memory, watched.cpu
            );
            Ok::<_, io::Error>(())
        })?;
    }
    Ok(())
}

/// A lag in words: below what it is read to, it is none.
fn in_words(lag: Duration) -> String {
    match lag.as_secs_f64() {
        seconds if seconds < 0.05 => "< 50 ms".to_owned(),
        seconds if seconds < 1.0 => format!("{} ms", lag.as_millis()),
        seconds => format!("{seconds:.1} s"),
    }
}
