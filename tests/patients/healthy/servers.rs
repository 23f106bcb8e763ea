//! Servers: listeners, connections that rest, requests that stay, and whoever waits for the end.

use std::future::pending;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern { id: "idle-accept-loop", about: "A listener to which nobody connects.", run: idle_accept_loop },
    Pattern {
        id: "quiet-connections",
        about: "120 connections arrive over 15 seconds, stay open and say nothing.",
        run: quiet_connections,
    },
    Pattern {
        id: "long-download",
        about: "One download and one event stream among short requests of the same place.",
        run: long_download,
    },
    Pattern {
        id: "shutdown-waiters",
        about: "Tasks wait for the end of the service on a oneshot, a Notify, a watch and Ctrl-C.",
        run: shutdown_waiters,
    },
    Pattern {
        id: "actors",
        about: "Actors with a mailbox each, who also listen for a oneshot that ends them.",
        run: actors,
    },
];

const LOCALHOST: &str = "127.0.0.1:0";

async fn serve_connection(mut connection: TcpStream) {
    let mut buffer = [0; 256];
    while let Ok(read) = connection.read(&mut buffer).await {
        if read == 0 || connection.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(serve_connection(connection));
    }
}

fn idle_accept_loop() {
    service::workers(2).block_on(async {
        match TcpListener::bind(LOCALHOST).await {
            Ok(listener) => accept(listener).await,
            Err(error) => service::complain(&error),
        }
    });
}

/// Clients that connect one by one and then only hold their connection.
async fn connect_and_rest(listener: TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener));
    let mut connections = Vec::new();
    let mut due = interval(Duration::from_millis(125));
    for _ in 0..120 {
        due.tick().await;
        connections.push(TcpStream::connect(address).await?);
    }
    pending::<()>().await;
    drop(connections);
    Ok(())
}

fn quiet_connections() {
    service::workers(2).block_on(async {
        let rested = match TcpListener::bind(LOCALHOST).await {
            Ok(listener) => connect_and_rest(listener).await,
            Err(error) => Err(error),
        };
        if let Err(error) = rested {
            service::complain(&error);
        }
    });
}

async fn serve_request(number: u64, published: Arc<Notify>) {
    match number {
        10 => {
            let mut chunk_sent = interval(Duration::from_millis(200));
            loop {
                chunk_sent.tick().await;
            }
        }
        20 => published.notified().await,
        _ => sleep(Duration::from_millis(20 + number * 37 % 60)).await,
    }
}

fn long_download() {
    service::workers(2).block_on(async {
        let published = Arc::new(Notify::new());
        let mut arrival = interval(Duration::from_millis(100));
        for number in 0.. {
            arrival.tick().await;
            tokio::spawn(serve_request(number, published.clone()));
        }
    });
}

async fn flush_at_end(end: oneshot::Receiver<()>) {
    // An end that can no longer come needs no flush either.
    let _ = end.await;
}

async fn close_at_end(end: Arc<Notify>) {
    end.notified().await;
}

async fn watch_for_end(mut ending: watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}

async fn leave_on_signal() {
    if tokio::signal::ctrl_c().await.is_ok() {
        process::exit(0);
    }
}

fn shutdown_waiters() {
    service::workers(2).block_on(async {
        let (flush, end) = oneshot::channel();
        let (announce, ending) = watch::channel(false);
        let closing = Arc::new(Notify::new());
        tokio::spawn(flush_at_end(end));
        tokio::spawn(close_at_end(closing.clone()));
        tokio::spawn(watch_for_end(ending));
        tokio::spawn(leave_on_signal());
        pending::<()>().await;
        drop((flush, announce, closing));
    });
}

async fn act(mut mailbox: mpsc::Receiver<oneshot::Sender<u64>>, mut stop: oneshot::Receiver<()>) {
    for state in 0.. {
        tokio::select! {
            _ = &mut stop => break,
            letter = mailbox.recv() => match letter {
                // Who no longer waits for the answer does not get it.
                Some(reply) => drop(reply.send(state)),
                None => break,
            },
        }
    }
}

fn actors() {
    service::workers(2).block_on(async {
        let mut troupe = Vec::new();
        for _ in 0..6 {
            let (address, mailbox) = mpsc::channel(32);
            let (stop, stopped) = oneshot::channel();
            tokio::spawn(act(mailbox, stopped));
            troupe.push((address, stop));
        }
        let mut due = interval(Duration::from_millis(150));
        // The last two never get a letter.
        for (address, _) in troupe[..4].iter().cycle() {
            due.tick().await;
            let (reply, answer) = oneshot::channel();
            if address.send(reply).await.is_ok() {
                let _ = answer.await;
            }
        }
    });
}
