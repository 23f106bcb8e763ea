//! What the stock feed does not say.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::{Mutex, RwLock, Semaphore};
use tokio::time::sleep;

use crate::client::{Client, connect, texts};
use crate::program::{Instrumented, dispatch, run, spawn};

/// `proto/canary.proto`, as far as it is asked for here.
#[derive(Clone, PartialEq, Message)]
struct Update {
    #[prost(message, optional, tag = "2")]
    tasks: Option<TaskUpdate>,
    #[prost(message, optional, tag = "3")]
    resources: Option<ResourceUpdate>,
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<console_api::Field>,
}

#[derive(Clone, PartialEq, Message)]
struct TaskUpdate {
    #[prost(map = "uint64, message", tag = "3")]
    stats: std::collections::HashMap<u64, Facts>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceUpdate {
    #[prost(map = "uint64, message", tag = "2")]
    stats: std::collections::HashMap<u64, Facts>,
}

#[derive(Clone, PartialEq, Message)]
struct Facts {
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<console_api::Field>,
}

/// The last facts of each task and each resource, as a client reads them that knows of them.
async fn facts(address: &str, until: impl Fn(&Update) -> bool) -> Update {
    let channel = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
    let mut known = Update::default();
    let _listens = connect(address).await;
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path =
        tonic::codegen::http::uri::PathAndQuery::from_static("/rs.tokio.console.instrument.Instrument/WatchUpdates");
    let codec = tonic_prost::ProstCodec::<console_api::instrument::InstrumentRequest, Update>::default();
    let request = tonic::Request::new(console_api::instrument::InstrumentRequest {});
    let mut updates = grpc.server_streaming(request, path, codec).await.unwrap().into_inner();
    let read = async {
        while !until(&known) {
            let update = updates.message().await.unwrap().unwrap();
            known.tasks.get_or_insert_default().stats.extend(update.tasks.unwrap_or_default().stats);
            known.resources.get_or_insert_default().stats.extend(update.resources.unwrap_or_default().stats);
            known.canary.extend(update.canary);
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), read).await.is_ok(), "not told: {known:?}");
    known
}

impl Update {
    fn task(&self, id: u64, name: &str) -> Option<String> {
        texts(&self.tasks.as_ref()?.stats.get(&id)?.canary).remove(name)
    }

    fn resource(&self, id: u64, name: &str) -> Option<String> {
        texts(&self.resources.as_ref()?.stats.get(&id)?.canary).remove(name)
    }
}

#[tokio::test]
async fn how_a_task_ended_is_told() {
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let (dispatch, address) = dispatch(how);
        let _running = run(dispatch, || async {
            let aborted = spawn("aborted", std::future::pending::<()>());
            spawn("completes", async { tokio::task::yield_now().await }).await.unwrap();
            let _panicked = spawn("panics", async { panic!("on purpose") }).await.unwrap_err();
            // Two milliseconds without anything else on this thread: an abort while the runtime is idle.
            sleep(Duration::from_millis(5)).await;
            std::thread::sleep(Duration::from_millis(5));
            aborted.abort();
            let _cancelled = aborted.await.unwrap_err();
            let never_polled = spawn("never-polled", async {});
            never_polled.abort();
            let _cancelled = never_polled.await.unwrap_err();
            std::future::pending::<()>().await;
        });
        let mut client = Client::attach(&address).await;
        client
            .read("end of all", |told| {
                ["aborted", "completes", "panics", "never-polled"].iter().all(|name| told.have_ended(name, 1))
            })
            .await;
        let id = |name| client.told.task(name).unwrap().0;
        let known = facts(&address, |known| known.task(id("never-polled"), "canary.end").is_some()).await;
        for (name, end) in [
            ("completes", "completed"),
            ("panics", "panicked"),
            ("aborted", "cancelled"),
            ("never-polled", "cancelled"),
        ] {
            assert_eq!(known.task(id(name), "canary.end").as_deref(), Some(end), "{name} under {how:?}");
        }
        assert!(known.task(id("completes"), "canary.runtime").is_some(), "{known:?}");
        assert!(known.task(id("completes"), "canary.thread").is_some(), "{known:?}");
    }
}

#[tokio::test]
async fn who_holds_a_lock_is_told_however_late_a_client_attaches() {
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let (dispatch, address) = dispatch(how);
        let _running = run(dispatch, || async {
            let (lock, permits) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(5)));
            let moved = Arc::clone(&lock).lock_owned().await;
            drop(moved);
            let (its_lock, its_permits) = (Arc::clone(&lock), Arc::clone(&permits));
            let readers = Arc::new(RwLock::new(()));
            drop(readers.write().await);
            spawn("holder", async move {
                let _guard = its_lock.lock().await;
                let _permits = its_permits.acquire_many(3).await.unwrap();
                let _reads = readers.read().await;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
            let _waiter = spawn("waiter", async move { drop(lock.lock().await) });
            spawn("releases", async move { drop(permits.acquire().await.unwrap()) }).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut client = Client::attach(&address).await;
        client.read("holder and release", |told| told.task("holder").is_some() && told.have_ended("releases", 1)).await;
        let holder = client.told.task("holder").unwrap().0.to_string();
        let releases = client.told.task("releases").unwrap().0.to_string();
        let mutex = *client.told.resources.iter().find(|(_, it)| it.concrete_type == "Mutex").unwrap().0;
        let semaphore =
            *client.told.resources.iter().find(|(_, it)| it.concrete_type == "Semaphore" && !it.is_internal).unwrap().0;
        let rwlock = *client.told.resources.iter().find(|(_, it)| it.concrete_type == "RwLock").unwrap().0;
        let known = facts(&address, |known| known.resource(semaphore, "canary.released_by").is_some()).await;
        assert_eq!(known.resource(rwlock, "canary.holder").as_deref(), Some(&*holder), "{known:?}");
        assert_eq!(known.resource(mutex, "canary.holder").as_deref(), Some(&*holder), "{known:?}");
        assert_eq!(known.resource(mutex, "canary.held_borrowed").as_deref(), Some("1"), "{known:?}");
        assert_eq!(known.resource(semaphore, "canary.holder").as_deref(), Some(&*holder), "{known:?}");
        assert_eq!(known.resource(semaphore, "canary.held_permits").as_deref(), Some("3"), "{known:?}");
        assert_eq!(known.resource(semaphore, "canary.released_by").as_deref(), Some(&*releases), "{known:?}");
        let process = texts(&known.canary);
        assert_eq!(process.get("canary.process"), Some(&std::process::id().to_string()), "{process:?}");
        assert!(process.contains_key("canary.started"), "{process:?}");
    }
}

#[tokio::test]
async fn a_task_names_the_task_that_spawned_it() {
    let (dispatch, address) = dispatch(Instrumented::Subscriber);
    let _running = run(dispatch, || async {
        spawn("parent", async {
            spawn("child", std::future::pending::<()>());
            std::future::pending::<()>().await;
        });
        std::future::pending::<()>().await;
    });
    let mut client = Client::attach(&address).await;
    client.read("child", |told| told.task("child").is_some()).await;
    let told = &client.told;
    let (parent, child) = (told.task("parent").unwrap().0, told.task("child").unwrap().0);
    assert_eq!(told.tasks[&child].parents.iter().map(|parent| parent.id).collect::<Vec<_>>(), [parent]);
}
