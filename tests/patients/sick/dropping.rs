//! Work and wakers that are thrown away, left lying, or carried about for nothing.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late};
use super::{Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "dropped-join-set",
        about: "A search asks six shards and gives up, JoinSet and all, before those of every other question have answered.",
        finding: "cancelled-work",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(30),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: impatient_search,
    },
    Illness {
        id: "short-jobs",
        about: "Every key is hashed in a blocking job of its own, hundreds of times a second.",
        finding: "needless-spawn-blocking",
        severity: Severity::Info,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(30),
        under: &[Late, CurrentThread],
        computes: false,
        source: SOURCE,
        run: hashes_elsewhere,
    },
    Illness {
        id: "waker-list",
        about: "A subscription leaves one more waker in a shared list with every poll, and nobody clears the list.",
        finding: "waker-growth",
        severity: Severity::Info,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(45),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: wakers_in_a_list,
    },
];

const SOURCE: Source = Source { file: "sick/dropping.rs", text: include_str!("dropping.rs") };

async fn ask_shard(question: u64, shard: u64) {
    let effort = if question.is_multiple_of(2) { 400 } else { 60 };
    sleep(Duration::from_millis(effort + shard * 5)).await;
}

async fn search(question: u64) {
    let mut shards = JoinSet::new();
    for shard in 0..6 {
        shards.spawn(ask_shard(question, shard)); // <- dropped-join-set
    }
    let all = async { while shards.join_next().await.is_some() {} };
    // What has not answered by then is dropped together with the set.
    let _in_time = timeout(Duration::from_millis(250), all).await;
}

fn impatient_search() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(400));
        for question in 0.. {
            due.tick().await;
            tokio::spawn(search(question));
        }
    });
}

fn hash(key: u64) -> u64 {
    (0..64).fold(key, |hash, round| (hash ^ round).wrapping_mul(0x0000_0100_0000_01b3))
}

fn hashes_elsewhere() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(20));
        for batch in 0_u64.. {
            due.tick().await;
            for key in 0..8 {
                let _hash = spawn_blocking(move || hash(batch * 8 + key)).await; // <- short-jobs
            }
        }
    });
}

type Wakers = Arc<Mutex<Vec<Waker>>>;

async fn changed(listeners: Wakers) {
    poll_fn(|context| {
        listeners.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

async fn listen(listeners: Wakers) {
    let mut beat = interval(Duration::from_millis(5));
    let mut beats = 0_u64;
    while beats < u64::MAX {
        tokio::select! {
            () = changed(listeners.clone()) => break,
            _ = beat.tick() => beats += 1,
        }
    }
}

fn wakers_in_a_list() {
    service::workers(2).block_on(async {
        let listeners = Wakers::default();
        tokio::spawn(listen(listeners)); // <- waker-list
        pending::<()>().await;
    });
}
