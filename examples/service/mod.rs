//! What every example service shares: its flags, a console feed in front of all runtimes, and an end together with its parent.

mod load;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use console_subscriber::{ConsoleLayer, ServerParts};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::util::TryInitError;

/// Flags that every example service has.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub(crate) struct Service {
    /// Where the console feed is served; port 0 takes a free one [default: `TOKIO_CONSOLE_BIND`, or 127.0.0.1:6669].
    #[arg(long, value_name = "ADDR", default_value_t = usual_address(), hide_default_value = true)]
    bind: SocketAddr,
    /// Time between two updates of the feed.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    publish_interval: Duration,
    /// How long the feed keeps finished tasks.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    retention: Duration,
    /// Events that the feed can hold before it drops some.
    #[arg(long, value_name = "COUNT", default_value_t = ConsoleLayer::DEFAULT_EVENT_BUFFER_CAPACITY)]
    event_buffer: usize,
    /// What serves the feed.
    #[arg(long, value_enum, default_value_t)]
    subscriber: Subscriber,
    /// Puts a log level filter before the feed, so that Tokio's spans never reach it.
    #[arg(long)]
    filtered: bool,
    /// Gives runtimes that would have several workers a single thread.
    #[arg(long)]
    current_thread: bool,
    /// Lets every runtime do ordinary healthy work as well: requests, a pipeline and a worker pool.
    #[arg(long)]
    load: bool,
    /// Stop after this time; without it, run until stopped.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lifetime: Option<Duration>,
    /// Stop when standard input ends, as it does when the parent process is gone.
    #[arg(long)]
    die_with_parent: bool,
}

/// What serves a feed.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Subscriber {
    /// `console-subscriber`.
    #[default]
    Console,
    /// `tokio-canary-subscriber`, as its `init` installs it.
    Canary,
    /// `tokio-canary-subscriber`, as a layer.
    CanaryLayer,
}

/// Serves clients of a listener until that fails.
type Serve = Box<dyn FnOnce(TcpListener) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send>;

/// Where `ConsoleLayer::builder().with_default_env()` would serve the feed.
fn usual_address() -> SocketAddr {
    let named = std::env::var("TOKIO_CONSOLE_BIND").ok().and_then(|address| address.parse().ok());
    named.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 6669)))
}

/// Whether [`workers`] are to be a single thread.
static CURRENT_THREAD: AtomicBool = AtomicBool::new(false);
/// Whether runtimes do healthy work beside what they are made for.
static LOAD: AtomicBool = AtomicBool::new(false);

impl Service {
    /// Serves the feed, starts `parts` (each on a thread of its own, named as given), says where the feed is, and stays until the end.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound or a thread cannot be started.
    pub(crate) fn run(&self, parts: &[(&'static str, fn())]) -> io::Result<()> {
        if self.die_with_parent {
            spawn_thread("parent-watch", exit_at_end_of_input)?;
        }
        CURRENT_THREAD.store(self.current_thread, Ordering::Relaxed);
        LOAD.store(self.load, Ordering::Relaxed);
        let address = self.serve_feed()?;
        for &(name, part) in parts {
            spawn_thread(name, part)?;
        }
        writeln!(io::stdout(), "listening on http://{address}")?;
        self.wait();
        Ok(())
    }

    /// Does what `ConsoleLayer::builder().spawn()` does, on a listener that is bound here, because the builder cannot tell which port 0 became.
    fn serve_feed(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(self.bind)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let serve = match self.subscriber {
            Subscriber::Console => self.install_console(),
            Subscriber::Canary => self.install_canary(),
            Subscriber::CanaryLayer => self.install_canary_layer(),
        };
        let serve = serve.map_err(io::Error::other)?;
        spawn_thread("console-feed", move || {
            // The feed must not describe itself: neither its own runtime nor its connections.
            let _unobserved = tracing::subscriber::set_default(NoSubscriber::default());
            if let Err(error) = serve(listener) {
                complain(&error);
                process::exit(4);
            }
        })?;
        Ok(address)
    }

    fn install_console(&self) -> Result<Serve, TryInitError> {
        let (layer, server) = ConsoleLayer::builder()
            .publish_interval(self.publish_interval)
            .retention(self.retention)
            .event_buffer_capacity(self.event_buffer)
            .build();
        tracing_subscriber::registry().with(layer.with_filter(runtime()).with_filter(self.level())).try_init()?;
        let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
        Ok(Box::new(move |listener| {
            answer(listener, aggregator.run(), Server::builder().add_service(instrument_server))
        }))
    }

    fn install_canary(&self) -> Result<Serve, TryInitError> {
        let (subscriber, server) = self.canary().build_around(tracing_subscriber::registry().with(self.level()));
        subscriber.try_init()?;
        Ok(serve_canary(server))
    }

    fn install_canary_layer(&self) -> Result<Serve, TryInitError> {
        let (layer, server) = self.canary().build();
        tracing_subscriber::registry().with(layer.with_filter(runtime()).with_filter(self.level())).try_init()?;
        Ok(serve_canary(server))
    }

    fn canary(&self) -> tokio_canary_subscriber::Builder {
        tokio_canary_subscriber::ConsoleLayer::builder()
            .publish_interval(self.publish_interval)
            .retention(self.retention)
    }

    fn level(&self) -> LevelFilter {
        if self.filtered { LevelFilter::INFO } else { LevelFilter::TRACE }
    }

    fn wait(&self) {
        let Some(lifetime) = self.lifetime else {
            loop {
                thread::park();
            }
        };
        let end = Instant::now() + lifetime;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::sleep(left);
        }
    }
}

/// A runtime of its own with so many workers, or with a single thread if the flags say so.
pub(crate) fn workers(count: usize) -> Runtime {
    if CURRENT_THREAD.load(Ordering::Relaxed) {
        current_thread()
    } else {
        built(Builder::new_multi_thread().worker_threads(count))
    }
}

/// A runtime of its own on the calling thread alone.
pub(crate) fn current_thread() -> Runtime {
    built(&mut Builder::new_current_thread())
}

/// Keeps the processor at work for so long, as parsing, hashing or rendering would.
pub(crate) fn compute(work: Duration) -> u64 {
    let end = Instant::now() + work;
    let mut digest = 0x9e37_79b9_7f4a_7c15_u64;
    while Instant::now() < end {
        for word in 0..512_u64 {
            digest = (digest ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
        }
    }
    std::hint::black_box(digest)
}

/// Runs a program that is a service, with these arguments, its name among them.
pub(crate) fn program<A: Parser>(
    arguments: impl Iterator<Item = OsString>,
    run: impl FnOnce(A) -> io::Result<()>,
) -> ExitCode {
    let arguments = A::try_parse_from(arguments).unwrap_or_else(|error| error.exit());
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(4)
        }
    }
}

/// Says on standard error why a service cannot go on.
pub(crate) fn complain(error: &dyn std::fmt::Display) {
    // Nobody is left to tell when standard error is closed as well.
    let _ = writeln!(io::stderr(), "error: {error}");
}

/// A runtime of its own with these settings.
pub(crate) fn built(builder: &mut Builder) -> Runtime {
    let runtime = idle(builder);
    if LOAD.load(Ordering::Relaxed) {
        load::start(&runtime);
    }
    runtime
}

fn idle(builder: &mut Builder) -> Runtime {
    match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error);
            process::exit(4);
        }
    }
}

/// Lets through what the runtime reports.
fn runtime() -> FilterFn {
    FilterFn::new(|metadata| {
        metadata.target().starts_with("tokio")
            || metadata.name().starts_with("runtime")
            || metadata.target().starts_with("runtime")
    })
}

fn serve_canary(server: tokio_canary_subscriber::Server) -> Serve {
    let tokio_canary_subscriber::ServerParts { instrument_service, publisher, .. } = server.into_parts();
    Box::new(move |listener| answer(listener, publisher, Server::builder().add_service(instrument_service)))
}

/// Serves clients of a listener, with what gives the service its answers running beside it.
fn answer(
    listener: TcpListener,
    beside: impl Future<Output = ()> + Send + 'static,
    router: Router,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    idle(&mut Builder::new_current_thread()).block_on(async move {
        tokio::spawn(beside);
        let clients = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        router.serve_with_incoming(clients).await?;
        Ok(())
    })
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

fn exit_at_end_of_input() {
    let mut byte = [0_u8; 64];
    while matches!(io::stdin().read(&mut byte), Ok(read) if read > 0) {}
    process::exit(0);
}
