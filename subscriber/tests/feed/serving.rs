//! How clients are served.

use std::sync::Arc;
use std::time::Duration;

use console_api::instrument::{
    InstrumentRequest, PauseRequest, ResumeRequest, StateRequest, TaskDetailsRequest, Temporality,
};
use console_api::tasks::task_details::PollTimesHistogram;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tonic::Code;
use tracing::Dispatch;

use crate::client::{Client, connect};
use crate::program::{Instrumented, builder, dispatch, dispatch_with, run, spawn};

/// The size from which on clients refuse messages by default.
const REFUSED: usize = 4 * 1024 * 1024;

/// Enough to retain and to send all that ends in a test. With less, an operation may be kept although what it waited for was not.
const ROOM: usize = 1 << 30;

#[tokio::test]
async fn a_large_state_arrives_in_pieces_that_any_client_accepts() {
    const TASKS: usize = 40_000;
    let (dispatch, address) = dispatch(Instrumented::Subscriber);
    let _running = run(dispatch, || async {
        for _ in 0..TASKS {
            tokio::spawn(std::future::pending::<()>());
        }
        spawn("last", std::future::pending::<()>());
        std::future::pending::<()>().await;
    });
    // Attaches when all of them live already.
    let mut first = Client::attach(&address).await;
    first.read("last task", |told| told.task("last").is_some()).await;
    let mut client = Client::attach(&address).await;
    client.read("all tasks", |told| told.task_stats.len() > TASKS && told.tasks.len() > TASKS).await;
    let told = &client.told;
    assert!(told.largest < REFUSED, "{} bytes", told.largest);
    assert!(told.updates > 1, "one update of {} bytes holds it all", told.largest);
    assert_eq!(told.dropped, 0);
}

/// A client that attaches amid the load is told what everything is that it is told anything about.
#[tokio::test]
async fn whatever_has_counters_was_introduced() {
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let (dispatch, address) = dispatch_with(how, |builder| builder.retained_bytes(ROOM).unsent_bytes(ROOM));
        let _running = run(dispatch, || async {
            for round in 0_u64.. {
                for _ in 0..20 {
                    spawn("request", request());
                }
                if round == 20 {
                    spawn("warm", async {}).await.unwrap();
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        connect(&address).await;
        sleep(Duration::from_millis(300)).await;
        let mut client = Client::attach(&address).await;
        client.read("some updates", |told| told.updates > 20).await;
        assert_eq!(client.told.early, [0; 4], "tasks, resources, operations and what they wait for under {how:?}");
    }
}

/// The same while others attach, watch and leave.
#[tokio::test]
async fn whatever_has_counters_was_introduced_to_each_of_several_clients() {
    let (dispatch, address) =
        dispatch_with(Instrumented::Subscriber, |builder| builder.retained_bytes(ROOM).unsent_bytes(ROOM));
    let _running = run(dispatch, || async {
        loop {
            for _ in 0..20 {
                spawn("request", request());
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    let mut first = Client::attach(&address).await;
    first.read("first update", |told| told.updates > 0).await;
    for round in 0..15 {
        // Amid an interval.
        sleep(Duration::from_millis(20)).await;
        let mut client = Client::attach(&address).await;
        client.read("some updates", |told| told.updates > 2).await;
        assert_eq!(client.told.early, [0; 4], "client {round}: tasks, resources, operations and what they wait for");
    }
}

/// What many services do for each request.
async fn request() {
    let lock = Arc::new(Mutex::new(()));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let guard = lock.lock().await;
    let other = Arc::clone(&lock);
    let (answer, answered) = tokio::sync::oneshot::channel();
    let waits = spawn("waits", async move {
        drop(other.lock().await);
        sender.send(()).await.unwrap();
        answer.send(()).unwrap();
    });
    let asks = spawn("asks", answered);
    sleep(Duration::from_millis(3)).await;
    drop(guard);
    receiver.recv().await.unwrap();
    waits.await.unwrap();
    asks.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pause_blinds_nobody_else() {
    let (dispatch, address) = dispatch(Instrumented::Subscriber);
    let _running = run(dispatch, || async {
        let mut number = 0;
        loop {
            spawn(&format!("task-{number}"), async {}).await.unwrap();
            sleep(Duration::from_millis(20)).await;
            number += 1;
        }
    });
    let (mut paused, mut other) = (Client::attach(&address).await, Client::attach(&address).await);
    paused.rpc.pause(PauseRequest {}).await.unwrap();
    let state = |answer: tonic::Response<tonic::Streaming<console_api::instrument::State>>| async move {
        answer.into_inner().message().await.unwrap().unwrap().temporality()
    };
    assert_eq!(state(paused.rpc.watch_state(StateRequest {}).await.unwrap()).await, Temporality::Paused);
    assert_eq!(state(other.rpc.watch_state(StateRequest {}).await.unwrap()).await, Temporality::Live);
    let seen = other.told.updates;
    other.read("further updates", |told| told.updates > seen + 10).await;
    // What was on its way may still arrive; then there is silence.
    while paused.next(Duration::from_millis(500)).await.is_some() {}
    paused.rpc.resume(ResumeRequest {}).await.unwrap();
    paused.read("what happened meanwhile", |told| told.tasks.len() > 20).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_costs_a_bounded_amount_and_catches_up() {
    const UNREAD: usize = 1024 * 1024;
    let (builder, address) = builder();
    let dispatch =
        Dispatch::new(builder.unread_bytes(UNREAD).unsent_bytes(8 * UNREAD).wrap(tracing_subscriber::registry()));
    let _running = run(dispatch, || async {
        spawn("lives", std::future::pending::<()>());
        loop {
            for _ in 0..200 {
                tokio::spawn(async { drop(tokio::sync::Mutex::new(()).lock().await) });
            }
            sleep(Duration::from_millis(1)).await;
        }
    });
    let mut slow = Client::attach(&address).await;
    let mut other = Client::attach(&address).await;
    // Many times what a client may leave unread.
    other.read("a lot", |told| told.bytes > 30 * UNREAD).await;
    slow.read("everything that lives, and how much was lost", |told| told.task("lives").is_some() && told.dropped > 0)
        .await;
    // Beside what it may leave unread: one update, one state, and what is on its way between the processes.
    assert!(slow.told.bytes < 20 * UNREAD, "{} bytes were kept for it", slow.told.bytes);
}

#[tokio::test]
async fn details_begin_when_somebody_asks() {
    let (dispatch, address) = dispatch(Instrumented::Layer);
    let _running = run(dispatch, || async {
        spawn("polled", async {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                sleep(Duration::from_millis(5)).await;
            }
        });
        std::future::pending::<()>().await;
    });
    let mut client = Client::attach(&address).await;
    client.read("task", |told| told.task("polled").is_some()).await;
    let id = client.told.task("polled").unwrap().0;
    let mut details =
        client.rpc.watch_task_details(TaskDetailsRequest { id: Some(id.into()) }).await.unwrap().into_inner();
    let polls = |details: console_api::tasks::TaskDetails| -> hdrhistogram::Histogram<u64> {
        let Some(PollTimesHistogram::Histogram(polls)) = details.poll_times_histogram else { panic!("no histogram") };
        hdrhistogram::serialization::Deserializer::new().deserialize(&mut polls.raw_histogram.as_slice()).unwrap()
    };
    assert_eq!(polls(details.message().await.unwrap().unwrap()).len(), 0);
    let known = loop {
        let known = polls(details.message().await.unwrap().unwrap());
        if known.len() >= 5 {
            break known;
        }
    };
    // Each poll takes a millisecond or more, and the least of them hardly a second.
    assert!((1_000_000..1_000_000_000).contains(&known.min()), "{} ns", known.min());
    let missing = client.rpc.watch_task_details(TaskDetailsRequest { id: Some(u64::MAX.into()) }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_token_keeps_others_out() {
    let (builder, address) = builder();
    let dispatch = Dispatch::new(builder.token("secret").wrap(tracing_subscriber::registry()));
    let _running = run(dispatch, std::future::pending);
    let mut client = connect(&address).await;
    for header in [None, Some("Bearer wrong"), Some("secret")] {
        let mut request = tonic::Request::new(InstrumentRequest {});
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        assert_eq!(client.watch_updates(request).await.unwrap_err().code(), Code::Unauthenticated, "{header:?}");
    }
    let mut request = tonic::Request::new(InstrumentRequest {});
    request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    assert!(client.watch_updates(request).await.unwrap().into_inner().message().await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_that_an_earlier_life_left_is_replaced() {
    let folder = std::env::temp_dir().join(format!("tokio-canary-subscriber-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("console.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (builder, _) = builder();
    let dispatch = Dispatch::new(builder.server_addr(path.clone()).wrap(tracing_subscriber::registry()));
    let _running = run(dispatch, std::future::pending);
    let connected = async {
        while tokio::net::UnixStream::connect(&path).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(60), connected).await.is_ok(),
        "nobody listens on {}",
        path.display()
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let path = std::env::temp_dir().join(format!("tokio-canary-subscriber-{}.conf", std::process::id()));
    std::fs::write(&path, "precious").unwrap();
    let (builder, _) = builder();
    let (_layer, server) = builder.server_addr(path.clone()).build();
    server.serve().await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}
