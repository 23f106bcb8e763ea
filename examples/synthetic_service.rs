//! A feed without a service behind it: serves the messages of a process of any size, to measure what watching it costs.
//!
//! `cargo run --release --example synthetic_service -- --tasks 100000 --changes 20000`

#[path = "../benches/synthetic/mod.rs"]
mod synthetic;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::TaskDetails;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

use synthetic::{Plan, Process};

/// Serves the feed of a process that does not exist.
#[derive(Debug, Parser)]
struct Args {
    /// Where the feed is served; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6669")]
    bind: SocketAddr,
    /// Tasks that are alive.
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Places at which they are spawned.
    #[arg(long, default_value_t = 50)]
    sites: usize,
    /// Mutexes that they lock.
    #[arg(long, default_value_t = 20)]
    locks: usize,
    /// Tasks, resources and async ops that change in a second, births and deaths included.
    #[arg(long, default_value_t = 3_000)]
    changes: u32,
    /// Tasks that end in a second, each replaced by a new one; a thirtieth of the changes unless given.
    #[arg(long)]
    churn: Option<u32>,
    /// Time between two updates of the feed.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.bind).await?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let usual = Plan::new(args.tasks, per_step(args.changes, args.interval));
    let churn = args.churn.map_or(usual.churn, |churn| per_step(churn, args.interval));
    let plan = Plan { sites: args.sites, locks: args.locks, churn, ..usual };
    let stage = Arc::new(Mutex::new(Stage { process: Process::new(plan), watchers: Vec::new(), states: Vec::new() }));
    let service = InstrumentServer::new(Service(stage.clone()));
    tokio::spawn(publish(stage, args.interval));
    tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of things in memory")]
fn per_step(per_second: u32, interval: Duration) -> usize {
    (f64::from(per_second) * interval.as_secs_f64()).round() as usize
}

/// The process and those who watch it.
struct Stage {
    process: Process,
    watchers: Vec<mpsc::Sender<Result<Update, Status>>>,
    states: Vec<mpsc::Sender<Result<State, Status>>>,
}

/// Lets the process live on, and tells everybody, as each publish tick of a real service does.
async fn publish(stage: Arc<Mutex<Stage>>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
        let update = stage.process.step(interval);
        stage.watchers.retain(|watcher| watcher.try_send(Ok(update.clone())).is_ok());
        stage.states.retain(|watcher| watcher.try_send(Ok(live())).is_ok());
    }
}

fn live() -> State {
    State { temporality: Temporality::Live.into() }
}

struct Service(Arc<Mutex<Stage>>);

#[tonic::async_trait]
impl Instrument for Service {
    type WatchUpdatesStream = ReceiverStream<Result<Update, Status>>;
    type WatchTaskDetailsStream = ReceiverStream<Result<TaskDetails, Status>>;
    type WatchStateStream = ReceiverStream<Result<State, Status>>;

    async fn watch_updates(&self, _: Request<InstrumentRequest>) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // So many messages wait for a reader of console-subscriber too.
        let (sender, receiver) = mpsc::channel(4_096);
        let first = stage.process.state();
        // Nobody may be reading that.
        let _ = writeln!(io::stdout(), "first message of {} bytes", first.encoded_len());
        sender.try_send(Ok(first)).map_err(|_| Status::internal("an empty channel is full"))?;
        stage.watchers.push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn watch_task_details(
        &self,
        _: Request<TaskDetailsRequest>,
    ) -> Result<Response<Self::WatchTaskDetailsStream>, Status> {
        Err(Status::not_found("a synthetic task has no details"))
    }

    async fn watch_state(&self, _: Request<StateRequest>) -> Result<Response<Self::WatchStateStream>, Status> {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, receiver) = mpsc::channel(4_096);
        let begun = sender.try_send(Ok(live()));
        begun.map_err(|_| Status::internal("an empty channel is full"))?;
        stage.states.push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        Err(Status::unimplemented("a synthetic process does not pause"))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Err(Status::unimplemented("a synthetic process does not pause"))
    }
}
