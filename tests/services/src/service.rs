//! What every service shares: how it is started, the feed in front of its runtime, its load, and an end together with its parent.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use console_subscriber::{ConsoleLayer, ServerParts};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::prelude::*;

use crate::programs::Program;

/// Workers of a service's runtime.
const WORKERS: usize = 2;

/// Which of the two twins runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// The program with its fault.
    Faulty,
    /// The same program under the same load, repaired.
    Healthy,
}

impl Variant {
    /// The word for it on the command line and in names of files.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Faulty => "faulty",
            Self::Healthy => "healthy",
        }
    }
}

/// What serves a service's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subscriber {
    /// `console-subscriber`.
    Console,
    /// `tokio-canary-subscriber`, as its `init` installs it.
    Canary,
}

impl Subscriber {
    /// The word for it on the command line and in names of files.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Canary => "canary",
        }
    }

    /// The crate.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Console => "console-subscriber",
            Self::Canary => "tokio-canary-subscriber",
        }
    }
}

/// How a feed is served.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Feed {
    /// Seconds for which the feed keeps what has ended; without other orders, subscribers keep it for an hour.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) retention: u64,
    /// Milliseconds between two updates.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    pub(crate) publish_interval: u64,
}

impl Feed {
    fn retention(self) -> Duration {
        Duration::from_secs(self.retention)
    }

    fn publish_interval(self) -> Duration {
        Duration::from_millis(self.publish_interval)
    }
}

/// What a service is started with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Which twin runs.
    #[arg(long, value_enum, default_value = "faulty")]
    pub(crate) variant: Variant,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Load a second; each program has its own default.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Size of what the program is about; `list` says what that is.
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// What serves the feed.
    #[arg(long, value_enum, default_value = "console")]
    pub(crate) subscriber: Subscriber,
    /// How it is served.
    #[command(flatten)]
    pub(crate) feed: Feed,
    /// Where the console feed is served; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6669")]
    pub(crate) bind: SocketAddr,
    /// Stop when standard input ends, as it does when the parent process is gone.
    #[arg(long)]
    pub(crate) die_with_parent: bool,
    /// Print how many units of work ended well, ended in an error and were begun, every five seconds.
    #[arg(long)]
    pub(crate) count: bool,
}

/// What a program is told about the work it has.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Which twin runs.
    pub(crate) variant: Variant,
    /// Arrivals a second.
    pub(crate) rate: f64,
    /// Size of what the program is about.
    pub(crate) size: usize,
    seed: u64,
}

impl Load {
    /// Whether the fault is in.
    pub(crate) fn is_faulty(&self) -> bool {
        self.variant == Variant::Faulty
    }

    /// A source of random numbers that depends on the seed and on what it is for.
    pub(crate) fn random(&self, purpose: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
    }

    /// Calls `arrive` with the number of each arrival, at random times and for ever.
    pub(crate) async fn arrivals(&self, mut arrive: impl FnMut(u64)) {
        let mut random = self.random(0xa441);
        for number in 0.. {
            tokio::time::sleep(gap(&mut random, self.rate)).await;
            arrive(number);
        }
    }
}

/// The time to the next arrival of a Poisson process.
pub(crate) fn gap(random: &mut fastrand::Rng, rate: f64) -> Duration {
    let share = 1.0 - random.f64();
    Duration::from_secs_f64((-share.ln() / rate).min(60.0))
}

/// A random time between two.
pub(crate) fn between(random: &mut fastrand::Rng, least: Duration, most: Duration) -> Duration {
    least + most.saturating_sub(least).mul_f64(random.f64())
}

static BEGUN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Counts a unit of work that begins now, so that one can see that work goes on, or does not.
#[derive(Debug)]
pub(crate) struct Work;

impl Work {
    /// It begins.
    pub(crate) fn begin() -> Self {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// It ended, well or not.
    pub(crate) fn end(self, went_well: bool) {
        if went_well { &DONE } else { &FAILED }.fetch_add(1, Ordering::Relaxed);
    }
}

/// Spawns a task with a name, at the line that calls this.
#[track_caller]
pub(crate) fn spawn<T: Send + 'static>(name: &str, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    match tokio::task::Builder::new().name(name).spawn(future) {
        Ok(handle) => handle,
        Err(error) => give_up(&error),
    }
}

/// Runs a future on a thread and a runtime of its own, of which the feed tells nothing, as of another process.
///
/// It must meet the service through sockets only: a waker that is woken here is not counted.
pub(crate) fn outside<F: Future<Output = anyhow::Result<()>>>(body: impl FnOnce() -> F + Send + 'static) {
    spawn_thread("outside", move || {
        let _unobserved = tracing::subscriber::set_default(NoSubscriber::default());
        let outcome = runtime(&mut Builder::new_current_thread()).block_on(body());
        if let Err(error) = outcome {
            give_up(&error);
        }
    });
}

/// Serves the feed, says where, and runs a program until the process ends.
pub(crate) fn run(program: &Program, options: &Options) -> anyhow::Result<()> {
    if options.die_with_parent {
        spawn_thread("parent-watch", exit_at_end_of_input);
    }
    if options.count {
        spawn_thread("counter", count);
    }
    let address = serve_feed(options.subscriber, options.feed, options.bind)?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let load = Load {
        variant: options.variant,
        rate: options.rate.unwrap_or(program.rate),
        size: options.size.unwrap_or(program.size),
        seed: options.seed,
    };
    anyhow::ensure!(load.rate > 0.0 && load.size > 0, "a rate and a size must be above 0");
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS);
    if let Some(most) = program.blocking_threads {
        builder.max_blocking_threads(most);
    }
    runtime(&mut builder).block_on((program.run)(load))
}

/// What a program returns: it runs until it fails.
pub(crate) type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// A runtime with these settings.
pub(crate) fn runtime(builder: &mut Builder) -> Runtime {
    match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => give_up(&error),
    }
}

/// Says on standard error why a service cannot go on, and ends it.
pub(crate) fn give_up(error: &dyn std::fmt::Display) -> ! {
    // Nobody is left to tell when standard error is closed as well.
    let _ = writeln!(io::stderr(), "error: {error:#}");
    process::exit(4)
}

/// Starts a thread.
pub(crate) fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(body) {
        give_up(&error);
    }
}

/// Does what `ConsoleLayer::builder().spawn()` does, on a listener that is bound here, because the builder cannot tell which port 0 became.
fn serve_feed(subscriber: Subscriber, feed: Feed, bind: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(bind)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let serve = match subscriber {
        Subscriber::Console => install_console(feed)?,
        Subscriber::Canary => install_canary(feed)?,
    };
    spawn_thread("console-feed", move || {
        // The feed must not describe itself: neither its own runtime nor its connections.
        let _unobserved = tracing::subscriber::set_default(NoSubscriber::default());
        if let Err(error) = serve(listener) {
            give_up(&error);
        }
    });
    Ok(address)
}

/// Serves the clients of a listener until that fails.
type Serve = Box<dyn FnOnce(TcpListener) -> anyhow::Result<()> + Send>;

fn install_console(feed: Feed) -> anyhow::Result<Serve> {
    let (layer, server) =
        ConsoleLayer::builder().retention(feed.retention()).publish_interval(feed.publish_interval()).build();
    let wanted = FilterFn::new(|metadata| {
        ["tokio", "runtime"].iter().any(|start| metadata.target().starts_with(start))
            || metadata.name().starts_with("runtime")
    });
    tracing_subscriber::registry().with(layer.with_filter(wanted)).try_init()?;
    let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
    Ok(Box::new(|listener| answer(listener, aggregator.run(), Server::builder().add_service(instrument_server))))
}

fn install_canary(feed: Feed) -> anyhow::Result<Serve> {
    let builder = tokio_canary_subscriber::ConsoleLayer::builder()
        .retention(feed.retention())
        .publish_interval(feed.publish_interval());
    let (subscriber, server) = builder.build_around(tracing_subscriber::registry());
    subscriber.try_init()?;
    let tokio_canary_subscriber::ServerParts { instrument_service, publisher, .. } = server.into_parts();
    Ok(Box::new(|listener| answer(listener, publisher, Server::builder().add_service(instrument_service))))
}

/// Serves the clients of a listener, with what gives the service its answers running beside it.
fn answer(
    listener: TcpListener,
    beside: impl Future<Output = ()> + Send + 'static,
    router: Router,
) -> anyhow::Result<()> {
    runtime(&mut Builder::new_current_thread()).block_on(async move {
        tokio::spawn(beside);
        let clients = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        router.serve_with_incoming(clients).await?;
        Ok(())
    })
}

fn exit_at_end_of_input() {
    let mut bytes = [0_u8; 64];
    while matches!(io::stdin().read(&mut bytes), Ok(read) if read > 0) {}
    process::exit(0);
}

fn count() {
    loop {
        thread::sleep(Duration::from_secs(5));
        let [begun, done, failed] = [&BEGUN, &DONE, &FAILED].map(|count| count.load(Ordering::Relaxed));
        let open = begun.saturating_sub(done + failed);
        let _ = writeln!(io::stderr(), "begun {begun}, done {done}, failed {failed}, open or dropped {open}");
    }
}
