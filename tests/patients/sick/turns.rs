//! Waits that are put aside, dropped or never ended: places in a queue that nobody makes use of.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "futurelock",
        about: "A select! over a reference leaves a future in the queue for a lock, and then waits for that lock itself.",
        finding: "futurelock",
        severity: Severity::Critical,
        also: &[],
        onset: Duration::from_secs(2),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: put_aside_in_the_queue,
    },
    Illness {
        id: "permit-leak",
        about: "Every seventh request forgets its permit, until none of five is left.",
        finding: "permit-leak",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_millis(3500),
        within: Duration::from_secs(25),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: forgotten_permits,
    },
    Illness {
        id: "lost-turn",
        about: "A select! in a loop joins the queue for a busy lock in every turn and leaves it at the next tick.",
        finding: "lost-turn",
        severity: Severity::Warning,
        also: &["contended-lock"],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: a_new_place_in_every_turn,
    },
    Illness {
        id: "growing-waiters",
        about: "Six kinds of jobs together come faster than the three permits that they wait for are given back.",
        finding: "growing-waiters",
        severity: Severity::Warning,
        also: &["task-pileup"],
        onset: Duration::ZERO,
        within: Duration::from_secs(40),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: more_come_than_get_in,
    },
];

const SOURCE: Source = Source { file: "sick/turns.rs", text: include_str!("turns.rs") };

type Register = Arc<Mutex<u64>>;

async fn add(register: Register, amount: u64) {
    *register.lock().await += amount;
}

async fn hold_until_asked(register: Register, asked: Arc<Notify>) {
    let _all = register.lock().await;
    asked.notified().await;
}

async fn add_with_a_limit(register: Register, holder: Arc<Notify>) {
    sleep(Duration::from_secs(1)).await;
    let mut adding = Box::pin(add(register.clone(), 1));
    tokio::select! {
        () = &mut adding => {}
        () = sleep(Duration::from_millis(200)) => { holder.notify_one(); add(register, 2).await }
    }
}

async fn audit(register: Register) {
    let mut due = interval(Duration::from_millis(500));
    loop {
        due.tick().await;
        add(register.clone(), 0).await;
    }
}

fn put_aside_in_the_queue() {
    service::workers(2).block_on(async {
        let (register, asked) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
        tokio::spawn(hold_until_asked(register.clone(), asked.clone()));
        tokio::spawn(add_with_a_limit(register.clone(), asked)); // <- futurelock
        sleep(Duration::from_secs(2)).await;
        tokio::spawn(audit(register));
        pending::<()>().await;
    });
}

async fn query(connections: Arc<Semaphore>, number: u64) {
    let Ok(connection) = connections.acquire().await else { return };
    sleep(Duration::from_millis(30)).await;
    if number.is_multiple_of(7) {
        // The error path: the connection is thrown away, and its permit with it.
        connection.forget();
    }
}

fn forgotten_permits() {
    service::workers(2).block_on(async {
        let connections = Arc::new(Semaphore::new(5)); // <- permit-leak
        let mut arrival = interval(Duration::from_millis(100));
        for number in 1.. {
            arrival.tick().await;
            tokio::spawn(query(connections.clone(), number)); // <- also permit-leak
        }
    });
}

async fn write_often(journal: Register) {
    loop {
        let mut entries = journal.lock().await;
        sleep(Duration::from_millis(100)).await;
        *entries += 1;
    }
}

async fn flush_or_beat(journal: Register) {
    let mut tick = interval(Duration::from_millis(60));
    let mut beats = 0_u64;
    while beats < u64::MAX {
        tokio::select! {
            mut entries = journal.lock() => *entries = 0,
            _ = tick.tick() => beats += 1,
        }
    }
}

fn a_new_place_in_every_turn() {
    service::workers(2).block_on(async {
        let journal = Arc::new(Mutex::new(0)); // <- also lost-turn
        for _ in 0..3 {
            tokio::spawn(write_often(journal.clone()));
        }
        tokio::spawn(flush_or_beat(journal)); // <- lost-turn
        pending::<()>().await;
    });
}

async fn render(slots: Arc<Semaphore>, effort: Duration) {
    if let Ok(_slot) = slots.acquire().await {
        sleep(effort).await;
    }
}

fn more_come_than_get_in() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(3)); // <- growing-waiters
        let mut arrival = interval(Duration::from_millis(450));
        loop {
            arrival.tick().await;
            tokio::spawn(render(slots.clone(), Duration::from_millis(500))); // <- also growing-waiters
            tokio::spawn(render(slots.clone(), Duration::from_millis(550))); // <- also growing-waiters
            tokio::spawn(render(slots.clone(), Duration::from_millis(600))); // <- also growing-waiters
            tokio::spawn(render(slots.clone(), Duration::from_millis(650))); // <- also growing-waiters
            tokio::spawn(render(slots.clone(), Duration::from_millis(700))); // <- also growing-waiters
            tokio::spawn(render(slots.clone(), Duration::from_millis(750))); // <- also growing-waiters
        }
    });
}
