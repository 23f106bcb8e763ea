//! The other side of services that speak MQTT, PostgreSQL or NATS: as much of the protocols as their clients need, outside of what the
//! feed tells.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::peers::listener;
use crate::service::outside;

/// How many messages the other side sends at once, and how long it waits before.
pub(crate) type Bursts = Box<dyn FnMut() -> (Duration, usize) + Send>;

/// Starts an MQTT broker for one client, and returns its address: it takes every message, and sends commands in bursts.
pub(crate) fn mqtt_broker(mut bursts: Bursts) -> anyhow::Result<SocketAddr> {
    let (listener, address) = listener()?;
    outside(move || async move {
        let (socket, _) = TcpListener::from_std(listener)?.accept().await?;
        let (reader, writer) = socket.into_split();
        let writer = Arc::new(Mutex::new(writer));
        tokio::spawn(answer_packets(reader, Arc::clone(&writer)));
        loop {
            let (pause, count) = bursts();
            tokio::time::sleep(pause).await;
            // A message of quality 0 to the topic `cmd`.
            let burst = [0x30, 8, 0, 3, b'c', b'm', b'd', b'r', b'u', b'n'].repeat(count);
            writer.lock().await.write_all(&burst).await?;
        }
    });
    Ok(address)
}

async fn answer_packets(mut reader: OwnedReadHalf, writer: Arc<Mutex<OwnedWriteHalf>>) -> anyhow::Result<()> {
    loop {
        let kind = reader.read_u8().await?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = reader.read_u8().await?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        let answer: &[u8] = match kind >> 4 {
            1 => &[0x20, 2, 0, 0],
            8 => &[0x90, 3, body[0], body[1], 0],
            12 => &[0xd0, 0],
            _ => continue,
        };
        writer.lock().await.write_all(answer).await?;
    }
}

/// Starts a database that speaks the protocol of PostgreSQL as far as simple queries need it, and returns its address: it answers each
/// query after a time, and notifies those that listen in bursts.
pub(crate) fn database(
    answer_after: Duration,
    bursts: impl Fn() -> Bursts + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let (listener, address) = listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(answer_queries(socket, answer_after, bursts()));
        }
    });
    Ok(address)
}

async fn answer_queries(mut socket: TcpStream, answer_after: Duration, bursts: Bursts) -> anyhow::Result<()> {
    let length = socket.read_u32().await?;
    let mut startup = vec![0; usize::try_from(length)? - 4];
    socket.read_exact(&mut startup).await?;
    // Who comes is let in, and may ask.
    socket.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?;
    let (mut reader, writer) = socket.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let mut bursts = Some(bursts);
    loop {
        let kind = reader.read_u8().await?;
        let length = reader.read_u32().await?;
        let mut body = vec![0; usize::try_from(length)? - 4];
        reader.read_exact(&mut body).await?;
        if kind != b'Q' {
            return Ok(());
        }
        if let Some(bursts) = bursts.take_if(|_| body.starts_with(b"LISTEN")) {
            tokio::spawn(notify(Arc::clone(&writer), bursts));
        }
        tokio::time::sleep(answer_after).await;
        writer.lock().await.write_all(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I").await?;
    }
}

async fn notify(writer: Arc<Mutex<OwnedWriteHalf>>, mut bursts: Bursts) -> anyhow::Result<()> {
    loop {
        let (pause, count) = bursts();
        tokio::time::sleep(pause).await;
        let burst = b"A\0\0\0\x14\0\0\0\x07articles\x0042\0".repeat(count);
        writer.lock().await.write_all(&burst).await?;
    }
}

/// Starts a message bus that speaks the protocol of NATS as far as publishing, subscriptions and requests of one client need it, and
/// returns its address.
pub(crate) fn bus() -> anyhow::Result<SocketAddr> {
    let (listener, address) = listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(route_messages(socket));
        }
    });
    Ok(address)
}

/// Hands what a client publishes to its own subscriptions.
async fn route_messages(socket: TcpStream) -> anyhow::Result<()> {
    let mut socket = BufReader::new(socket);
    socket
        .write_all(b"INFO {\"server_id\":\"bus\",\"version\":\"2.10.0\",\"max_payload\":1048576,\"proto\":1}\r\n")
        .await?;
    // Subjects and numbers of subscriptions.
    let mut subscriptions: Vec<(String, String)> = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["PING"] => socket.write_all(b"PONG\r\n").await?,
            ["SUB", subject, .., number] => subscriptions.push((subject.to_owned(), number.to_owned())),
            ["UNSUB", number] => subscriptions.retain(|(_, known)| known != number),
            ["PUB", subject, ref reply @ .., length] => {
                let mut payload = vec![0; length.parse::<usize>()? + 2];
                socket.read_exact(&mut payload).await?;
                for (_, number) in subscriptions.iter().filter(|(wanted, _)| is_subject(wanted, subject)) {
                    let head: Vec<&str> =
                        ["MSG", subject, number].into_iter().chain(reply.iter().copied()).chain([length]).collect();
                    socket.write_all(head.join(" ").as_bytes()).await?;
                    socket.write_all(b"\r\n").await?;
                    socket.write_all(&payload).await?;
                }
            }
            _ => {}
        }
    }
}

/// Whether a subject is one of those that are wanted, where `*` at the end stands for any word.
fn is_subject(wanted: &str, subject: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => subject.strip_prefix(start).is_some_and(|rest| !rest.contains('.')),
        None => wanted == subject,
    }
}
