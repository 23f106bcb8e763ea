//! One task in many that never ends, although all its siblings did long ago.

mod crowd;

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::model::entity::site::Site;
use crate::model::entity::task::TaskState;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static SIBLINGS: Setting<usize> = Setting::new("siblings", 20, "minimum number of siblings that have completed");
static TIMES: Setting<f64> = Setting::new(
    "times",
    10.0,
    "minimum age and idle time, as a multiple of the 99th percentile of the siblings' lifetimes",
);
static AGE: Setting<Duration> = Setting::new("age", Duration::from_secs(30), "minimum age and idle time");
static CROWD: Setting<usize> = Setting::new(
    "crowd",
    5,
    "minimum number of stragglers, of which new ones keep coming, that is reported before that age",
);
static SAME_POLL: Setting<Duration> = Setting::new(
    "same-poll",
    Duration::from_secs(40),
    "age of the oldest straggler that is a warning where all stragglers stopped at one poll, or no sibling ends any more",
);
static GROWTH: Setting<Duration> = Setting::new(
    "growth",
    Duration::from_secs(60),
    "age of the oldest straggler that is a warning where stragglers stopped at different polls",
);
static ALWAYS: Setting<Duration> = Setting::new(
    "always",
    Duration::from_secs(320),
    "age of the oldest straggler that is a warning whatever their share, if more keep coming",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "never-completes",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "a task outlives all its siblings",
    explain: include_str!("../../../../../docs/detectors/never-completes.md"),
    settings: &[&SIBLINGS, &TIMES, &AGE, &CROWD, &SAME_POLL, &GROWTH, &ALWAYS],
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
        Cause::involved("lost-waker"),
        Cause::involved("undriven-runtime"),
        Cause::involved("unanswered-requests"),
    ],
    look_alikes: &[LookAlike::LibraryTask, LookAlike::QuietClients],
    doubt: None,
    scan,
};

/// More stragglers than half of the tasks alive, and more than this, say nothing about a single one.
const FEW: usize = 8;

/// A task that should have ended long ago, and what it waits for, if that can be seen.
struct Straggler {
    task: TaskKey,
    age: Duration,
    waits_for: Option<ResourceKey>,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let enough = u64::try_from(settings.get(&SIBLINGS)).unwrap_or(u64::MAX);
    let sites = evidence.sites().filter(|(_, site)| site.id.kind.is_async() && site.completed() >= enough);
    let crowds = crowd::crowds(evidence, settings);
    for crowd in crowd::leading(&crowds) {
        found.extend(crowd::symptom(evidence, settings, &crowds, crowd));
    }
    for (key, site) in sites.filter(|(key, _)| !crowds.iter().any(|crowd| crowd.site == *key)) {
        let Some(p99) = site.lifetime_at(0.99) else { continue };
        let limit = p99.mul_f64(settings.get(&TIMES)).max(settings.get(&AGE));
        let old = site.live.iter().take_while(|(created, _)| evidence.running_since(*created) > limit);
        let stragglers: Vec<Straggler> = old.filter_map(|(_, task)| straggler(evidence, *task, limit)).collect();
        // Many are a pile-up, and say nothing about a single one; unless none of them has come to an end for as long, as where a few hang
        // until nothing moves any more.
        let few = 2 * stragglers.len() <= site.live.len().max(FEW);
        let stands = site.last_end.is_some_and(|end| evidence.running_since(end) > limit);
        if few || stands {
            found.extend(symptom(evidence, (key, site), &stragglers, p99, limit));
        }
    }
}

fn straggler(evidence: &Evidence<'_>, key: TaskKey, limit: Duration) -> Option<Straggler> {
    let task = evidence.task(key)?;
    let idle = task.state() == TaskState::Idle && evidence.running_since(task.stats.idle_from()) > limit;
    let wait = evidence.task_wait(key);
    if !idle || wait.sleeps_until(evidence.now()).is_some() || evidence.is_in_moving_queue(key, limit) {
        return None;
    }
    let waits_for = wait.awaited.first().map(|it| it.resource);
    Some(Straggler { task: key, age: evidence.running_since(task.stats.created), waits_for })
}

fn symptom(
    evidence: &Evidence<'_>,
    (key, site): (SiteKey, &Site),
    stragglers: &[Straggler],
    p99: Duration,
    limit: Duration,
) -> Option<Symptom> {
    let worst = stragglers.iter().find(|it| it.waits_for.is_some()).or(stragglers.first())?;
    let task = evidence.task(worst.task)?;
    let keys: Vec<TaskKey> = stragglers.iter().map(|it| it.task).collect();
    let others = match stragglers.len() - 1 {
        0 => String::new(),
        more => format!(" {more} {} like it.", words::agree(more, "more is", "more are")),
    };
    let awaited = worst.waits_for.and_then(|it| evidence.resource(it));
    let advice = if awaited.is_some_and(|it| it.kind == ResourceKind::Oneshot) {
        "Find out what should answer on this channel: its sender is alive but may never send. Put a timeout around the wait, and drop the sender on \
         every path that does not answer."
    } else {
        "Put a timeout around the wait, and look for the path on which the other side never answers: a lost reply, a connection that went silent, \
         a lock that is not released."
    };
    let severity = if worst.waits_for.is_some() { Severity::Warning } else { Severity::Info };
    let symptom = Symptom::of_site(evidence, key, &keys, stragglers.len())
        .severity(severity)
        .unless(site.id.location.is_library().then_some(LookAlike::LibraryTask))
        .summary(format!(
            "{} is {} old although 99 % of {} completed within {} (warning from {}). {}{others}",
            describe::task(evidence, task),
            words::duration(worst.age),
            words::count(usize::try_from(site.completed()).unwrap_or(usize::MAX), "sibling"),
            words::duration(p99),
            words::limit(limit),
            describe::awaited(evidence, worst.task, "It"),
        ))
        .because(Fact::time("age", worst.age).from(limit))
        .because(Fact::time("99th percentile of the siblings' lifetimes", p99))
        .because(Fact::count("tasks like it", "tasks", stragglers.len()).from(1))
        .involving(worst.waits_for.map(|it| describe::related_resource(evidence, it)))
        .advice(advice.to_owned() + &describe::library_hint(&site.id.location))
        .touching(stragglers.iter().filter_map(|it| it.waits_for))
        .since(Some(task.stats.idle_from()));
    Some(symptom)
}
