//! Timers: tasks that mostly sleep, timeouts, and sleeps that are over.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, interval, sleep, timeout};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "intervals",
        about: "Tasks that tick every 100 ms, every second and every minute, and one that sleeps like cron.",
        run: intervals,
    },
    Pattern {
        id: "idle-timeouts",
        about: "An idle timeout that is put off with every message, and a sleep that is over but kept.",
        run: idle_timeouts,
    },
    Pattern {
        id: "timeout-and-select",
        about: "Receiving with a timeout, and a select between work, a pause and the end of the service.",
        run: timeout_and_select,
    },
];

async fn tick(period: Duration) {
    let mut due = interval(period);
    loop {
        due.tick().await;
    }
}

async fn run_nightly() {
    loop {
        sleep(Duration::from_secs(300)).await;
    }
}

fn intervals() {
    service::workers(2).block_on(async {
        tokio::spawn(tick(Duration::from_millis(100)));
        tokio::spawn(tick(Duration::from_secs(1)));
        tokio::spawn(tick(Duration::from_secs(60)));
        tokio::spawn(run_nightly());
        pending::<()>().await;
    });
}

async fn greet_once_then_listen(mut messages: mpsc::UnboundedReceiver<u32>) {
    let greeting = sleep(Duration::from_secs(1));
    let idle = sleep(Duration::from_secs(2));
    tokio::pin!(greeting, idle);
    let mut greeted = false;
    loop {
        tokio::select! {
            () = &mut greeting, if !greeted => greeted = true,
            () = &mut idle => idle.as_mut().reset(Instant::now() + Duration::from_secs(2)),
            message = messages.recv() => match message {
                Some(_) => idle.as_mut().reset(Instant::now() + Duration::from_secs(2)),
                None => break,
            },
        }
    }
}

fn idle_timeouts() {
    service::workers(2).block_on(async {
        let (sender, messages) = mpsc::unbounded_channel();
        tokio::spawn(greet_once_then_listen(messages));
        let mut due = interval(Duration::from_millis(400));
        for message in 0.. {
            due.tick().await;
            if sender.send(message).is_err() {
                break;
            }
        }
    });
}

async fn receive_in_time(mut orders: mpsc::Receiver<u32>) {
    // Nothing in time is no reason to stop; the end of the orders is.
    while !matches!(timeout(Duration::from_millis(200), orders.recv()).await, Ok(None)) {}
}

async fn work_until_end(mut orders: mpsc::Receiver<u32>, end: Arc<Notify>) {
    loop {
        tokio::select! {
            () = end.notified() => break,
            order = orders.recv() => if order.is_none() { break },
            () = sleep(Duration::from_millis(500)) => {}
        }
    }
}

fn timeout_and_select() {
    service::workers(2).block_on(async {
        let (first, orders) = mpsc::channel(8);
        tokio::spawn(receive_in_time(orders));
        let (second, orders) = mpsc::channel(8);
        let end = Arc::new(Notify::new());
        tokio::spawn(work_until_end(orders, end.clone()));
        for order in 0_u32.. {
            sleep(Duration::from_millis(u64::from(order) * 97 % 350)).await;
            if first.send(order).await.is_err() || second.send(order).await.is_err() {
                break;
            }
        }
        end.notify_one();
    });
}
