//! A console server inside the test that does what it is told, like a target never would.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::TaskDetails;
use futures_util::stream::{self, Stream};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional, duplex};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_canary::feed::endpoint::Address;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};

use super::LIMIT;

const WATCH_UPDATES: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";

/// How the service behaves.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// What a new watcher gets first, encoded; a target whose state does not fit into 4 MiB sends none.
    pub(crate) initial: Option<Vec<u8>>,
    /// Whether `WatchState` is implemented, as it is since console-subscriber 0.5.
    pub(crate) serves_state: bool,
    /// How many messages wait for a watcher before it is dropped (4096 in console-subscriber).
    pub(crate) client_buffer: usize,
    /// Whether `WatchUpdates` is refused with a status that tonic cannot read.
    pub(crate) refuses_unreadably: bool,
    /// Tasks that have details.
    pub(crate) tasks: BTreeSet<u64>,
    /// How long a call keeps the aggregator busy, which answers one after the other.
    pub(crate) turn: Duration,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            initial: None,
            serves_state: true,
            client_buffer: 4096,
            refuses_unreadably: false,
            tasks: (1..=100).collect(),
            turn: Duration::ZERO,
        }
    }
}

/// Listens at a place. A connection of another test may have that port as its own end for a moment.
async fn bind(at: SocketAddr) -> TcpListener {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(at).await {
            Err(fault) if fault.kind() == ErrorKind::AddrInUse && begun.elapsed() < LIMIT => {
                sleep(Duration::from_millis(100)).await;
            }
            result => return result.expect("a free port"),
        }
    }
}

/// The service. Dropping it stops it.
pub(crate) struct FakeService {
    pub(crate) address: Address,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    watchers: Mutex<Vec<mpsc::Sender<Vec<u8>>>>,
    states: Mutex<Vec<mpsc::Sender<Result<State, Status>>>>,
    details: Mutex<BTreeMap<u64, mpsc::Sender<Result<TaskDetails, Status>>>>,
    details_calls: Mutex<Vec<Option<u64>>>,
    paused: Mutex<bool>,
    aggregator: tokio::sync::Mutex<()>,
    connections: Mutex<JoinSet<()>>,
    connected: Mutex<usize>,
}

impl FakeService {
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// Starts at a given place, for instance where another one has stopped.
    pub(crate) async fn start_at(at: SocketAddr, script: Script) -> Self {
        let listener = bind(at).await;
        let at = listener.local_addr().expect("an address");
        let address = Address::Tcp { host: at.ip().to_string(), port: at.port() };
        let streams = stream::unfold(listener, async |listener| Some((listener.accept().await.ok()?.0, listener)));
        Self::serve(address, script, streams)
    }

    pub(crate) fn start_on_socket(path: &Path, script: Script) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let address = Address::Unix(path.to_path_buf());
        let streams = stream::unfold(listener, async |listener| Some((listener.accept().await.ok()?.0, listener)));
        Self::serve(address, script, streams)
    }

    fn serve<S>(address: Address, script: Script, streams: impl Stream<Item = S> + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared { script: Mutex::new(script), ..Shared::default() });
        let (incoming, accepted) = mpsc::channel::<DuplexStream>(16);
        let mut tasks = JoinSet::new();
        let service = Endpoint { shared: shared.clone(), rest: InstrumentServer::new(Fake(shared.clone())) };
        tasks.spawn(async move {
            let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
            let served = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
            served.await.expect("the fake service serves");
        });
        let of_acceptor = shared.clone();
        tasks.spawn(async move {
            let mut streams = Box::pin(streams);
            while let Some(stream) = streams.next().await {
                let (near, far) = duplex(64 * 1024);
                lock(&of_acceptor.connections).spawn(pipe(of_acceptor.clone(), stream, near));
                incoming.send(far).await.expect("the fake service serves");
            }
        });
        Self { address, shared, tasks }
    }

    /// The address as the operating system sees it.
    pub(crate) fn socket_addr(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp { host, port } => SocketAddr::new(host.parse().expect("an IP address"), *port),
            Address::Unix(_) => panic!("this one is on a Unix socket"),
        }
    }

    /// Sends to every watcher, as a publish tick does.
    pub(crate) fn publish(&self, update: &Update) {
        self.publish_bytes(&update.encode_to_vec());
    }

    /// Sends any bytes as the body of an update.
    pub(crate) fn publish_bytes(&self, bytes: &[u8]) {
        lock(&self.shared.watchers).retain(|watcher| watcher.try_send(bytes.to_vec()).is_ok());
        self.publish_state();
    }

    /// Sends the details of a task to whoever watches it.
    pub(crate) fn publish_details(&self, details: TaskDetails) {
        let id = details.task_id.expect("an id").id;
        if let Some(watcher) = lock(&self.shared.details).get(&id) {
            watcher.try_send(Ok(details)).expect("the watcher reads");
        }
    }

    /// One message to every state watcher, as each turn of the real aggregator does.
    pub(crate) fn publish_state(&self) {
        let paused = *lock(&self.shared.paused);
        lock(&self.shared.states).retain(|watcher| watcher.try_send(Ok(state(paused))).is_ok());
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        *lock(&self.shared.paused) = paused;
        self.publish_state();
    }

    pub(crate) fn set_script(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// Cuts every connection without a word.
    pub(crate) fn break_connections(&self) {
        *lock(&self.shared.connections) = JoinSet::new();
    }

    /// Ends every stream of updates properly.
    pub(crate) fn end_streams(&self) {
        lock(&self.shared.watchers).clear();
    }

    /// Stops listening and cuts every connection.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.break_connections();
    }

    pub(crate) fn connections(&self) -> usize {
        *lock(&self.shared.connected)
    }

    pub(crate) fn watchers(&self) -> usize {
        let mut watchers = lock(&self.shared.watchers);
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.len()
    }

    /// Messages that a watcher has not taken yet.
    pub(crate) fn backlog(&self) -> usize {
        lock(&self.shared.watchers).iter().map(|it| it.max_capacity() - it.capacity()).sum()
    }

    /// Ids of every `WatchTaskDetails` call so far.
    pub(crate) fn details_calls(&self) -> Vec<Option<u64>> {
        lock(&self.shared.details_calls).clone()
    }

    /// Tasks whose details somebody watches.
    pub(crate) fn open_details(&self) -> Vec<u64> {
        let mut details = lock(&self.shared.details);
        details.retain(|_, watcher| !watcher.is_closed());
        details.keys().copied().collect()
    }
}

async fn pipe(shared: Arc<Shared>, mut stream: impl AsyncRead + AsyncWrite + Unpin, mut near: DuplexStream) {
    struct Counted(Arc<Shared>);
    impl Drop for Counted {
        fn drop(&mut self) {
            *lock(&self.0.connected) -= 1;
        }
    }
    *lock(&shared.connected) += 1;
    let _counted = Counted(shared);
    // Either end may break off: that is what the tests are about.
    let _ = copy_bidirectional(&mut stream, &mut near).await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds this")
}

fn state(paused: bool) -> State {
    let temporality = if paused { Temporality::Paused } else { Temporality::Live };
    State { temporality: temporality.into() }
}

struct Fake(Arc<Shared>);

#[tonic::async_trait]
impl Instrument for Fake {
    type WatchUpdatesStream = ReceiverStream<Result<Update, Status>>;
    type WatchTaskDetailsStream = ReceiverStream<Result<TaskDetails, Status>>;
    type WatchStateStream = ReceiverStream<Result<State, Status>>;

    async fn watch_updates(&self, _: Request<InstrumentRequest>) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        unreachable!("served as bytes by Endpoint")
    }

    async fn watch_task_details(
        &self,
        request: Request<TaskDetailsRequest>,
    ) -> Result<Response<Self::WatchTaskDetailsStream>, Status> {
        let id = request.into_inner().id.map(|id| id.id);
        lock(&self.0.details_calls).push(id);
        let id = id.ok_or_else(|| Status::invalid_argument("missing task_id"))?;
        let turn = lock(&self.0.script).turn;
        if !turn.is_zero() {
            let _one_at_a_time = self.0.aggregator.lock().await;
            tokio::time::sleep(turn).await;
        }
        if !lock(&self.0.script).tasks.contains(&id) {
            return Err(Status::not_found("task not found"));
        }
        let (sender, receiver) = mpsc::channel(64);
        lock(&self.0.details).insert(id, sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn watch_state(&self, _: Request<StateRequest>) -> Result<Response<Self::WatchStateStream>, Status> {
        if !lock(&self.0.script).serves_state {
            return Err(Status::unimplemented(""));
        }
        let (sender, receiver) = mpsc::channel(4096);
        sender.try_send(Ok(state(*lock(&self.0.paused)))).expect("an empty channel");
        lock(&self.0.states).push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        panic!("a watcher never pauses its target")
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        panic!("a watcher never resumes its target")
    }
}

/// Serves `WatchUpdates` as bytes, so that a message may be any bytes, and leaves the rest to the generated server.
#[derive(Clone)]
struct Endpoint {
    shared: Arc<Shared>,
    rest: InstrumentServer<Fake>,
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<tonic::body::Body>, Infallible>> + Send>>;

impl NamedService for Endpoint {
    const NAME: &'static str = "rs.tokio.console.instrument.Instrument";
}

impl Service<http::Request<tonic::body::Body>> for Endpoint {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Answer {
        if request.uri().path() != WATCH_UPDATES {
            return self.rest.call(request);
        }
        if lock(&self.shared.script).refuses_unreadably {
            let refusal = http::Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "13")
                .header("grpc-status-details-bin", "!");
            let refusal = refusal.body(tonic::body::Body::empty()).expect("a response");
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        let updates = RawUpdates(self.shared.clone());
        Box::pin(async move { Ok(Grpc::new(RawCodec).server_streaming(updates, request).await) })
    }
}

struct RawUpdates(Arc<Shared>);

impl ServerStreamingService<InstrumentRequest> for RawUpdates {
    type Response = Vec<u8>;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<InstrumentRequest>) -> Self::Future {
        let script = lock(&self.0.script).clone();
        let (sender, receiver) = mpsc::channel(script.client_buffer);
        if let Some(initial) = script.initial {
            sender.try_send(initial).expect("an empty channel");
        }
        lock(&self.0.watchers).push(sender);
        let stream: Self::ResponseStream = Box::pin(ReceiverStream::new(receiver).map(Ok));
        std::future::ready(Ok(Response::new(stream)))
    }
}

#[derive(Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = InstrumentRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buf, &item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = InstrumentRequest;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<InstrumentRequest>, Status> {
        InstrumentRequest::decode(buf).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
