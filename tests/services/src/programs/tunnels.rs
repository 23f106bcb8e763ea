//! Tunnels: the requests of a site that share one connection, and a replica that fetches projects from its seed over QUIC.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use parking_lot::Mutex;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/tunnels.rs", text: include_str!("tunnels.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "limit-stops-the-tunnel",
        crates: "yamux, tokio-util",
        fault: "A tunnel with as many open requests as it may have is not driven until one ends; but the rest of them comes through it.",
        issue: "libp2p/rust-libp2p#2861",
        way: Way::Unanswered,
        rate_of: "requests of all sites",
        rate: 15.0,
        size_of: "open requests that a tunnel may have",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["yamux"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(tunnels(load)),
    },
    Program {
        id: "quic-streams-kept-for-later",
        crates: "quinn",
        fault: "A replica keeps the stream of each project for the next fetch: once it has as many as its seed allows, none can be opened.",
        issue: "radicle-dev/radicle-link#602",
        way: Way::Permits,
        rate_of: "fetches",
        rate: 14.0,
        size_of: "streams that the seed allows",
        size: 64,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &[],
            libraries: &["quinn"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(replica(load)),
    },
];

type Tunnel = yamux::Connection<Compat<TcpStream>>;

/// Reads a request, which may come in pieces, and answers it when it is its turn.
async fn answer(mut stream: yamux::Stream, turns: Arc<Semaphore>, length: Duration) -> anyhow::Result<()> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut order = vec![0; usize::try_from(u32::from_be_bytes(head))?];
    stream.read_exact(&mut order).await?;
    let _turn = turns.acquire().await?;
    sleep(length).await;
    stream.write_all(b"booked").await?;
    stream.close().await?;
    Ok(())
}

/// Answers what comes through the tunnel of a site, but no more than `most` requests at a time.
async fn serve_tunnel(
    socket: TcpStream,
    most: usize,
    mut random: fastrand::Rng,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let mut tunnel = Tunnel::new(socket.compat(), yamux::Config::default(), yamux::Mode::Server);
    let mut requests = futures::stream::poll_fn(|cx| tunnel.poll_next_inbound(cx));
    let (mut open, turns) = (JoinSet::new(), Arc::new(Semaphore::new(most)));
    loop {
        tokio::select! {
            request = requests.next(), if !is_faulty || open.len() < most => {
                let Some(request) = request else { return Ok(()) };
                let length = between(&mut random, millis(30), millis(150));
                open.spawn(answer(request?, Arc::clone(&turns), length)); // <- limit-stops-the-tunnel
            }
            Some(ended) = open.join_next() => {
                // A request that is broken off does not concern the others.
                let _ = ended?;
            }
        }
    }
}

/// Drives the tunnel of a site, and opens a stream for each who wants one.
async fn drive(mut tunnel: Tunnel, mut wanted: mpsc::Receiver<oneshot::Sender<yamux::Stream>>) {
    let mut next = None;
    poll_fn(|cx| {
        loop {
            if next.is_none()
                && let Poll::Ready(wanted) = wanted.poll_recv(cx)
            {
                next = wanted;
            }
            if next.is_some()
                && let Poll::Ready(opened) = tunnel.poll_new_outbound(cx)
            {
                let Ok(stream) = opened else { return Poll::Ready(()) };
                // Who wanted it may have lost patience.
                let _ = next.take().map(|wanted| wanted.send(stream));
                continue;
            }
            match tunnel.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Sends the head of an order, the order itself when it is written down, and waits for the answer.
async fn order(tunnel: mpsc::Sender<oneshot::Sender<yamux::Stream>>, pause: Duration) -> anyhow::Result<()> {
    const ORDER: [u8; 600] = [7; 600];
    let (open, opened) = oneshot::channel();
    tunnel.send(open).await?;
    let mut stream = opened.await?;
    stream.write_all(&u32::try_from(ORDER.len())?.to_be_bytes()).await?;
    sleep(pause).await;
    stream.write_all(&ORDER).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    stream.close().await?;
    anyhow::ensure!(answer == b"booked", "no answer");
    Ok(())
}

/// Sites from outside, each with a tunnel of its own.
async fn sites(load: Load, address: SocketAddr) -> anyhow::Result<()> {
    const SITES: usize = 3;
    let mut tunnels = Vec::new();
    for _ in 0..SITES {
        let socket = TcpStream::connect(address).await?.compat();
        let (open, wanted) = mpsc::channel(64);
        tokio::spawn(drive(Tunnel::new(socket, yamux::Config::default(), yamux::Mode::Client), wanted));
        tunnels.push(open);
    }
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(12), 75, || {
        let tunnel = tunnels[random.usize(..SITES)].clone();
        let pause = between(&mut random, millis(50), millis(1_200));
        let work = Work::begin();
        tokio::spawn(async move {
            let ordered = timeout(secs(10), order(tunnel, pause)).await;
            work.end(matches!(ordered, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}

async fn tunnels(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, clients) = (listener.local_addr()?, load.clone());
    outside(move || sites(clients, address));
    let (mut random, most, is_faulty) = (load.random(2), load.size, load.is_faulty());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve_tunnel(socket, most, random.fork(), is_faulty)); // <- limit-stops-the-tunnel
        }
    });
    sidelines::run(&load).await
}

/// Starts a seed that takes requests over QUIC, any number of them on a stream, and tells its news on a stream of its own.
fn seed(load: &Load) -> anyhow::Result<(SocketAddr, ClientConfig)> {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(u32::try_from(load.size)?.into());
    let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    server.transport_config(Arc::new(transport));
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate)?;
    let client = ClientConfig::with_root_certificates(Arc::new(trusted))?;
    let (socket, mut random) = (std::net::UdpSocket::bind("127.0.0.1:0")?, load.random(1));
    let address = socket.local_addr()?;
    outside(move || async move {
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(quinn::EndpointConfig::default(), Some(server), socket, runtime)?;
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await?;
            let mut news = connection.open_uni().await?;
            tokio::spawn(async move {
                while news.write_all(b"nothing").await.is_ok() {
                    sleep(secs(6)).await;
                }
            });
            while let Ok((mut objects, mut asked)) = connection.accept_bi().await {
                let mut random = random.fork();
                tokio::spawn(async move {
                    while asked.read_exact(&mut [0; 8]).await.is_ok() {
                        sleep(between(&mut random, millis(30), millis(350))).await;
                        objects.write_all(&[7; 256]).await?;
                    }
                    anyhow::Ok(objects.finish()?)
                });
            }
        }
        Ok(())
    });
    Ok((address, client))
}

/// What a replica has of its seed: the connection, and streams by project.
struct Replica {
    seed: Connection,
    kept: Mutex<HashMap<u64, (SendStream, RecvStream)>>,
    is_faulty: bool,
}

impl Replica {
    async fn fetch(&self, project: u64) -> anyhow::Result<()> {
        let kept = self.kept.lock().remove(&project);
        let (mut ask, mut objects) = match kept {
            Some(stream) => stream,
            None => self.seed.open_bi().await?,
        };
        ask.write_all(&project.to_be_bytes()).await?;
        objects.read_exact(&mut [0; 256]).await?;
        if self.is_faulty {
            self.kept.lock().insert(project, (ask, objects));
        } else {
            ask.finish()?;
            objects.read_to_end(0).await?;
        }
        Ok(())
    }

    /// Reads the news of the seed for as long as the connection lasts.
    async fn follow(self: Arc<Self>) -> anyhow::Result<()> {
        let mut news = self.seed.accept_uni().await?;
        while news.read_chunk(1_024, true).await?.is_some() {}
        Ok(())
    }
}

async fn replica(load: Load) -> anyhow::Result<()> {
    const POPULAR: u64 = 20;
    let (address, config) = seed(&load)?;
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(config);
    let seed = endpoint.connect(address, "localhost")?.await?;
    let replica = Arc::new(Replica { seed, kept: Mutex::default(), is_faulty: load.is_faulty() });
    tokio::spawn(Arc::clone(&replica).follow());
    let mut random = load.random(2);
    sidelines::bursts(&load, secs(15), 20, || {
        let project = if random.f64() < 0.7 { random.u64(..POPULAR) } else { random.u64(POPULAR..5_000) };
        let replica = Arc::clone(&replica);
        let work = Work::begin();
        tokio::spawn(async move { work.end(replica.fetch(project).await.is_ok()) }); // <- quic-streams-kept-for-later
    })
    .await;
    Ok(())
}
