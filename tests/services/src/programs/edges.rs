//! What a service does at its edges: handshakes without a limit, retries without a budget, and a handler that asks its own subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_nats::Message;
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_retry::RetryIf;
use tokio_retry::strategy::FixedInterval;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};
use crate::wire;

const SOURCE: Source = Source { file: "programs/edges.rs", text: include_str!("edges.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "tls-handshake-keeps-slot",
        crates: "tokio-rustls",
        fault: "A connection takes a slot before its handshake, which has no timeout: probes that only connect take them all.",
        issue: "vectordotdev/vector#26126",
        way: Way::Permits,
        rate_of: "connections",
        rate: 12.0,
        size_of: "connections at a time",
        size: 40,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["accept-tls", "tls-connection"],
            libraries: &[],
            severity: Severity::Warning,
            within: 65,
        },
        source: SOURCE,
        run: |load| Box::pin(tls_server(load)),
    },
    Program {
        id: "retries-keep-partner-down",
        crates: "tokio-retry",
        fault: "Every timeout is retried at once: after a short pause the partner only works through requests that nobody waits for.",
        issue: "apache/opendal#7376",
        way: Way::Timeouts,
        rate_of: "quotes",
        rate: 14.0,
        size_of: "milliseconds of work for each request",
        size: 45,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention", "cancellation"],
            names: &["quote-freight"],
            libraries: &[],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(freight_quotes(load)),
    },
    Program {
        id: "nats-request-inside-handler",
        crates: "async-nats",
        fault: "A handler sends a request that its own subscription has to answer, and waits for it until the timeout.",
        issue: "nats-io/nats.node#538",
        way: Way::Timeouts,
        rate_of: "look-ups",
        rate: 15.0,
        size_of: "items of a basket",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &["serve-prices", "price-lookup"],
            libraries: &["async-nats"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(nats_prices(load)),
    },
];

/// A server and a client that trusts it.
fn tls_pair() -> anyhow::Result<(TlsAcceptor, TlsConnector)> {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key)?;
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate)?;
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let client = client.with_root_certificates(trusted).with_no_client_auth();
    Ok((TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client))))
}

async fn tls_server(load: Load) -> anyhow::Result<()> {
    const PROBES_PER_CENT: usize = 12;
    let (acceptor, connector) = tls_pair()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let (mut gaps, mut random) = (clients.random(1), clients.random(2));
        let mut probes = Vec::new();
        loop {
            sleep(gap(&mut gaps, clients.rate)).await;
            if random.usize(..100) < PROBES_PER_CENT {
                // It sees that the port is open, and keeps the connection.
                probes.push(tokio::spawn(TcpStream::connect(address)));
                continue;
            }
            let connector = connector.clone();
            let work = Work::begin();
            tokio::spawn(async move {
                let answer = timeout(secs(5), tls_request(connector, address)).await;
                work.end(matches!(answer, Ok(Ok(length)) if length > 0));
            });
        }
    });
    let slots = Arc::new(Semaphore::new(load.size)); // <- tls-handshake-keeps-slot
    let patience = (!load.is_faulty()).then_some(secs(3));
    let mut random = load.random(3);
    let accepting = spawn("accept-tls", async move {
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let (socket, _) = listener.accept().await?;
            let length = between(&mut random, millis(20), millis(120));
            spawn("tls-connection", serve_tls(acceptor.clone(), socket, patience, length, slot));
        }
        #[expect(unreachable_code, reason = "it says what the block returns")]
        anyhow::Ok(())
    });
    accepting.await?
}

async fn tls_request(connector: TlsConnector, address: std::net::SocketAddr) -> anyhow::Result<usize> {
    let socket = TcpStream::connect(address).await?;
    let mut socket = connector.connect(ServerName::try_from("localhost")?, socket).await?;
    socket.write_all(b"item 7\n").await?;
    let mut answer = Vec::new();
    Ok(socket.read_to_end(&mut answer).await?)
}

async fn serve_tls(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    patience: Option<Duration>,
    length: Duration,
    _slot: OwnedSemaphorePermit,
) -> anyhow::Result<()> {
    let handshake = acceptor.accept(socket);
    let mut socket = match patience {
        Some(patience) => timeout(patience, handshake).await??,
        None => handshake.await?,
    };
    let mut request = [0_u8; 7];
    socket.read_exact(&mut request).await?;
    sleep(length).await;
    socket.write_all(b"price 3.20\n").await?;
    Ok(socket.shutdown().await?)
}

/// How many retries there may be: each success earns a fifth of one.
struct Budget(Option<AtomicI64>);

impl Budget {
    const OF_A_RETRY: i64 = 5;
    const MOST: i64 = 10 * Self::OF_A_RETRY;

    fn earn(&self) {
        if let Some(saved) = &self.0 {
            let _ = saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| Some((saved + 1).min(Self::MOST)));
        }
    }

    fn spend(&self) -> bool {
        let Some(saved) = &self.0 else { return true };
        let left = |saved: i64| (saved >= Self::OF_A_RETRY).then_some(saved - Self::OF_A_RETRY);
        saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }
}

async fn freight_quotes(load: Load) -> anyhow::Result<()> {
    const PAUSES_AFTER: Duration = secs(35);
    const PAUSE: Duration = secs(2);
    let takes = millis(u64::try_from(load.size)?);
    let began = Instant::now();
    let (mut free_at, mut has_paused) = (began, false);
    // One request at a time, in their order, whether anybody still waits or not.
    let partner = peers::partner(move || {
        let now = Instant::now();
        free_at = free_at.max(now) + takes;
        if !has_paused && began.elapsed() > PAUSES_AFTER {
            has_paused = true;
            free_at += PAUSE;
        }
        Answer::After(free_at - now)
    })?;
    let budget = Arc::new(Budget((!load.is_faulty()).then(|| AtomicI64::new(Budget::MOST))));
    load.arrivals(|_| {
        let budget = Arc::clone(&budget);
        let work = Work::begin();
        spawn("quote-freight", async move {
            let ask = || peers::request(partner, "/quote", Some(secs(1)));
            let at_once = FixedInterval::from_millis(1).take(3);
            let quote = RetryIf::start(at_once, ask, |_: &anyhow::Error| budget.spend()).await;
            if quote.is_ok() {
                budget.earn();
            }
            work.end(quote.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn nats_prices(load: Load) -> anyhow::Result<()> {
    const BASKETS_PER_CENT: usize = 8;
    let bus = wire::bus()?;
    let client = async_nats::connect(bus.to_string()).await?;
    let mut asked = client.subscribe("price.*").await?;
    client.flush().await?;
    let (answering, is_faulty, items) = (client.clone(), load.is_faulty(), load.size);
    spawn("serve-prices", async move {
        while let Some(message) = asked.next().await {
            let answered = answer_price(answering.clone(), message, items);
            if is_faulty {
                // What cannot be answered is not: whoever asked has a timeout.
                let _ = answered.await;
            } else {
                spawn("answer-price", answered);
            }
        }
    });
    let mut random = load.random(1);
    load.arrivals(|_| {
        let subject = if random.usize(..100) < BASKETS_PER_CENT { "price.basket" } else { "price.item" };
        let client = client.clone();
        let work = Work::begin();
        spawn("price-lookup", async move {
            let price = client.request(subject, Bytes::from_static(b"7")).await;
            work.end(price.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn answer_price(client: async_nats::Client, message: Message, items: usize) -> anyhow::Result<()> {
    let Some(reply) = message.reply else { return Ok(()) };
    if message.subject.as_str() == "price.basket" {
        for _ in 0..items {
            client.request("price.item", Bytes::from_static(b"7")).await?;
        }
    } else {
        sleep(millis(4)).await;
    }
    Ok(client.publish(reply, Bytes::from_static(b"3.20")).await?)
}
