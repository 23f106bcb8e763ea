//! A task that waits without anything that could wake it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::unwakeable::WithoutWaker;
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static IDLE: Setting<Duration> =
    Setting::new("idle", Duration::from_secs(1), "minimum time for which the task has been idle");
static TASKS: Setting<usize> =
    Setting::new("tasks", 3, "minimum number of tasks without a waker that is a warning even if no task ever had one");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lost-waker",
    family: Family::Stuck,
    grade: Grade::Proof,
    title: "a task waits and nothing can wake it",
    explain: include_str!("../../../../docs/detectors/lost-waker.md"),
    settings: &[&IDLE, &TASKS],
    timing: Timing {
        updates: 2,
        hold: Duration::from_millis(500),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(2),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[],
    look_alikes: &[LookAlike::RestsForEver],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.get(&IDLE);
    let mut sites: BTreeMap<SiteKey, Vec<WithoutWaker>> = BTreeMap::new();
    for it in evidence.tasks_without_waker().filter(|it| it.idle >= limit) {
        if let Some(task) = evidence.task(it.task).filter(|task| !may_have_finished(evidence, task)) {
            sites.entry(task.site).or_default().push(it);
        }
    }
    for (site, mut tasks) in sites {
        tasks.sort_unstable_by(|one, other| other.cmp(one));
        found.extend(symptom(evidence, settings, site, &tasks));
    }
}

/// Whether the task may be done and only listed because a blocking job that it started still runs, which keeps its span open. Usually
/// the counters tell; a wake too many hides it from them.
fn may_have_finished(evidence: &Evidence<'_>, task: &Task) -> bool {
    let last_poll = task.stats.poll.started.unwrap_or(task.stats.created);
    let blocking = evidence.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking);
    let mut jobs = blocking.flat_map(|(_, site)| site.live.iter());
    jobs.any(|(created, key)| {
        *created >= task.stats.created
            && *created <= last_poll
            && evidence.task(*key).is_some_and(|job| !job.is_worker_thread() && !job.is_block_in_place())
    })
}

/// Whether the task may be meant to rest for ever: it has done so since its first poll, without ever giving away a waker, and holds nothing that
/// others wait for.
fn may_rest_for_ever(evidence: &Evidence<'_>, key: TaskKey, held: &[ResourceKey]) -> bool {
    let never_waited = |task: &Task| task.stats.poll.polls <= 1 && task.stats.waker_clones == 0;
    evidence.task(key).is_some_and(never_waited) && held.is_empty()
}

/// What others wait for and one of these tasks holds.
fn held_by(evidence: &Evidence<'_>, tasks: &[TaskKey]) -> Vec<ResourceKey> {
    let is_holder = |lock| evidence.holders(lock).named().iter().any(|holder| tasks.contains(&holder.task));
    evidence.contested().map(|(lock, _)| lock).filter(|lock| is_holder(*lock)).collect()
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, tasks: &[WithoutWaker]) -> Option<Symptom> {
    let WithoutWaker { idle, least, task: worst } = *tasks.first()?;
    let limit = settings.get(&IDLE).max(least);
    let task = evidence.task(worst)?;
    let keys: Vec<TaskKey> = tasks.iter().map(|it| it.task).collect();
    let held = held_by(evidence, &keys);
    let rests = keys.len() < settings.get(&TASKS) && keys.iter().all(|task| may_rest_for_ever(evidence, *task, &held));
    let others = match tasks.len() - 1 {
        0 => String::new(),
        more => format!(" {} {} the same.", words::count(more, "more task"), words::agree(more, "does", "do")),
    };
    let symptom = Symptom::of_site(evidence, key, &keys, tasks.len())
        .unless(rests.then_some(LookAlike::RestsForEver))
        .summary(format!(
            "{} has been idle for {} (warning from {}) and no waker for it exists: nothing can wake it.{others}",
            describe::task(evidence, task),
            words::duration(idle),
            words::limit(limit),
        ))
        .because(Fact::time("idle", idle).from(limit))
        .because(Fact::count("wakers that exist", "wakers", 0).below(1))
        .because(Fact::count("tasks without a waker", "tasks", tasks.len()).from(1))
        .advice(
            "Look at the hand-written futures and poll functions that this task awaits: each must keep a clone of the context's waker before it \
             returns Poll::Pending, and pass it on to what it polls.",
        )
        .touching(held)
        .since(Some(evidence.now().minus(idle)));
    Some(symptom)
}
