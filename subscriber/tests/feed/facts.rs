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
pub(crate) struct Update {
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
pub(crate) struct Facts {
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<console_api::Field>,
}

/// The last facts of each task and each resource, as a client reads them that knows of them.
pub(crate) async fn facts(address: &str, until: impl Fn(&Update) -> bool) -> Update {
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
    pub(crate) fn task(&self, id: u64, name: &str) -> Option<String> {
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

/// Runs a program under both kinds of our subscribers, until it says that it is where it has to be; gives back the semaphore's facts and the
/// spans of the tasks of these names.
async fn semaphore_facts<F: Future<Output = ()> + 'static>(
    program: fn() -> F,
    names: &[&str],
    until: impl Fn(&Facts) -> bool,
) -> Vec<(Vec<console_api::Field>, Vec<String>)> {
    let mut outcomes = Vec::new();
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let (dispatch, address) = dispatch(how);
        let _running = run(dispatch, move || async move {
            program().await;
            spawn("there", async {}).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut client = Client::attach(&address).await;
        let all = |told: &crate::client::Told| names.iter().all(|name| told.task(name).is_some());
        client.read("end of the program", |told| told.have_ended("there", 1) && all(told)).await;
        let spans = names.iter().map(|name| client.told.task(name).unwrap().0.to_string()).collect();
        let is_it = |it: &console_api::resources::Resource| it.concrete_type == "Semaphore" && !it.is_internal;
        let semaphore = *client.told.resources.iter().find(|(_, it)| is_it(it)).unwrap().0;
        let of = |known: &Update| known.resources.as_ref()?.stats.get(&semaphore).cloned();
        let known = facts(&address, |known| of(known).is_some_and(|facts| until(&facts))).await;
        outcomes.push((of(&known).unwrap().canary, spans));
    }
    outcomes
}

/// The values of all facts of a name.
fn all(facts: &[console_api::Field], name: &str) -> Vec<String> {
    facts.iter().filter_map(|fact| texts([fact]).remove(name)).collect()
}

#[tokio::test]
async fn a_permit_that_is_handed_from_task_to_task_has_one_holder() {
    let program = || async {
        let permits = Arc::new(Semaphore::new(1));
        let first = Arc::clone(&permits);
        let take_turns = |permits: Arc<Semaphore>, rounds: usize| async move {
            for _ in 0..rounds {
                let permit = permits.acquire().await.unwrap();
                tokio::task::yield_now().await;
                drop(permit);
            }
            permits.acquire().await.unwrap().forget();
        };
        let (left, right) =
            (spawn("left", take_turns(first, 20)), spawn("right", take_turns(Arc::clone(&permits), 20)));
        tokio::select! { _ = left => {}, _ = right => {} }
        spawn("keeps", async move {
            std::mem::forget(permits);
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
    };
    for (facts, _) in semaphore_facts(program, &[], |_| true).await {
        assert_eq!(all(&facts, "canary.holder").len(), 1, "{facts:?}");
        assert_eq!(all(&facts, "canary.holders_unclear").len(), 0, "{facts:?}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_semaphore_that_is_closed_holds_nothing() {
    let program = || async {
        let permits = Arc::new(Semaphore::new(1));
        let (held, awaited) = (Arc::clone(&permits), Arc::clone(&permits));
        spawn("holder", async move {
            let _permit = held.acquire().await.unwrap();
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        let waiter = spawn("waiter", async move {
            let _closed = awaited.acquire().await.unwrap_err();
        });
        tokio::task::yield_now().await;
        permits.close();
        waiter.await.unwrap();
        spawn("keeps", async move { std::mem::forget(permits) }).await.unwrap();
    };
    for (facts, spans) in semaphore_facts(program, &["holder"], |_| true).await {
        assert_eq!(all(&facts, "canary.holder"), spans, "{facts:?}");
    }
}

#[tokio::test]
async fn permits_that_come_from_nowhere_make_holders_unclear_and_those_of_a_cancelled_wait_do_not() {
    let tried = || async {
        let permits = Arc::new(Semaphore::new(2));
        let held = Arc::clone(&permits);
        spawn("holder", async move {
            let _permit = held.acquire().await.unwrap();
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        drop(permits.try_acquire().unwrap());
        std::mem::forget(permits);
    };
    for (facts, _) in semaphore_facts(tried, &[], |_| true).await {
        assert_eq!(all(&facts, "canary.holders_unclear"), ["1"], "{facts:?}");
        assert_eq!(all(&facts, "canary.holder").len(), 0, "{facts:?}");
    }
    let cancelled = || async {
        let permits = Arc::new(Semaphore::new(2));
        let (held, awaited) = (Arc::clone(&permits), Arc::clone(&permits));
        spawn("holder", async move {
            let _permit = held.acquire().await.unwrap();
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        let permit = permits.acquire().await.unwrap();
        let waiter = spawn("waiter", async move {
            let _never = awaited.acquire().await;
        });
        tokio::task::yield_now().await;
        // It is given the permit and has no time to take it.
        drop(permit);
        waiter.abort();
        let _cancelled = waiter.await.unwrap_err();
        std::mem::forget(permits);
    };
    for (facts, spans) in semaphore_facts(cancelled, &["holder"], |_| true).await {
        assert_eq!(all(&facts, "canary.holder"), spans, "{facts:?}");
        assert_eq!(all(&facts, "canary.holders_unclear").len(), 0, "{facts:?}");
    }
}

#[tokio::test]
async fn of_many_holders_those_who_hold_longest_are_told_and_the_others_counted() {
    let program = || async {
        let permits = Arc::new(Semaphore::new(64));
        for number in 0..40 {
            let held = Arc::clone(&permits);
            let hold = async move {
                let _permit = held.acquire().await.unwrap();
                std::future::pending::<()>().await;
            };
            spawn(if number == 0 { "first" } else { "other" }, hold);
            tokio::task::yield_now().await;
        }
        std::mem::forget(permits);
    };
    for (facts, spans) in semaphore_facts(program, &["first"], |_| true).await {
        let holders = all(&facts, "canary.holder");
        assert_eq!((holders.len(), holders.first()), (16, spans.first()), "{facts:?}");
        assert_eq!(all(&facts, "canary.held_by_more"), ["24"], "{facts:?}");
    }
}
