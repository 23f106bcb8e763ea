//! The program that is watched: two of its tasks wait for each other, until a line on its standard input ends one of them.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::{Mutex, Notify};
use tokio::time::{interval, sleep};

use crate::service::{self, Service};

/// The argument that makes this test the program.
pub(crate) const FLAG: &str = "--program";

/// What it says when the fault is to end.
static REPAIRED: Notify = Notify::const_new();

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    service: Service,
}

/// Runs until standard input ends.
pub(crate) fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = std::iter::once(FLAG.into()).chain(arguments);
    service::program(arguments, |Program { service }| service.run(&[("bank", bank), ("orders", orders)]))
}

/// Two locks that are taken in both orders.
fn bank() {
    service::workers(2).block_on(async {
        let (savings, current) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let stuck = tokio::spawn(transfer(Arc::clone(&savings), Arc::clone(&current)));
        tokio::spawn(transfer(current, savings));
        tokio::spawn(tick());
        REPAIRED.notified().await;
        stuck.abort();
        std::future::pending::<()>().await;
    });
}

async fn transfer(from: Arc<Mutex<()>>, to: Arc<Mutex<()>>) {
    let _from = from.lock().await;
    sleep(Duration::from_millis(100)).await;
    let _to = to.lock().await;
}

/// A service does something.
async fn tick() {
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
    }
}

fn orders() {
    for _ in io::stdin().lock().lines().map_while(Result::ok) {
        REPAIRED.notify_one();
    }
    process::exit(0);
}
