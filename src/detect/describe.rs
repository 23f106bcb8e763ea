//! How tasks, spawn sites and resources are named in sentences, and how they become parts of findings.

use std::time::Duration;

use super::subject::{Related, Role, Subject, SubjectKind};
use crate::evidence::running_polls::RunningPoll;
use crate::evidence::{Evidence, Identity, places};
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::entity::task::Task;
use crate::model::health::lag::Outlook;
use crate::model::location::{Location, Package};
use crate::model::time::Timestamp;
use crate::model::tokio::{ResourceKind, TaskKind, is_made_by_tokio, is_once_cell};
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

/// Most members of a class that are listed by their ids.
pub const MOST_IDS: usize = 8;
/// Most spawn sites of one role that are named in a finding.
const MOST_PARTIES: usize = 4;
/// What to do about a poll that loops.
pub const END_LOOP: &str = "Look at the loops in this task: in a select!, an empty JoinSet or FuturesUnordered, a closed channel and a stream that \
    has ended are ready at once, every time. Disable that branch while it has nothing to give, or end the loop.";
/// What to do about a `OnceCell` that is asked for while it is initialized.
pub const SPLIT_INITIALIZER: &str = "Look at what the closure given to get_or_init or get_or_try_init calls, and at everything behind that: none of \
    it may ask for the same cell. Compute before the call what both need, and pass it in.";
/// A lag that grows by less in a second neither grows nor falls.
const STEADY: Duration = Duration::from_millis(50);

/// A sentence that says that a poll loops, to be put behind another one; none for a poll that does not.
pub fn looping(evidence: &Evidence<'_>, poll: &RunningPoll) -> Option<String> {
    let times = words::decimal(evidence.registrations_in_poll(poll)?);
    Some(format!(" It loops in this poll, and registers for a wake-up {times} times a second."))
}

/// One of the tasks of a site in a sentence: `task transfer (src/bank.rs:41:9)`.
pub fn site(site: &Site) -> String {
    name(site, "task", None)
}

/// The tasks of a site in a sentence: `tasks transfer (src/bank.rs:41:9)`.
pub fn tasks(site: &Site) -> String {
    name(site, "tasks", None)
}

/// A number of blocking jobs of one site in a sentence: `3 blocking jobs spawned at src/images.rs:52:17`.
pub fn blocking_jobs(site: &Site, count: usize) -> String {
    format!("{} {}", words::number(count), name(site, words::agree(count, "blocking job", "blocking jobs"), None))
}

/// A number of tasks or blocking jobs of one site in a sentence: `12 tasks transfer (src/bank.rs:41:9)`.
pub fn some_of(site: &Site, count: usize) -> String {
    if site.id.kind == TaskKind::Blocking {
        return blocking_jobs(site, count);
    }
    format!("{} {}", words::number(count), name(site, words::agree(count, "task", "tasks"), None))
}

/// How many tasks wait, in a sentence, with their spawn site if they share one: `12 tasks transfer (src/bank.rs:41:9) wait`.
pub fn tasks_that_wait(evidence: &Evidence<'_>, tasks: &[TaskKey]) -> String {
    let (count, sites) = (tasks.len(), sites_of(evidence, tasks.iter().copied()));
    let verb = words::agree(count, "waits", "wait");
    match sites[..] {
        [key] if let Some(site) = evidence.site(key) => format!("{} {verb}", some_of(site, count)),
        _ => format!("{} {verb}", words::count(count, "task")),
    }
}

/// A task in a sentence, with the number that its own process knows it by: `task 7 transfer (src/bank.rs:41:9)`.
pub fn task(evidence: &Evidence<'_>, task: &Task) -> String {
    let thing = task.task_id().map_or_else(|| "task".to_owned(), |id| format!("task {id}"));
    match evidence.site(task.site) {
        Some(site) => name(site, &thing, task.name().map(|it| &**it)),
        None => thing,
    }
}

/// Whose end may be why tasks have waited since a time, to be put behind what they wait for; empty if nobody's is known.
pub fn ended_before(evidence: &Evidence<'_>, time: Timestamp) -> String {
    let ended = evidence.ended_before(time).and_then(|(key, before)| Some((evidence.site(key)?, before)));
    ended.map_or_else(String::new, |(site, before)| {
        let (task, before) = (self::site(site), words::duration(before));
        format!(" The only {task} ended {before} before that: perhaps it is the one that should answer.")
    })
}

/// What becomes of a lag, to be put behind it: `caught up in about 8 s`, `growing by 0.8 s a second`.
pub fn outlook(outlook: Outlook) -> String {
    match outlook {
        Outlook::CatchesUp(left) => format!("caught up in about {}", words::age(whole_seconds(left))),
        Outlook::FallsBehind(by) if by < STEADY => "not catching up at this load".to_owned(),
        Outlook::FallsBehind(by) => format!("growing by {} a second", words::duration(by)),
    }
}

/// Rounded up: an estimate is not exact to the tenth.
pub fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

fn name(site: &Site, thing: &str, own: Option<&str>) -> String {
    let location = site.id.location.as_str();
    let known = places::of_task(site.id.kind, &site.id.location).map(|place| place.name);
    match (own.unwrap_or(&site.id.name), known, location) {
        ("", _, "") => format!("{thing} of unknown origin"),
        ("", Some(known), location) => {
            let thing = thing.strip_prefix("task").filter(|_| known.ends_with("task")).unwrap_or(thing).trim_start();
            format!("{known} {thing} ({location})")
        }
        ("", None, location) => format!("{thing} spawned at {location}"),
        (name, _, "") => format!("{thing} {name}"),
        (name, _, location) => format!("{thing} {name} ({location})"),
    }
}

/// What to add to advice about a task that a library spawns, whose place does not tell which code of the service it runs; empty otherwise.
pub fn library_hint(location: &Location) -> String {
    let Some(Package { name, version }) = location.package() else { return String::new() };
    format!(
        " {name} {version} spawns this task, so its place does not show which of your code it runs: look at what it waits for and holds, and \
         name your tasks where you can (tokio::task::Builder)."
    )
}

/// What to add to advice about a resource whose place does not tell which one it is; empty otherwise.
pub fn place_hint(evidence: &Evidence<'_>, key: ResourceKey) -> String {
    let says_nothing = |location| is_made_by_tokio(location) && !is_once_cell(location);
    let by_default = evidence.resource(key).filter(|resource| says_nothing(&resource.location));
    let Some(resource) = by_default.filter(|_| !matches!(evidence.identity(key), Identity::MadeAt(_))) else {
        return String::new();
    };
    let kind = resource.kind.as_str();
    format!(
        " The {kind} was created by Default, so its own line is not known: create it with {kind}::new to see the line here."
    )
}

/// Where a resource was created or, where its place says nothing, where its first users were spawned; empty if neither is known.
pub fn resource_location(evidence: &Evidence<'_>, key: ResourceKey) -> String {
    match evidence.identity(key) {
        Identity::MadeAt(place) => place.to_string(),
        Identity::UsedBy(user) => user.location.to_string(),
        Identity::Unknown => String::new(),
    }
}

/// A resource in a sentence: `Mutex created at src/bank.rs:12:5`, `mpsc::unbounded_channel "orders" created at src/web.rs:7:30`, `bounded
/// channel that task producer (src/x.rs:3:9) sends to`.
pub fn resource(evidence: &Evidence<'_>, key: ResourceKey) -> String {
    let Some(resource) = evidence.resource(key) else { return "a resource that is gone".to_owned() };
    let queue = resource.parent.filter(|_| resource.kind == ResourceKind::Channel).and_then(|it| evidence.resource(it));
    let what = type_name(resource) + &quoted_name(queue.unwrap_or(resource));
    match evidence.identity(key) {
        Identity::MadeAt(place) => match places::of_resource(resource.kind, place) {
            Some(known) => format!("{} ({what} created at {place})", known.name),
            None => format!("{what} created at {place}"),
        },
        Identity::UsedBy(user) => {
            let who = match (&*user.name, user.location.as_str()) {
                ("", place) => format!("tasks spawned at {place}"),
                (name, place) => format!("tasks {name} ({place})"),
            };
            let does = if resource.kind == ResourceKind::Channel { "send to" } else { "use" };
            format!("{what} that {who} {does}")
        }
        Identity::Unknown => what,
    }
}

/// The type of a resource as users know it.
pub fn type_name(resource: &Resource) -> String {
    match resource.kind {
        ResourceKind::Other if !resource.concrete_type.is_empty() => resource.concrete_type.to_string(),
        ResourceKind::Semaphore if is_once_cell(&resource.location) => "OnceCell".to_owned(),
        kind => kind.as_str().to_owned(),
    }
}

/// The name that the program has given to a resource, to be put behind what it is: ` "orders"`; nothing if it has none.
pub fn quoted_name(resource: &Resource) -> String {
    resource.name().map_or_else(String::new, |name| format!(" \"{name}\""))
}

/// What a task waits for, as a sentence about `who`: `It waits for the Mutex created at src/bank.rs:12:5.`
pub fn awaited(evidence: &Evidence<'_>, key: TaskKey, who: &str) -> String {
    let wait = evidence.task_wait(key);
    if let Some(awaited) = wait.awaited.first() {
        return format!("{who} waits for the {}.", resource(evidence, awaited.resource));
    }
    match evidence.timer(key) {
        Some(timer) if timer.location.is_unknown() => format!("{who} sleeps."),
        Some(timer) => format!("{who} sleeps on a timer created at {}.", timer.location),
        None => {
            format!(
                "{who} waits for something that Tokio does not instrument: a socket, an unbounded channel, a Notify."
            )
        }
    }
}

/// Tasks of one site as the subject of a finding; the worst come first.
pub fn site_subject(
    evidence: &Evidence<'_>,
    (key, site): (SiteKey, &Site),
    worst: &[TaskKey],
    count: usize,
) -> Subject {
    let known = places::of_task(site.id.kind, &site.id.location).map(|place| place.name);
    let name = if site.id.name.is_empty() { known.unwrap_or_default() } else { &site.id.name };
    Subject {
        kind: SubjectKind::Site,
        name: name.to_owned(),
        location: site.id.location.to_string(),
        ids: task_ids(evidence, worst),
        count,
        site: Some(key),
    }
}

/// A resource as the subject of a finding.
pub fn resource_subject(evidence: &Evidence<'_>, key: ResourceKey, count: usize) -> Subject {
    let resource = evidence.resource(key);
    Subject {
        kind: SubjectKind::Resource,
        name: resource.map(type_name).unwrap_or_default(),
        location: resource_location(evidence, key),
        ids: resource.map(|resource| resource.id).into_iter().collect(),
        count,
        site: None,
    }
}

/// A runtime of the target as the subject of a finding, with the place that has most to do with it.
pub fn runtime_subject(location: &Location, ids: Vec<u64>, count: usize) -> Subject {
    let (name, location) = ("runtime".to_owned(), location.to_string());
    Subject { kind: SubjectKind::Runtime, name, location, ids, count, site: None }
}

/// The feed as the subject of a finding.
pub fn feed_subject() -> Subject {
    let (name, location) = ("feed".to_owned(), String::new());
    Subject { kind: SubjectKind::Feed, name, location, ids: Vec::new(), count: 1, site: None }
}

/// The numbers by which the target itself knows some tasks.
pub fn task_ids(evidence: &Evidence<'_>, tasks: &[TaskKey]) -> Vec<u64> {
    tasks.iter().filter_map(|key| evidence.task(*key)?.task_id()).take(MOST_IDS).collect()
}

/// The spawn sites of some tasks, in order, each once.
pub fn sites_of(evidence: &Evidence<'_>, tasks: impl IntoIterator<Item = TaskKey>) -> Vec<SiteKey> {
    let mut sites: Vec<SiteKey> = tasks.into_iter().filter_map(|key| Some(evidence.task(key)?.site)).collect();
    sites.sort_unstable();
    sites.dedup();
    sites
}

/// The tasks that wait for a resource.
pub fn waiting_tasks(evidence: &Evidence<'_>, key: ResourceKey) -> Vec<TaskKey> {
    evidence.waiters(key).filter_map(|(_, op)| op.task).collect()
}

/// Spawn sites with a part in a finding, a few of them if they are many.
pub fn related_sites<'a>(
    evidence: &'a Evidence<'_>,
    sites: impl IntoIterator<Item = &'a SiteKey>,
    role: Role,
) -> Vec<Related> {
    let sites = sites.into_iter().filter_map(|key| Some((*key, evidence.site(*key)?)));
    sites.take(MOST_PARTIES).map(|(key, site)| related_site(key, site, role)).collect()
}

/// The spawn sites of tasks with a part in a finding, a few of them if they are many.
pub fn related_tasks(evidence: &Evidence<'_>, tasks: &[TaskKey], role: Role) -> Vec<Related> {
    let mut related: Vec<Related> = Vec::new();
    let sites = tasks.iter().filter_map(|key| Some(evidence.task(*key)?.site));
    for (key, site) in sites.filter_map(|key| Some((key, evidence.site(key)?))) {
        if related.len() == MOST_PARTIES {
            break;
        }
        let party = related_site(key, site, role);
        if !related.iter().any(|it| it.reads_like(&party)) {
            related.push(party);
        }
    }
    related
}

fn related_site(key: SiteKey, site: &Site, role: Role) -> Related {
    let known = places::of_task(site.id.kind, &site.id.location).map(|place| place.name);
    let name = if site.id.name.is_empty() { known.unwrap_or_default() } else { &site.id.name };
    let (name, location) = (name.to_owned(), site.id.location.to_string());
    Related { kind: SubjectKind::Site, name, location, role, site: Some(key) }
}

/// A resource with a part in a finding.
pub fn related_resource(evidence: &Evidence<'_>, key: ResourceKey) -> Related {
    let name = evidence.resource(key).map(type_name).unwrap_or_default();
    let location = resource_location(evidence, key);
    Related { kind: SubjectKind::Resource, name, location, role: Role::Resource, site: None }
}
