//! One task in many that never ends, although all its siblings did long ago.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Related;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::entity::site::Site;
use crate::model::entity::task::TaskState;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static SIBLINGS: Setting<usize> = Setting::new("siblings", 20, "so many tasks of the site must have completed");
static TIMES: Setting<f64> =
    Setting::new("times", 10.0, "older than this many times the 99th percentile of their lifetimes");
static AGE: Setting<Duration> = Setting::new("age", Duration::from_secs(30), "and at least this old and idle");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "never-completes",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "a task outlives all its siblings",
    explain: include_str!("../../../../docs/detectors/never-completes.md"),
    settings: &[&SIBLINGS, &TIMES, &AGE],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(10),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("growing-waiters"),
        Cause::involved("abandoned-wait"),
        Cause::involved("full-channel"),
        Cause::involved("task-pileup"),
        Cause::at_site("task-pileup"),
        Cause::involved("lost-waker"),
    ],
    doubt: None,
    scan,
};

/// A timer this far away does not explain why a task has not ended yet.
const SOON: Duration = Duration::from_secs(300);

/// A task that should have ended long ago, and what it waits for, if that can be seen.
struct Straggler {
    task: TaskKey,
    age: Duration,
    waits_for: Option<ResourceKey>,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let enough = u64::try_from(settings.get(&SIBLINGS)).unwrap_or(u64::MAX);
    let sites = model.sites().filter(|(_, site)| site.id.kind.is_async() && site.completed() >= enough);
    for (key, site) in sites {
        let Some(p99) = site.lifetime_at(0.99) else { continue };
        let limit = p99.mul_f64(settings.get(&TIMES)).max(settings.get(&AGE));
        let stragglers: Vec<Straggler> = site
            .live
            .iter()
            .take_while(|(created, _)| model.running_since(*created) > limit)
            .filter_map(|(_, task)| straggler(model, *task, limit))
            .collect();
        // Many are a pile-up, and say nothing about a single one; unless none of them has come to an end for as long, as where a few hang until
        // nothing goes on any more.
        let few = 2 * stragglers.len() <= site.live.len().max(8);
        let stands = site.last_end.is_some_and(|end| model.running_since(end) > limit);
        if !stragglers.is_empty() && (few || stands) {
            found.extend(symptom(model, key, site, &stragglers, p99, limit));
        }
    }
}

fn straggler(model: &Evidence<'_>, key: TaskKey, limit: Duration) -> Option<Straggler> {
    let task = model.task(key)?;
    let idle = task.state() == TaskState::Idle && model.running_since(task.stats.idle_from()) > limit;
    let due = model.timer(task).and_then(|timer| model.due(timer));
    let ends_soon = due.is_some_and(|due| due.since(model.now()) < SOON);
    if !idle || ends_soon || in_a_moving_queue(model, key, limit) {
        return None;
    }
    let wait = model
        .waits(key)
        .filter_map(|(op, _)| model.lock_of(op))
        .find(|resource| model.resource(*resource).is_some_and(|resource| !resource.kind.is_timer()));
    Some(Straggler { task: key, age: model.running_since(task.stats.created), waits_for: wait })
}

/// Whether the task stands in a queue that lets somebody in now and then: Tokio's are fair, so its turn will come.
fn in_a_moving_queue(model: &Evidence<'_>, key: TaskKey, limit: Duration) -> bool {
    let queues = model.waits(key).filter_map(|(op, _)| model.resource(model.lock_of(op)?));
    let mut fair = queues.filter(|queue| queue.kind.is_fair_queue());
    fair.any(|queue| queue.grants.last().is_some_and(|grant| model.running_since(grant.at) < limit))
}

fn symptom(
    model: &Evidence<'_>,
    key: SiteKey,
    site: &Site,
    stragglers: &[Straggler],
    p99: Duration,
    limit: Duration,
) -> Option<Symptom> {
    let worst = stragglers.iter().find(|it| it.waits_for.is_some()).or(stragglers.first())?;
    let task = model.task(worst.task)?;
    let keys: Vec<TaskKey> = stragglers.iter().map(|it| it.task).collect();
    let resources: Vec<ResourceKey> = stragglers.iter().filter_map(|it| it.waits_for).collect();
    let wait = match worst.waits_for {
        Some(resource) => format!("It waits for the {}", describe::resource(model, resource)),
        None => "What it waits for cannot be seen".to_owned(),
    };
    let related: Vec<Related> =
        worst.waits_for.map(|resource| describe::related_resource(model, resource)).into_iter().collect();
    let oneshot = worst.waits_for.and_then(|it| model.resource(it)).is_some_and(|it| it.kind == ResourceKind::Oneshot);
    Some(Symptom {
        // What a library spawns, such as connections, does many kinds of work: siblings by place are none by nature.
        severity: if worst.waits_for.is_some() && !site.id.location.is_library() {
            Severity::Warning
        } else {
            Severity::Info
        },
        grade: None,
        subject: describe::site_subject(model, site, &keys, stragglers.len()),
        summary: format!(
            "{} has been alive for {} although 99 % of its {} completed siblings took {} or less (warning from {}). {wait}.{}",
            describe::task(model, task),
            words::duration(worst.age),
            site.completed(),
            words::duration(p99),
            words::duration(limit),
            if stragglers.len() > 1 { format!(" {} more are like it.", stragglers.len() - 1) } else { String::new() },
        ),
        facts: vec![
            Fact::time("age", worst.age).from(limit),
            Fact::time("99th percentile of its siblings' lifetimes", p99),
            Fact::count("tasks like it", "tasks", stragglers.len()).from(1),
        ],
        related,
        look_alikes: Vec::new(),
        cause: None,
        recommendation: if oneshot {
            "Find out who was to answer on this channel: its sender is alive but will perhaps never send. Put a timeout around the wait, and \
             drop the sender on every path that does not answer."
        } else {
            "Put a timeout around the wait, and look for the path on which the other side never answers: a lost reply, a connection that \
             went silent, a lock that is not given back."
        }
        .to_owned(),
        class: Vec::new(),
        scope: Scope { resources, sites: vec![key], tasks: keys, ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
