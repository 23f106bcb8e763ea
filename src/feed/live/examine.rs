//! One attempt to reach a console, with the result of each stage as sentences for the user.

mod pod;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{StateRequest, TaskDetailsRequest};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::feed::endpoint::Address;
use crate::{panics, words};

use super::connect::{Channel, Headers, Line, line_over};
use super::probe::what_closes;
use super::reason::{quote, shown};
use super::socket::{Resolved, Socket, connect, resolve};
use super::stranger::{Failure, Stranger};
use super::subscribe::subscribe_over;
use super::tls::{self, Peer, secure};
use super::{Options, reason};

/// How many addresses of a host are listed.
const LISTED: usize = 4;

/// The number of small calls that are timed, and the time after which there are no more of them.
const SMALL_CALLS: usize = 5;
const SMALL_CALLS_TAKE: Duration = Duration::from_secs(2);

/// A part of the way to a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is a kubeconfig that makes sense.
    Kubeconfig,
    /// The API server of the cluster answers.
    Cluster,
    /// The user may do there what is needed.
    Rights,
    /// There is a pod, and it runs.
    Pod,
    /// The host has an address.
    Address,
    /// Something accepts connections there.
    Port,
    /// It proves by TLS who it is.
    Tls,
    /// It is a console.
    Console,
    /// It serves the calls that are needed.
    Protocol,
}

impl Stage {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Kubeconfig,
        Self::Cluster,
        Self::Rights,
        Self::Pod,
        Self::Address,
        Self::Port,
        Self::Tls,
        Self::Console,
        Self::Protocol,
    ];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubeconfig => "kubeconfig",
            Self::Cluster => "cluster",
            Self::Rights => "rights",
            Self::Pod => "pod",
            Self::Address => "address",
            Self::Port => "port",
            Self::Tls => "tls",
            Self::Console => "console",
            Self::Protocol => "protocol",
        }
    }
}

/// The result of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be: the fact.
    Good(String),
    /// Not as it should be, but good enough: the fact, and what to do.
    Doubtful(String),
    /// The way ends here: the fact, and what to do.
    Bad(String),
}

/// A stage and its result.
pub type Passed = (Stage, Outcome);

/// The stages of the way to a console at an address of this kind.
pub fn stages(address: &Address) -> &'static [Stage] {
    match address {
        Address::Tcp { .. } => &[Stage::Address, Stage::Port, Stage::Console, Stage::Protocol],
        Address::Tls { .. } => &[Stage::Address, Stage::Port, Stage::Tls, Stage::Console, Stage::Protocol],
        Address::Unix(_) => &[Stage::Port, Stage::Console, Stage::Protocol],
        Address::Pod(_) => &[
            Stage::Kubeconfig,
            Stage::Cluster,
            Stage::Rights,
            Stage::Pod,
            Stage::Port,
            Stage::Console,
            Stage::Protocol,
        ],
    }
}

/// Goes the way to a console once, as far as it leads. It changes nothing in the target, and leaves no connection behind.
///
/// # Panics
/// Outside of a Tokio runtime.
pub async fn examine(address: &Address, options: &Options) -> Vec<Passed> {
    let way = Way { address, options, passed: Mutex::default() };
    // Whatever a target sends, it does not end the tool.
    match Box::pin(panics::caught(way.go())).await {
        Ok(Ok(())) => {}
        Ok(Err((stage, sentence))) => way.note(stage, Outcome::Bad(sentence)),
        Err(panicked) => {
            tracing::warn!(%panicked, "examining the target failed");
            let is_console = way.has_passed(Stage::Console);
            let stage = if is_console { Stage::Protocol } else { Stage::Console };
            way.note(stage, Outcome::Bad(reason::beyond_us(address)));
        }
    }
    way.passed.into_inner().unwrap_or_default()
}

/// Where a way ends, and why.
type End = (Stage, String);

struct Way<'a> {
    address: &'a Address,
    options: &'a Options,
    passed: Mutex<Vec<Passed>>,
}

impl Way<'_> {
    fn note(&self, stage: Stage, outcome: Outcome) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).push((stage, outcome));
    }

    fn has_passed(&self, stage: Stage) -> bool {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(passed, _)| *passed == stage)
    }

    fn good(&self, stage: Stage, fact: String) {
        self.note(stage, Outcome::Good(fact));
    }

    async fn go(&self) -> Result<(), End> {
        // A port-forward lasts as long as who has dialled it.
        let (channel, _reach) = match self.address {
            Address::Pod(pod) => self.to_pod(pod).await.map(|(channel, reach)| (channel, Some(reach)))?,
            Address::Tcp { .. } | Address::Tls { .. } | Address::Unix(_) => (self.to_address().await?, None),
        };
        let outcome = served(channel, self.options.subscribe_timeout).await;
        self.note(Stage::Protocol, outcome);
        Ok(())
    }

    async fn to_address(&self) -> Result<Channel, End> {
        let resolved = self.resolve().await?;
        let socket = self.connect(&resolved).await?;
        let line = self.line(socket, &resolved).await?;
        self.subscribe(line, &resolved).await
    }

    async fn resolve(&self) -> Result<Resolved, End> {
        let resolved = resolve(self.address, self.options.connect_timeout).await.map_err(at(Stage::Address))?;
        if let (Address::Tcp { host, .. } | Address::Tls { host, .. }, Resolved::Tcp(found) | Resolved::Tls(found, _)) =
            (self.address, &resolved)
        {
            self.good(Stage::Address, found_at(host, found));
        }
        Ok(resolved)
    }

    async fn connect(&self, resolved: &Resolved) -> Result<Socket, End> {
        let (began, limit) = (Instant::now(), self.options.connect_timeout);
        let socket = connect(resolved, limit).await;
        let socket = socket.map_err(|error| (Stage::Port, reason::not_connected(self.address, &error, limit)))?;
        let took = words::duration(began.elapsed());
        self.good(
            Stage::Port,
            match &socket {
                Socket::Tcp(stream) => match stream.peer_addr() {
                    Ok(end) => format!("{end} accepted a connection in {took}."),
                    Err(_) => format!("A connection was accepted in {took}."),
                },
                Socket::Unix(_) => format!("The socket accepted a connection in {took}."),
            },
        );
        Ok(socket)
    }

    async fn line(&self, socket: Socket, resolved: &Resolved) -> Result<Line, End> {
        let Options { access, connect_timeout, .. } = self.options;
        let headers = Headers::of(access, self.address).await.map_err(at(Stage::Console))?;
        let line = match (socket, resolved) {
            (Socket::Tcp(stream), Resolved::Tls(_, host)) => {
                let peer = Peer { address: self.address, host, ca: access.ca.as_deref() };
                let stream = secure(stream, peer, *connect_timeout).await.map_err(at(Stage::Tls))?;
                let version = tls::version(&stream);
                self.good(Stage::Tls, format!("{version}, with a certificate for `{}` that is trusted.", quote(host)));
                line_over(stream, self.address, headers).await
            }
            (Socket::Tcp(stream), _) => line_over(stream, self.address, headers).await,
            (Socket::Unix(stream), _) => line_over(stream, self.address, headers).await,
        };
        line.map_err(|failure| (Stage::Console, self.sentence(failure)))
    }

    async fn subscribe(&self, line: Line, resolved: &Resolved) -> Result<Channel, End> {
        let channel = match subscribe_over(line, self.address, self.options).await {
            Ok((channel, _)) => channel,
            Err(Failure::Stranger(Stranger::Closes)) => {
                let stranger = Failure::Stranger(what_closes(resolved).await);
                return Err((Stage::Console, self.sentence(stranger)));
            }
            Err(failure) => return Err((Stage::Console, self.sentence(failure))),
        };
        self.answers();
        Ok(channel)
    }

    fn answers(&self) {
        self.good(Stage::Console, format!("A console-subscriber endpoint answers at {}.", shown(self.address)));
    }

    fn sentence(&self, failure: Failure) -> String {
        match failure {
            Failure::Lost(reason) => reason,
            Failure::Stranger(stranger) => stranger.describe(self.address, false),
        }
    }
}

fn at(stage: Stage) -> impl Fn(String) -> End {
    move |sentence| (stage, sentence)
}

fn found_at(host: &str, found: &[SocketAddr]) -> String {
    let mut addresses: Vec<String> = found.iter().map(|it| it.ip().to_string()).collect();
    addresses.dedup();
    if addresses.first().is_some_and(|first| first == host) {
        return format!("{host} is an address already.");
    }
    let more = addresses.len().saturating_sub(LISTED);
    addresses.truncate(LISTED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} is {}{more}.", quote(host), addresses.join(", "))
}

/// Which of the calls are served, and how long a small one takes. None of these changes anything: a request for details without an id is
/// refused before it reaches the aggregator, and the state is only read.
async fn served(channel: Channel, limit: Duration) -> Outcome {
    let mut client = InstrumentClient::new(channel);
    let (details, took) = time_small_calls(&mut client, limit).await;
    let state = timeout(limit, client.watch_state(StateRequest {})).await;
    match (details, Served::of(state)) {
        (Served::Unknown, _) | (_, Served::Unknown) => Outcome::Doubtful(format!(
            "WatchUpdates is served, and other calls were not answered within {}. The process is busy or stopped: look at its CPU.",
            words::limit(limit)
        )),
        (Served::Lost, _) | (_, Served::Lost) => Outcome::Doubtful(
            "WatchUpdates is served, and the connection ended at other calls. Try again; let the proxy in between pass every call of the \
             service rs.tokio.console.instrument.Instrument."
                .to_owned(),
        ),
        (Served::Yes, Served::Yes) => Outcome::Good(format!(
            "WatchUpdates, WatchTaskDetails and WatchState are served, as by console-subscriber 0.5 or newer. {took}"
        )),
        (Served::Yes, Served::No) => Outcome::Good(format!(
            "WatchUpdates and WatchTaskDetails are served, WatchState is not: console-subscriber 0.2 to 0.4, which does not say whether a \
             client has paused it. {took}"
        )),
        (Served::No, _) => Outcome::Doubtful(
            "WatchUpdates is served, WatchTaskDetails is not. A lagging feed cannot be drained and no poll times of single tasks are \
             shown: let the proxy in between pass every call of the service rs.tokio.console.instrument.Instrument."
                .to_owned(),
        ),
    }
}

/// Makes small calls one after the other, and says whether they are served and how long they take.
async fn time_small_calls(client: &mut InstrumentClient<Channel>, limit: Duration) -> (Served, String) {
    let begun = Instant::now();
    let mut times = Vec::new();
    loop {
        let called = Instant::now();
        let served = Served::of(timeout(limit, client.watch_task_details(TaskDetailsRequest { id: None })).await);
        times.push(called.elapsed());
        let is_enough = times.len() == SMALL_CALLS || begun.elapsed() >= SMALL_CALLS_TAKE;
        if is_enough || !matches!(served, Served::Yes) {
            times.sort_unstable();
            let median = words::duration(times[times.len() / 2]);
            let took = match times.len() {
                1 => format!("A small call takes {median}."),
                several => format!("Small calls take {median} (median of {several})."),
            };
            return (served, took);
        }
    }
}

/// Whether a call is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    Yes,
    No,
    /// It was not answered in time.
    Unknown,
    /// The connection ended.
    Lost,
}

impl Served {
    /// What an answer tells: a console refuses what it is asked here, in its own way.
    fn of<T>(answer: Result<Result<T, Status>, Elapsed>) -> Self {
        let refused = [Code::Unimplemented, Code::PermissionDenied, Code::Unauthenticated];
        match answer {
            Err(_) => Self::Unknown,
            Ok(Err(status)) if status.source().is_some() => Self::Lost,
            Ok(Err(status)) if refused.contains(&status.code()) => Self::No,
            Ok(_) => Self::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_listed_once_and_not_without_end() {
        let of = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 1)).collect()
        };
        assert_eq!(found_at("127.0.0.1", &of(&["127.0.0.1"])), "127.0.0.1 is an address already.");
        assert_eq!(found_at("localhost", &of(&["::1", "127.0.0.1"])), "localhost is ::1, 127.0.0.1.");
        let many = of(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]);
        assert!(found_at("a", &many).ends_with("10.0.0.4 and 1 more."));
    }
}
