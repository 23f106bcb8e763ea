//! Loops around something that is always ready.

use std::time::Duration;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{FramedRead, LinesCodec};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::service::{Load, Work, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/spins.rs", text: include_str!("spins.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "framed-read-after-end",
        crates: "tokio-util, futures",
        fault: "A reader of lines takes the end of its stream for a line that is not there yet, and reads again.",
        issue: "tokio-rs/tokio-core#112",
        way: Way::Spin,
        rate_of: "lines",
        rate: 50.0,
        size_of: "seconds until a feed ends",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &["line-reader"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(line_readers(load)),
    },
    Program {
        id: "flume-polled-in-a-loop",
        crates: "flume",
        fault: "A dispatcher asks its queue with try_recv and yields in between, instead of waiting for it.",
        issue: "zesterer/flume#141",
        way: Way::Spin,
        rate_of: "jobs",
        rate: 40.0,
        size_of: "milliseconds of a job",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &["job-dispatcher"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(flume_dispatcher(load)),
    },
    Program {
        id: "socket-polled-in-a-loop",
        crates: "tokio-util, async-stream",
        fault: "A stream tries to read its socket, which is not ready, and yields in between, instead of waiting for it.",
        issue: "matthunz/futures-codec#1",
        way: Way::Spin,
        rate_of: "readings",
        rate: 20.0,
        size_of: "bytes of a reading",
        size: 64,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &["sensor-reader"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(sensor_reader(load)),
    },
];

/// Feeds of lines over sockets: the first ends after a while and is made anew by who reads it well, two others go on.
async fn line_readers(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let feeds = load.clone();
    outside(move || async move {
        let first_end = secs(u64::try_from(feeds.size)?);
        for (feed, length) in [first_end, secs(3_600), secs(3_600)].into_iter().enumerate() {
            let feeds = feeds.clone();
            tokio::spawn(async move {
                let mut gaps = feeds.random(u64::try_from(feed)?);
                loop {
                    let mut socket = TcpStream::connect(address).await?;
                    let end = tokio::time::Instant::now() + length;
                    while tokio::time::Instant::now() < end {
                        tokio::time::sleep(gap(&mut gaps, feeds.rate)).await;
                        socket.write_all(b"reading 17\n").await?;
                    }
                    // It says that it is done, and waits for the other side to say so too.
                    socket.shutdown().await?;
                    let mut rest = Vec::new();
                    tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest).await?;
                }
                #[expect(unreachable_code, reason = "names the type of the error")]
                anyhow::Ok(())
            });
        }
        std::future::pending().await
    });
    loop {
        let (socket, _) = listener.accept().await?;
        let is_faulty = load.is_faulty();
        spawn("line-reader", async move {
            let mut lines = FramedRead::new(socket, LinesCodec::new());
            loop {
                match lines.next().await {
                    Some(Ok(_)) => Work::begin().end(true),
                    Some(Err(_)) => return,
                    None if is_faulty => {}
                    None => return,
                }
            }
        });
    }
}

async fn flume_dispatcher(load: Load) -> anyhow::Result<()> {
    let (sender, jobs) = flume::unbounded::<Duration>();
    let is_faulty = load.is_faulty();
    spawn("job-dispatcher", async move {
        loop {
            let job = if is_faulty {
                let job = jobs.try_recv();
                if job == Err(flume::TryRecvError::Empty) {
                    tokio::task::yield_now().await;
                    continue;
                }
                job.ok()
            } else {
                jobs.recv_async().await.ok()
            };
            let Some(length) = job else { return };
            let work = Work::begin();
            spawn("run-job", async move {
                tokio::time::sleep(length).await;
                work.end(true);
            });
        }
    });
    let length = millis(u64::try_from(load.size)?);
    load.arrivals(|_| {
        let _ = sender.send(length);
    })
    .await;
    Ok(())
}

async fn sensor_reader(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sensor = load.clone();
    outside(move || async move {
        let mut gaps = sensor.random(1);
        let mut socket = TcpStream::connect(address).await?;
        loop {
            tokio::time::sleep(gap(&mut gaps, sensor.rate)).await;
            socket.write_all(&vec![7; sensor.size]).await?;
        }
    });
    let (socket, _) = listener.accept().await?;
    let is_faulty = load.is_faulty();
    let readings = async_stream::stream! {
        let mut buffer = vec![0; 4_096];
        loop {
            if !is_faulty && socket.readable().await.is_err() {
                break;
            }
            match socket.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => yield read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                Err(_) => break,
            }
        }
    };
    let reader = spawn("sensor-reader", async move {
        let mut readings = std::pin::pin!(readings);
        while readings.next().await.is_some() {
            Work::begin().end(true);
        }
    });
    reader.await?;
    anyhow::bail!("the sensor has left")
}
