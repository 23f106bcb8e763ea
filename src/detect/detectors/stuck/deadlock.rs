//! A deadlock: tasks that wait for locks which only tasks of the same group could release.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Role, Subject, SubjectKind};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::holders::Confidence;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{OpKey, ResourceKey, TaskKey};
use crate::words;

static HOLD: Setting<Duration> =
    Setting::new("hold", Duration::from_secs(1), "the locks of a group have let nobody in for so long");
static HOLD_ALONE: Setting<Duration> =
    Setting::new("hold-alone", Duration::from_secs(3), "the same for a task that waits for itself");
static HOLD_PERMITS: Setting<Duration> = Setting::new(
    "hold-permits",
    Duration::from_secs(12),
    "the same for tasks that hold all permits of a semaphore, as far as is known, and wait for more",
);
static HOLD_SEVERAL: Setting<Duration> = Setting::new(
    "hold-several",
    Duration::from_secs(3),
    "the same for a group in which a task does several things at once",
);
static HOLD_DOUBTFUL: Setting<Duration> = Setting::new(
    "hold-doubtful",
    Duration::from_secs(30),
    "the same for a task that does several things at once, one of which may hold the lock and go on, or when events were lost",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "deadlock",
    family: Family::Stuck,
    grade: Grade::Proof,
    title: "tasks wait for each other and none can go on",
    explain: include_str!("../../../../docs/detectors/deadlock.md"),
    settings: &[&HOLD, &HOLD_ALONE, &HOLD_SEVERAL, &HOLD_PERMITS, &HOLD_DOUBTFUL],
    timing: Timing {
        updates: 2,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(3),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[Cause::involved("futurelock")],
    doubt: None,
    scan,
};

/// A timer this far away does not help a task that waits.
const SOON: Duration = Duration::from_secs(300);

/// One wait of a task, and who would have to let go for it to end.
#[derive(Debug)]
struct Wait {
    op: OpKey,
    lock: ResourceKey,
    /// Everybody who may hold it.
    holders: Vec<TaskKey>,
    /// How many of them do, at most; the first ones are the most plausible, and are named.
    inside: usize,
    /// The wait may end as soon as any one of them lets go: of a semaphore any will do, and of many readers it is not known which are
    /// still inside. What one task holds keeps everybody out until that one lets go.
    any_frees: bool,
    /// It is not sure that they are all who may hold it, or still do: a guard that can be passed on, or too long a history.
    doubtful: bool,
}

/// The waits of every task that may be stuck.
type Waits = BTreeMap<TaskKey, Vec<Wait>>;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let mut stuck = candidates(model);
    release(&mut stuck);
    for core in groups(&stuck) {
        let of_permits = waits_for_permits(model, &core, &stuck);
        if of_permits && !holds_all_permits(model, &core, &stuck) {
            continue;
        }
        let several = core.iter().any(|task| does_several_things(model, *task, &stuck));
        let shared = core.len() == 1 && several;
        // Where events were lost, somebody else may have got in last.
        let unsure = core.iter().filter_map(|task| stuck.get(task)).flatten().any(|wait| wait.doubtful);
        let doubtful = shared || unsure || of_permits || model.quality().is_lossy(model.now());
        let hold = settings.get(match core.len() {
            _ if of_permits => &HOLD_PERMITS,
            _ if doubtful => &HOLD_DOUBTFUL,
            1 => &HOLD_ALONE,
            _ if several => &HOLD_SEVERAL,
            _ => &HOLD,
        });
        if still_for(model, &core, &stuck) >= hold {
            found.extend(symptom(model, &core, &stuck, hold, doubtful));
        }
    }
}

/// Whether the tasks wait for nothing but permits of one semaphore. Unlike a guard, what it gives out can be forgotten, and made anew by
/// anybody.
fn waits_for_permits(model: &Evidence<'_>, core: &BTreeSet<TaskKey>, stuck: &Waits) -> bool {
    let locks = locks_of(core, stuck);
    let semaphore = |lock: &ResourceKey| model.resource(*lock).is_some_and(|it| it.kind == ResourceKind::Semaphore);
    locks.len() == 1 && locks.iter().all(semaphore)
}

/// Whether it is known that they hold all the permits there are. Otherwise it is a leak, which is a finding of its own.
fn holds_all_permits(model: &Evidence<'_>, core: &BTreeSet<TaskKey>, stuck: &Waits) -> bool {
    let fed = |lock: &ResourceKey| model.waiter_history(*lock).is_some_and(|it| it.is_replenished_externally());
    locks_of(core, stuck).iter().all(|lock| model.knows_all_permits(*lock) && !fed(lock))
}

fn locks_of(core: &BTreeSet<TaskKey>, stuck: &Waits) -> BTreeSet<ResourceKey> {
    core.iter().filter_map(|task| stuck.get(task)).flatten().map(|wait| wait.lock).collect()
}

/// Whether a task seems to run several futures at once (`join!`, `select!`, `FuturesUnordered`, a connection that also reads its socket):
/// it waits in several places, or has given away more wakers than it has waits. One of them may hold what another waits for and go on.
fn does_several_things(model: &Evidence<'_>, key: TaskKey, stuck: &Waits) -> bool {
    let waits = stuck.get(&key).map_or(0, Vec::len);
    waits > 1 || model.task(key).is_some_and(|task| task.stats.wakers() > 1)
}

/// Every idle task whose present waits are all for locks with holders known for sure. One that sleeps on a timer as well goes on by
/// itself.
fn candidates(model: &Evidence<'_>) -> Waits {
    let locks = model
        .contested()
        .filter(|(_, lock)| matches!(lock.kind, ResourceKind::Mutex | ResourceKind::RwLock | ResourceKind::Semaphore));
    let tasks: BTreeSet<TaskKey> =
        locks.flat_map(|(key, _)| model.waiters(key)).filter_map(|(_, op)| op.task).collect();
    let mut waits = Waits::new();
    let mut holders = FxHashMap::default();
    for key in tasks {
        let awake_soon = model.task(key).and_then(|task| model.timer(task)).and_then(|timer| model.due(timer));
        if awake_soon.is_some_and(|due| due.since(model.now()) < SOON && due > model.now()) {
            continue;
        }
        let known: Option<Vec<Wait>> = model.waits(key).map(|(op, _)| wait(model, op, &mut holders)).collect();
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            waits.insert(key, known);
        }
    }
    waits
}

impl Wait {
    fn named(&self) -> &[TaskKey] {
        &self.holders[..self.inside.min(self.holders.len())]
    }
}

/// Who may hold a lock, how many of them do, whether each of them does, and whether that is doubtful; nothing where it cannot be told.
type Held = Option<(Vec<TaskKey>, usize, bool, bool)>;

fn wait(model: &Evidence<'_>, op: OpKey, known: &mut FxHashMap<ResourceKey, Held>) -> Option<Wait> {
    let lock = model.lock_of(op)?;
    let (holders, inside, each, doubtful) = known.entry(lock).or_insert_with(|| held(model, lock)).clone()?;
    Some(Wait { op, lock, holders, inside, any_frees: !each, doubtful })
}

fn held(model: &Evidence<'_>, lock: ResourceKey) -> Held {
    let holders = model.holders(lock);
    let sure = holders.iter().all(|holder| holder.confidence >= Confidence::Likely);
    // Who has a permit that can be passed on usually does so; a guard is kept, as a rule.
    let tells = sure || model.resource(lock).is_some_and(|it| it.kind != ResourceKind::Semaphore);
    let inside = model.count_inside(lock).unwrap_or(usize::MAX);
    let each = model.knows_each_holder(lock);
    (tells && !holders.is_empty())
        .then(|| (holders.into_iter().map(|holder| holder.task).collect(), inside, each, !sure))
}

/// Assumes all of them stuck and lets go those that can go on after all, until no more can: what is left is the greatest set of tasks
/// in which nobody can be helped by anybody outside. Covers cycles of any length.
fn release(stuck: &mut Waits) {
    loop {
        let can_end = |wait: &Wait| {
            let is_stuck = |holder: &TaskKey| stuck.contains_key(holder);
            let closed =
                if wait.any_frees { wait.holders.iter().all(is_stuck) } else { wait.holders.iter().any(is_stuck) };
            !closed
        };
        let free: Vec<TaskKey> =
            stuck.iter().filter(|(_, waits)| waits.iter().any(can_end)).map(|(task, _)| *task).collect();
        if free.is_empty() {
            return;
        }
        stuck.retain(|task, _| !free.contains(task));
    }
}

/// The tasks at fault, group by group: stuck ones that hold what another one at fault waits for. The rest are their victims.
fn groups(stuck: &Waits) -> Vec<BTreeSet<TaskKey>> {
    let held_by = |task: &TaskKey| stuck.get(task).into_iter().flatten().flat_map(|wait| wait.named().iter().copied());
    let mut core: BTreeSet<TaskKey> = stuck.keys().copied().collect();
    loop {
        let holders: BTreeSet<TaskKey> = core.iter().flat_map(held_by).filter(|holder| core.contains(holder)).collect();
        if holders.len() == core.len() {
            break;
        }
        core = holders;
    }
    let mut groups = Vec::new();
    while let Some(first) = core.pop_first() {
        let mut group = BTreeSet::from([first]);
        let joined = |group: &BTreeSet<TaskKey>, task: &TaskKey| {
            held_by(task).any(|holder| group.contains(&holder))
                || group.iter().any(|member| held_by(member).any(|it| it == *task))
        };
        while let Some(next) = core.iter().copied().find(|task| joined(&group, task)) {
            core.remove(&next);
            group.insert(next);
        }
        groups.push(group);
    }
    groups
}

/// For how long nothing has moved on the locks of a group.
fn still_for(model: &Evidence<'_>, core: &BTreeSet<TaskKey>, stuck: &Waits) -> Duration {
    let waits = core.iter().filter_map(|task| stuck.get(task)).flatten();
    let moved = waits.flat_map(|wait| {
        let began = model.op(wait.op).map(|op| model.waiting_since(op));
        let granted = model.resource(wait.lock).and_then(|lock| lock.grants.last()).map(|grant| grant.at);
        began.into_iter().chain(granted)
    });
    moved.max().map_or(Duration::ZERO, |last| model.running_since(last))
}

fn symptom(
    model: &Evidence<'_>,
    core: &BTreeSet<TaskKey>,
    stuck: &Waits,
    hold: Duration,
    doubtful: bool,
) -> Option<Symptom> {
    let age = still_for(model, core, stuck);
    // Whoever waits longest stands at the head of its queue: the others are behind it.
    let mut tasks: Vec<TaskKey> = core.iter().copied().collect();
    tasks.sort_by_key(|task| waiting_since(model, stuck, task));
    let waits: Vec<&Wait> = core.iter().filter_map(|task| stuck.get(task)).flatten().collect();
    let locks: BTreeSet<ResourceKey> = waits.iter().map(|wait| wait.lock).collect();
    let victims: Vec<TaskKey> =
        stuck.keys().filter(|task| !core.contains(task) && waits_for_any(stuck, task, &locks)).copied().collect();
    let sites: Vec<_> = tasks.iter().filter_map(|key| model.site(model.task(*key)?.site)).collect();
    let first = *sites.first()?;
    let places = locks.iter().map(|lock| describe::resource_location(model, *lock));
    let class = sites.iter().map(|site| format!("{} {}", site.id.name, site.id.location)).chain(places).collect();
    let related_tasks = tasks.iter().filter_map(|key| describe::related_task(model, *key, Role::Holder));
    let hurt = victims.iter().take(3).filter_map(|key| describe::related_task(model, *key, Role::Victim));
    let mut related: Vec<_> = related_tasks.chain(hurt).collect();
    related.extend(locks.iter().map(|lock| describe::related_resource(model, *lock)));
    related.dedup();
    Some(Symptom {
        severity: if doubtful { Severity::Warning } else { Severity::Critical },
        grade: doubtful.then_some(Grade::Risk),
        subject: Subject {
            kind: SubjectKind::Site,
            name: first.id.name.to_string(),
            location: first.id.location.to_string(),
            ids: describe::task_ids(model, &tasks),
            count: tasks.len() + victims.len(),
        },
        summary: summary(model, &tasks, stuck, age, victims.len()),
        facts: vec![
            Fact::time("time without progress", age).from(hold),
            Fact::count("tasks in the cycle", "tasks", tasks.len()),
            Fact::count("tasks waiting behind it", "tasks", victims.len()),
        ],
        related,
        look_alikes: Vec::new(),
        cause: None,
        recommendation: remedy(model, &tasks, &locks),
        class,
        scope: Scope {
            resources: locks.into_iter().collect(),
            sites: tasks.iter().filter_map(|key| Some(model.task(*key)?.site)).collect(),
            tasks: tasks.into_iter().chain(victims).collect(),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}

fn waiting_since(model: &Evidence<'_>, stuck: &Waits, task: &TaskKey) -> Option<Timestamp> {
    let ops = stuck.get(task).into_iter().flatten().filter_map(|wait| model.op(wait.op));
    ops.map(|op| model.waiting_since(op)).min()
}

fn waits_for_any(stuck: &Waits, task: &TaskKey, locks: &BTreeSet<ResourceKey>) -> bool {
    stuck.get(task).into_iter().flatten().any(|wait| locks.contains(&wait.lock))
}

fn summary(model: &Evidence<'_>, tasks: &[TaskKey], stuck: &Waits, age: Duration, victims: usize) -> String {
    let name = |key: &TaskKey| model.task(*key).map_or_else(String::new, |task| describe::task(model, task));
    let waits_for = |key: &TaskKey| {
        let wait = stuck.get(key).and_then(|waits| waits.first());
        wait.map_or_else(String::new, |wait| {
            let itself = wait.named().iter().find(|holder| *holder == key).map(|_| "itself".to_owned());
            let others = wait.named().iter().filter(|holder| *holder != key).map(name);
            let mut holders: Vec<String> = itself.into_iter().chain(others).collect();
            if holders.len() > 2 {
                let more = holders.drain(2..).count();
                holders.push(format!("{more} more"));
            }
            format!(
                "{} waits for the {}, held by {}",
                name(key),
                describe::resource(model, wait.lock),
                holders.join(" and ")
            )
        })
    };
    // One step for each lock: those who wait for the same one in a crowd say the same.
    let mut told = BTreeSet::new();
    let is_new = |key: &&TaskKey| stuck.get(key).and_then(|waits| waits.first()).is_some_and(|it| told.insert(it.lock));
    let steps: Vec<String> = tasks.iter().filter(is_new).take(4).map(waits_for).collect();
    let behind = match victims {
        0 => String::new(),
        1 => " 1 more task waits behind.".to_owned(),
        _ => format!(" {victims} more tasks wait behind."),
    };
    let who = match tasks.len() {
        1 => "A task waits for itself".to_owned(),
        many => format!("{many} tasks wait for each other"),
    };
    format!(
        "{who} and cannot go on, for {} now: {}.{behind} Nothing can end this unless one of these waits has a timeout.",
        words::duration(age),
        steps.join("; "),
    )
}

/// What to do where all that is waited for are permits of semaphores.
fn permit_remedy(semaphores: usize) -> &'static str {
    if semaphores == 1 {
        "Whoever has a permit here waits for one more, and there are none left. Take all permits that a task needs at once, with \
         acquire_many, or give back the first before asking for the next. Restart the service to get it going again."
    } else {
        "Take permits of these semaphores in one order everywhere, or give back the first before asking for the next, also across an await. \
         Restart the service to get it going again."
    }
}

fn remedy(model: &Evidence<'_>, tasks: &[TaskKey], locks: &BTreeSet<ResourceKey>) -> String {
    let are_permits = |lock: &ResourceKey| model.resource(*lock).is_some_and(|it| it.kind == ResourceKind::Semaphore);
    if locks.iter().all(are_permits) {
        return permit_remedy(locks.len()).to_owned();
    }
    let has_rwlock =
        locks.iter().filter_map(|lock| model.resource(*lock)).any(|lock| lock.kind == ResourceKind::RwLock);
    if tasks.len() == 1 && locks.len() == 1 {
        return "The task asks for a lock that it holds already: Tokio's locks are not reentrant, and a read lock cannot be upgraded. Pass \
                the guard on instead of locking again, or drop it before the second call."
            .to_owned();
    }
    if has_rwlock && locks.len() == 1 {
        return "A queued writer keeps every later reader out, also one that holds a read guard already. Do not take a second read guard \
                while holding the first: pass the guard on, or drop it before."
            .to_owned();
    }
    "Take these locks in one order everywhere, or drop the first guard before taking the second, also across an await. Restart the \
     service to get it going again."
        .to_owned()
}
