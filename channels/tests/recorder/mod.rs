//! A subscriber that remembers what a console would be told.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

pub type Fields = BTreeMap<String, String>;

/// A `runtime.resource` span.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    pub fields: Fields,
    /// Each value that was ever told, by the attribute's name.
    pub told: BTreeMap<String, Vec<String>>,
    /// How it was told last: `override`, for all of them.
    pub ways: Fields,
    pub ended: bool,
    pub parent: Option<u64>,
}

impl Resource {
    pub fn last(&self, attribute: &str) -> Option<&str> {
        self.told.get(attribute)?.last().map(String::as_str)
    }
}

/// A `runtime.resource.async_op` span.
#[derive(Debug, Clone, Default)]
pub struct Operation {
    pub source: String,
    pub resource: Option<u64>,
    /// The task in whose context it was polled.
    pub task: Option<String>,
    pub polls: Vec<bool>,
    pub entered: usize,
    pub ended: bool,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub resources: BTreeMap<u64, Resource>,
    pub operations: BTreeMap<u64, Operation>,
    /// Where in this crate events of states come from.
    pub state_places: HashSet<Identifier>,
    pub spans: usize,
    pub events: usize,
    /// Names by the id that is used now; ids come back.
    live: HashMap<u64, u64>,
    tasks: BTreeMap<u64, String>,
    next: u64,
}

impl Seen {
    /// The resource of a concrete type; there must be no more than one.
    pub fn resource(&self, concrete_type: &str) -> Option<&Resource> {
        let mut all = self.resources.values().filter(|resource| resource.fields["concrete_type"] == concrete_type);
        let first = all.next();
        assert!(all.next().is_none(), "more than one {concrete_type}");
        first
    }

    pub fn operations(&self, source: &str) -> Vec<Operation> {
        self.operations.values().filter(|operation| operation.source == source).cloned().collect()
    }
}

/// The subscriber's other end.
#[derive(Clone, Default)]
pub struct Recorder(pub Arc<Mutex<Seen>>);

impl Recorder {
    /// A subscriber for `with_default`, and what it has seen.
    pub fn new() -> (impl Subscriber + Send + Sync, Self) {
        let recorder = Self::default();
        (tracing_subscriber::registry().with(recorder.clone()), recorder)
    }

    /// A failed assertion elsewhere must not hide behind this lock.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen())
    }

    /// Waits until something was told.
    pub fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let began = Instant::now();
        while !self.with(&is_so) {
            assert!(began.elapsed() < Duration::from_secs(60), "never told: {what}; {:#?}", self.seen());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("debug {value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.to_string());
    }
}

thread_local! {
    /// What this thread has entered: who made a span does not matter, as in console-subscriber.
    static ENTERED: RefCell<Vec<(u64, &'static str)>> = const { RefCell::new(Vec::new()) };
}

/// The innermost span of a name that is entered on this thread.
fn innermost(name: &str) -> Option<u64> {
    ENTERED.with_borrow(|entered| entered.iter().rev().find(|(_, entered)| *entered == name).map(|(id, _)| *id))
}

const RESOURCE: &str = "runtime.resource";
const OPERATION: &str = "runtime.resource.async_op";
/// What the tests put around a future to play a task: `tokio_unstable` is not needed for that.
const TASK: &str = "task";

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Reader(&mut fields));
        let mut seen = self.seen();
        seen.next += 1;
        let number = seen.next;
        seen.live.insert(id.into_u64(), number);
        seen.spans += 1;
        let around = innermost(RESOURCE).and_then(|id| seen.live.get(&id).copied());
        match attributes.metadata().name() {
            RESOURCE => {
                seen.resources.insert(number, Resource { fields, parent: around, ..Resource::default() });
            }
            OPERATION => {
                let source = fields.remove("source").unwrap();
                seen.operations.insert(number, Operation { source, resource: around, ..Operation::default() });
            }
            TASK => {
                seen.tasks.insert(number, fields.remove("name").unwrap());
            }
            _ => {}
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let mut seen = self.seen();
        seen.events += 1;
        let seen = &mut *seen;
        let entered = |name| innermost(name).and_then(|id| seen.live.get(&id).copied());
        let (resource, operation, task) = (entered(RESOURCE), entered(OPERATION), entered(TASK));
        match event.metadata().target() {
            "runtime::resource::state_update" => {
                let Some(resource) = resource.and_then(|number| seen.resources.get_mut(&number)) else {
                    panic!("told outside of a resource: {fields:?}")
                };
                let names: Vec<&String> = fields.keys().filter(|name| !name.contains('.')).collect();
                let [name] = names[..] else { panic!("the console reads one attribute from each event: {fields:?}") };
                resource.told.entry(name.clone()).or_default().push(fields[name].clone());
                let way =
                    fields.iter().find(|(name, _)| name.rsplit('.').next() == Some("op")).map(|(_, way)| way.clone());
                resource.ways.insert(name.clone(), way.unwrap());
                // Tokio tells of the semaphore in a channel.
                if event.metadata().module_path().is_some_and(|path| path.starts_with("tokio_canary_channels")) {
                    seen.state_places.insert(event.metadata().callsite());
                }
            }
            "runtime::resource::poll_op" => {
                let Some(operation) = operation.and_then(|number| seen.operations.get_mut(&number)) else { return };
                operation.polls.push(fields["is_ready"] == "true");
                operation.task = task.and_then(|number| seen.tasks.get(&number).cloned());
            }
            _ => {}
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        let name = ctx.span(id).unwrap().name();
        ENTERED.with_borrow_mut(|entered| entered.push((id.into_u64(), name)));
        let mut seen = self.seen();
        let number = seen.live.get(&id.into_u64()).copied();
        if let Some(operation) = number.and_then(|number| seen.operations.get_mut(&number)) {
            operation.entered += 1;
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        ENTERED.with_borrow_mut(|entered| {
            let last = entered.iter().rposition(|(entered, _)| *entered == id.into_u64()).unwrap();
            entered.remove(last);
        });
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut seen = self.seen();
        let number = seen.live.remove(&id.into_u64()).unwrap();
        if let Some(resource) = seen.resources.get_mut(&number) {
            resource.ended = true;
        }
        if let Some(operation) = seen.operations.get_mut(&number) {
            operation.ended = true;
        }
    }
}
