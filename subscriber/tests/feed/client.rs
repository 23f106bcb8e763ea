//! A client that remembers what it is told.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::{async_ops, resources, tasks};
use prost::Message as _;
use tokio::time::{sleep, timeout};
use tonic::Streaming;
use tonic::transport::Channel;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// All that was told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) tasks: HashMap<u64, tasks::Task>,
    pub(crate) task_stats: HashMap<u64, tasks::Stats>,
    pub(crate) resources: HashMap<u64, resources::Resource>,
    pub(crate) resource_stats: HashMap<u64, resources::Stats>,
    pub(crate) ops: HashMap<u64, async_ops::AsyncOp>,
    pub(crate) op_stats: HashMap<u64, async_ops::Stats>,
    pub(crate) metadata: HashMap<u64, console_api::Metadata>,
    pub(crate) dropped: u64,
    /// Counters that came before the introduction of their entity (tasks, resources, operations), and operations that waited and came before
    /// their resource. What nobody waited for may end before its operation does, and is not retained.
    pub(crate) early: [usize; 4],
    /// The size of the largest message.
    pub(crate) largest: usize,
    pub(crate) updates: usize,
    pub(crate) bytes: usize,
}

impl Told {
    pub(crate) fn take(&mut self, update: Update) {
        self.largest = self.largest.max(update.encoded_len());
        self.updates += 1;
        self.bytes += update.encoded_len();
        for known in update.new_metadata.unwrap_or_default().metadata {
            self.metadata.insert(known.id.unwrap().id, known.metadata.unwrap());
        }
        let part = update.task_update.unwrap_or_default();
        self.tasks.extend(part.new_tasks.into_iter().map(|task| (task.id.unwrap().id, task)));
        self.early[0] += part.stats_update.keys().filter(|id| !self.tasks.contains_key(id)).count();
        self.task_stats.extend(part.stats_update);
        self.dropped += part.dropped_events;
        let part = update.resource_update.unwrap_or_default();
        self.resources.extend(part.new_resources.into_iter().map(|resource| (resource.id.unwrap().id, resource)));
        self.early[1] += part.stats_update.keys().filter(|id| !self.resources.contains_key(id)).count();
        self.resource_stats.extend(part.stats_update);
        self.dropped += part.dropped_events;
        let part = update.async_op_update.unwrap_or_default();
        let is_known = |op: &async_ops::AsyncOp| op.resource_id.is_none_or(|id| self.resources.contains_key(&id.id));
        let waited = |op: &async_ops::AsyncOp| {
            let stats = op.id.and_then(|id| part.stats_update.get(&id.id));
            stats.and_then(|stats| stats.poll_stats).is_some_and(|polls| polls.polls > 1)
        };
        self.early[3] += part.new_async_ops.iter().filter(|op| waited(op) && !is_known(op)).count();
        self.ops.extend(part.new_async_ops.into_iter().map(|op| (op.id.unwrap().id, op)));
        self.early[2] += part.stats_update.keys().filter(|id| !self.ops.contains_key(id)).count();
        self.op_stats.extend(part.stats_update);
        self.dropped += part.dropped_events;
    }

    /// The numbers of tasks of that name.
    pub(crate) fn named(&self, name: &str) -> Vec<u64> {
        self.tasks.iter().filter(|(_, task)| text(&task.fields, "task.name") == name).map(|(id, _)| *id).collect()
    }

    /// The only task of that name, and what is known of it.
    pub(crate) fn task(&self, name: &str) -> Option<(u64, &tasks::Stats)> {
        let [id] = self.named(name)[..] else { return None };
        Some((id, self.task_stats.get(&id)?))
    }

    /// Whether all tasks whose names begin like that have ended.
    pub(crate) fn have_ended(&self, prefix: &str, count: usize) -> bool {
        let begin_so = |task: &tasks::Task| text(&task.fields, "task.name").starts_with(prefix);
        let ended = |id: &u64| self.task_stats.get(id).is_some_and(|stats| stats.dropped_at.is_some());
        let all: Vec<u64> = self.tasks.iter().filter(|(_, task)| begin_so(task)).map(|(id, _)| *id).collect();
        all.len() == count && all.iter().all(ended)
    }
}

/// The value of a field, as a client prints it.
pub(crate) fn text(fields: &[console_api::Field], name: &str) -> String {
    let named = fields.iter().find(|field| matches!(&field.name, Some(Name::StrName(known)) if known == name));
    named.and_then(|field| field.value.as_ref()).map(printed).unwrap_or_default()
}

/// All fields, as a client prints them.
pub(crate) fn texts<'a>(fields: impl IntoIterator<Item = &'a console_api::Field>) -> BTreeMap<String, String> {
    let pair = |field: &console_api::Field| match (&field.name, &field.value) {
        (Some(Name::StrName(name)), Some(value)) => Some((name.clone(), printed(value))),
        _ => None,
    };
    fields.into_iter().filter_map(pair).collect()
}

fn printed(value: &Value) -> String {
    match value {
        Value::DebugVal(text) | Value::StrVal(text) => text.clone(),
        Value::U64Val(number) => number.to_string(),
        Value::I64Val(number) => number.to_string(),
        Value::BoolVal(yes) => yes.to_string(),
    }
}

/// An attached client.
pub(crate) struct Client {
    pub(crate) told: Told,
    pub(crate) rpc: InstrumentClient<Channel>,
    updates: Streaming<Update>,
}

impl Client {
    /// Attaches as soon as somebody listens there.
    pub(crate) async fn attach(address: &str) -> Self {
        let mut rpc = connect(address).await;
        let updates = rpc.watch_updates(InstrumentRequest {}).await.expect("updates").into_inner();
        Self { told: Told::default(), rpc, updates }
    }

    /// Reads until what is known satisfies `until`.
    pub(crate) async fn read(&mut self, what: &str, until: impl Fn(&Told) -> bool) {
        let read = async {
            while !until(&self.told) {
                self.told.take(self.updates.message().await.expect("an update").expect("more updates"));
            }
        };
        let found = timeout(LIMIT, read).await;
        assert!(
            found.is_ok(),
            "no {what} within {LIMIT:?}: {} tasks, {} updates",
            self.told.tasks.len(),
            self.told.updates
        );
    }

    /// The next update, or `None` if there is none for a while.
    pub(crate) async fn next(&mut self, within: Duration) -> Option<Update> {
        timeout(within, self.updates.message()).await.ok()?.expect("an update")
    }
}

/// Connects as soon as somebody listens there.
pub(crate) async fn connect(address: &str) -> InstrumentClient<Channel> {
    let connect = async {
        loop {
            match InstrumentClient::connect(format!("http://{address}")).await {
                // The limit that clients have by default is part of what is tested.
                Ok(client) => break client,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(LIMIT, connect).await.expect("a server")
}
