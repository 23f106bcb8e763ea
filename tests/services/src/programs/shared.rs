//! Connections, names and settings that many share, and one use of which stops the others.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::{interval, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/shared.rs", text: include_str!("shared.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "h2-unread-body",
        crates: "h2",
        fault: "Answers that nobody reads fill the window of their HTTP/2 connection; no other answer on it comes any more.",
        issue: "hyperium/hyper#2899",
        way: Way::Unanswered,
        rate_of: "pictures",
        rate: 20.0,
        size_of: "pictures until a reader of an album leaves",
        size: 120,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["read-picture", "export-album", "storage-connection"],
            libraries: &["h2-"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(pictures(load)),
    },
    Program {
        id: "client-per-request-resolves-names",
        crates: "hyper-util",
        fault: "Each request has an HTTP client of its own and so resolves its partner's name again, on the few threads for blocking jobs.",
        issue: "hyperium/hyper#3838",
        way: Way::Backlog,
        rate_of: "requests",
        rate: 16.0,
        size_of: "milliseconds that a name takes",
        size: 350,
        size_is_capacity: false,
        blocking_threads: Some(4),
        label: Label {
            families: &["queue", "contention", "stuck"],
            names: &["check-credit"],
            libraries: &["hyper-util"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(credit(load)),
    },
    Program {
        id: "watch-borrow-across-await",
        crates: "tokio",
        fault: "A local task keeps what it borrowed from a watch channel during a request; who sends blocks its worker meanwhile.",
        issue: "fedimint/fedimint#9085",
        way: Way::Blocking,
        rate_of: "previews",
        rate: 6.0,
        size_of: "milliseconds of a request",
        size: 120,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["publish-settings", "read-settings"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(previews(load)),
    },
];

type Storage = h2::client::SendRequest<Bytes>;

/// A storage that answers each path with as many kilobytes as it names.
fn storage() -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await?;
                while let Some(request) = connection.accept().await {
                    let (request, mut respond) = request?;
                    let kilobytes: usize = request.uri().path().trim_start_matches('/').parse()?;
                    let mut body = respond.send_response(http::Response::new(()), false)?;
                    body.send_data(vec![7; kilobytes * 1_024].into(), true)?;
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(address)
}

/// Asks for so many kilobytes, and reads them with a pause after each piece.
async fn read(storage: Storage, kilobytes: usize, pause: Duration) -> anyhow::Result<()> {
    let request = Request::get(format!("http://storage/{kilobytes}")).body(())?;
    let (answer, _) = storage.ready().await?.send_request(request, true)?;
    let mut body = answer.await?.into_body();
    while let Some(piece) = body.data().await {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        body.flow_control().release_capacity(piece?.len())?;
    }
    Ok(())
}

async fn pictures(load: Load) -> anyhow::Result<()> {
    let socket = TcpStream::connect(storage()?).await?;
    let mut builder = h2::client::Builder::new();
    if !load.is_faulty() {
        // Many readers may be slow before the others notice.
        builder.initial_connection_window_size(8 * 1_024 * 1_024);
    }
    let (storage, connection) = builder.handshake::<_, Bytes>(socket).await?;
    spawn("storage-connection", connection);
    let until_one_leaves = u64::try_from(load.size)?;
    let mut random = load.random(1);
    load.arrivals(|number| {
        let (album, is_faulty) = (storage.clone(), load.is_faulty());
        let stays = number % until_one_leaves != until_one_leaves - 1;
        // Who does not read at all is given up, or not.
        let pause = if stays { between(&mut random, millis(20), millis(90)) } else { secs(86_400) };
        if number % 15 == 14 {
            spawn("export-album", async move {
                let export = read(album, 300, pause);
                if is_faulty { export.await } else { timeout(secs(12), export).await? }
            });
        }
        let (picture, kilobytes) = (storage.clone(), random.usize(2..12));
        let work = Work::begin();
        spawn("read-picture", async move {
            let picture = read(picture, kilobytes, Duration::ZERO).await;
            work.end(picture.is_ok());
        });
    })
    .await;
    Ok(())
}

type Resolving = futures::future::BoxFuture<'static, Result<std::iter::Once<SocketAddr>, std::io::Error>>;
type Http = Client<HttpConnector<Resolver>, Empty<Bytes>>;

/// Resolves every name to one address, as slowly as `getaddrinfo` with a bad name server.
#[derive(Clone)]
struct Resolver {
    address: SocketAddr,
    takes: Duration,
}

impl tower::Service<Name> for Resolver {
    type Response = std::iter::Once<SocketAddr>;
    type Error = std::io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Resolving {
        let Self { address, takes } = self.clone();
        let look_up = move || {
            std::thread::sleep(takes);
            std::iter::once(address)
        };
        let resolved = spawn_blocking(look_up); // <- client-per-request-resolves-names
        Box::pin(async move { Ok(resolved.await?) })
    }
}

impl Resolver {
    fn client(&self) -> Http {
        Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(self.clone()))
    }
}

async fn credit(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let agency = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(150))))?;
    let resolver = Resolver { address: agency, takes: millis(u64::try_from(load.size)?) };
    let shared = resolver.client();
    load.arrivals(|number| {
        let client = if load.is_faulty() { resolver.client() } else { shared.clone() };
        if number % 12 == 0 {
            // The threads have other work as well.
            spawn_blocking(|| std::thread::sleep(millis(120)));
        }
        let work = Work::begin();
        spawn("check-credit", async move {
            let uri = http::Uri::from_static("http://agency.example/credit");
            let answer = client.get(uri).await;
            let body = match answer {
                Ok(answer) => answer.into_body().collect().await.is_ok(),
                Err(_) => false,
            };
            work.end(body);
        });
    })
    .await;
    Ok(())
}

/// What previews are rendered with.
#[derive(Clone)]
struct Settings {
    version: u64,
}

async fn previews(load: Load) -> anyhow::Result<()> {
    let longest = millis(u64::try_from(load.size)?);
    let mut random = load.random(1);
    let fonts = peers::partner(move || Answer::After(between(&mut random, longest / 2, longest)))?;
    let (settings, current) = watch::channel(Settings { version: 1 });
    spawn("publish-settings", async move {
        let mut changes = interval(secs(2));
        loop {
            changes.tick().await;
            settings.send_modify(|settings| settings.version += 1);
        }
    });
    let mut gaps = load.random(2);
    let read = current.clone();
    spawn("read-settings", async move {
        let mut versions = 0_u64;
        loop {
            tokio::time::sleep(gap(&mut gaps, 25.0)).await;
            versions = versions.wrapping_add(read.borrow().version);
        }
    });
    let local = LocalSet::new();
    local
        .run_until(load.arrivals(|_| {
            let (current, is_faulty) = (current.clone(), load.is_faulty());
            let work = Work::begin();
            let preview = async move {
                let rendered = if is_faulty {
                    let settings = current.borrow();
                    render(&settings, fonts).await
                } else {
                    let settings = current.borrow().clone();
                    render(&settings, fonts).await
                };
                work.end(rendered.is_ok());
            };
            spawn_local(preview); // <- watch-borrow-across-await
        }))
        .await;
    Ok(())
}

async fn render(settings: &Settings, fonts: SocketAddr) -> anyhow::Result<usize> {
    Ok(peers::request(fonts, "/fonts", Some(secs(5))).await? + usize::try_from(settings.version % 2)?)
}
