//! The service `rs.tokio.console.instrument.Instrument`, with updates that are encoded already.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use console_api::instrument::TaskDetailsRequest;
use prost::Message as _;
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

use crate::server::codec::Encoded;
use crate::server::listener::Peer;
use crate::server::publisher::{Command, Connection};
use crate::server::queue::Messages;

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// The gRPC service of a subscriber, to be added to a server of tonic.
#[derive(Debug, Clone)]
pub struct InstrumentService {
    commands: mpsc::Sender<Command>,
    /// What clients have to show, if anything.
    token: Option<Arc<str>>,
}

impl InstrumentService {
    pub(crate) fn new(commands: mpsc::Sender<Command>, token: Option<Arc<str>>) -> Self {
        Self { commands, token }
    }

    fn admits(&self, request: &http::Request<Body>) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request
            .headers()
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
    }
}

impl NamedService for InstrumentService {
    const NAME: &'static str = "rs.tokio.console.instrument.Instrument";
}

impl Service<http::Request<Body>> for InstrumentService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if !self.admits(&request) {
            let refusal =
                Status::unauthenticated("this subscriber wants a token: send the header `authorization: Bearer TOKEN`");
            return Box::pin(async move { Ok(refusal.into_http()) });
        }
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let commands = self.commands.clone();
        match method {
            "WatchUpdates" => stream(request, Stream { commands, of: Of::Updates }),
            "WatchTaskDetails" => stream(request, Stream { commands, of: Of::Details }),
            "WatchState" => stream(request, Stream { commands, of: Of::States }),
            "Pause" => unary(request, Switch { commands, pauses: true }),
            "Resume" => unary(request, Switch { commands, pauses: false }),
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

fn stream(request: http::Request<Body>, method: Stream) -> <InstrumentService as Service<http::Request<Body>>>::Future {
    Box::pin(async move { Ok(Grpc::new(Encoded).server_streaming(method, request).await) })
}

fn unary(request: http::Request<Body>, method: Switch) -> <InstrumentService as Service<http::Request<Body>>>::Future {
    Box::pin(async move { Ok(Grpc::new(Encoded).unary(method, request).await) })
}

/// The connection of a request. All connections are one where somebody else's server accepts them.
fn connection<T>(request: &Request<T>) -> Connection {
    request.extensions().get::<Peer>().map_or(0, |peer| peer.connection)
}

async fn send(commands: &mpsc::Sender<Command>, command: Command) -> Result<(), Status> {
    commands.send(command).await.map_err(|_| Status::unavailable("the publisher of this subscriber is not running"))
}

/// A method that answers with a stream.
struct Stream {
    commands: mpsc::Sender<Command>,
    of: Of,
}

#[derive(Clone, Copy)]
enum Of {
    Updates,
    Details,
    States,
}

impl ServerStreamingService<Bytes> for Stream {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (commands, of) = (self.commands.clone(), self.of);
        Box::pin(async move {
            let connection = connection(&request);
            let (reply, messages) = oneshot::channel();
            let command = match of {
                Of::Updates => Command::Updates(connection, reply),
                Of::States => Command::States(connection, reply),
                Of::Details => Command::Details(task(request.into_inner())?, reply),
            };
            send(&commands, command).await?;
            let messages = messages.await.map_err(|_| Status::not_found("no such task lives"))?;
            Ok(Response::new(messages))
        })
    }
}

fn task(request: Bytes) -> Result<u64, Status> {
    let request = TaskDetailsRequest::decode(request).map_err(|error| Status::invalid_argument(error.to_string()))?;
    request.id.map(|id| id.id).ok_or_else(|| Status::invalid_argument("the request names no task"))
}

/// A method that pauses or resumes.
struct Switch {
    commands: mpsc::Sender<Command>,
    pauses: bool,
}

impl UnaryService<Bytes> for Switch {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (commands, pauses) = (self.commands.clone(), self.pauses);
        Box::pin(async move {
            let connection = connection(&request);
            send(&commands, if pauses { Command::Pause(connection) } else { Command::Resume(connection) }).await?;
            // Both responses have no fields.
            Ok(Response::new(Bytes::new()))
        })
    }
}
