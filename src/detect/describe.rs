//! How numbers, tasks and resources are put into the sentences of findings.

use super::subject::{Related, Role, Subject, SubjectKind};
use crate::evidence::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::entity::task::Task;
use crate::model::location::{Location, Package};
use crate::model::tokio::{ResourceKind, is_made_by_tokio, is_once_cell};
use crate::model::{ResourceKey, TaskKey};

use crate::words;

/// Most members of a class that are listed by their ids.
pub(super) const MOST_IDS: usize = 8;

/// Tasks to which something was done: `1 task was`, `12 tasks were`.
pub fn tasks_were(number: usize) -> String {
    format!("{} {}", words::count(number, "task"), words::agree(number, "was", "were"))
}

/// Tasks that are in some state: `1 task is`, `12 tasks are`.
pub fn tasks_are(number: usize) -> String {
    format!("{} {}", words::count(number, "task"), words::agree(number, "is", "are"))
}

/// The tasks of a site in a sentence: `task transfer (src/bank.rs:41:9)`.
pub fn site(site: &Site) -> String {
    place("task", &site.id.name, site.id.location.as_str())
}

/// A task in a sentence, with the number that its own process knows it by.
pub fn task(model: &Evidence<'_>, task: &Task) -> String {
    let location = model.site(task.site).map_or("", |site| site.id.location.as_str());
    let thing = task.task_id.map_or_else(|| "task".to_owned(), |id| format!("task {id}"));
    place(&thing, task.name.as_deref().unwrap_or_default(), location)
}

fn place(thing: &str, name: &str, location: &str) -> String {
    match (name, location) {
        ("", "") => format!("{thing} of unknown origin"),
        ("", location) => format!("{thing} spawned at {location}"),
        (name, "") => format!("{thing} {name}"),
        (name, location) => format!("{thing} {name} ({location})"),
    }
}

/// What to add to advice about a task whose spawn site is in a library, where the user's own code cannot be told from the place.
pub fn library_hint(location: &Location) -> String {
    let Some(Package { name, version }) = location.package() else { return String::new() };
    format!(
        " The task is spawned inside {name}-{version}, so its place does not tell which of your code it runs: perhaps it is a connection that runs \
         all your handlers. What it waits for and holds tells more, and its name, where you can give it one (tokio::task::Builder)."
    )
}

/// Where a resource was made, as far as that tells the user anything: one made by `Default` has Tokio's own source as its place, and a
/// channel has none unless it is part of a queue that tells, so those are known by who waits for them.
pub fn resource_location(model: &Evidence<'_>, key: ResourceKey) -> String {
    let Some(resource) = model.resource(key) else {
        return String::new();
    };
    let own = made_at(model, resource);
    if !own.is_unknown() && !is_made_by_tokio(own) {
        return own.to_string();
    }
    let waiting = waiting_sites(model, key);
    let granted =
        || resource.grants.last().and_then(|grant| model.site(grant.site?)).map(|site| site.id.location.to_string());
    waiting.into_iter().next().map(|(_, location)| location).or_else(granted).unwrap_or_else(|| own.to_string())
}

/// The line that made a resource or, for the semaphore of a channel, the queue that it is part of; empty if the feed does not tell.
fn made_at<'a>(model: &'a Evidence<'_>, resource: &'a Resource) -> &'a Location {
    let queue = resource.parent.filter(|_| resource.kind == ResourceKind::Channel);
    &queue.and_then(|queue| model.resource(queue)).unwrap_or(resource).location
}

/// Name and place of the spawn sites of the tasks that wait for a resource, sorted.
pub fn waiting_sites(model: &Evidence<'_>, key: ResourceKey) -> Vec<(String, String)> {
    let tasks = model.waiters(key).filter_map(|(_, op)| model.task(op.task?));
    let mut sites: Vec<_> = tasks
        .filter_map(|task| model.site(task.site))
        .map(|site| (site.id.name.to_string(), site.id.location.to_string()))
        .collect();
    sites.sort();
    sites.dedup();
    sites
}

/// A resource in a sentence: `Mutex made at src/bank.rs:12:5`, `mpsc::unbounded_channel "orders" made at src/web.rs:7:30`, `bounded channel that tasks spawned at src/x.rs:3:9 send to`.
pub fn resource(model: &Evidence<'_>, key: ResourceKey) -> String {
    let Some(resource) = model.resource(key) else {
        return "a resource that is gone".to_owned();
    };
    let location = resource_location(model, key);
    let what = type_name(resource) + &quoted_name(resource);
    match resource.kind {
        _ if location.is_empty() => what,
        _ if location == made_at(model, resource).as_str() => format!("{what} made at {location}"),
        ResourceKind::Channel => format!("{what} that tasks spawned at {location} send to"),
        _ => format!("{what} that tasks spawned at {location} use"),
    }
}

/// The type of a resource as users know it.
pub fn type_name(resource: &Resource) -> String {
    match resource.kind {
        ResourceKind::Other if !resource.concrete_type.is_empty() => resource.concrete_type.to_string(),
        // The one permit of the semaphore in it is to initialise it.
        ResourceKind::Semaphore if is_once_cell(&resource.location) => "OnceCell".to_owned(),
        kind => kind.as_str().to_owned(),
    }
}

/// The name that the program has given to a resource, to be put behind what it is: ` "orders"`; nothing if it has none.
pub fn quoted_name(resource: &Resource) -> String {
    resource.name().map_or_else(String::new, |name| format!(" \"{name}\""))
}

/// Tasks of one site as the subject of a finding; the worst come first.
pub fn site_subject(model: &Evidence<'_>, site: &Site, worst: &[TaskKey], count: usize) -> Subject {
    Subject {
        kind: SubjectKind::Site,
        name: site.id.name.to_string(),
        location: site.id.location.to_string(),
        ids: task_ids(model, worst),
        count,
    }
}

/// A resource as the subject of a finding.
pub fn resource_subject(model: &Evidence<'_>, key: ResourceKey, count: usize) -> Subject {
    let name = model.resource(key).map(type_name).unwrap_or_default();
    let ids = model.resource(key).map(|resource| resource.id).into_iter().collect();
    Subject { kind: SubjectKind::Resource, name, location: resource_location(model, key), ids, count }
}

/// The feed as the subject of a finding.
pub fn feed_subject() -> Subject {
    Subject { kind: SubjectKind::Feed, name: "feed".to_owned(), location: String::new(), ids: Vec::new(), count: 1 }
}

/// The numbers by which the target itself knows some tasks.
pub fn task_ids(model: &Evidence<'_>, tasks: &[TaskKey]) -> Vec<u64> {
    tasks.iter().filter_map(|key| model.task(*key)?.task_id).take(MOST_IDS).collect()
}

/// A task with a part in a finding.
pub fn related_task(model: &Evidence<'_>, key: TaskKey, role: Role) -> Option<Related> {
    let site = model.site(model.task(key)?.site)?;
    Some(related_site(site, role))
}

/// A spawn site with a part in a finding.
pub fn related_site(site: &Site, role: Role) -> Related {
    Related { kind: SubjectKind::Site, name: site.id.name.to_string(), location: site.id.location.to_string(), role }
}

/// A resource with a part in a finding.
pub fn related_resource(model: &Evidence<'_>, key: ResourceKey) -> Related {
    let name = model.resource(key).map(type_name).unwrap_or_default();
    Related { kind: SubjectKind::Resource, name, location: resource_location(model, key), role: Role::Resource }
}
