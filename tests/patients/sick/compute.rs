//! Services that keep their threads at work or waiting where nobody expects it.

use std::future::pending;
use std::sync::mpsc as sync_channel;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late};
use super::{Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "synchronous-read",
        about: "Now and then a request reads a large file with std::fs, which takes 300 ms.",
        finding: "long-polls",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: files_read_in_requests,
    },
    Illness {
        id: "shared-computation",
        about: "Fifty sessions each compute for 15 ms now and then: no single one is to blame.",
        finding: "long-polls",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: &[Late, CurrentThread],
        computes: true,
        source: SOURCE,
        run: every_session_a_little,
    },
    Illness {
        id: "diluted-computation",
        about: "Six connections answer many light requests, and hash for 100 ms inside every eighth.",
        finding: "long-polls",
        severity: Severity::Warning,
        also: &["scheduling-delay"],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: &[Late],
        computes: true,
        source: SOURCE,
        run: every_eighth_request_hashes,
    },
    Illness {
        id: "endless-computation",
        about: "A task searches without an await, and does not end when it is aborted.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::from_secs(1),
        within: Duration::from_secs(15),
        under: &[Late],
        computes: true,
        source: SOURCE,
        run: a_search_that_never_yields,
    },
    Illness {
        id: "blocking-receive",
        about: "A task waits with a blocking receive for an answer of a task in its own worker's queue.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::from_millis(800),
        within: Duration::from_secs(10),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: waits_for_its_own_worker,
    },
    Illness {
        id: "watch-borrow",
        about: "A task keeps a value borrowed from a watch channel while it sends a new one.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::from_millis(1200),
        within: Duration::from_secs(10),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: sends_while_borrowing,
    },
    Illness {
        id: "nested-jobs",
        about: "Blocking jobs wait for further jobs of the same pool, which has no thread left for these.",
        finding: "blocking-pool-backlog",
        severity: Severity::Warning,
        also: &["task-pileup"],
        onset: Duration::from_millis(300),
        within: Duration::from_secs(15),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: jobs_that_wait_for_jobs,
    },
];

const SOURCE: Source = Source { file: "sick/compute.rs", text: include_str!("compute.rs") };

async fn export(number: u32) {
    sleep(Duration::from_millis(20)).await;
    if number.is_multiple_of(3) {
        thread::sleep(Duration::from_millis(300));
    }
    sleep(Duration::from_millis(5)).await;
}

fn files_read_in_requests() {
    service::workers(2).block_on(async {
        let mut arrival = interval(Duration::from_millis(350));
        for number in 0.. {
            arrival.tick().await;
            tokio::spawn(export(number)); // <- synchronous-read
        }
    });
}

async fn session(number: u64) {
    sleep(Duration::from_millis(37 * number)).await;
    loop {
        sleep(Duration::from_secs(2)).await;
        service::compute(Duration::from_millis(15));
    }
}

fn every_session_a_little() {
    service::workers(2).block_on(async {
        for number in 0..50 {
            tokio::spawn(session(number)); // <- shared-computation
        }
        pending::<()>().await;
    });
}

async fn connection(number: u64) {
    sleep(Duration::from_millis(53 * number)).await;
    for request in 1_u64.. {
        sleep(Duration::from_millis(60 + 7 * number)).await;
        if request.is_multiple_of(8) {
            service::compute(Duration::from_millis(100));
        }
    }
}

fn every_eighth_request_hashes() {
    service::workers(2).block_on(async {
        for number in 0..6 {
            tokio::spawn(connection(number)); // <- diluted-computation
        }
        pending::<()>().await;
    });
}

async fn search(mut requests: mpsc::Receiver<u64>) {
    while let Some(wanted) = requests.recv().await {
        let mut found = 0;
        while found != wanted {
            found = service::compute(Duration::from_millis(1));
        }
    }
}

fn a_search_that_never_yields() {
    service::workers(2).block_on(async {
        let (sender, requests) = mpsc::channel(8);
        let searching = tokio::spawn(search(requests)); // <- endless-computation
        sleep(Duration::from_secs(1)).await;
        if sender.send(1).await.is_ok() {
            sleep(Duration::from_secs(2)).await;
            searching.abort();
        }
        pending::<()>().await;
    });
}

async fn ask_the_neighbour() {
    sleep(Duration::from_millis(800)).await;
    let (answer, answers) = sync_channel::channel();
    tokio::spawn(async move { answer.send(42) });
    // The answer is in the slot of this very worker, which other workers do not take from.
    let _answer = answers.recv();
}

fn waits_for_its_own_worker() {
    service::workers(2).block_on(async {
        tokio::spawn(ask_the_neighbour()); // <- blocking-receive
        let mut due = interval(Duration::from_millis(150));
        loop {
            due.tick().await;
        }
    });
}

async fn keep_rates(rates: watch::Sender<u32>) {
    let mut due = interval(Duration::from_millis(400));
    loop {
        due.tick().await;
        let known = rates.borrow();
        if *known >= 3 {
            // The guard in `known` is still there.
            rates.send_replace(*known + 1);
        }
        drop(known);
        rates.send_modify(|rate| *rate += 1);
    }
}

fn sends_while_borrowing() {
    service::workers(2).block_on(async {
        let (rates, _subscribed) = watch::channel(0);
        tokio::spawn(keep_rates(rates)); // <- watch-borrow
        let mut due = interval(Duration::from_millis(150));
        loop {
            due.tick().await;
        }
    });
}

fn resize() -> bool {
    thread::sleep(Duration::from_millis(250));
    let part = spawn_blocking(|| thread::sleep(Duration::from_millis(10))); // <- nested-jobs
    Handle::current().block_on(part).is_ok()
}

fn jobs_that_wait_for_jobs() {
    service::built(Builder::new_multi_thread().worker_threads(2).max_blocking_threads(3)).block_on(async {
        let mut arrival = interval(Duration::from_secs(2));
        loop {
            arrival.tick().await;
            // An album of four pictures is resized at once.
            for _ in 0..4 {
                spawn_blocking(resize); // <- nested-jobs
            }
        }
    });
}
