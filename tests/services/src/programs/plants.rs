//! Plants and nodes: controllers that are asked over Modbus, and a node that answers remote calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use futures::{SinkExt as _, StreamExt as _};
use jsonrpsee::RpcModule;
use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::server::{PendingSubscriptionSink, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{interval, sleep, timeout};
use tokio_modbus::Slave;
use tokio_modbus::client::{Context, Reader as _, Writer as _, tcp};
use tokio_tungstenite::tungstenite::Message;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/plants.rs", text: include_str!("plants.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "modbus-controller-restarts",
        crates: "tokio-modbus, axum",
        fault: "A controller restarts and does not answer on its old connection: who has asked waits forever, and keeps the line to it locked.",
        issue: "slowtec/tokio-modbus#113",
        way: Way::HeldLock,
        rate_of: "changes of set points",
        rate: 10.0,
        size_of: "controllers",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["poll-controller"],
            libraries: &["axum", "tokio-modbus"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(controllers(load)),
    },
    Program {
        id: "jsonrpsee-trace-on-worker",
        crates: "jsonrpsee, tokio-tungstenite",
        fault: "A call that traces a block reads the state synchronously, and is registered as a method that does not block.",
        issue: "matter-labs/zksync-os-server#1232",
        way: Way::Blocking,
        rate_of: "calls",
        rate: 15.0,
        size_of: "per cent of the calls that trace a block, after a while",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["jsonrpsee"],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(node(load)),
    },
];

/// Starts a gateway to controllers, of which every eighth is restarted now and then: it does not answer for some seconds, and never on the
/// connections that it had before.
fn gateway(load: &Load) -> anyhow::Result<SocketAddr> {
    const RESTARTS_AFTER: Duration = secs(20);
    const RESTARTS_EVERY: u64 = 25;
    const RESTART: u64 = 6;
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let began = Instant::now();
        let restarts = move || {
            let since = began.elapsed().checked_sub(RESTARTS_AFTER);
            since.is_some_and(|since| since.as_secs() % RESTARTS_EVERY < RESTART)
        };
        for client in 0.. {
            let (mut socket, _) = listener.accept().await?;
            let mut random = load.random(100 + client);
            tokio::spawn(async move {
                loop {
                    // Its number, the protocol, the length of what follows, and the controller that is meant.
                    let mut head = [0_u8; 7];
                    socket.read_exact(&mut head).await?;
                    let [.., high, low, controller] = head;
                    let mut question = vec![0; usize::from(u16::from_be_bytes([high, low])) - 1];
                    socket.read_exact(&mut question).await?;
                    if controller % 8 == 3 && restarts() {
                        socket.read_to_end(&mut Vec::new()).await?;
                        return anyhow::Ok(());
                    }
                    sleep(between(&mut random, millis(5), millis(40))).await;
                    // A write is repeated, and a read answered with that many registers.
                    let answer = match question[..] {
                        [3, _, _, _, count] => [vec![3, 2 * count], vec![0; 2 * usize::from(count)]].concat(),
                        _ => question,
                    };
                    let length = u16::try_from(answer.len() + 1)?.to_be_bytes();
                    socket.write_all(&[&head[..4], &length[..], &[controller][..], &answer[..]].concat()).await?;
                }
            });
        }
        Ok(())
    });
    Ok(address)
}

/// A controller, and the line to it, on which one asks at a time.
struct Controller {
    line: Mutex<Option<Context>>,
    gateway: SocketAddr,
    number: u8,
    is_faulty: bool,
}

impl Controller {
    /// Changes the set point, or reads the measurements.
    async fn ask(&self, set_point: Option<u16>) -> anyhow::Result<()> {
        let mut line = self.line.lock().await;
        let mut connection = match line.take() {
            Some(connection) => connection,
            None => timeout(secs(2), tcp::connect_slave(self.gateway, Slave(self.number))).await??,
        };
        let asked = async {
            match set_point {
                Some(degrees) => connection.write_single_register(40, degrees).await??,
                None => drop(connection.read_holding_registers(0, 8).await??),
            }
            anyhow::Ok(())
        };
        if self.is_faulty {
            asked.await?;
        } else {
            timeout(secs(1), asked).await??;
        }
        // After an error there will be another one.
        *line = Some(connection);
        Ok(())
    }
}

async fn controllers(load: Load) -> anyhow::Result<()> {
    let gateway = gateway(&load)?;
    let mut controllers = Vec::new();
    for number in 0..u8::try_from(load.size)? {
        let line = Mutex::new(None); // <- modbus-controller-restarts
        controllers.push(Arc::new(Controller { line, gateway, number, is_faulty: load.is_faulty() }));
    }
    for controller in &controllers {
        let controller = Arc::clone(controller);
        spawn("poll-controller", async move {
            let mut ticks = interval(millis(500));
            loop {
                ticks.tick().await;
                // It is polled again anyway.
                let _ = controller.ask(None).await;
            }
        });
    }
    let (controllers, count) = (Arc::new(controllers), load.size);
    let change =
        async |State(controllers): State<Arc<Vec<Arc<Controller>>>>, Path(number): Path<usize>| match controllers
            [number]
            .ask(Some(21))
            .await
        {
            Ok(()) => "set".to_owned(),
            Err(error) => error.to_string(),
        };
    let router = Router::new().route("/set-point/{number}", get(change)).with_state(controllers);
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(10), 10, move |random| {
        (format!("/set-point/{}", random.usize(..count)), secs(15))
    });
    sidelines::run(&load).await
}

/// What the calls need: where accounts are, and how many blocks have been traced.
struct Node {
    accounts: SocketAddr,
    traced: AtomicU64,
}

impl Node {
    /// Reads the state before a block from the disk, and what the block changed.
    fn trace(&self) -> u64 {
        let traced = self.traced.fetch_add(1, Ordering::Relaxed);
        thread::sleep(millis(250 + traced * 137 % 650));
        traced
    }
}

/// Tells a subscriber of each new block.
async fn follow_head(pending: PendingSubscriptionSink) -> SubscriptionResult {
    let sink = pending.accept().await?;
    for block in 0_u64.. {
        sleep(secs(2)).await;
        sink.send(serde_json::value::to_raw_value(&block)?).await?;
    }
    Ok(())
}

/// Calls a method without parameters.
async fn call(node: SocketAddr, method: &str) -> anyhow::Result<()> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    let head = "POST / HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-type: application/json";
    let mut socket = TcpStream::connect(node).await?;
    socket.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.contains("result"), "{answer}");
    Ok(())
}

/// Subscribes to new blocks, and reads them for as long as the node sends them.
async fn subscribe(node: SocketAddr) -> anyhow::Result<()> {
    let socket = TcpStream::connect(node).await?;
    let (mut session, _) = tokio_tungstenite::client_async(format!("ws://{node}"), socket).await?;
    session.send(Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe_head"}"#)).await?;
    while let Some(message) = session.next().await {
        message?;
    }
    Ok(())
}

async fn node(load: Load) -> anyhow::Result<()> {
    const TRACES_AFTER: Duration = secs(20);
    const SUBSCRIBERS: usize = 25;
    let mut random = load.random(1);
    let accounts = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(120))))?;
    let mut module = RpcModule::new(Node { accounts, traced: AtomicU64::new(0) });
    module.register_method("node_version", |_, _, _| "1.4.2")?;
    module.register_async_method("account_balance", async |_, node, _| {
        peers::request(node.accounts, "/balance", Some(secs(3))).await.unwrap_or_default()
    })?;
    module.register_subscription("subscribe_head", "head", "unsubscribe_head", async |_, pending, _, _| {
        follow_head(pending).await
    })?;
    if load.is_faulty() {
        module.register_method("trace_block", |_, node, _| node.trace())?;
    } else {
        module.register_blocking_method("trace_block", |_, node, _| node.trace())?;
    }
    let (listener, address) = peers::listener()?;
    let _running = Server::builder().build_from_tcp(listener)?.start(module);
    let (clients, began) = (load.clone(), Instant::now());
    outside(move || async move {
        for _ in 0..SUBSCRIBERS {
            tokio::spawn(subscribe(address));
        }
        let mut random = clients.random(2);
        sidelines::bursts(&clients, secs(10), 10, || {
            let method = match random.usize(..100) {
                share if share < clients.size && began.elapsed() > TRACES_AFTER => "trace_block",
                share if share < 60 => "account_balance",
                _ => "node_version",
            };
            let work = Work::begin();
            tokio::spawn(async move { work.end(matches!(timeout(secs(10), call(address, method)).await, Ok(Ok(())))) });
        })
        .await;
        Ok(())
    });
    sidelines::run(&load).await
}
