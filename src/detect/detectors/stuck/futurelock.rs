//! A lock that was granted to a future which nobody polls, so that it is neither used nor released.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::holders::UnclaimedGrant;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static UNPOLLED: Setting<Duration> = Setting::new(
    "unpolled",
    Duration::from_secs(2),
    "minimum time since the grant in which the future has not been polled",
);

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
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.get(&UNPOLLED);
    for (key, _) in evidence.contested().filter(|(_, lock)| lock.kind.is_held()) {
        let Some(grant) = evidence.unclaimed_grant(key) else { continue };
        if evidence.running_since(grant.since) >= limit && evidence.flow(key).oldest >= limit {
            found.extend(symptom(evidence, key, grant, limit));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, key: ResourceKey, grant: UnclaimedGrant, limit: Duration) -> Option<Symptom> {
    let task = evidence.task(grant.task)?;
    let age = evidence.running_since(grant.since);
    let waiting: Vec<TaskKey> = describe::waiting_tasks(evidence, key);
    let who = if waiting.contains(&grant.task) {
        "the same task waits for it in another future".to_owned()
    } else {
        format!("{} for it", describe::tasks_that_wait(evidence, &waiting))
    };
    let symptom = Symptom::of_site(evidence, task.site, &[grant.task], waiting.len() + 1)
        .severity(Severity::Critical)
        .class([evidence.resource_class(key), evidence.site_class(task.site)])
        .summary(format!(
            "The {} was granted {} ago (critical from {}) to a future of {} that nobody polls any more; {who}.",
            describe::resource(evidence, key),
            words::duration(age),
            words::limit(limit),
            describe::task(evidence, task),
        ))
        .because(Fact::time("granted and not polled", age).from(limit))
        .because(Fact::count("tasks waiting", "tasks", waiting.len()).from(1))
        .involving(describe::related_tasks(evidence, &[grant.task], Role::Holder))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .involving([describe::related_resource(evidence, key)])
        .cause(Some(
            "The future asked for the lock in an earlier poll and was set aside: by a select! over a reference to it, or in a collection of \
             futures that is not polled while its item is worked on."
                .to_owned(),
        ))
        .advice(
            "Do not await anything else while a future that may hold a lock is kept without being polled. Give select! the future itself instead \
             of `&mut future`, drop it before the next await, or spawn it as a task of its own.",
        )
        .touching([key])
        .since(Some(grant.since));
    let mut symptom = symptom;
    symptom.scope.tasks.extend(waiting);
    Some(symptom)
}
