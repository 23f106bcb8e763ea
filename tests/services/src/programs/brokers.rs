//! Clients of brokers, databases and buses whose own driver waits for those that it serves.

use std::time::Duration;

use async_broadcast::RecvError;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, spawn};
use crate::wire::{self, Bursts};

const SOURCE: Source = Source { file: "programs/brokers.rs", text: include_str!("brokers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "mqtt-publish-in-event-loop",
        crates: "rumqttc",
        fault: "Commands are answered from the loop that polls the client: once its request queue is full, nobody drains it.",
        issue: "bytebeamio/rumqtt#263",
        way: Way::Unanswered,
        rate_of: "readings",
        rate: 15.0,
        size_of: "requests that the client queues",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["mqtt-loop", "publish-reading"],
            libraries: &["rumqttc"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(gateway(load)),
    },
    Program {
        id: "postgres-notices-fill-channel",
        crates: "tokio-postgres",
        fault: "The driver of a connection waits to hand on a notification, while who takes them waits for an answer on that connection.",
        issue: "XRPLF/xrpl-rust#192",
        way: Way::Deadlock,
        rate_of: "look-ups",
        rate: 15.0,
        size_of: "notifications that the channel holds",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["drive-connection", "drop-articles", "read-article"],
            libraries: &["tokio-postgres"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(articles(load)),
    },
    Program {
        id: "bus-receiver-not-read",
        crates: "async-broadcast",
        fault: "One receiver of a bus waits for a partner that never answers; the bus keeps every message until all have read it, and stops.",
        issue: "z-galaxy/zbus-old#223",
        way: Way::Unanswered,
        rate_of: "quotes asked for",
        rate: 15.0,
        size_of: "messages that the bus holds",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["publish-prices", "audit-prices", "follow-prices", "next-quote"],
            libraries: &["async-broadcast"],
            severity: Severity::Warning,
            within: 50,
        },
        source: SOURCE,
        run: |load| Box::pin(prices(load)),
    },
];

/// Bursts of one or two, and now and then a large one.
fn bursts(load: &Load, purpose: u64, usual: Duration, large: usize) -> Bursts {
    let mut random = load.random(purpose);
    let mut until_large = 12;
    Box::new(move || {
        until_large -= 1;
        if until_large == 0 {
            until_large = random.usize(8..20);
        }
        let count = if until_large == 1 { large } else { random.usize(1..=2) };
        (gap(&mut random, 1.0 / usual.as_secs_f64()).min(usual * 3), count)
    })
}

async fn gateway(load: Load) -> anyhow::Result<()> {
    let broker = wire::mqtt_broker(bursts(&load, 1, millis(600), load.size * 3))?;
    let options = MqttOptions::new("gateway", broker.ip().to_string(), broker.port());
    let (client, mut events) = AsyncClient::new(options, load.size);
    client.subscribe("cmd", QoS::AtMostOnce).await?;
    let (commands, mut arrived) = mpsc::unbounded_channel();
    let replies = client.clone();
    spawn("answer-commands", async move {
        while arrived.recv().await.is_some() {
            replies.publish("done", QoS::AtMostOnce, false, "ok").await?;
        }
        anyhow::Ok(())
    });
    let (replies, is_faulty) = (client.clone(), load.is_faulty());
    spawn("mqtt-loop", async move {
        loop {
            let Event::Incoming(Incoming::Publish(_)) = events.poll().await? else { continue };
            if is_faulty {
                replies.publish("done", QoS::AtMostOnce, false, "ok").await?;
            } else {
                commands.send(())?;
            }
        }
        #[expect(unreachable_code, reason = "it says what the block returns")]
        anyhow::Ok(())
    });
    load.arrivals(|number| {
        let client = client.clone();
        let work = Work::begin();
        spawn("publish-reading", async move {
            let sent = client.publish("reading", QoS::AtMostOnce, false, number.to_string()).await;
            work.end(sent.is_ok());
        });
    })
    .await;
    Ok(())
}

/// A connection whose notifications go into a channel.
async fn connect(port: u16, capacity: usize) -> anyhow::Result<(Client, mpsc::Receiver<AsyncMessage>)> {
    let mut options = tokio_postgres::Config::new();
    let (client, mut connection) = options.host("127.0.0.1").port(port).user("web").connect(NoTls).await?;
    let (notices, noticed) = mpsc::channel(capacity); // <- postgres-notices-fill-channel
    spawn("drive-connection", async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if notices.send(message?).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    });
    Ok((client, noticed))
}

async fn articles(load: Load) -> anyhow::Result<()> {
    let (of_database, large) = (load.clone(), load.size * 3);
    let database = wire::database(millis(8), move || bursts(&of_database, 1, millis(700), large))?;
    let (client, noticed) = connect(database.port(), load.size).await?;
    let client = std::sync::Arc::new(client);
    let (listening, mut noticed) = if load.is_faulty() {
        (std::sync::Arc::clone(&client), noticed)
    } else {
        // What listens has a connection to itself.
        let (listening, noticed) = connect(database.port(), load.size).await?;
        (std::sync::Arc::new(listening), noticed)
    };
    listening.simple_query("LISTEN articles").await?;
    let asked = std::sync::Arc::clone(&client);
    spawn("drop-articles", async move {
        while noticed.recv().await.is_some() {
            asked.simple_query("SELECT version FROM articles WHERE id = 42").await?;
        }
        drop(listening);
        anyhow::Ok(())
    });
    load.arrivals(|_| {
        let client = std::sync::Arc::clone(&client);
        let work = Work::begin();
        spawn("read-article", async move {
            let article = client.simple_query("SELECT body FROM articles WHERE id = 7").await;
            work.end(article.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn prices(load: Load) -> anyhow::Result<()> {
    const HANGS_AT: u64 = 90;
    let mut answered = 0_u64;
    let archive = peers::partner(move || {
        answered += 1;
        // It answers slowly now and then, and one day it does not.
        match answered % HANGS_AT {
            0 => Answer::Never,
            count if count % 20 == 0 => Answer::After(millis(700)),
            _ => Answer::After(millis(3)),
        }
    })?;
    let (mut bus, audited) = async_broadcast::broadcast::<u64>(load.size);
    // Repaired, who is slow misses what is old.
    bus.set_overflow(!load.is_faulty());
    let patience = (!load.is_faulty()).then_some(secs(3));
    spawn("audit-prices", audit(audited, archive, patience));
    for _ in 0..3 {
        let mut followed = bus.new_receiver();
        spawn("follow-prices", async move { while missing_is_fine(followed.recv().await).is_ok() {} });
    }
    let publisher = bus.clone();
    spawn("publish-prices", async move {
        for price in 0.. {
            tokio::time::sleep(millis(80)).await;
            if publisher.broadcast(price).await.is_err() {
                break;
            }
        }
    });
    let mut random = load.random(1);
    load.arrivals(|_| {
        let mut next = bus.new_receiver();
        let pause = between(&mut random, millis(1), millis(20));
        let work = Work::begin();
        spawn("next-quote", async move {
            tokio::time::sleep(pause).await;
            let price = missing_is_fine(next.recv().await);
            work.end(price.is_ok());
        });
    })
    .await;
    Ok(())
}

/// What was received, where it does not matter if something before it was missed.
fn missing_is_fine(received: Result<u64, RecvError>) -> Result<Option<u64>, RecvError> {
    match received {
        Ok(price) => Ok(Some(price)),
        Err(RecvError::Overflowed(_)) => Ok(None),
        Err(RecvError::Closed) => Err(RecvError::Closed),
    }
}

async fn audit(mut prices: async_broadcast::Receiver<u64>, archive: std::net::SocketAddr, patience: Option<Duration>) {
    while missing_is_fine(prices.recv().await).is_ok() {
        // What cannot be kept is kept with the next one.
        let _ = peers::request(archive, "/price", patience).await;
    }
}
