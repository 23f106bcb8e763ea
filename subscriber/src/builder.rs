//! How a subscriber is set up, in the words of `console-subscriber`.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing_core::Subscriber;
use tracing_core::subscriber::NoSubscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::histogram::Limits as HistogramLimits;
use crate::layer::{ConsoleLayer, OnlyRuntime};
use crate::recorder::Recorder;
use crate::server::{Server, ServerAddr, Settings};
use crate::store::Limits;
use crate::subscriber::CanarySubscriber;

/// Sets up a [`ConsoleLayer`] and its [`Server`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    address: ServerAddr,
    interval: Duration,
    limits: Limits,
    histograms: HistogramLimits,
    unread: usize,
    token: Option<Arc<str>>,
    filter_env_var: String,
    self_trace: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(Server::DEFAULT_IP, Server::DEFAULT_PORT).into(),
            interval: ConsoleLayer::DEFAULT_PUBLISH_INTERVAL,
            limits: Limits {
                retention: ConsoleLayer::DEFAULT_RETENTION,
                retained: ConsoleLayer::DEFAULT_RETAINED_BYTES,
                unsent: ConsoleLayer::DEFAULT_UNSENT_BYTES,
            },
            histograms: HistogramLimits {
                poll: ConsoleLayer::DEFAULT_POLL_DURATION_MAX,
                scheduled: ConsoleLayer::DEFAULT_SCHEDULED_DURATION_MAX,
            },
            unread: ConsoleLayer::DEFAULT_UNREAD_BYTES,
            token: None,
            filter_env_var: "RUST_LOG".to_owned(),
            self_trace: false,
        }
    }
}

impl ConsoleLayer {
    /// The default interval of updates.
    pub const DEFAULT_PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

    /// The default time for which what has ended is kept, within [`Self::DEFAULT_RETAINED_BYTES`].
    pub const DEFAULT_RETENTION: Duration = Duration::from_secs(60 * 60);

    /// The default limit of the bytes of what has ended.
    pub const DEFAULT_RETAINED_BYTES: usize = 6 * 1024 * 1024;

    /// The default limit of the bytes of changes that clients have not been sent.
    pub const DEFAULT_UNSENT_BYTES: usize = 48 * 1024 * 1024;

    /// The default limit of the bytes that a client may leave unread.
    pub const DEFAULT_UNREAD_BYTES: usize = 16 * 1024 * 1024;

    /// The default for the longest poll that a histogram tells from longer ones.
    pub const DEFAULT_POLL_DURATION_MAX: Duration = Duration::from_secs(1);

    /// The default for the longest scheduling delay that a histogram tells from longer ones.
    pub const DEFAULT_SCHEDULED_DURATION_MAX: Duration = Duration::from_secs(1);
}

impl Builder {
    /// The interval of updates. Default: 1 s. Environment: `TOKIO_CONSOLE_PUBLISH_INTERVAL`.
    pub fn publish_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// How long what has ended is kept for clients that attach later, within [`Self::retained_bytes`]. Default: 1 h. Environment:
    /// `TOKIO_CONSOLE_RETENTION`.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.limits.retention = retention;
        self
    }

    /// The limit of the bytes of what has ended. Default: 6 MiB, some 30,000 tasks.
    pub fn retained_bytes(mut self, bytes: usize) -> Self {
        self.limits.retained = bytes;
        self
    }

    /// The limit of the bytes of changes that clients have not been sent. Beyond it changes are dropped, and clients receive the count.
    /// Default: 48 MiB, of which nothing is used while nobody is attached.
    pub fn unsent_bytes(mut self, bytes: usize) -> Self {
        self.limits.unsent = bytes;
        self
    }

    /// The limit of the bytes that a client may leave unread. One that leaves more is sent the whole state as soon as it has read half of
    /// them, and how much it was not sent. Default: 16 MiB.
    pub fn unread_bytes(self, bytes: usize) -> Self {
        Self { unread: bytes, ..self }
    }

    /// Where to listen: a TCP address or the path of a Unix domain socket. Default: `127.0.0.1:6669`. Environment: `TOKIO_CONSOLE_BIND`.
    pub fn server_addr(self, address: impl Into<ServerAddr>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// What clients have to send in the header `authorization: Bearer TOKEN`. Default: nothing. Stock `tokio-console` sends no header.
    /// Environment: `TOKIO_CONSOLE_TOKEN`.
    pub fn token(self, token: impl Into<Arc<str>>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// The environment variable with the filter of the log that [`Self::init`] writes to standard output. Default: `RUST_LOG`.
    pub fn filter_env_var(self, name: impl Into<String>) -> Self {
        Self { filter_env_var: name.into(), ..self }
    }

    /// The longest poll that a histogram tells from longer ones. Default: 1 s.
    pub fn poll_duration_histogram_max(mut self, longest: Duration) -> Self {
        self.histograms.poll = longest;
        self
    }

    /// The longest scheduling delay that a histogram tells from longer ones. Default: 1 s.
    pub fn scheduled_duration_histogram_max(mut self, longest: Duration) -> Self {
        self.histograms.scheduled = longest;
        self
    }

    /// Whether the server's own tasks are part of the feed. Default: no.
    pub fn enable_self_trace(self, self_trace: bool) -> Self {
        Self { self_trace, ..self }
    }

    /// Does nothing: there is no buffer of events that could overflow. Here so that programs need not be changed.
    pub fn event_buffer_capacity(self, _events: usize) -> Self {
        self
    }

    /// Does nothing: what a client has not read is limited in bytes. Here so that programs need not be changed.
    pub fn client_buffer_capacity(self, _messages: usize) -> Self {
        self
    }

    /// Does nothing but say so on standard error: `tokio-canary record` records a feed. Here so that programs need not be changed.
    #[expect(clippy::print_stderr, reason = "whoever sets this expects a file, and there is no log yet")]
    pub fn recording_path(self, path: impl Into<PathBuf>) -> Self {
        eprintln!(
            "tokio-canary-subscriber: nothing is recorded to {}: use `tokio-canary record`",
            path.into().display()
        );
        self
    }

    /// Takes the environment variables that `console-subscriber` knows, and `TOKIO_CONSOLE_TOKEN`.
    ///
    /// # Panics
    ///
    /// If one of them is set to something that cannot be understood, as the service starts.
    pub fn with_default_env(mut self) -> Self {
        if let Some(retention) = duration("TOKIO_CONSOLE_RETENTION") {
            self = self.retention(retention);
        }
        if let Some(interval) = duration("TOKIO_CONSOLE_PUBLISH_INTERVAL") {
            self = self.publish_interval(interval);
        }
        if let Some(address) = text("TOKIO_CONSOLE_BIND") {
            self = self.server_addr(bind(&address).unwrap_or_else(|why| refuse("TOKIO_CONSOLE_BIND", &address, &why)));
        }
        if let Some(token) = text("TOKIO_CONSOLE_TOKEN") {
            self = self.token(token);
        }
        if let Some(path) = text("TOKIO_CONSOLE_RECORD_PATH") {
            self = self.recording_path(path);
        }
        self
    }

    /// The layer and its server, which records and serves nothing until it is run. Without the filter that [`Self::spawn`] adds.
    pub fn build(self) -> (ConsoleLayer, Server) {
        let (recorder, server) = self.parts(false);
        (ConsoleLayer::of(recorder), server)
    }

    /// The subscriber that [`Self::wrap`] makes and its server, which serves nothing until it is run.
    pub fn build_around<S: Subscriber>(self, inner: S) -> (CanarySubscriber<S>, Server) {
        let (recorder, server) = self.parts(true);
        (CanarySubscriber::new(recorder, inner), server)
    }

    /// The layer, filtered to what it records, with its server on a thread of its own. A server that cannot be started says so on standard
    /// error; the service goes on.
    pub fn spawn<S>(self) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        ConsoleLayer::of(self.start(false)).with_filter(OnlyRuntime)
    }

    /// A subscriber that records what tokio reports and passes everything else on to `inner`, with its server on a thread of its own. It
    /// costs about half of what the layer costs, because no registry sees the runtime's spans; no layer of `inner` sees them either.
    pub fn wrap<S: Subscriber>(self, inner: S) -> CanarySubscriber<S> {
        CanarySubscriber::new(self.start(true), inner)
    }

    /// Starts the server.
    fn start(self, gives_numbers: bool) -> Arc<Recorder> {
        let self_trace = self.self_trace;
        let (recorder, server) = self.parts(gives_numbers);
        start(server, self_trace);
        recorder
    }

    fn parts(self, gives_numbers: bool) -> (Arc<Recorder>, Server) {
        let Self { address, interval, limits, histograms, unread, token, .. } = self;
        if !cfg!(tokio_unstable) {
            complain("tokio reports nothing without RUSTFLAGS=\"--cfg tokio_unstable\"");
        }
        let recorder = Recorder::new(limits, gives_numbers);
        let settings = Settings { address, interval, histograms, unread, token };
        (Arc::clone(&recorder), Server::new(recorder, settings))
    }

    /// Makes this the process's subscriber, with a log to standard output of what the filter in [`Self::filter_env_var`] lets through
    /// (by default errors).
    ///
    /// # Panics
    ///
    /// If the process has a subscriber already.
    pub fn init(self) {
        let filter = text(&self.filter_env_var).and_then(|filter| match filter.parse::<Targets>() {
            Ok(filter) => Some(filter),
            Err(error) => {
                complain(&format!("cannot understand the filter in {}: {error}", self.filter_env_var));
                None
            }
        });
        let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing_core::Level::ERROR));
        let log = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().with_filter(filter));
        let self_trace = self.self_trace;
        let (subscriber, server) = self.build_around(log);
        // First, so that a second one serves nothing.
        subscriber.init();
        start(server, self_trace);
    }
}

/// Runs a server on a thread of its own.
fn start(server: Server, self_trace: bool) {
    let serve = move || serve(server, self_trace);
    if let Err(error) = thread::Builder::new().name("tokio-canary-subscriber".to_owned()).spawn(serve) {
        complain(&error);
    }
}

/// Runs a server on the present thread.
fn serve(server: Server, self_trace: bool) {
    let serve = move || match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => {
            if let Err(error) = runtime.block_on(server.serve()) {
                complain(&error);
            }
        }
        Err(error) => complain(&error),
    };
    if self_trace {
        serve();
    } else {
        tracing_core::dispatcher::with_default(&tracing_core::Dispatch::new(NoSubscriber::default()), serve);
    }
}

#[expect(clippy::print_stderr, reason = "the process's log may be what cannot be set up")]
fn complain(error: &(impl std::fmt::Display + ?Sized)) {
    eprintln!("tokio-canary-subscriber: there is no feed: {error}");
}

fn text(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

fn duration(variable: &str) -> Option<Duration> {
    let value = text(variable)?;
    Some(humantime::parse_duration(&value).unwrap_or_else(|error| refuse(variable, &value, &error.to_string())))
}

fn bind(address: &str) -> Result<ServerAddr, String> {
    #[cfg(unix)]
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path)).into());
    }
    let mut resolved =
        address.to_socket_addrs().map_err(|error| format!("{error}; expected HOST:PORT or unix:PATH"))?;
    resolved.next().map(ServerAddr::from).ok_or_else(|| "no such host".to_owned())
}

#[expect(clippy::panic, reason = "documented: a service that is told how to be watched must not run unwatched")]
fn refuse(variable: &str, value: &str, why: &str) -> ! {
    panic!("tokio-canary-subscriber: {variable}={value:?}: {why}")
}
