//! Ordinary healthy work for a runtime: a server with a task per request, a pipeline, and a pool of workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{interval, sleep};

/// Starts the work, which ends with the runtime.
pub(super) fn start(runtime: &Runtime) {
    runtime.spawn(listen());
    runtime.spawn(transform_records());
    runtime.spawn(share_jobs());
}

async fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 64];
    connection.read_exact(&mut request).await?;
    // Asks a database.
    sleep(Duration::from_millis(5 + u64::from(request[0] % 20))).await;
    connection.write_all(&request).await
}

async fn visit(address: std::net::SocketAddr, first: u8) -> std::io::Result<()> {
    let mut due = interval(Duration::from_millis(100));
    let mut visit = first;
    loop {
        due.tick().await;
        visit = visit.wrapping_mul(31).wrapping_add(7);
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(&[visit; 64]).await?;
        connection.read_exact(&mut [0; 64]).await?;
    }
}

async fn listen() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    for first in 0..4 {
        tokio::spawn(visit(listener.local_addr()?, first));
    }
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(answer(connection));
    }
}

async fn parse(mut lines: mpsc::Receiver<u64>, records: mpsc::Sender<u64>) {
    while let Some(line) = lines.recv().await {
        sleep(Duration::from_millis(4)).await;
        if records.send(line * 3).await.is_err() {
            break;
        }
    }
}

async fn store(mut records: mpsc::Receiver<u64>) {
    while records.recv().await.is_some() {
        sleep(Duration::from_millis(6)).await;
    }
}

/// Reads as fast as the slowest stage lets it.
async fn transform_records() {
    let (sender, lines) = mpsc::channel(16);
    let (parsed, records) = mpsc::channel(8);
    tokio::spawn(parse(lines, parsed));
    tokio::spawn(store(records));
    for line in 0.. {
        if sender.send(line).await.is_err() {
            break;
        }
    }
}

struct Job {
    size: u64,
    done: oneshot::Sender<u64>,
}

async fn work(jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { break };
        sleep(Duration::from_millis(10 + job.size % 30)).await;
        // Whoever asked may have gone.
        let _ = job.done.send(job.size);
    }
}

async fn share_jobs() {
    let (sender, jobs) = mpsc::channel(32);
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..3 {
        tokio::spawn(work(jobs.clone()));
    }
    let mut due = interval(Duration::from_millis(50));
    for size in 0.. {
        due.tick().await;
        let (done, result) = oneshot::channel();
        if sender.send(Job { size, done }).await.is_err() || result.await.is_err() {
            break;
        }
    }
}
