//! Workers that have died or are stuck, while those that need them wait.

use std::sync::Arc;

use kameo::Actor;
use kameo::actor::ActorRef;
use kameo::mailbox;
use kameo::message::{Context, Message};
use tokio::sync::oneshot;
use tower::{BoxError, Service as _, ServiceExt as _};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/workers.rs", text: include_str!("workers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "flume-worker-died",
        crates: "flume",
        fault: "The only worker thread ends on a picture it cannot read, while its queue lives on and takes requests.",
        issue: "freenet/freenet-core#3198",
        way: Way::Unanswered,
        rate_of: "pictures",
        rate: 20.0,
        size_of: "pictures until one cannot be read",
        size: 180,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["resize-picture"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(dead_worker(load)),
    },
    Program {
        id: "kameo-full-mailboxes",
        crates: "kameo",
        fault: "Two actors send to each other's bounded mailbox from within their handlers, and an order is larger than both.",
        issue: "chroma-core/chroma#5283",
        way: Way::Deadlock,
        rate_of: "orders",
        rate: 15.0,
        size_of: "messages that a mailbox holds",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["take-order"],
            libraries: &["kameo"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(full_mailboxes(load)),
    },
    Program {
        id: "tower-timeout-behind-refresh",
        crates: "tower, futures",
        fault: "A refresh without a timeout hangs while it holds a lock that every request needs: each runs into its timeout.",
        issue: "ohdearquant/khive#787",
        way: Way::Timeouts,
        rate_of: "requests",
        rate: 12.0,
        size_of: "seconds until the refresh",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["call-billing", "refresh-session"],
            libraries: &[],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(hung_refresh(load)),
    },
];

/// A picture and who waits for it.
struct Picture {
    number: u64,
    done: oneshot::Sender<u64>,
}

async fn dead_worker(load: Load) -> anyhow::Result<()> {
    let (queue, pictures) = flume::unbounded::<Picture>();
    let (unreadable, is_faulty) = (u64::try_from(load.size)?, load.is_faulty());
    // Metrics look at the queue, and so it is not closed when the worker ends.
    let watched = pictures.clone();
    spawn_thread("resizer", move || {
        for Picture { number, done } in pictures {
            if number % unreadable == unreadable - 1 {
                if is_faulty {
                    return;
                }
                continue;
            }
            std::thread::sleep(millis(8 + number % 5));
            let _ = done.send(number);
        }
    });
    load.arrivals(|number| {
        let queue = queue.clone();
        let work = Work::begin();
        spawn("resize-picture", async move {
            let (done, resized) = oneshot::channel(); // <- flume-worker-died
            let _ = queue.send(Picture { number, done });
            work.end(resized.await.is_ok());
        });
    })
    .await;
    drop(watched);
    Ok(())
}

/// Takes orders and hands them on line by line.
#[derive(Actor)]
struct Orders {
    shipping: Option<ActorRef<Shipping>>,
    shipped: u64,
}

/// Ships lines and says so.
#[derive(Actor)]
struct Shipping {
    orders: ActorRef<Orders>,
}

struct Meet(ActorRef<Shipping>);
struct Order {
    lines: usize,
}
struct Line;
struct Shipped;

impl Message<Meet> for Orders {
    type Reply = ();

    async fn handle(&mut self, Meet(shipping): Meet, _: &mut Context<Self, ()>) {
        self.shipping = Some(shipping);
    }
}

impl Message<Order> for Orders {
    type Reply = ();

    async fn handle(&mut self, order: Order, _: &mut Context<Self, ()>) {
        if let Some(shipping) = &self.shipping {
            for _ in 0..order.lines {
                // Whether it is still there shows elsewhere.
                let _ = shipping.tell(Line).await;
            }
        }
    }
}

impl Message<Shipped> for Orders {
    type Reply = ();

    async fn handle(&mut self, _: Shipped, _: &mut Context<Self, ()>) {
        self.shipped += 1;
        Work::begin().end(true);
    }
}

impl Message<Line> for Shipping {
    type Reply = ();

    async fn handle(&mut self, _: Line, _: &mut Context<Self, ()>) {
        tokio::time::sleep(millis(6)).await;
        let _ = self.orders.tell(Shipped).await;
    }
}

async fn full_mailboxes(load: Load) -> anyhow::Result<()> {
    // Repaired, what comes back never has to wait.
    let box_of_orders = if load.is_faulty() { mailbox::bounded(load.size) } else { mailbox::unbounded() };
    let orders = Orders::spawn_with_mailbox(Orders { shipping: None, shipped: 0 }, box_of_orders);
    let shipping = Shipping::spawn_with_mailbox(Shipping { orders: orders.clone() }, mailbox::bounded(load.size));
    orders.tell(Meet(shipping)).await?;
    let mut random = load.random(1);
    load.arrivals(|_| {
        let lines = if random.usize(..120) == 0 { load.size * 5 } else { random.usize(1..=3) };
        let orders = orders.clone();
        spawn("take-order", async move { orders.tell(Order { lines }).await.is_ok() });
    })
    .await;
    Ok(())
}

async fn hung_refresh(load: Load) -> anyhow::Result<()> {
    let issuer = peers::partner(|| Answer::Never)?;
    let session = Arc::new(futures::lock::Mutex::new(0_u64));
    let (refreshed, is_faulty, delay) = (Arc::clone(&session), load.is_faulty(), secs(u64::try_from(load.size)?));
    spawn("refresh-session", async move {
        tokio::time::sleep(delay).await;
        loop {
            if is_faulty {
                let mut session = refreshed.lock().await;
                *session += u64::from(peers::request(issuer, "/token", None).await.is_ok());
            } else if peers::request(issuer, "/token", Some(secs(2))).await.is_ok() {
                *refreshed.lock().await += 1;
            }
            tokio::time::sleep(secs(10)).await;
        }
    });
    let billing = tower::service_fn(move |()| {
        let session = Arc::clone(&session);
        async move {
            let session = *session.lock().await;
            tokio::time::sleep(millis(5 + session % 2)).await;
            Ok::<_, BoxError>(())
        }
    });
    let billing = tower::ServiceBuilder::new().timeout(secs(8)).service(billing);
    load.arrivals(|_| {
        let mut billing = billing.clone();
        let work = Work::begin();
        spawn("call-billing", async move {
            let answer = async { billing.ready().await?.call(()).await }.await;
            work.end(answer.is_ok());
        });
    })
    .await;
    Ok(())
}
