//! Hubs: a game whose players see each other, gateways to meters, and a proxy that clients greet first.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};
use tokio_modbus::client::{Context, Reader as _, tcp};
use tokio_modbus::{Slave, slave::SlaveContext as _};
use tokio_util::codec::{FramedRead, LinesCodec};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/hubs.rs", text: include_str!("hubs.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "map-entry-held-while-writing",
        crates: "scc, tokio-util",
        fault: "A hub writes to a player with the map's entry held: if that player does not read, all who have news for it wait.",
        issue: "wvwwvwwv/scalable-concurrent-containers#143",
        way: Way::HeldLock,
        rate_of: "moves",
        rate: 24.0,
        size_of: "players",
        size: 48,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["serve-player"],
            libraries: &["scc"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(game(load)),
    },
    Program {
        id: "modbus-gateway-silent",
        crates: "tokio-modbus, axum",
        fault: "Meters behind a gateway share a connection and ask without a timeout: once the gateway has forgotten it, all of them wait.",
        issue: "slowtec/tokio-modbus#113",
        way: Way::HeldLock,
        rate_of: "visitors who want a reading",
        rate: 10.0,
        size_of: "gateways",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["poll-meter"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(meters(load)),
    },
    Program {
        id: "greeting-awaited-in-accept-loop",
        crates: "tokio",
        fault: "A proxy awaits a client's greeting before it accepts the next one: a client that says nothing keeps all others out.",
        issue: "rssh-org/rssh#220",
        way: Way::Unanswered,
        rate_of: "clients",
        rate: 6.0,
        size_of: "clients that stay for an hour",
        size: 40,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["accept-clients", "relay-client"],
            libraries: &[],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(proxy(load)),
    },
];

/// How a player is reached.
enum Link {
    Socket(OwnedWriteHalf),
    Queue(mpsc::Sender<Bytes>),
}

type Players = scc::HashMap<u64, Link>;

/// Sends a state of the world to a player, if there is one.
async fn update(players: &Players, player: u64, state: &Bytes) {
    let Some(mut entry) = players.get_async(&player).await else { return };
    let is_sent = match entry.get_mut() {
        Link::Socket(socket) => socket.write_all(state).await.is_ok(),
        // Repaired, a player whose queue is full is cut off.
        Link::Queue(queue) => queue.try_send(state.clone()).is_ok(),
    };
    if !is_sent {
        let _ = entry.remove();
    }
}

/// Writes what is queued for a player, as long as that player reads.
async fn write_states(mut socket: OwnedWriteHalf, mut states: mpsc::Receiver<Bytes>) -> anyhow::Result<()> {
    while let Some(state) = states.recv().await {
        timeout(secs(5), socket.write_all(&state)).await??;
    }
    Ok(())
}

/// Takes the moves of a player, and tells those who see it.
async fn serve_player(socket: TcpStream, players: Arc<Players>, count: u64, is_faulty: bool) -> anyhow::Result<()> {
    const SEEN_BY: u64 = 6;
    let (reader, writer) = socket.into_split();
    let mut lines = FramedRead::new(reader, LinesCodec::new());
    let Some(Ok(player)) = lines.next().await else { return Ok(()) };
    let player: u64 = player.parse()?;
    let link = if is_faulty {
        Link::Socket(writer)
    } else {
        let (queue, states) = mpsc::channel(32);
        spawn("write-player", write_states(writer, states));
        Link::Queue(queue)
    };
    // What there was is a connection that the player has given up.
    players.upsert_async(player, link).await;
    let state = Bytes::from(vec![b'.'; 1_500]);
    while let Ok(Some(line)) = timeout(secs(30), lines.next()).await {
        if line? == "move" {
            let work = Work::begin();
            for near in 0..SEEN_BY {
                update(&players, (player + near * 7) % count, &state).await;
            }
            work.end(true);
        }
    }
    Ok(())
}

/// Plays until it is time to fall asleep: then it does not read any more.
async fn play(
    hub: SocketAddr,
    player: u64,
    mut random: fastrand::Rng,
    moves: f64,
    awake: Duration,
) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let mut socket = socket.connect(hub).await?;
    socket.write_all(format!("{player}\n").as_bytes()).await?;
    let (began, mut states) = (Instant::now(), vec![0; 4_096]);
    let mut next = Instant::now() + gap(&mut random, moves);
    while began.elapsed() < awake {
        tokio::select! {
            read = socket.read(&mut states) => anyhow::ensure!(read? > 0, "cut off"),
            () = tokio::time::sleep_until(next.into()) => {
                next += if moves < 0.2 { secs(10) } else { gap(&mut random, moves) };
                socket.write_all(if moves < 0.2 { b"ping\n" } else { b"move\n" }).await?;
            }
        }
    }
    Ok(socket)
}

/// Players from outside, a third of whom only watch; every fifteen seconds one falls asleep, and comes back by another way.
fn crowd(load: &Load, hub: SocketAddr) {
    const ASLEEP_AFTER: u64 = 20;
    let load = load.clone();
    outside(move || async move {
        let players = load.size as u64;
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let moves = load.rate / (players - players / 3) as f64;
        for player in 0..players {
            let moves = if player % 3 == 0 { 0.1 } else { moves };
            let (random, falls_asleep) = (load.random(100 + player), player % 9 == 4);
            tokio::spawn(async move {
                let mut awake = if falls_asleep { secs(ASLEEP_AFTER + player / 9 * 15) } else { secs(86_400) };
                let mut gone = Vec::new();
                loop {
                    // Its old connection is not closed.
                    gone.extend(play(hub, player, random.clone(), moves, awake).await.ok());
                    awake = secs(86_400);
                    sleep(secs(6)).await;
                }
            });
        }
        std::future::pending().await
    });
}

async fn game(load: Load) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(4_096)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(128)?;
    crowd(&load, listener.local_addr()?);
    let players = Arc::new(Players::with_capacity(1_024)); // <- map-entry-held-while-writing
    let (count, is_faulty) = (load.size as u64, load.is_faulty());
    spawn("accept-players", async move {
        while let Ok((socket, _)) = listener.accept().await {
            spawn("serve-player", serve_player(socket, Arc::clone(&players), count, is_faulty));
        }
    });
    sidelines::run(&load).await
}

/// A gateway with meters behind it, which are asked one after the other.
struct Gateway {
    address: SocketAddr,
    connection: Mutex<Context>,
    is_faulty: bool,
}

impl Gateway {
    async fn connect(address: SocketAddr, is_faulty: bool) -> anyhow::Result<Arc<Self>> {
        let connection = Mutex::new(tcp::connect(address).await?); // <- modbus-gateway-silent
        Ok(Arc::new(Self { address, connection, is_faulty }))
    }

    async fn read(&self, meter: u8) -> anyhow::Result<u32> {
        const COUNTER: u16 = 100;
        let mut connection = self.connection.lock().await;
        connection.set_slave(Slave(meter));
        let words = if self.is_faulty {
            connection.read_holding_registers(COUNTER, 2).await
        } else {
            let asked = timeout(secs(1), connection.read_holding_registers(COUNTER, 2)).await;
            let Ok(words) = asked else {
                *connection = timeout(secs(1), tcp::connect(self.address)).await??;
                anyhow::bail!("meter {meter} does not answer");
            };
            words
        };
        Ok(words??.into_iter().fold(0, |sum, word| sum << 16 | u32::from(word)))
    }
}

/// Starts a gateway that answers on the connections it knows; it forgets them now and then, if it is one that does.
fn gateway(load: &Load, number: u64) -> anyhow::Result<SocketAddr> {
    const FORGETS_AFTER: Duration = secs(25);
    const FORGETS_EVERY: Duration = secs(20);
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let began = Instant::now();
        let times_forgotten = move || match began.elapsed().checked_sub(FORGETS_AFTER) {
            Some(since) if number == 3 => 1 + since.as_secs() / FORGETS_EVERY.as_secs(),
            _ => 0,
        };
        for client in 0.. {
            let (mut socket, _) = listener.accept().await?;
            let (mut random, known) = (load.random(100 + client), times_forgotten());
            tokio::spawn(async move {
                let mut request = [0_u8; 12];
                while socket.read_exact(&mut request).await.is_ok() {
                    if times_forgotten() > known {
                        socket.read_to_end(&mut Vec::new()).await?;
                        break;
                    }
                    sleep(between(&mut random, millis(20), millis(90))).await;
                    // The number of the request, its protocol, seven bytes, its meter and function, and two registers.
                    let mut answer = [0, 0, 0, 0, 0, 7, request[6], 3, 4, 0, 1, 2, 3];
                    answer[..2].copy_from_slice(&request[..2]);
                    socket.write_all(&answer).await?;
                }
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    Ok(address)
}

async fn meters(load: Load) -> anyhow::Result<()> {
    const METERS: u8 = 8;
    let mut gateways = Vec::new();
    for number in 0..load.size as u64 {
        let gateway = Gateway::connect(gateway(&load, number)?, load.is_faulty()).await?;
        gateways.push(Arc::clone(&gateway));
        for meter in 1..=METERS {
            let (gateway, mut random) = (Arc::clone(&gateway), load.random(10 * number + u64::from(meter)));
            spawn("poll-meter", async move {
                loop {
                    sleep(between(&mut random, millis(1_500), millis(2_500))).await;
                    let work = Work::begin();
                    work.end(gateway.read(meter).await.is_ok());
                }
            });
        }
    }
    let read = async move |Path((gateway, meter)): Path<(usize, u8)>| match gateways.get(gateway) {
        Some(gateway) => gateway.read(meter).await.map_or_else(|error| error.to_string(), |read| read.to_string()),
        None => "unknown".to_owned(),
    };
    let address = sidelines::serve_http(Router::new().route("/meter/{gateway}/{meter}", get(read))).await?;
    let count = load.size;
    sidelines::visitors(&load, address, secs(10), 12, move |random| {
        (format!("/meter/{}/{}", random.usize(..count), random.u8(1..=METERS)), secs(30))
    });
    sidelines::run(&load).await
}

/// Greets a client as SOCKS has it, and returns where it wants to go.
async fn greet(client: &mut TcpStream) -> anyhow::Result<SocketAddr> {
    let mut greeting = [0_u8; 3];
    client.read_exact(&mut greeting).await?;
    anyhow::ensure!(greeting == [5, 1, 0], "a client that speaks something else");
    client.write_all(&[5, 0]).await?;
    let mut wish = [0_u8; 10];
    client.read_exact(&mut wish).await?;
    let [5, 1, 0, 1, a, b, c, d, high, low] = wish else { anyhow::bail!("a wish that is not known") };
    Ok(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
}

/// Connects a client to where it wants to go.
async fn relay(mut client: TcpStream, target: SocketAddr) -> anyhow::Result<()> {
    let mut server = timeout(secs(5), TcpStream::connect(target)).await??;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn accept_clients(listener: TcpListener, is_faulty: bool) -> io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        if is_faulty {
            if let Ok(target) = greet(&mut client).await {
                spawn("relay-client", relay(client, target));
            }
        } else {
            spawn("relay-client", async move {
                let target = timeout(secs(5), greet(&mut client)).await??;
                relay(client, target).await
            });
        }
    }
}

/// Goes through the proxy to a server: for one answer, or to stay.
async fn visit(proxy: SocketAddr, server: SocketAddr, stays: bool) -> anyhow::Result<()> {
    let mut socket = BufReader::new(TcpStream::connect(proxy).await?);
    socket.write_all(&[5, 1, 0]).await?;
    socket.read_exact(&mut [0; 2]).await?;
    let SocketAddr::V4(target) = server else { anyhow::bail!("no server of this kind") };
    let mut wish = [5, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    wish[4..8].copy_from_slice(&target.ip().octets());
    wish[8..].copy_from_slice(&target.port().to_be_bytes());
    socket.write_all(&wish).await?;
    socket.read_exact(&mut [0; 10]).await?;
    if stays {
        sleep(secs(3_600)).await;
    }
    socket.write_all(b"GET /page HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await?;
    let mut line = String::new();
    anyhow::ensure!(socket.read_line(&mut line).await? > 0, "no answer");
    socket.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Clients from outside: some stay, most want one answer, and from a time on a scanner comes that says nothing.
fn clients(load: &Load, proxy: SocketAddr, server: SocketAddr) {
    const SCANNED_AFTER: Duration = secs(20);
    const SCANNED_EVERY: Duration = secs(15);
    let load = load.clone();
    outside(move || async move {
        tokio::spawn(async move {
            sleep(SCANNED_AFTER).await;
            let mut silent = Vec::new();
            loop {
                silent.extend(TcpStream::connect(proxy).await.ok());
                sleep(SCANNED_EVERY).await;
            }
        });
        for _ in 0..load.size {
            tokio::spawn(visit(proxy, server, true));
        }
        sidelines::bursts(&load, secs(10), 10, || {
            let work = Work::begin();
            tokio::spawn(async move {
                let visited = timeout(secs(10), visit(proxy, server, false)).await;
                work.end(matches!(visited, Ok(Ok(()))));
            });
        })
        .await;
        Ok(())
    });
}

async fn proxy(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(2);
    let server = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(400))))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    clients(&load, listener.local_addr()?, server);
    spawn("accept-clients", accept_clients(listener, load.is_faulty()));
    sidelines::run(&load).await
}
