//! The other side of the services: a partner's HTTP server, an HTTP client and a key-value server, all of them outside of what the feed tells.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::service::{Load, Work, outside};

/// What a partner does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// It answers after this time.
    After(Duration),
    /// It keeps the connection and says nothing.
    Never,
}

/// A listener on a free port, bound before anything runs so that nobody comes too early.
pub(crate) fn listener() -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Starts a partner that answers each HTTP request as `decide` says, and returns its address.
pub(crate) fn partner(mut decide: impl FnMut() -> Answer + Send + 'static) -> anyhow::Result<SocketAddr> {
    let (listener, address) = listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let (ask, mut asked) = mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<Answer>>();
        tokio::spawn(async move {
            while let Some(reply) = asked.recv().await {
                let _ = reply.send(decide());
            }
        });
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(answer_requests(socket, ask.clone()));
        }
    });
    Ok(address)
}

/// Answers the requests of one connection, which have no bodies, in their order.
async fn answer_requests(
    socket: TcpStream,
    ask: mpsc::UnboundedSender<tokio::sync::oneshot::Sender<Answer>>,
) -> anyhow::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    let mut is_last = false;
    loop {
        line.clear();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        is_last |= line.trim_end() == "connection: close";
        if !line.trim_end().is_empty() {
            continue;
        }
        let (reply, decided) = tokio::sync::oneshot::channel();
        ask.send(reply)?;
        match decided.await? {
            Answer::After(delay) => tokio::time::sleep(delay).await,
            // Until the client has had enough.
            Answer::Never => {
                let mut rest = Vec::new();
                socket.read_to_end(&mut rest).await?;
                return Ok(());
            }
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        if is_last {
            return Ok(());
        }
    }
}

/// Sends one HTTP request on a connection of its own, and reads what comes until the other side closes or `patience` ends.
pub(crate) async fn request(address: SocketAddr, path: &str, patience: Option<Duration>) -> anyhow::Result<usize> {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        Ok(socket.read_to_end(&mut answer).await?)
    };
    match patience {
        Some(patience) => tokio::time::timeout(patience, exchange).await?,
        None => exchange.await,
    }
}

/// Clients that request one of these paths at random, at the rate of the load.
pub(crate) fn ask_for(load: Load, address: SocketAddr, paths: &'static [&'static str]) {
    outside(move || async move {
        let mut random = load.random(1);
        load.arrivals(|_| {
            let path = paths[random.usize(..paths.len())];
            let work = Work::begin();
            tokio::spawn(async move {
                let answer = request(address, path, Some(Duration::from_secs(10))).await;
                work.end(answer.is_ok_and(|length| length > 0));
            });
        })
        .await;
        Ok(())
    });
}

/// Starts a key-value server that speaks the protocol of Redis as far as needed here, and returns its address: GET answers at once,
/// XREAD with BLOCK only when somebody adds to that stream, which nobody does.
pub(crate) fn key_value_server() -> anyhow::Result<SocketAddr> {
    let (listener, address) = listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(answer_commands(socket));
        }
    });
    Ok(address)
}

/// Answers the commands of one connection in their order, as Redis does: behind a command that blocks, nothing is answered.
async fn answer_commands(socket: TcpStream) -> anyhow::Result<()> {
    let values: HashMap<&str, &str> = [("PING", "+PONG\r\n"), ("GET", "$5\r\nvalue\r\n"), ("INCR", ":1\r\n")].into();
    let mut socket = BufReader::new(socket);
    while let Some(command) = read_command(&mut socket).await? {
        let verb = command.first().map(|verb| verb.to_uppercase()).unwrap_or_default();
        if verb == "XREAD" || verb == "BLPOP" {
            std::future::pending::<()>().await;
        }
        let answer = values.get(verb.as_str()).copied().unwrap_or("+OK\r\n");
        socket.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Reads one command: the number of its words, and each word with its length before it.
pub(crate) async fn read_command(socket: &mut BufReader<TcpStream>) -> anyhow::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if socket.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let count: usize = line.trim().trim_start_matches('*').parse().context("no command")?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        line.clear();
        socket.read_line(&mut line).await?;
        let length: usize = line.trim().trim_start_matches('$').parse().context("no length")?;
        let mut word = vec![0; length + 2];
        socket.read_exact(&mut word).await?;
        words.push(String::from_utf8_lossy(&word[..length]).into_owned());
    }
    Ok(Some(words))
}
