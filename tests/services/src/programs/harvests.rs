//! Harvests: stocks that are moved under a lock in Redis, and payments that wait for the block they are in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use deadpool_redis::redis::cmd;
use deadpool_redis::{Config, Pool, Runtime};
use parking_lot::Mutex as SyncMutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/harvests.rs", text: include_str!("harvests.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "lock-in-redis-never-expires",
        crates: "deadpool-redis, axum",
        fault: "A lock is set in Redis and gets its expiry with a second command: who is timed out in between leaves it locked for good.",
        issue: "kent8192/reinhardt-web#736",
        way: Way::Stragglers,
        rate_of: "stocks to move",
        rate: 12.0,
        size_of: "SETs in a thousand that Redis answers late",
        size: 15,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(stocks(load)),
    },
    Program {
        id: "payment-waits-for-a-skipped-block",
        crates: "tokio, axum",
        fault: "A payment waits until the newest block is exactly its own; when two come between two polls, the first is never the newest.",
        issue: "alloy-rs/alloy#4181",
        way: Way::Stragglers,
        rate_of: "payments",
        rate: 10.0,
        size_of: "seconds until blocks come faster",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(payments(load)),
    },
];

/// What is stored in Redis, and until when.
type Keys = SyncMutex<HashMap<String, (String, Option<Instant>)>>;

/// Carries out a command, and returns its answer.
fn carry_out(keys: &Keys, words: &[&str]) -> String {
    let mut keys = keys.lock();
    keys.retain(|_, (_, until)| until.is_none_or(|until| until > Instant::now()));
    let after = |length: &str| length.parse().ok().map(|length| Instant::now() + millis(length));
    match *words {
        ["SET", key, ..] if keys.contains_key(key) => "$-1\r\n".to_owned(),
        ["SET", key, value, ref options @ ..] => {
            let until = if let [.., "PX", length] = *options { after(length) } else { None };
            keys.insert(key.to_owned(), (value.to_owned(), until));
            "+OK\r\n".to_owned()
        }
        ["PEXPIRE", key, length] => {
            if let Some((_, until)) = keys.get_mut(key) {
                *until = after(length);
            }
            ":1\r\n".to_owned()
        }
        // The only script deletes a key that has still this value.
        ["EVAL", _, _, key, value] => {
            let is_deleted = keys.get(key).is_some_and(|(stored, _)| stored == value) && keys.remove(key).is_some();
            format!(":{}\r\n", u8::from(is_deleted))
        }
        ["PING", word] => format!("${}\r\n{word}\r\n", word.len()),
        _ => "+OK\r\n".to_owned(),
    }
}

/// Starts a Redis that answers some commands late, though it has carried them out.
fn redis(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let keys = Arc::new(Keys::default());
        for connection in 0.. {
            let (socket, _) = listener.accept().await?;
            let (keys, mut random, late) = (Arc::clone(&keys), load.random(200 + connection), load.size);
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                while let Some(words) = peers::read_command(&mut socket).await? {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    let answer = carry_out(&keys, &words);
                    let is_late = words[0] == "SET" && random.usize(..1_000) < late;
                    let (least, most) = if is_late { (millis(300), millis(900)) } else { (millis(1), millis(10)) };
                    sleep(between(&mut random, least, most)).await;
                    socket.write_all(answer.as_bytes()).await?;
                }
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    Ok(address)
}

/// Stocks, each of which one job at a time may move, on whatever machine it runs.
struct Stocks {
    redis: Pool,
    depot: SocketAddr,
    last_owner: AtomicU64,
    is_faulty: bool,
}

impl Stocks {
    /// Tries to lock a stock for a while; Redis has to answer soon.
    async fn try_lock(&self, stock: &str, owner: u64) -> anyhow::Result<bool> {
        const LEASE: u64 = 4_000;
        const PATIENCE: Duration = millis(200);
        let mut connection = self.redis.get().await?;
        let attempt = async {
            let mut set = cmd("SET");
            set.arg(stock).arg(owner).arg("NX");
            if !self.is_faulty {
                set.arg("PX").arg(LEASE);
            }
            let is_ours = set.query_async::<Option<String>>(&mut connection).await?.is_some();
            if is_ours && self.is_faulty {
                cmd("PEXPIRE").arg(stock).arg(LEASE).query_async::<()>(&mut connection).await?;
            }
            anyhow::Ok(is_ours)
        };
        timeout(PATIENCE, attempt).await? // <- lock-in-redis-never-expires
    }

    async fn unlock(&self, stock: &str, owner: u64) -> anyhow::Result<()> {
        let mut connection = self.redis.get().await?;
        let script = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
        Ok(cmd("EVAL").arg(script).arg(1).arg(stock).arg(owner).query_async(&mut connection).await?)
    }

    /// Moves a stock as soon as nobody else does.
    async fn move_on(self: Arc<Self>, number: u64) {
        let (work, stock) = (Work::begin(), format!("stock:{number}"));
        let owner = self.last_owner.fetch_add(1, Ordering::Relaxed);
        let mut random = fastrand::Rng::with_seed(owner);
        while !self.try_lock(&stock, owner).await.unwrap_or(false) {
            sleep(between(&mut random, millis(400), millis(900))).await; // <- lock-in-redis-never-expires
        }
        let moved = peers::request(self.depot, &format!("/move/{number}"), Some(secs(3))).await;
        // What cannot be unlocked expires.
        let _ = self.unlock(&stock, owner).await;
        work.end(moved.is_ok());
    }
}

async fn stocks(load: Load) -> anyhow::Result<()> {
    const STOCKS: u64 = 60;
    const CONNECTIONS: usize = 32;
    let redis = Config::from_url(format!("redis://{}/", redis(&load)?));
    let redis = redis.builder()?.max_size(CONNECTIONS).runtime(Runtime::Tokio1).build()?;
    let mut random = load.random(1);
    let depot = peers::partner(move || Answer::After(between(&mut random, millis(80), millis(900))))?;
    let stocks = Arc::new(Stocks { redis, depot, last_owner: AtomicU64::default(), is_faulty: load.is_faulty() });
    let take = async move |Path(number): Path<u64>| {
        tokio::spawn(Arc::clone(&stocks).move_on(number)); // <- lock-in-redis-never-expires
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/move/{number}", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |random| (format!("/move/{}", random.u64(..STOCKS)), secs(5)));
    sidelines::run(&load).await
}

/// Starts a ledger that closes a block every 800 ms, and every 250 ms when it is busy.
fn ledger(busy_after: Duration) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let (head, began) = (Arc::new(AtomicU64::new(1_000)), Instant::now());
        let closed = Arc::clone(&head);
        tokio::spawn(async move {
            loop {
                let busy_for = began.elapsed().checked_sub(busy_after);
                let is_busy = busy_for.is_some_and(|length| length.as_secs() % 16 < 8);
                sleep(if is_busy { millis(250) } else { millis(800) }).await;
                closed.fetch_add(1, Ordering::Relaxed);
            }
        });
        loop {
            let (socket, _) = listener.accept().await?;
            let head = Arc::clone(&head);
            tokio::spawn(async move {
                let (mut socket, mut question) = (BufReader::new(socket), String::new());
                socket.read_line(&mut question).await?;
                sleep(millis(15)).await;
                // What is handed in now is in the next block.
                let height = head.load(Ordering::Relaxed) + u64::from(question.trim() == "submit");
                socket.write_all(format!("{height}\n").as_bytes()).await
            });
        }
    });
    Ok(address)
}

/// Asks the ledger for the height of its newest block, or of the one that a payment will be in.
async fn ask(ledger: SocketAddr, question: &[u8]) -> anyhow::Result<u64> {
    timeout(secs(2), async {
        let (mut socket, mut answer) = (BufReader::new(TcpStream::connect(ledger).await?), String::new());
        socket.write_all(question).await?;
        socket.read_line(&mut answer).await?;
        Ok(answer.trim().parse()?)
    })
    .await?
}

/// Asks for the newest block again and again.
async fn follow(ledger: SocketAddr, head: watch::Sender<u64>) {
    let mut ticks = interval(millis(600));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(height) = ask(ledger, b"head\n").await {
            head.send_replace(height);
        }
    }
}

/// Hands in a payment, waits until enough blocks stand on it, and sends the receipt.
async fn pay(ledger: SocketAddr, shop: SocketAddr, mut head: watch::Receiver<u64>, blocks: u64, is_faulty: bool) {
    let work = Work::begin();
    let Ok(block) = ask(ledger, b"submit\n").await else { return work.end(false) };
    let wanted = block + blocks;
    let is_there = move |&height: &u64| if is_faulty { height == wanted } else { height >= wanted };
    let is_confirmed = head.wait_for(is_there).await.is_ok(); // <- payment-waits-for-a-skipped-block
    let sent = peers::request(shop, &format!("/receipt/{block}"), Some(secs(3))).await;
    work.end(is_confirmed && sent.is_ok());
}

async fn payments(load: Load) -> anyhow::Result<()> {
    const LARGE: u64 = 900;
    let ledger = ledger(secs(load.size as u64))?;
    let mut random = load.random(1);
    let shop = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(500))))?;
    let (follower, head) = watch::channel(0); // <- payment-waits-for-a-skipped-block
    tokio::spawn(follow(ledger, follower));
    let is_faulty = load.is_faulty();
    let take = async move |Path(amount): Path<u64>| {
        // A large one is safe when more blocks stand on it.
        let blocks = if amount > LARGE { 12 } else { 0 };
        tokio::spawn(pay(ledger, shop, head.clone(), blocks, is_faulty)); // <- payment-waits-for-a-skipped-block
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/pay/{amount}", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |random| (format!("/pay/{}", random.u64(1..1_000)), secs(5)));
    sidelines::run(&load).await
}
