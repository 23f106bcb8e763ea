//! Threads that wait or compute where others need them: the only thread of a runtime, that of a database, and those for blocking jobs.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, give_up, runtime, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/threads.rs", text: include_str!("threads.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "block-on-in-local-task",
        crates: "futures",
        fault: "A task of a local set blocks on an answer that only another task of the same thread can give: the thread stops.",
        issue: "tokio-rs/tokio#2376",
        way: Way::Blocking,
        rate_of: "messages",
        rate: 15.0,
        size_of: "seconds that a token is valid",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking", "stuck"],
            names: &["sign-message"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(local_messages(load)),
    },
    Program {
        id: "argon2-on-current-thread",
        crates: "argon2, hyper",
        fault: "A server with one thread hashes passwords in its handler: each log-in stops every other connection.",
        issue: "vetis-server/vetis#73",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 12.0,
        size_of: "mebibytes that a hash works through",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["auth-connection"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(log_ins(load)),
    },
    Program {
        id: "sqlite-thread-asks-partner",
        crates: "tokio-rusqlite, ureq",
        fault: "A partner is asked on the only thread of the database, which every statement waits for: orders arrive faster than that.",
        issue: "tauri-apps/plugins-workspace#1935",
        way: Way::Backlog,
        rate_of: "orders",
        rate: 15.0,
        size_of: "milliseconds until the partner answers",
        size: 110,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &["save-order"],
            libraries: &["tokio-rusqlite"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(orders(load)),
    },
    Program {
        id: "blocking-pool-full-of-calls",
        crates: "ureq",
        fault: "Calls without a timeout to a partner that leaves some unanswered take all blocking threads; file reads wait too.",
        issue: "neondatabase/neon#3657",
        way: Way::Unanswered,
        rate_of: "events",
        rate: 8.0,
        size_of: "per cent of the calls that get no answer in the end",
        size: 15,
        size_is_capacity: false,
        blocking_threads: Some(16),
        label: Label {
            families: &["queue", "stuck", "blocking"],
            names: &["deliver-event", "read-template"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(events(load)),
    },
];

/// What the tasks of the local set share.
struct Signer {
    tokens: mpsc::Sender<oneshot::Sender<Instant>>,
    valid_until: std::cell::Cell<Instant>,
}

impl Signer {
    async fn token(&self) -> anyhow::Result<()> {
        let (reply, token) = oneshot::channel();
        self.tokens.send(reply).await?;
        self.valid_until.set(token.await?);
        Ok(())
    }

    fn has_expired(&self) -> bool {
        Instant::now() > self.valid_until.get()
    }
}

async fn local_messages(load: Load) -> anyhow::Result<()> {
    let valid = secs(u64::try_from(load.size)?);
    let mut random = load.random(1);
    let issuer = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(60))))?;
    let local = LocalSet::new();
    local.run_until(local_set(load, valid, issuer)).await
}

async fn local_set(load: Load, valid: Duration, issuer: std::net::SocketAddr) -> anyhow::Result<()> {
    let (tokens, mut asked) = mpsc::channel::<oneshot::Sender<Instant>>(8);
    tokio::task::Builder::new().name("renew-token").spawn_local(async move {
        while let Some(reply) = asked.recv().await {
            let _ = peers::request(issuer, "/token", Some(secs(2))).await;
            let _ = reply.send(Instant::now() + valid);
        }
    })?;
    let signer = Rc::new(Signer { tokens, valid_until: std::cell::Cell::new(Instant::now() + valid) });
    let mut random = load.random(2);
    load.arrivals(|_| {
        let (signer, is_faulty) = (Rc::clone(&signer), load.is_faulty());
        let length = between(&mut random, millis(2), millis(30));
        let work = Work::begin();
        let signing = async move {
            sleep(length).await;
            let signed = match signer.has_expired() {
                // As a callback would that is not async.
                true if is_faulty => futures::executor::block_on(signer.token()),
                true => signer.token().await,
                false => Ok(()),
            };
            work.end(signed.is_ok());
        };
        if let Err(error) = tokio::task::Builder::new().name("sign-message").spawn_local(signing) {
            give_up(&error);
        }
    })
    .await;
    Ok(())
}

/// Hashes a password.
fn hash(mebibytes: u32) -> anyhow::Result<[u8; 32]> {
    let parameters = Params::new(mebibytes * 1_024, 2, 1, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut hash = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon2
        .hash_password_into(b"correct horse", b"0123456789abcdef", &mut hash)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(hash)
}

async fn handle(
    request: Request<Incoming>,
    mebibytes: u32,
    is_faulty: bool,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_log_in = request.uri().path() == "/log-in";
    let answer = match is_log_in {
        true if is_faulty => hash(mebibytes).is_ok(),
        true => matches!(tokio::task::spawn_blocking(move || hash(mebibytes)).await, Ok(Ok(_))),
        false => true,
    };
    let mut response = Response::new(Full::from("ok"));
    if !answer {
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

async fn log_ins(load: Load) -> anyhow::Result<()> {
    let (listener, address) = peers::listener()?;
    let (mebibytes, is_faulty) = (u32::try_from(load.size)?, load.is_faulty());
    spawn_thread("auth", move || {
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (socket, _) = listener.accept().await?;
                let service = service_fn(move |request| handle(request, mebibytes, is_faulty));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                spawn("auth-connection", connection);
            }
            #[expect(unreachable_code, reason = "it says what the block returns")]
            anyhow::Ok(())
        };
        if let Err(error) = runtime(&mut tokio::runtime::Builder::new_current_thread()).block_on(serve) {
            give_up(&error);
        }
    });
    // One of three requests is a log-in.
    peers::ask_for(load, address, &["/log-in", "/profile", "/profile"]);
    std::future::pending().await
}

/// An HTTP client for threads that may block.
fn blocking_client(patience: Option<Duration>) -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(patience).build().into()
}

async fn orders(load: Load) -> anyhow::Result<()> {
    let takes = millis(u64::try_from(load.size)?);
    let mut random = load.random(1);
    let audit = peers::partner(move || Answer::After(between(&mut random, takes * 3 / 4, takes)))?;
    let database = tokio_rusqlite::Connection::open_in_memory().await?;
    database
        .call(|database| Ok(database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item INTEGER)", [])?))
        .await?;
    let client = blocking_client(Some(secs(2)));
    load.arrivals(|number| {
        let (database, client, is_faulty) = (database.clone(), client.clone(), load.is_faulty());
        let work = Work::begin();
        spawn("save-order", async move {
            if !is_faulty && peers::request(audit, "/order", Some(secs(2))).await.is_err() {
                return work.end(false);
            }
            let saved = database.call(move |database| {
                if is_faulty {
                    let audited = client.get(format!("http://{audit}/order")).call();
                    audited.map_err(|error| tokio_rusqlite::Error::Other(error.into()))?;
                }
                Ok(database.execute("INSERT INTO orders (item) VALUES (?1)", [number % 500])?)
            });
            let saved = saved.await;
            work.end(saved.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn events(load: Load) -> anyhow::Result<()> {
    const ANSWERS_FOR: Duration = secs(25);
    let (began, silent, mut random) = (Instant::now(), load.size, load.random(1));
    let partner = peers::partner(move || match began.elapsed() > ANSWERS_FOR && random.usize(..100) < silent {
        true => Answer::Never,
        false => Answer::After(between(&mut random, millis(20), millis(80))),
    })?;
    let template: Arc<std::path::Path> =
        std::env::current_exe()?.parent().map(|folder| folder.join("services.d")).unwrap_or_default().into();
    let mut pages = load.clone();
    pages.rate = 12.0;
    spawn("serve-pages", async move {
        pages
            .arrivals(|_| {
                let template = Arc::clone(&template);
                let work = Work::begin();
                spawn("read-template", async move {
                    // Whether there is one does not matter here.
                    let _ = tokio::fs::read(template).await;
                    work.end(true);
                });
            })
            .await;
    });
    let client = blocking_client((!load.is_faulty()).then_some(secs(1)));
    load.arrivals(|number| {
        let client = client.clone();
        let work = Work::begin();
        spawn("deliver-event", async move {
            let call = move || client.get(format!("http://{partner}/event/{number}")).call().is_ok();
            let delivered = tokio::task::spawn_blocking(call).await; // <- blocking-pool-full-of-calls
            work.end(matches!(delivered, Ok(true)));
        });
    })
    .await;
    Ok(())
}
