//! Futures that keep one waker where two tasks wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::{Label, Program, Severity, Source, Way};
use crate::service::{Load, Work, gap, spawn};

const SOURCE: Source = Source { file: "programs/wakers.rs", text: include_str!("wakers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[Program {
    id: "one-waker-for-two-halves",
    crates: "futures, parking_lot",
    fault: "The reading and the writing half of a connection store their wakers in the same place: one replaces the other.",
    issue: "Gelbpunkt/tokio-websockets#92",
    way: Way::LostWaker,
    rate_of: "messages",
    rate: 40.0,
    size_of: "messages that may go out before one comes in",
    size: 15,
    size_is_capacity: false,
    blocking_threads: None,
    label: Label {
        families: &["stuck"],
        names: &["read-half", "write-half"],
        libraries: &[],
        severity: Severity::Warning,
        within: 30,
    },
    source: SOURCE,
    run: |load| Box::pin(halves(load)),
}];

/// A connection with flow control: messages come in, and each lets one more go out.
struct Connection {
    messages: Mutex<VecDeque<u64>>,
    credit: Mutex<usize>,
    readable: AtomicWaker,
    writable: AtomicWaker,
    is_faulty: bool,
}

impl Connection {
    /// Where who waits for credit leaves its waker.
    fn writable(&self) -> &AtomicWaker {
        if self.is_faulty { &self.readable } else { &self.writable }
    }

    fn poll_read(&self, context: &mut Context<'_>) -> Poll<u64> {
        let mut messages = self.messages.lock();
        match messages.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                self.readable.register(context.waker());
                Poll::Pending
            }
        }
    }

    fn poll_credit(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut credit = self.credit.lock();
        if *credit == 0 {
            self.writable().register(context.waker());
            return Poll::Pending;
        }
        *credit -= 1;
        Poll::Ready(())
    }

    fn arrive(&self, message: u64) {
        self.messages.lock().push_back(message);
        self.readable.wake();
        *self.credit.lock() += 1;
        self.writable().wake();
    }
}

async fn halves(load: Load) -> anyhow::Result<()> {
    let connection = Arc::new(Connection {
        messages: Mutex::default(),
        credit: Mutex::new(load.size),
        readable: AtomicWaker::new(),
        writable: AtomicWaker::new(),
        is_faulty: load.is_faulty(),
    });
    let reading = Arc::clone(&connection);
    spawn("read-half", async move {
        loop {
            let _ = poll_fn(|context| reading.poll_read(context)).await;
            Work::begin().end(true);
        }
    });
    let (writing, mut gaps, rate) = (Arc::clone(&connection), load.random(1), load.rate);
    spawn("write-half", async move {
        loop {
            tokio::time::sleep(gap(&mut gaps, rate)).await;
            poll_fn(|context| writing.poll_credit(context)).await;
        }
    });
    load.arrivals(|message| connection.arrive(message)).await;
    Ok(())
}
