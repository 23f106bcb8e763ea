//! Waits that last for minutes because there is nothing to do, or nothing to have.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "full-house",
        about: "An acceptor at its limit: each connection has an owned permit, and all of them stay open and say nothing for minutes.",
        run: full_house,
    },
    Pattern {
        id: "quiet-hour",
        about: "Four workers share one receiver behind a mutex, and after the first jobs nothing comes for minutes.",
        run: quiet_hour,
    },
    Pattern {
        id: "closed-gate",
        about: "Five tasks wait at a semaphore without permits until the service is warm, which takes minutes.",
        run: closed_gate,
    },
];

async fn converse(mut connection: TcpStream, place: OwnedSemaphorePermit) {
    // Reads until the other side hangs up.
    while matches!(connection.read(&mut [0; 64]).await, Ok(read) if read > 0) {}
    drop(place);
}

async fn stay(address: SocketAddr) -> std::io::Result<()> {
    let _silent = TcpStream::connect(address).await?;
    sleep(Duration::from_secs(600)).await;
    Ok(())
}

fn full_house() {
    service::workers(2).block_on(async {
        let free = Arc::new(Semaphore::new(3));
        let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
        let Ok(address) = listener.local_addr() else { return };
        for _client in 0..5 {
            tokio::spawn(stay(address));
        }
        while let Ok(place) = free.clone().acquire_owned().await {
            let Ok((connection, _)) = listener.accept().await else { break };
            tokio::spawn(converse(connection, place));
        }
    });
}

async fn work(jobs: Arc<Mutex<mpsc::Receiver<u64>>>) {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { break };
        sleep(Duration::from_millis(20 + job * 11 % 40)).await;
    }
}

fn quiet_hour() {
    service::workers(2).block_on(async {
        let (sender, jobs) = mpsc::channel(64);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..4 {
            tokio::spawn(work(jobs.clone()));
        }
        for job in 0..12 {
            // All workers live as long as the service.
            let _ = sender.send(job).await;
        }
        sleep(Duration::from_secs(600)).await;
        drop(sender);
    });
}

async fn serve_when_open(gate: Arc<Semaphore>) {
    if let Ok(opened) = gate.acquire().await {
        opened.forget();
        pending::<()>().await;
    }
}

fn closed_gate() {
    service::workers(2).block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        for _ in 0..5 {
            tokio::spawn(serve_when_open(gate.clone()));
        }
        // Warms up its caches.
        sleep(Duration::from_secs(600)).await;
        gate.add_permits(5);
        pending::<()>().await;
    });
}
