//! The stand-in answers as a real API server of version 1.36.2 did: raw requests and frames, and what came back.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Scene;
use crate::support::cluster::PodSketch;
use crate::support::{LIMIT, run};

const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

/// A server that answers with what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

/// Sends the raw request of an upgrade, and returns the head of the answer with as much of its body as has come.
async fn upgrade(scene: &Scene, path: &str, protocols: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(scene.cluster.address).await.expect("the server");
    let request = format!(
        "GET /api/v1/namespaces/shop/pods/{path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer good\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    let whole = async {
        loop {
            // Byte by byte: what follows the head of an upgrade belongs to the WebSocket.
            answer.push(stream.read_u8().await.expect("an answer"));
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
    };
    timeout(LIMIT, whole).await.expect("the answer is complete");
    (stream, String::from_utf8(answer).expect("UTF-8"))
}

async fn scene() -> Scene {
    let scene = Scene::new().await;
    let mut pod = PodSketch::running("web-1", "u1");
    let echo = echo().await;
    pod.listening = [(6669, echo), (6670, echo)].into();
    scene.cluster.set_pod(&pod);
    scene
}

#[test]
fn requests_are_answered_as_the_table_says() {
    run(async {
        let scene = scene().await;
        let mut unscheduled = PodSketch::running("unscheduled", "u2");
        (unscheduled.phase, unscheduled.is_assigned) = ("Pending", false);
        scene.cluster.set_pod(&unscheduled);
        let mut finished = PodSketch::running("finished", "u3");
        finished.phase = "Succeeded";
        scene.cluster.set_pod(&finished);
        for (path, protocols, expected) in [
            ("web-1/portforward?ports=6669", PROTOCOLS, &["101", "sec-websocket-protocol: v4.channel.k8s.io"][..]),
            ("web-1/portforward?ports=6669", "v5.channel.k8s.io", &["403", "content-length: 0"]),
            ("web-1/portforward", PROTOCOLS, &["400", "query parameter \"port\" is required"]),
            ("web-1/portforward?ports=0", PROTOCOLS, &["400", "port \"0\" must be > 0"]),
            ("web-1/portforward?ports=abc", PROTOCOLS, &["400", "\"reason\":\"BadRequest\""]),
            ("nothing/portforward?ports=6669", PROTOCOLS, &["404", "\"reason\":\"NotFound\""]),
            (
                "unscheduled/portforward?ports=6669",
                PROTOCOLS,
                &["400", "pod unscheduled does not have a host assigned"],
            ),
            ("finished/portforward?ports=6669", PROTOCOLS, &["500", "pod not found (\"finished_shop\")"]),
        ] {
            let (_, answer) = upgrade(&scene, path, protocols).await;
            let shown = answer
                .split_once("\r\n\r\n")
                .map_or(String::new(), |(head, body)| format!("{}\n{body}", head.to_lowercase()));
            assert!(expected.iter().all(|part| shown.contains(part)), "{path} {protocols}: {answer}");
        }
        scene.cluster.switch(|it| it.forbidden = ["get pods/portforward"].into());
        let (_, answer) = upgrade(&scene, "web-1/portforward?ports=6669", PROTOCOLS).await;
        let is_refused = answer.starts_with("HTTP/1.1 403") && answer.contains("\"reason\":\"Forbidden\"");
        assert!(is_refused && answer.contains("\"code\":403"), "{answer}");
        scene.cluster.switch(|it| it.forbidden.clear());
        scene.cluster.switch(|it| it.token = Some("other".to_owned()));
        let (_, answer) = upgrade(&scene, "web-1/portforward?ports=6669", PROTOCOLS).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("\"code\":401"), "{answer}");
        scene.cluster.switch(|it| {
            it.token = None;
            it.kubelet_is_down = true;
        });
        let (_, answer) = upgrade(&scene, "web-1/portforward?ports=6669", PROTOCOLS).await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("error dialing backend"), "{answer}");
    });
}

/// The next frame, but for answers to pings.
async fn frame(socket: &mut WebSocketStream<TcpStream>) -> Message {
    timeout(LIMIT, socket.next()).await.expect("a frame").expect("the connection is open").expect("a frame")
}

#[test]
fn frames_are_exchanged_as_the_table_says() {
    run(async {
        let scene = scene().await;
        for ports in ["ports=6669,6670", "ports=6669&ports=6670"] {
            let (stream, _) = upgrade(&scene, &format!("web-1/portforward?{ports}"), PROTOCOLS).await;
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            // 6669 and 6670 in little-endian order, on the channels of data and of errors.
            for expected in [[0, 0x0d, 0x1a], [1, 0x0d, 0x1a], [2, 0x0e, 0x1a], [3, 0x0e, 0x1a]] {
                assert_eq!(frame(&mut socket).await, Message::binary(expected.to_vec()));
            }
            // What makes no sense is dropped, and the connection stays open.
            for odd in [Message::text("text"), Message::binary(vec![]), Message::binary(vec![9, 1, 2])] {
                socket.send(odd).await.expect("the server reads");
            }
            socket.send(Message::Ping("are you there".into())).await.expect("the server reads");
            assert_eq!(frame(&mut socket).await, Message::Pong("are you there".into()));
            socket.send(Message::binary(b"\x02to the second".to_vec())).await.expect("the server reads");
            assert_eq!(frame(&mut socket).await, Message::binary(b"\x02to the second".to_vec()));
            socket.send(Message::binary(b"\x00to the first".to_vec())).await.expect("the server reads");
            assert_eq!(frame(&mut socket).await, Message::binary(b"\x00to the first".to_vec()));
        }
    });
}

#[test]
fn a_refused_port_ends_the_connection_unless_another_one_lives() {
    run(async {
        let scene = scene().await;
        for (ports, others) in [("7777", 0_usize), ("7777,6669", 2)] {
            let (stream, _) = upgrade(&scene, &format!("web-1/portforward?ports={ports}"), PROTOCOLS).await;
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            for _ in 0..2 + others {
                assert_eq!(frame(&mut socket).await.len(), 3);
            }
            let error = frame(&mut socket).await.into_data();
            let text = String::from_utf8_lossy(&error[1..]);
            assert!(
                error[0] == 1
                    && text.starts_with("error forwarding port 7777 to pod ")
                    && text.contains("connection refused"),
                "{text}"
            );
            if others == 0 {
                let close = frame(&mut socket).await;
                assert!(matches!(&close, Message::Close(Some(close)) if u16::from(close.code) == 1000), "{close:?}");
            } else {
                socket.send(Message::binary(b"\x02alive".to_vec())).await.expect("the server reads");
                assert_eq!(frame(&mut socket).await, Message::binary(b"\x02alive".to_vec()));
            }
        }
    });
}

#[test]
fn a_container_that_has_not_started_can_be_forwarded_to_and_refuses() {
    run(async {
        let scene = scene().await;
        let mut pod = PodSketch::running("imageless", "u2");
        pod.phase = "Pending";
        pod.state = Some(json!({"waiting": {"reason": "ImagePullBackOff"}}));
        scene.cluster.set_pod(&pod);
        let (stream, answer) = upgrade(&scene, "imageless/portforward?ports=6669", PROTOCOLS).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "a sandbox is enough: {answer}");
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let mut frames = Vec::new();
        while let Some(Ok(frame)) = socket.next().await {
            frames.push(frame);
        }
        assert!(frames.len() == 4 && frames[3].is_close(), "{frames:?}");
    });
}
