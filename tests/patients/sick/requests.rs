//! Requests that are never answered, are left behind, or stand in each other's way.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, Notify, Semaphore, futures::OwnedNotified};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "hot-lock",
        about: "Sixty sessions take one lock for three milliseconds, again and again.",
        finding: "contended-lock",
        severity: Severity::Info,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(20),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: one_lock_for_all_sessions,
    },
    Illness {
        id: "lost-signal",
        about: "One request in thirty begins to wait for a signal when it has been given already.",
        finding: "never-completes",
        severity: Severity::Info,
        also: &[],
        onset: Duration::from_millis(4500),
        within: Duration::from_secs(60),
        under: &[Load],
        computes: false,
        source: SOURCE,
        run: a_signal_before_the_wait,
    },
    Illness {
        id: "detached-half",
        about: "A request ends as soon as one of its two tasks does, and leaves the other one waiting for ever.",
        finding: "task-pileup",
        severity: Severity::Warning,
        also: &["never-completes"],
        onset: Duration::ZERO,
        within: Duration::from_secs(75),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: the_slower_half_stays,
    },
    Illness {
        id: "buffered-permits",
        about: "Futures in a buffered stream are granted permits while the loop over the stream waits for one itself.",
        finding: "futurelock",
        severity: Severity::Critical,
        also: &[],
        onset: Duration::from_millis(200),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: permits_in_a_stream,
    },
];

const SOURCE: Source = Source { file: "sick/requests.rs", text: include_str!("requests.rs") };

async fn update_score(scores: Arc<Mutex<Vec<u32>>>, player: usize) {
    loop {
        let mut scores = scores.lock().await;
        scores[player] += 1;
        sleep(Duration::from_millis(3)).await;
        drop(scores);
        sleep(Duration::from_millis(10)).await;
    }
}

fn one_lock_for_all_sessions() {
    service::workers(2).block_on(async {
        let scores = Arc::new(Mutex::new(vec![0; 60])); // <- hot-lock
        for player in 0..60 {
            tokio::spawn(update_score(scores.clone(), player)); // <- also hot-lock
        }
        pending::<()>().await;
    });
}

async fn wait_until_stored(stored: Arc<Notify>, early: Option<OwnedNotified>) {
    sleep(Duration::from_millis(if early.is_some() { 10 } else { 1_000 })).await;
    early.unwrap_or_else(|| stored.notified_owned()).await;
}

fn a_signal_before_the_wait() {
    service::workers(2).block_on(async {
        let mut arrival = interval(Duration::from_millis(120));
        for number in 0_u64.. {
            arrival.tick().await;
            let stored = Arc::new(Notify::new());
            let early = (number % 30 != 29).then(|| stored.clone().notified_owned());
            tokio::spawn(wait_until_stored(stored.clone(), early)); // <- lost-signal
            sleep(Duration::from_millis(40)).await;
            stored.notify_waiters();
        }
    });
}

async fn upload(done: Arc<Notify>, length: Duration) {
    sleep(length).await;
    done.notify_waiters();
}

async fn relay(cancelled: Arc<Notify>, length: Duration) {
    tokio::select! {
        () = sleep(length) => {}
        () = cancelled.notified() => {}
    }
    if length > Duration::from_millis(200) {
        // Waits for the other half's last word, which has been said.
        cancelled.notified().await;
    }
}

fn the_slower_half_stays() {
    service::workers(2).block_on(async {
        let mut arrival = interval(Duration::from_millis(150));
        for number in 0_u64.. {
            arrival.tick().await;
            let done = Arc::new(Notify::new());
            let length = Duration::from_millis(if number.is_multiple_of(2) { 150 } else { 2_000 });
            let upload = tokio::spawn(upload(done.clone(), Duration::from_millis(200)));
            let relay = tokio::spawn(relay(done, length)); // <- detached-half
            tokio::spawn(async move {
                tokio::select! {
                    _ = upload => {}
                    _ = relay => {}
                }
            });
        }
    });
}

async fn fetch(slots: &Semaphore, page: u64) -> u64 {
    let _slot = slots.acquire().await;
    sleep(Duration::from_millis(20)).await;
    page
}

async fn copy_pages(slots: Arc<Semaphore>) {
    let mut pages = stream::iter(1..).map(|page| fetch(&slots, page)).buffered(6);
    while let Some(page) = pages.next().await {
        let _slot = slots.acquire().await;
        sleep(Duration::from_millis(page % 7)).await;
    }
}

fn permits_in_a_stream() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(2)); // <- also buffered-permits
        tokio::spawn(copy_pages(slots)); // <- buffered-permits
        pending::<()>().await;
    });
}
