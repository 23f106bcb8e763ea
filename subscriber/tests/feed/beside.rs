//! In a process with several runtimes and with layers of its own.

use std::sync::{Arc, Mutex};

use tokio::task::{Builder, LocalSet};
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

use crate::client::Client;
use crate::facts::facts;
use crate::program::{Instrumented, builder, run, spawn};

/// A layer of the service: notes which spans and events it sees.
#[derive(Clone, Default)]
struct Own(Arc<Mutex<Vec<String>>>);

impl Own {
    fn saw(&self, name: &str) -> bool {
        self.0.lock().unwrap().iter().any(|it| it == name)
    }
}

impl<S: Subscriber> Layer<S> for Own {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(attributes.metadata().name().to_owned());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(event.metadata().target().to_owned());
    }
}

/// Serves a request inside a span of the service, and stays.
async fn serve() {
    let span = tracing::info_span!("request");
    span.in_scope(|| tracing::info!(target: "served", "a request"));
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn every_runtime_is_seen_and_other_layers_see_what_they_want() {
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let ((builder, address), own) = (builder(), Own::default());
        let layer = || own.clone();
        let dispatch = match how {
            Instrumented::Layer => Dispatch::new(
                tracing_subscriber::registry().with(builder.spawn()).with(layer().with_filter(LevelFilter::INFO)),
            ),
            _ => {
                Dispatch::new(builder.wrap(tracing_subscriber::registry().with(layer().with_filter(LevelFilter::INFO))))
            }
        };
        let pool_dispatch = dispatch.clone();
        let mut pool = tokio::runtime::Builder::new_multi_thread();
        let pool = pool.worker_threads(2).enable_all().on_thread_start(move || {
            // For as long as the thread lives.
            std::mem::forget(tracing::dispatcher::set_default(&pool_dispatch));
        });
        let pool = pool.build().unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let _inside = pool.enter();
            spawn("pooled", serve());
        });
        let _running = run(dispatch, || async {
            let local = LocalSet::new();
            local.run_until(async { Builder::new().name("local").spawn_local(serve()).unwrap().await }).await.unwrap();
        });
        let mut client = Client::attach(&address).await;
        let both = |told: &crate::client::Told| {
            ["pooled", "local"].iter().all(|name| {
                told.task(name).is_some_and(|(_, stats)| stats.poll_stats.is_some_and(|polls| polls.polls > 0))
            })
        };
        client.read("tasks of both runtimes", both).await;
        let [pooled, local] = ["pooled", "local"].map(|name| client.told.task(name).unwrap().0);
        let of = |id| move |known: &crate::facts::Update| known.task(id, "canary.runtime");
        let known = facts(&address, |known| of(pooled)(known).is_some() && of(local)(known).is_some()).await;
        assert_ne!(of(pooled)(&known), of(local)(&known), "under {how:?}: {known:?}");
        for name in ["request", "served"] {
            assert!(own.saw(name), "{name} under {how:?}");
        }
        assert!(!own.saw("runtime.spawn"), "under {how:?}");
        pool.shutdown_background();
    }
}
