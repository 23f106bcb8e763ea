//! Clients that are slow, many, or send nonsense; names that are an attack; targets that die, restart and fall silent; ports that are taken.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{eventually, get, raw, request, value};
use super::{BEGIN, Run, blocked, publish, service, tool};
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::births;
use crate::support::{LIMIT, run};
use crate::tool::Notes;

async fn watched() -> (FakeService, Run) {
    let service = service(&births(BEGIN, 3, 10)).await;
    let run = Run::watch(&service, &[]);
    eventually(run.server, "/readyz", |it| it.status == 200).await;
    (service, run)
}

#[test]
fn clients_that_never_finish_their_request_keep_nobody_out_for_long() {
    run(async {
        let (_service, run) = watched().await;
        // More than there may be at a time, each of which says a little and then waits.
        let mut slow = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(run.server).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: local").await.unwrap();
            slow.push(stream);
        }
        assert_eq!(get(run.server, "/healthz").await.status, 200);
        let mut first = slow.swap_remove(0);
        let mut answer = Vec::new();
        let ended = timeout(LIMIT, first.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "it is still connected");
    });
}

#[test]
fn a_client_that_reads_nothing_holds_up_no_other() {
    run(async {
        let (_service, run) = watched().await;
        let mut deaf = TcpStream::connect(run.server).await.unwrap();
        for _ in 0..200 {
            let asked = deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
            if timeout(Duration::from_millis(200), asked).await.is_err() {
                break;
            }
        }
        for _ in 0..20 {
            assert_eq!(get(run.server, "/metrics").await.status, 200);
        }
    });
}

#[test]
fn many_clients_at_once_all_get_an_answer() {
    run(async {
        let (_service, run) = watched().await;
        let server = run.server;
        let paths = ["/metrics", "/verdict", "/findings", "/healthz"];
        let clients: Vec<_> = (0..400)
            .map(|nth| tokio::spawn(async move { get(server, paths[nth % paths.len()]).await.status }))
            .collect();
        for client in clients {
            assert_eq!(client.await.unwrap(), 200);
        }
    });
}

#[test]
fn nonsense_gets_an_error_or_nothing_and_does_no_harm() {
    run(async {
        let (_service, run) = watched().await;
        let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
        let header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000));
        let headers = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Some: y\r\n".repeat(1_000));
        let endless = "POST /gate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n";
        let nonsense: [&[u8]; 8] = [
            b"\0\xff\xfe\r\n\r\n",
            b"hello\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            long.as_bytes(),
            header.as_bytes(),
            headers.as_bytes(),
        ];
        for bytes in nonsense {
            let answer = raw(run.server, bytes).await;
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
            assert!(refused, "{answer:.80}");
        }
        let mut stream = TcpStream::connect(run.server).await.unwrap();
        stream.write_all(endless.as_bytes()).await.unwrap();
        let mut some = [0; 12];
        timeout(LIMIT, stream.read_exact(&mut some)).await.unwrap().unwrap();
        assert_eq!(&some, b"HTTP/1.1 409", "the body is not waited for");
        assert_eq!(get(run.server, "/healthz").await.status, 200);
    });
}

#[test]
fn what_does_not_exist_and_what_is_not_allowed_is_said() {
    run(async {
        let (_service, run) = watched().await;
        let host = "Host: localhost\r\n";
        for (method, path, status) in [
            ("POST", "/metrics", 405),
            ("DELETE", "/findings", 405),
            ("PUT", "/gate", 405),
            ("POST", "/verdict", 405),
            ("GET", "/nothing", 404),
            ("GET", "/../etc/passwd", 404),
            ("GET", "/", 200),
            ("GET", "/verdict?target=%ff%00&target", 200),
        ] {
            let answer = request(run.server, method, path, host, "").await;
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        }
        let head = request(run.server, "HEAD", "/metrics", host, "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    });
}

#[test]
fn a_page_that_had_its_name_resolved_to_this_machine_reads_nothing() {
    run(async {
        let (_service, run) = watched().await;
        for path in ["/findings", "/verdict", "/metrics", "/gate"] {
            let answer = request(run.server, "GET", path, "Host: evil.example:9464\r\n", "").await;
            assert_eq!(answer.status, 421, "{path}");
            assert!(!answer.body.contains("127.0.0.1"), "{answer:?}");
        }
        let local = format!("Host: {}\r\n", run.server);
        let answer = request(run.server, "GET", "/findings", &local, "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
        assert!(!answer.head.contains("access-control"), "no other origin may read it: {}", answer.head);
    });
}

#[test]
fn names_that_are_an_attack_stay_inside_their_label_and_their_string() {
    run(async {
        let name = "a\"} 1\n# EOF\nevil{x=\"\u{1b}[2J\u{202e}\\";
        let file = "src/\"}\n::error::x.rs";
        let service = service(&blocked(name, file, 5_000)).await;
        let run = Run::watch(&service, &[]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        publish(&service, 1..8);
        eventually(run.server, "/gate", |it| it.status == 412).await;
        let findings = get(run.server, "/findings").await;
        // Numbers in names count for nothing.
        let pattern = name.replace(['1', '2'], "#");
        assert_eq!(findings.json()["findings"][0]["subject"]["name"], pattern);
        for path in ["/findings", "/verdict", "/gate", "/metrics"] {
            let body = get(run.server, path).await.body;
            assert!(!body.contains(['\u{1b}', '\u{202e}']), "{path}: {body}");
            assert!(
                !body.lines().any(|line| line.starts_with("evil") || line.starts_with("::error")),
                "{path}: {body}"
            );
        }
        assert_eq!(get(run.server, "/gate").await.body.lines().count(), 1);
    });
}

#[test]
fn a_target_that_dies_and_comes_back_is_seen_in_the_metrics_and_no_counter_falls() {
    run(async {
        let (service, run) = watched().await;
        publish(&service, 1..6);
        let up = |it: &super::client::Answer| value(&it.body, "tokio_canary_target_up", &[]);
        eventually(run.server, "/metrics", |it| value(&it.body, "tokio_canary_feed_updates_total", &[]) >= Some(6.0))
            .await;
        let at = service.socket_addr();
        service.stop().await;
        let lost = eventually(run.server, "/metrics", |it| up(it) == Some(0.0)).await;
        assert_eq!(value(&lost.body, "tokio_canary_tasks", &[]), None, "what holds at present is not known");
        assert_eq!(get(run.server, "/gate").await.status, 409, "a target that is lost is not judged");
        assert_eq!(get(run.server, "/readyz").await.status, 503);
        let initial = prost::Message::encode_to_vec(&births(BEGIN + 60_000, 2, 10));
        let script = Script { initial: Some(initial), ..Script::default() };
        let _again = FakeService::start_at(at, script).await;
        let restarts = |it: &super::client::Answer| value(&it.body, "tokio_canary_target_restarts_total", &[]);
        let back = eventually(run.server, "/metrics", |it| (up(it), restarts(it)) == (Some(1.0), Some(1.0))).await;
        assert!(value(&back.body, "tokio_canary_feed_updates_total", &[]) >= Some(7.0), "{}", back.body);
    });
}

#[test]
fn a_target_that_falls_silent_is_not_up() {
    run(async {
        let (service, run) = watched().await;
        publish(&service, 1..4);
        let quiet = eventually(run.server, "/metrics", |it| {
            value(&it.body, "tokio_canary_feed_withheld", &["reason=\"quiet\""]) == Some(1.0)
        })
        .await;
        assert_eq!(value(&quiet.body, "tokio_canary_target_up", &[]), Some(0.0));
        assert_eq!(get(run.server, "/gate").await.status, 409);
    });
}

#[test]
fn a_port_that_is_taken_is_a_mistake_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["watch", "check"] {
        let output = tool(&[command, "127.0.0.1:1", "--listen", &address]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let sentence = format!("Cannot listen on {address}: something else listens there; choose another port");
        assert!(said.contains(&sentence), "{said}");
    }
    let output = tool(&["watch", "127.0.0.1:1", "--listen", ":9464"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`:9464` is not an address to listen on; write a port"), "{said}");
}

#[test]
fn an_address_that_others_can_reach_is_said_to_be_one() {
    run(async {
        let mut child = tool(&["watch", "127.0.0.1:1", "--listen", "0.0.0.0:0"]).spawn().unwrap();
        let line = Notes::of(&mut child).hear("Serving http://0.0.0.0:");
        assert!(
            line.contains("Anyone who can reach it can read the names and source locations of the targets"),
            "{line}"
        );
        let _ = child.kill();
        let _ = child.wait();
    });
}

#[test]
fn a_signal_ends_the_run_at_once_with_requests_under_way() {
    run(async {
        let (service, run) = watched().await;
        let server = run.server;
        let mut hanging = Vec::new();
        for _ in 0..10 {
            let mut stream = TcpStream::connect(server).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: local").await.unwrap();
            hanging.push(stream);
        }
        let scrapes: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    for _ in 0..1_000 {
                        let Ok(mut stream) = TcpStream::connect(server).await else { break };
                        let asked =
                            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                        if asked.await.is_err() {
                            break;
                        }
                        let mut answer = Vec::new();
                        let _ = stream.read_to_end(&mut answer).await;
                    }
                })
            })
            .collect();
        publish(&service, 1..4);
        let begun = Instant::now();
        let (status, notes) = run.end().await;
        assert_eq!(status.code(), Some(0), "{notes}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        for scrape in scrapes {
            scrape.await.unwrap();
        }
    });
}
