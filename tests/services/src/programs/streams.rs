//! Streams: dashboards that are kept up to date, and devices that send documents.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::{Decoder, FramedRead};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::service::{Load, Work, between, gap, outside};

const SOURCE: Source = Source { file: "programs/streams.rs", text: include_str!("streams.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "deadline-elapsed-and-kept",
        crates: "tokio-tungstenite",
        fault: "A session says goodbye when its deadline has passed and keeps the deadline: if no answer comes, that branch is always ready.",
        issue: "udoprog/musli#361",
        way: Way::Spin,
        rate_of: "questions from dashboards",
        rate: 20.0,
        size_of: "seconds until the first dashboard vanishes",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &[],
            libraries: &["tokio-tungstenite"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(dashboards(load)),
    },
    Program {
        id: "json-parsed-again-after-each-read",
        crates: "tokio-util, serde_json",
        fault: "A decoder parses a document from its start after each read: a large one takes hundreds of reads, and each blocks a worker.",
        issue: "apollographql/router#172",
        way: Way::Blocking,
        rate_of: "documents of devices",
        rate: 15.0,
        size_of: "megabytes of an export",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["tokio-util"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(documents(load)),
    },
];

const IDLE: Duration = secs(10);
const GOODBYE: Duration = secs(3);

/// Keeps a dashboard up to date and answers its questions, until nothing has come from it for too long.
async fn serve_dashboard(
    socket: TcpStream,
    mut news: broadcast::Receiver<Message>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let mut session = timeout(secs(5), accept_async(socket)).await??;
    let mut pings = interval(secs(4));
    let deadline = sleep(IDLE); // <- deadline-elapsed-and-kept
    tokio::pin!(deadline);
    let mut is_closing = false;
    loop {
        tokio::select! {
            message = session.next() => match message {
                Some(Ok(Message::Text(question))) => {
                    deadline.as_mut().reset(Instant::now() + IDLE);
                    session.send(Message::text(format!("answer to {question}"))).await?;
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(other) => {
                    other?;
                    deadline.as_mut().reset(Instant::now() + IDLE);
                }
            },
            new = news.recv(), if !is_closing => match new {
                Ok(new) => session.send(new).await?,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
            _ = pings.tick(), if !is_closing => session.send(Message::Ping(Bytes::new())).await?,
            () = &mut deadline => {
                if !is_closing {
                    is_closing = true;
                    session.send(Message::Close(None)).await?;
                    if !is_faulty {
                        deadline.as_mut().reset(Instant::now() + GOODBYE);
                    }
                } else if !is_faulty {
                    return Ok(());
                }
            }
        }
    }
}

/// A dashboard that asks a question now and then, and stays for a while: then it leaves, or it vanishes.
async fn watch(
    hub: SocketAddr,
    mut random: fastrand::Rng,
    questions: f64,
    stay: Duration,
) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect(hub).await?;
    let (mut session, _) = tokio_tungstenite::client_async(format!("ws://{hub}"), socket).await?;
    let end = Instant::now() + stay;
    let mut next = Instant::now() + gap(&mut random, questions);
    let mut asked: Option<Work> = None;
    loop {
        tokio::select! {
            message = session.next() => match message {
                Some(Ok(Message::Text(text))) if text.starts_with("answer") => {
                    if let Some(work) = asked.take() {
                        work.end(true);
                    }
                }
                Some(other) => drop(other?),
                None => anyhow::bail!("closed"),
            },
            () = tokio::time::sleep_until(next) => {
                next += gap(&mut random, questions);
                if asked.is_none() {
                    asked = Some(Work::begin());
                    session.send(Message::text("how many?")).await?;
                }
            }
            () = tokio::time::sleep_until(end), if asked.is_none() => return Ok(session.into_inner()),
        }
    }
}

async fn dashboards(load: Load) -> anyhow::Result<()> {
    const DASHBOARDS: u64 = 30;
    const VANISHES_EVERY: u64 = 12;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (hub, clients) = (listener.local_addr()?, load.clone());
    outside(move || async move {
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let questions = clients.rate / DASHBOARDS as f64;
        for dashboard in 0..DASHBOARDS {
            let (mut random, vanishes) = (clients.random(100 + dashboard), dashboard % 3 == 0);
            let first = secs(clients.size as u64 + dashboard / 3 * VANISHES_EVERY);
            tokio::spawn(async move {
                let mut lost = Vec::new();
                for visit in 0.. {
                    let is_lost = vanishes && visit == 0;
                    let stay = if is_lost { first } else { between(&mut random, secs(10), secs(60)) };
                    let socket = watch(hub, random.fork(), questions, stay).await;
                    // Who has vanished does not close its connection.
                    lost.extend(socket.ok().filter(|_| is_lost));
                    sleep(secs(2)).await;
                }
            });
        }
        std::future::pending().await
    });
    let (publish, _) = broadcast::channel(64);
    let (news, is_faulty) = (publish.clone(), load.is_faulty());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve_dashboard(socket, news.subscribe(), is_faulty)); // <- deadline-elapsed-and-kept
        }
    });
    tokio::spawn(async move {
        let mut ticks = interval(millis(500));
        loop {
            ticks.tick().await;
            // There may be no dashboard.
            let _ = publish.send(Message::text("17 orders"));
        }
    });
    sidelines::run(&load).await
}

/// Finds the documents in a stream of JSON that has nothing in between.
#[derive(Default)]
struct Documents {
    is_faulty: bool,
    scanned: usize,
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

/// A document, which is parsed already or has to be.
enum Document {
    Parsed(Value),
    Whole(Bytes),
}

impl Documents {
    /// Goes on where the last call has stopped, and returns where the first document ends.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate().skip(self.scanned) {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_string => self.is_escaped = true,
                b'"' => self.is_string = !self.is_string,
                b'{' | b'[' if !self.is_string => self.depth += 1,
                b'}' | b']' if !self.is_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.scanned = 0;
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        self.scanned = bytes.len();
        None
    }
}

impl Decoder for Documents {
    type Item = Document;
    type Error = anyhow::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> anyhow::Result<Option<Document>> {
        if !self.is_faulty {
            return Ok(self.end(bytes).map(|end| Document::Whole(bytes.split_to(end).freeze())));
        }
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) if !error.is_eof() => return Err(error.into()),
            _ => return Ok(None),
        };
        let end = values.byte_offset();
        bytes.advance(end);
        Ok(Some(Document::Parsed(value)))
    }
}

/// Takes the documents of a device, and says for each how many readings are in it.
async fn serve_device(socket: TcpStream, is_faulty: bool) -> anyhow::Result<()> {
    const SMALL: usize = 16_384;
    let (reader, mut writer) = socket.into_split();
    let mut documents = FramedRead::new(reader, Documents { is_faulty, ..Documents::default() });
    while let Some(document) = timeout(secs(120), documents.next()).await? {
        let value: Value = match document? {
            Document::Parsed(value) => value,
            Document::Whole(bytes) if bytes.len() <= SMALL => serde_json::from_slice(&bytes)?,
            Document::Whole(bytes) => spawn_blocking(move || serde_json::from_slice(&bytes)).await??,
        };
        let count = value["readings"].as_array().map_or(0, Vec::len);
        writer.write_all(format!("{count}\n").as_bytes()).await?;
    }
    Ok(())
}

/// A document with about so many bytes.
fn document(length: usize) -> Vec<u8> {
    const READING: &str = r#"{"sensor":"inlet temperature","at":1712345678,"value":17.25,"unit":"K"}"#;
    let readings = vec![READING; (length / READING.len()).max(1)].join(",");
    format!(r#"{{"device":"pump","readings":[{readings}]}}"#).into_bytes()
}

/// Sends a document, and waits for the answer.
async fn hand_in(socket: &mut BufReader<TcpStream>, document: &[u8], patience: Duration) -> anyhow::Result<()> {
    let exchange = async {
        socket.write_all(document).await?;
        anyhow::Ok(socket.read_line(&mut String::new()).await?)
    };
    anyhow::ensure!(timeout(patience, exchange).await?? > 0, "no answer");
    Ok(())
}

/// Devices from outside, each with a connection; three of them send exports now and then.
fn devices(load: &Load, server: SocketAddr) {
    const DEVICES: u64 = 24;
    const EXPORTERS: u64 = 3;
    let load = load.clone();
    outside(move || async move {
        let export: std::sync::Arc<[u8]> = document(load.size * 1_000_000).into();
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let rate = load.rate / DEVICES as f64;
        for device in 0..DEVICES + EXPORTERS {
            let (mut random, export) = (load.random(100 + device), std::sync::Arc::clone(&export));
            tokio::spawn(async move {
                let mut socket = BufReader::new(TcpStream::connect(server).await?);
                let small = document(600);
                if device >= DEVICES {
                    sleep(secs(10 + 4 * (device - DEVICES))).await;
                }
                loop {
                    let work = Work::begin();
                    let (document, patience) =
                        if device < DEVICES { (&small[..], secs(10)) } else { (&export[..], secs(120)) };
                    work.end(hand_in(&mut socket, document, patience).await.is_ok());
                    let pause = if device < DEVICES {
                        gap(&mut random, rate)
                    } else {
                        between(&mut random, secs(12), secs(20))
                    };
                    sleep(pause).await;
                }
                #[expect(unreachable_code, reason = "names the type of the error")]
                anyhow::Ok(())
            });
        }
        std::future::pending().await
    });
}

async fn documents(load: Load) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(65_536)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(128)?;
    devices(&load, listener.local_addr()?);
    let is_faulty = load.is_faulty();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve_device(socket, is_faulty)); // <- json-parsed-again-after-each-read
        }
    });
    sidelines::run(&load).await
}
