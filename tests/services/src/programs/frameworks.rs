//! Servers of actix-web, warp and tarpc whose handlers wait where others need them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use futures::StreamExt;
use parking_lot::Mutex;
use tarpc::server::Channel as _;
use tarpc::{client, context};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::Filter as _;
use warp::sse::Event;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers;
use crate::service::{Load, Work, between, gap, give_up, outside, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/frameworks.rs", text: include_str!("frameworks.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "actix-query-on-worker",
        crates: "actix-web",
        fault: "A handler asks a synchronous database on its worker, where every other connection of that worker waits.",
        issue: "fairingrey/actix-realworld-example-app#18",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 16.0,
        size_of: "milliseconds of a query",
        size: 80,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["actix"],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(actix_queries(load)),
    },
    Program {
        id: "sse-hub-waits-for-slow-client",
        crates: "warp",
        fault: "A hub sends to its clients in turn and waits for each: one that does not read any more stops all others.",
        issue: "gnacho/netpulse#200",
        way: Way::Unanswered,
        rate_of: "scores",
        rate: 20.0,
        size_of: "seconds until a client stops to read",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["score-hub", "collect-score"],
            libraries: &["warp", "hyper"],
            severity: Severity::Warning,
            within: 50,
        },
        source: SOURCE,
        run: |load| Box::pin(scores(load)),
    },
    Program {
        id: "tarpc-one-request-at-a-time",
        crates: "tarpc",
        fault: "A server runs its requests one after the other; more come than it can do, and all run into their deadline.",
        issue: "google/tarpc#292",
        way: Way::Timeouts,
        rate_of: "quotes",
        rate: 18.0,
        size_of: "milliseconds of a quote",
        size: 80,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &["quote-basket", "pricing-server"],
            libraries: &["tarpc"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(quotes(load)),
    },
];

/// What a handler of actix-web knows.
#[derive(Clone, Copy)]
struct Database {
    query: Duration,
    is_faulty: bool,
}

async fn report(database: web::Data<Database>) -> HttpResponse {
    let Database { query, is_faulty } = **database;
    let ask = move || std::thread::sleep(query);
    if is_faulty {
        ask();
    } else if web::block(ask).await.is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().body("report")
}

async fn actix_queries(load: Load) -> anyhow::Result<()> {
    let (listener, address) = peers::listener()?;
    let database = Database { query: millis(u64::try_from(load.size)?), is_faulty: load.is_faulty() };
    spawn_thread("actix", move || {
        let served = actix_web::rt::System::new().block_on(async move {
            let app = move || App::new().app_data(web::Data::new(database)).route("/report", web::get().to(report));
            HttpServer::new(app).workers(2).disable_signals().listen(listener)?.run().await
        });
        if let Err(error) = served {
            give_up(&error);
        }
    });
    peers::ask_for(load, address, &["/report"]);
    std::future::pending().await
}

/// The clients of a hub.
type Clients = Arc<Mutex<Vec<mpsc::Sender<Arc<str>>>>>;

async fn scores(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = Clients::default();
    let joined = Arc::clone(&clients);
    let route = warp::path("scores").map(move || {
        let (sender, scores) = mpsc::channel(16); // <- sse-hub-waits-for-slow-client
        joined.lock().push(sender);
        let events =
            ReceiverStream::new(scores).map(|score: Arc<str>| Ok::<_, Infallible>(Event::default().data(&*score)));
        warp::sse::reply(warp::sse::keep_alive().stream(events))
    });
    spawn("serve-scores", warp::serve(route).incoming(listener).run());
    let stops_after = secs(u64::try_from(load.size)?);
    outside(move || async move {
        for client in 0..6 {
            tokio::spawn(follow_scores(address, (client == 0).then_some(stops_after)));
        }
        std::future::pending().await
    });
    let (score, mut collected) = mpsc::channel::<Arc<str>>(64); // <- sse-hub-waits-for-slow-client
    let is_faulty = load.is_faulty();
    spawn("score-hub", async move {
        while let Some(score) = collected.recv().await {
            let all = clients.lock().clone();
            for client in all {
                if is_faulty {
                    // It may have left.
                    let _ = client.send(Arc::clone(&score)).await;
                } else if client.try_send(Arc::clone(&score)).is_err() {
                    // Who cannot follow has to come again.
                    clients.lock().retain(|other| !other.same_channel(&client));
                }
            }
        }
    });
    let page: Arc<str> = "7 : 5 ".repeat(5_000).into();
    load.arrivals(|_| {
        let (score, page) = (score.clone(), Arc::clone(&page));
        let work = Work::begin();
        spawn("collect-score", async move {
            tokio::time::sleep(millis(5)).await;
            work.end(score.send(page).await.is_ok());
        });
    })
    .await;
    Ok(())
}

/// Reads what the hub sends; one client stops to do so, but stays connected.
async fn follow_scores(address: std::net::SocketAddr, stops_after: Option<Duration>) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1_024)?;
    let mut socket = socket.connect(address).await?;
    socket.write_all(b"GET /scores HTTP/1.1\r\nhost: scores\r\n\r\n").await?;
    let read = async {
        let mut page = vec![0; 64 * 1_024];
        while socket.read(&mut page).await? > 0 {}
        anyhow::Ok(())
    };
    match stops_after {
        None => read.await,
        Some(patience) => {
            let _ = tokio::time::timeout(patience, read).await;
            std::future::pending().await
        }
    }
}

/// Says what a basket costs.
#[tarpc::service]
trait Pricing {
    /// Takes a while.
    async fn quote(milliseconds: u64) -> u64;
}

#[derive(Clone)]
struct Prices;

impl Pricing for Prices {
    async fn quote(self, _: context::Context, milliseconds: u64) -> u64 {
        tokio::time::sleep(millis(milliseconds)).await;
        milliseconds * 3
    }
}

async fn quotes(load: Load) -> anyhow::Result<()> {
    let (to_server, to_client) = tarpc::transport::channel::unbounded();
    let server = tarpc::server::BaseChannel::with_defaults(to_client).execute(Prices.serve());
    if load.is_faulty() {
        spawn("pricing-server", server.for_each(|request| request));
    } else {
        spawn("pricing-server", server.for_each_concurrent(32, |request| request));
    }
    let pricing = PricingClient::new(client::Config::default(), to_server).spawn();
    let (mut random, longest) = (load.random(1), millis(u64::try_from(load.size)?));
    let mut gaps = load.random(2);
    load.arrivals(|_| {
        let pricing = pricing.clone();
        let length = between(&mut random, longest / 2, longest * 3 / 2);
        let before = gap(&mut gaps, 200.0);
        let work = Work::begin();
        spawn("quote-basket", async move {
            tokio::time::sleep(before).await;
            let mut context = context::current();
            context.deadline = std::time::Instant::now() + secs(3);
            let quote = pricing.quote(context, u64::try_from(length.as_millis()).unwrap_or(1)).await;
            work.end(quote.is_ok());
        });
    })
    .await;
    Ok(())
}
