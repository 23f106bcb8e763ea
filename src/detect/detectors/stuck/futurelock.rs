//! A lock that was granted to a future which nobody polls, so that it is neither used nor given back.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::entity::task::TaskState;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{OpKey, ResourceKey, TaskKey};
use crate::words;

static UNPOLLED: Setting<Duration> =
    Setting::new("unpolled", Duration::from_secs(2), "the future has been granted and not polled for so long");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "futurelock",
    family: Family::Stuck,
    grade: Grade::Proof,
    title: "a lock was granted to a future that nobody polls",
    explain: include_str!("../../../../docs/detectors/futurelock.md"),
    settings: &[&UNPOLLED],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(4),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[],
    doubt: None,
    scan,
};

/// A grant that lies in a drawer.
struct Unclaimed {
    task: TaskKey,
    since: Timestamp,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.get(&UNPOLLED);
    let kinds = [ResourceKind::Mutex, ResourceKind::RwLock, ResourceKind::Semaphore];
    for (key, lock) in model.contested().filter(|(_, lock)| kinds.contains(&lock.kind)) {
        let unclaimed = lock.ops.iter().filter_map(|op| unclaimed(model, *op));
        let Some(oldest) = unclaimed.min_by_key(|it| it.since) else { continue };
        let longest = model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op))).max();
        if model.running_since(oldest.since) >= limit && longest >= Some(limit) {
            found.extend(symptom(model, key, &oldest, limit));
        }
    }
}

/// A grant that came after the last poll of the future that asked for it, whose task lives on and waits for other things.
///
/// A lock that is handed over counts as a poll of the inner op only; one taken in a poll of its future ends the outer op's poll last. So
/// a future that is kept after it was ready, its guard being in use, does not count.
fn unclaimed(model: &Evidence<'_>, key: OpKey) -> Option<Unclaimed> {
    let outer = model.op(key)?;
    let inner = model.op(outer.inner?)?;
    let granted = outer.is_alive() && inner.is_alive() && inner.stats.is_granted() == Some(true);
    let handed_over = inner.stats.poll.started?;
    let after = outer.stats.poll.ended.is_some_and(|ended| handed_over >= ended);
    let (task, key) = (model.task(outer.task?)?, outer.task?);
    let lives_on = task.state() == TaskState::Idle && task.stats.poll.started >= Some(handed_over);
    (granted && after && lives_on && outer.ready != Some(true)).then_some(Unclaimed { task: key, since: handed_over })
}

fn symptom(model: &Evidence<'_>, key: ResourceKey, unclaimed: &Unclaimed, limit: Duration) -> Option<Symptom> {
    let task = model.task(unclaimed.task)?;
    let age = model.running_since(unclaimed.since);
    let waiting: Vec<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let itself = waiting.contains(&unclaimed.task);
    let mut related: Vec<_> = describe::related_task(model, unclaimed.task, Role::Holder).into_iter().collect();
    related.extend(waiting.iter().take(4).filter_map(|waiter| describe::related_task(model, *waiter, Role::Waiter)));
    related.push(describe::related_resource(model, key));
    related.dedup();
    Some(Symptom {
        severity: Severity::Critical,
        grade: None,
        subject: describe::site_subject(model, model.site(task.site)?, &[unclaimed.task], waiting.len() + 1),
        summary: format!(
            "The {} was granted {} ago (critical from {}) to a future of {} that nobody polls any more; {}.",
            describe::resource(model, key),
            words::duration(age),
            words::duration(limit),
            describe::task(model, task),
            match waiting.len() {
                _ if itself => "the same task waits for it in another future".to_owned(),
                1 => "1 task waits for it".to_owned(),
                many => format!("{many} tasks wait for it"),
            },
        ),
        facts: vec![
            Fact::time("granted and not polled", age).from(limit),
            Fact::count("tasks waiting", "tasks", waiting.len()).from(1),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(
            "The future asked for the lock in an earlier poll and was put aside: by a select! over a reference to it, or in a collection \
             of futures that is not driven while its item is worked on."
                .to_owned(),
        ),
        recommendation: "Do not await anything else while a future that may hold a lock is kept without being polled. Give select! the \
                         future itself instead of `&mut future`, drop it before the next await, or spawn it as a task of its own."
            .to_owned(),
        class: vec![
            describe::resource_location(model, key),
            model.site(task.site).map(|site| format!("{} {}", site.id.name, site.id.location)).unwrap_or_default(),
        ],
        scope: Scope {
            resources: vec![key],
            sites: vec![task.site],
            tasks: waiting.into_iter().chain([unclaimed.task]).collect(),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}
