//! Port-forwards of the stand-in, over WebSockets with the sub-protocol `v4.channel.k8s.io`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::server::{forbidden, status, text};
use super::{Shared, lock};

/// The one sub-protocol that servers choose.
const PROTOCOL: &str = "v4.channel.k8s.io";

type Sink = Arc<Mutex<SplitSink<WebSocketStream<TokioIo<Upgraded>>, Message>>>;

pub(super) fn answer(request: Request<Incoming>, shared: &Arc<Shared>, name: &str, ports: &[String]) -> Response<Body> {
    if let Some(refusal) = forbidden(shared, "get", "pods/portforward", name) {
        return refusal;
    }
    // `create` is checked after `get`, and without a reason.
    if lock(&shared.switches).forbidden.contains("create pods/portforward") {
        return status(403, "Forbidden", &format!("pods \"{name}\" is forbidden: "));
    }
    if let Some(denial) = lock(&shared.switches).denial {
        return status(403, "Forbidden", denial);
    }
    let ports: Vec<u16> = match parsed(ports) {
        Ok(ports) => ports,
        Err(refusal) => return *refusal,
    };
    let Some((pod, _)) = lock(&shared.objects).pod(name).cloned() else {
        return status(404, "NotFound", &format!("pods \"{name}\" not found"));
    };
    if !pod.is_assigned {
        return status(400, "BadRequest", &format!("pod {name} does not have a host assigned"));
    }
    if lock(&shared.switches).kubelet_is_down {
        let message = "error dialing backend: dial tcp 127.0.0.1:10250: connect: connection refused";
        return status(500, "InternalError", message);
    }
    if matches!(pod.phase, "Succeeded" | "Failed") {
        return text(500, &format!("pod not found (\"{name}_shop\")"));
    }
    if !offers(request.headers(), PROTOCOL) {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::FORBIDDEN;
        return refusal;
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|it| it.as_bytes().to_vec()).unwrap_or_default();
    let (fault, words_get_lost) = {
        let switches = lock(&shared.switches);
        (switches.port_fault, switches.words_get_lost)
    };
    let listening = ports.iter().map(|port| (*port, pod.listening.get(port).copied())).collect();
    lock(&shared.forwards).spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.expect("an upgrade");
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        forward(socket, listening, fault, words_get_lost).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(&key))
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Body::empty())
        .expect("a response")
}

fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|it| it.to_str().ok());
    offered.flat_map(|it| it.split(',')).any(|it| it.trim() == protocol)
}

fn parsed(ports: &[String]) -> Result<Vec<u16>, Box<Response<Body>>> {
    let texts: Vec<_> = ports.iter().flat_map(|it| it.split(',')).filter(|it| !it.is_empty()).collect();
    if texts.is_empty() {
        return Err(Box::new(text(400, "query parameter \"port\" is required")));
    }
    let port = |it: &str| match it.parse::<u16>() {
        Ok(0) => Err(Box::new(text(400, "port \"0\" must be > 0"))),
        Ok(port) => Ok(port),
        Err(_) => Err(Box::new(status(400, "BadRequest", &format!("unable to parse \"{it}\" as a port")))),
    };
    texts.into_iter().map(port).collect()
}

/// How long a client that sends something at once takes for that.
const PATIENCE: Duration = Duration::from_millis(200);

async fn forward(
    socket: WebSocketStream<TokioIo<Upgraded>>,
    ports: Vec<(u16, Option<SocketAddr>)>,
    fault: Option<&'static str>,
    words_get_lost: bool,
) {
    let (sink, mut frames) = socket.split();
    let sink: Sink = Arc::new(Mutex::new(sink));
    let mut begin = Vec::new();
    for (channel, (port, _)) in (0_u8..).step_by(2).zip(&ports) {
        for channel in [channel, channel + 1] {
            begin.push(Message::binary([&[channel][..], &port.to_le_bytes()].concat()));
        }
    }
    for frame in begin {
        if sink.lock().await.send(frame).await.is_err() {
            return;
        }
    }
    let (mut writers, mut readers): (HashMap<u8, OwnedWriteHalf>, JoinSet<()>) = (HashMap::new(), JoinSet::new());
    for (channel, (port, at)) in (0_u8..).step_by(2).zip(ports) {
        let stream = match at {
            Some(at) => TcpStream::connect(at).await.ok(),
            None => None,
        };
        if let Some(stream) = stream {
            stream.set_nodelay(true).expect("a socket");
            let (reader, writer) = stream.into_split();
            writers.insert(channel, writer);
            readers.spawn(from_pod(channel, reader, sink.clone()));
        } else {
            let refused = || {
                format!(
                    "error forwarding port {port} to pod 5e2b, uid : failed to execute portforward in network namespace \"/var/run/netns/x\": failed \
                 to connect to localhost:{port} inside namespace \"5e2b\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 \
                 dial tcp6: address localhost: no suitable address found "
                )
            };
            if words_get_lost && timeout(PATIENCE, frames.next()).await.is_ok() {
                return;
            }
            let message = fault.map_or_else(refused, str::to_owned);
            let frame = [&[channel + 1][..], message.as_bytes()].concat();
            let _ = sink.lock().await.send(Message::binary(frame)).await;
        }
    }
    loop {
        tokio::select! {
            ended = readers.join_next() => if ended.is_none() || readers.is_empty() {
                let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                let _ = sink.lock().await.send(Message::Close(Some(normal))).await;
                // The other side may be sending still, and closes when it has heard it.
                while frames.next().await.is_some_and(|frame| frame.is_ok()) {}
                return;
            },
            frame = frames.next() => match frame {
                // Text, an empty frame and one of no channel are dropped.
                Some(Ok(Message::Binary(frame))) => to_pod(&mut writers, &frame).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }
}

async fn to_pod(writers: &mut HashMap<u8, OwnedWriteHalf>, frame: &Bytes) {
    if let Some((channel, bytes)) = frame.split_first()
        && let Some(writer) = writers.get_mut(channel)
    {
        // Its reader tells that it is gone.
        let _ = writer.write_all(bytes).await;
    }
}

async fn from_pod(channel: u8, mut reader: OwnedReadHalf, sink: Sink) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        let frame = [&[channel][..], &buffer[..length]].concat();
        if sink.lock().await.send(Message::binary(frame)).await.is_err() {
            return;
        }
    }
}
