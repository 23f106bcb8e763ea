//! A bank that locks accounts in the order of each request: mutexes that wait for one another.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "deadlock",
        about: "Two transfers lock the same two accounts in opposite order.",
        finding: "deadlock",
        severity: Severity::Critical,
        also: &[],
        onset: FRAUD_CHECK,
        within: Duration::from_secs(10),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: opposite_transfers,
    },
    Illness {
        id: "three-way",
        about: "Three transfers go round in a circle, each holding the account that the one before it needs.",
        finding: "deadlock",
        severity: Severity::Critical,
        also: &[],
        onset: FRAUD_CHECK,
        within: Duration::from_secs(10),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: circular_transfers,
    },
    Illness {
        id: "self-deadlock",
        about: "A task locks a ledger and calls a function that locks it again.",
        finding: "deadlock",
        severity: Severity::Critical,
        also: &[],
        onset: Duration::from_millis(300),
        within: Duration::from_secs(15),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: audit_under_lock,
    },
];

const SOURCE: Source = Source { file: "sick/bank.rs", text: include_str!("bank.rs") };

const FRAUD_CHECK: Duration = Duration::from_millis(300);

struct Account {
    balance: i64,
}

type Shared = Arc<Mutex<Account>>;

async fn transfer(from: Shared, to: Shared, amount: i64) {
    let mut from = from.lock().await;
    // Asks the fraud check while it holds the first account: for longer than a starved machine puts transfers out of step.
    sleep(FRAUD_CHECK).await;
    let mut to = to.lock().await;
    from.balance -= amount;
    to.balance += amount;
}

async fn standing_order(from: Shared, to: Shared, amount: i64) {
    let mut due = interval(Duration::from_millis(100));
    loop {
        due.tick().await;
        transfer(from.clone(), to.clone(), amount).await;
    }
}

async fn pay_interest(account: Shared) {
    let mut due = interval(Duration::from_millis(200));
    loop {
        due.tick().await;
        account.lock().await.balance += 1;
    }
}

fn opposite_transfers() {
    service::workers(2).block_on(async {
        let checking = Arc::new(Mutex::new(Account { balance: 1_000 })); // <- deadlock
        let savings = Arc::new(Mutex::new(Account { balance: 9_000 })); // <- deadlock
        let deposit = Arc::new(Mutex::new(Account { balance: 5_000 }));
        tokio::spawn(pay_interest(deposit));
        tokio::spawn(standing_order(checking.clone(), savings.clone(), 50)); // <- deadlock
        tokio::spawn(standing_order(savings, checking, 20)); // <- deadlock
        pending::<()>().await;
    });
}

fn circular_transfers() {
    service::workers(2).block_on(async {
        let berlin = Arc::new(Mutex::new(Account { balance: 700 })); // <- three-way
        let lisbon = Arc::new(Mutex::new(Account { balance: 800 })); // <- three-way
        let oslo = Arc::new(Mutex::new(Account { balance: 900 })); // <- three-way
        tokio::spawn(standing_order(berlin.clone(), lisbon.clone(), 7)); // <- three-way
        tokio::spawn(standing_order(lisbon, oslo.clone(), 8)); // <- three-way
        tokio::spawn(standing_order(oslo, berlin, 9)); // <- three-way
        pending::<()>().await;
    });
}

async fn total(ledger: &Mutex<Vec<i64>>) -> i64 {
    ledger.lock().await.iter().sum()
}

async fn close_day(ledger: Arc<Mutex<Vec<i64>>>) {
    sleep(Duration::from_millis(300)).await;
    let mut entries = ledger.lock().await;
    let sum = total(&ledger).await;
    entries.push(-sum);
}

async fn book(ledger: Arc<Mutex<Vec<i64>>>) {
    let mut due = interval(Duration::from_millis(50));
    loop {
        due.tick().await;
        ledger.lock().await.push(5);
    }
}

fn audit_under_lock() {
    service::workers(2).block_on(async {
        let ledger = Arc::new(Mutex::new(vec![100, -30])); // <- self-deadlock
        tokio::spawn(book(ledger.clone()));
        tokio::spawn(close_day(ledger)); // <- self-deadlock
        pending::<()>().await;
    });
}
