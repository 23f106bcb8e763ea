//! Services whose tasks become more and more, or never come to their end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "task-pileup",
        about: "Each upload is spawned at once and only then waits for one of four permits; more arrive than are done.",
        finding: "task-pileup",
        severity: Severity::Warning,
        also: &["growing-waiters"],
        onset: Duration::ZERO,
        within: Duration::from_secs(35),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: spawn_before_permit,
    },
    Illness {
        id: "task-leak",
        about: "Three sessions a second wait for ever for a farewell, among others that end within moments.",
        finding: "task-pileup",
        severity: Severity::Warning,
        also: &["never-completes"],
        onset: Duration::ZERO,
        within: Duration::from_secs(80),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: forgotten_sessions,
    },
    Illness {
        id: "never-completes",
        about: "One request in a hundred waits for an answer that nobody will give.",
        finding: "never-completes",
        severity: Severity::Warning,
        also: &["abandoned-wait"],
        onset: Duration::from_millis(2500),
        within: Duration::from_secs(50),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: unanswered_requests,
    },
];

const SOURCE: Source = Source { file: "sick/leaks.rs", text: include_str!("leaks.rs") };

async fn upload(slots: Arc<Semaphore>) {
    let Ok(_slot) = slots.acquire().await else {
        return;
    };
    sleep(Duration::from_millis(500)).await;
}

fn spawn_before_permit() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(4)); // <- also task-pileup
        let mut arrival = interval(Duration::from_millis(50));
        loop {
            arrival.tick().await;
            tokio::spawn(upload(slots.clone())); // <- task-pileup
        }
    });
}

async fn serve_session(number: u64, farewell: Arc<Notify>) {
    sleep(Duration::from_millis(20 + number * 29 % 150)).await;
    if number.is_multiple_of(7) {
        farewell.notified().await;
    }
}

fn forgotten_sessions() {
    service::workers(2).block_on(async {
        let farewell = Arc::new(Notify::new());
        let mut arrival = interval(Duration::from_millis(48));
        for number in 0.. {
            arrival.tick().await;
            tokio::spawn(serve_session(number, farewell.clone())); // <- task-leak
        }
    });
}

struct Question {
    number: u64,
    answer: oneshot::Sender<u64>,
}

async fn fetch(number: u64, cache: mpsc::UnboundedSender<Question>) -> Option<u64> {
    sleep(Duration::from_millis(20 + number * 31 % 60)).await;
    let (answer, answered) = oneshot::channel();
    cache.send(Question { number, answer }).ok()?;
    answered.await.ok()
}

async fn answer_from_cache(mut questions: mpsc::UnboundedReceiver<Question>) {
    let mut missing = Vec::new();
    while let Some(question) = questions.recv().await {
        if question.number % 100 == 99 {
            // To be answered once the entry is loaded, which nothing does.
            missing.push(question);
        } else {
            // A requester that has gone needs no answer.
            let _ = question.answer.send(question.number * 2);
        }
    }
}

fn unanswered_requests() {
    service::workers(2).block_on(async {
        let (cache, questions) = mpsc::unbounded_channel();
        tokio::spawn(answer_from_cache(questions));
        let mut arrival = interval(Duration::from_millis(50));
        for number in 50.. {
            arrival.tick().await;
            tokio::spawn(fetch(number, cache.clone())); // <- never-completes
        }
    });
}
