//! Programs without a fault, although some look as if they had one.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc};
use tokio::time::{interval, sleep};

use super::{Program, workers};

pub(super) const PROGRAMS: &[Program] = &[
    Program { name: "idle-service", finding: "", severity: "", also: "", seconds: 30, run: idle_service },
    Program { name: "moving-pipeline", finding: "", severity: "", also: "", seconds: 30, run: moving_pipeline },
    Program { name: "limited-requests", finding: "", severity: "", also: "", seconds: 30, run: limited_requests },
    Program { name: "kept-connections", finding: "", severity: "", also: "", seconds: 30, run: kept_connections },
];

async fn tick(period: Duration) {
    let mut due = interval(period);
    loop {
        due.tick().await;
    }
}

async fn echo(mut connection: TcpStream) {
    let mut buffer = [0; 64];
    while let Ok(read @ 1..) = connection.read(&mut buffer).await {
        if connection.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(echo(connection));
    }
}

async fn listen() -> TcpListener {
    match TcpListener::bind("127.0.0.1:0").await {
        Ok(listener) => listener,
        Err(error) => panic!("nothing can be listened on: {error}"),
    }
}

/// Timers of several lengths, and a listener to which nobody connects.
fn idle_service() {
    workers(2).block_on(async {
        for millis in [90, 700, 5_000, 90_000] {
            tokio::spawn(tick(Duration::from_millis(millis)));
        }
        accept(listen().await).await;
    });
}

async fn read_lines(lines: mpsc::Sender<u64>) {
    for line in 0.. {
        if lines.send(line).await.is_err() {
            break;
        }
    }
}

async fn parse(mut lines: mpsc::Receiver<u64>, parsed: mpsc::Sender<u64>) {
    while let Some(line) = lines.recv().await {
        sleep(Duration::from_millis(55)).await;
        if parsed.send(line / 2).await.is_err() {
            break;
        }
    }
}

/// Two channels of which the first is always full, and yet moves.
fn moving_pipeline() {
    workers(2).block_on(async {
        let (sender, lines) = mpsc::channel(10);
        let (parsed, mut results) = mpsc::channel(10);
        tokio::spawn(read_lines(sender));
        tokio::spawn(parse(lines, parsed));
        while results.recv().await.is_some() {}
    });
}

struct Limits {
    queries: Semaphore,
    cache: RwLock<u64>,
    log: Mutex<u64>,
}

async fn serve(limits: Arc<Limits>, request: u64) {
    let Ok(_query) = limits.queries.acquire().await else { return };
    let cached = *limits.cache.read().await;
    sleep(Duration::from_millis(10 + (cached + request * 23) % 50)).await;
    if request.is_multiple_of(20) {
        *limits.cache.write().await = request;
    }
    *limits.log.lock().await += 1;
}

/// A task a request, three of which query at a time: in bursts some wait, for a moment.
fn limited_requests() {
    workers(2).block_on(async {
        let limits = Limits { queries: Semaphore::new(3), cache: RwLock::new(0), log: Mutex::new(0) };
        let limits = Arc::new(limits);
        let mut due = interval(Duration::from_millis(900));
        for burst in 0.. {
            due.tick().await;
            for request in 0..5 {
                tokio::spawn(serve(limits.clone(), burst * 5 + request));
            }
        }
    });
}

async fn keep_alive(mut connection: TcpStream, pause: Duration) {
    let mut answer = [0; 4];
    loop {
        sleep(pause).await;
        if connection.write_all(b"ping").await.is_err() || connection.read_exact(&mut answer).await.is_err() {
            break;
        }
    }
}

/// Thirty connections that stay: some speak every second, most say nothing.
fn kept_connections() {
    workers(2).block_on(async {
        let listener = listen().await;
        let Ok(address) = listener.local_addr() else { return };
        tokio::spawn(accept(listener));
        let mut silent = Vec::new();
        for number in 0..30 {
            sleep(Duration::from_millis(150)).await;
            match TcpStream::connect(address).await {
                Ok(connection) if number % 3 == 0 => {
                    let pause = Duration::from_millis(900 + number * 20);
                    tokio::spawn(keep_alive(connection, pause));
                }
                Ok(connection) => silent.push(connection),
                Err(error) => panic!("the program cannot connect to itself: {error}"),
            }
        }
        pending::<()>().await;
        drop(silent);
    });
}
