//! The server: a bounded number of connections, each with limits of size and time, that ends with the run.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::desk::Desk;
use super::routes;
use crate::config::Listen;

/// Most connections at a time. Others wait until one has ended.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, counted from the end of the request before.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may last, so that nobody who reads or writes slowly keeps it.
const LIFE: Duration = Duration::from_secs(120);
/// How long what is being answered may take at the end of a connection.
const GRACE: Duration = Duration::from_millis(250);
/// Largest head of a request in bytes, and most headers in it.
const BUFFER: usize = 16 * 1024;
const HEADERS: usize = 64;
/// How long to wait when a connection cannot be accepted, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_over: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens, and answers at the desk that is returned with it.
    ///
    /// # Errors
    /// A sentence that says why nothing can be served there.
    pub async fn start(listen: Listen) -> Result<(Self, Desk), String> {
        let cannot = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "something else listens there; choose another port, or 0 for any that is free"
                }
                io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                io::ErrorKind::PermissionDenied => "it is not allowed; ports below 1024 need a privilege",
                _ => return format!("Cannot listen on {}: {error}.", listen.0),
            };
            format!("Cannot listen on {}: {hint}.", listen.0)
        };
        let listener = TcpListener::bind(listen.0).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (desk, asker) = Desk::open();
        let (is_over, ends) = watch::channel(false);
        let task = tokio::spawn(serve(listener, routes::router(asker, address), ends));
        Ok((Self { address, is_over, task }, desk))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: what is being answered gets a moment.
    pub async fn stop(self) {
        self.is_over.send_replace(true);
        let mut task = self.task;
        if timeout(2 * GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn serve(listener: TcpListener, router: Router, mut ends: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = over(&mut ends) => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, router.clone(), ends.clone()));
                }
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers the requests of one connection. What goes wrong with it is its client's to see.
async fn answer(stream: TcpStream, router: Router, mut ends: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER).max_headers(HEADERS);
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = over(&mut ends) => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// Resolves when the server ends.
async fn over(ends: &mut watch::Receiver<bool>) {
    // Without a sender nobody could end it any more.
    let _ = ends.wait_for(|is_over| *is_over).await;
}
