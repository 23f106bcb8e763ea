//! What a client of the real console-subscriber gets to know.
#![expect(clippy::unwrap_used, reason = "a test that fails must say so")]

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::resources::Resource;
use console_api::resources::resource::kind;
use console_api::{async_ops, resources};
use tokio_canary_channels::{Probe, mpsc, set_interval};

/// All that was told so far.
#[derive(Debug, Default)]
struct Told {
    /// The names of tasks by their ids.
    tasks: HashMap<u64, String>,
    resources: HashMap<u64, Resource>,
    resource_stats: HashMap<u64, resources::Stats>,
    operations: HashMap<u64, async_ops::AsyncOp>,
    operation_stats: HashMap<u64, async_ops::Stats>,
}

impl Told {
    fn take(&mut self, update: Update) {
        for task in update.task_update.unwrap_or_default().new_tasks {
            let name = task.fields.iter().find_map(|field| match (&field.name, &field.value) {
                (Some(Name::StrName(name)), Some(Value::DebugVal(value) | Value::StrVal(value)))
                    if name == "task.name" =>
                {
                    Some(value.clone())
                }
                _ => None,
            });
            self.tasks.insert(task.id.unwrap().id, name.unwrap_or_default());
        }
        let news = update.resource_update.unwrap_or_default();
        self.resources.extend(news.new_resources.into_iter().map(|resource| (resource.id.unwrap().id, resource)));
        self.resource_stats.extend(news.stats_update);
        let news = update.async_op_update.unwrap_or_default();
        self.operations.extend(news.new_async_ops.into_iter().map(|operation| (operation.id.unwrap().id, operation)));
        self.operation_stats.extend(news.stats_update);
    }

    fn resource(&self, concrete_type: &str) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.concrete_type == concrete_type)
    }

    /// The attributes of a resource, as tokio-console prints them.
    fn attributes(&self, concrete_type: &str) -> BTreeMap<String, String> {
        let id = self.resource(concrete_type).and_then(|resource| resource.id).unwrap_or_default().id;
        let attributes = self.resource_stats.get(&id).map(|stats| &stats.attributes[..]).unwrap_or_default();
        let text = |attribute: &console_api::Attribute| {
            let field = attribute.field.clone()?;
            let Some(Name::StrName(name)) = field.name else { return None };
            let value = match field.value? {
                Value::StrVal(text) => text,
                Value::U64Val(number) => format!("{number}{}", attribute.unit.clone().unwrap_or_default()),
                other => format!("{other:?}"),
            };
            Some((name, value))
        };
        attributes.iter().filter_map(text).collect()
    }

    /// The task that does something of this source now or has done it, with the resource it does it to.
    fn who(&self, source: &str) -> Option<(&str, &str)> {
        let (id, operation) = self.operations.iter().find(|(_, operation)| operation.source == source)?;
        let task = self.tasks.get(&self.operation_stats.get(id)?.task_id?.id)?;
        Some((task, &self.resources.get(&operation.resource_id?.id)?.concrete_type))
    }
}

#[test]
fn a_console_client_sees_queues_their_numbers_and_who_uses_them() {
    set_interval(Duration::from_millis(20));
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let layer = console_subscriber::ConsoleLayer::builder()
        .server_addr(address)
        .publish_interval(Duration::from_millis(50))
        .spawn();
    tracing::subscriber::set_global_default({
        use tracing_subscriber::layer::SubscriberExt;
        tracing_subscriber::registry().with(layer)
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let line = line!() + 1;
    let (sender, mut receiver) = mpsc::unbounded_channel_named::<u64>("orders");
    let (bounded, _bounded_receiver) = mpsc::channel::<u16>(2);
    let _probe = Probe::new("pool", || 3).with_capacity(8);
    let task = |name| tokio::task::Builder::new().name(name);
    let told = runtime.block_on(async {
        let consumer = async move {
            for _ in 0..5 {
                assert!(receiver.recv().await.is_some());
            }
            // It stops without going away.
            std::future::pending::<()>().await;
            drop(receiver);
        };
        task("consumer").spawn(consumer).unwrap();
        let producer = async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            for number in 0..12 {
                sender.send(number).unwrap();
            }
            for number in 0..3 {
                bounded.send(number).await.unwrap();
            }
            drop(sender);
        };
        task("producer").spawn(producer).unwrap();
        tokio::time::timeout(Duration::from_secs(60), watch(address.to_string())).await.expect("never told")
    });
    let orders = told.resource("mpsc::unbounded_channel").unwrap();
    let place = orders.location.as_ref().unwrap();
    assert!(place.file.as_ref().unwrap().ends_with("tests/console.rs"));
    assert_eq!((place.line, orders.is_internal), (Some(line), false));
    let Some(kind::Kind::Other(kind)) = &orders.kind.as_ref().unwrap().kind else { panic!("{:?}", orders.kind) };
    assert_eq!(kind, "channel");
    // What tokio tells of a sender that waits belongs to the semaphore in our channel.
    let channel = told.resource("mpsc::channel").unwrap().id;
    let mut semaphores = told.resources.values().filter(|resource| resource.concrete_type == "Semaphore");
    assert!(semaphores.any(|semaphore| semaphore.is_internal && semaphore.parent_resource_id == channel));
}

/// Reads until everything is there; what is missing is known from the time limit.
async fn watch(address: String) -> Told {
    let mut told = Told::default();
    let mut client = loop {
        match InstrumentClient::connect(format!("http://{address}")).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
    while let Some(update) = updates.message().await.unwrap() {
        told.take(update);
        let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let orders =
            [("depth", "7"), ("message_size", "8bytes"), ("name", "orders"), ("received", "5"), ("sent", "12")];
        let mut seen = told.attributes("mpsc::unbounded_channel");
        // How deep it was depends on who ran when.
        let high_water = seen.remove("high_water").and_then(|depth| depth.parse::<u64>().ok());
        let pool = [("capacity", "8"), ("depth", "3"), ("high_water", "3"), ("name", "pool")];
        let all = high_water.is_some_and(|depth| (7..=12).contains(&depth))
            && seen == texts(&orders)
            && told.attributes("Probe") == texts(&pool)
            && told.attributes("mpsc::channel").get("depth").is_some_and(|depth| depth == "2")
            && told.attributes("mpsc::channel").get("capacity").is_some_and(|capacity| capacity == "2")
            && told.who("UnboundedReceiver::recv") == Some(("consumer", "mpsc::unbounded_channel"))
            && told.who("UnboundedSender::send") == Some(("producer", "mpsc::unbounded_channel"))
            && told.resource("Semaphore").is_some();
        if all {
            return told;
        }
    }
    panic!("the feed ended: {told:#?}");
}
