//! A service whose fault comes and goes: rush hours in which everything goes through one mutex, and calm between them.

use std::ffi::OsString;
use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use crate::service::{self, Service};

/// The name of the program.
pub(crate) const PROGRAM: &str = "flapping_service";
/// How long a rush hour lasts, and the calm after it: long enough for the finding to be resolved.
const RUSH: Duration = Duration::from_secs(20);
const CALM: Duration = Duration::from_secs(40);
/// How many customers there are.
const CUSTOMERS: u64 = 30;

/// A service with rush hours.
#[derive(Parser)]
#[command(name = PROGRAM)]
struct Arguments {
    #[command(flatten)]
    service: Service,
}

/// Runs the service with these arguments, the program's name among them.
pub(crate) fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    service::program(arguments, |Arguments { service }| service.run(&[(PROGRAM, rush_hours)]))
}

fn rush_hours() {
    service::workers(2).block_on(async {
        let (open, is_open) = watch::channel(false);
        let till = Arc::new(Mutex::new(0));
        for customer in 0..CUSTOMERS {
            tokio::spawn(shop(customer, till.clone(), is_open.clone()));
        }
        tokio::spawn(async move {
            loop {
                open.send_replace(true);
                sleep(RUSH).await;
                open.send_replace(false);
                sleep(CALM).await;
            }
        });
        pending::<()>().await;
    });
}

async fn shop(customer: u64, till: Arc<Mutex<u64>>, mut is_open: watch::Receiver<bool>) {
    while is_open.wait_for(|open| *open).await.is_ok() {
        let mut till = till.lock().await;
        // Asks the bank whether the card is good.
        sleep(Duration::from_millis(50)).await;
        *till += 1;
        drop(till);
        sleep(Duration::from_millis(100 + customer * 17 % 100)).await;
    }
}
