//! Permits of a semaphore that nobody holds any more and nobody gave back.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Evidence, Family, Grade, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::model::resource::{Resource, ResourceKind};
use crate::model::task::Task;
use crate::model::{Model, ResourceKey, TaskKey};

const STANDSTILL: Setting = Setting::duration(
    "standstill",
    Duration::from_secs(5),
    "nobody has got a permit and somebody has waited for so long",
);

pub(super) static DETECTOR: Detector = Detector {
    id: "permit-leak",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "permits of a semaphore are gone for good",
    explain: include_str!("../../../docs/detectors/permit-leak.md"),
    settings: &[STANDSTILL],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(7),
    },
    needs: Needs::Everything,
    scan,
};

fn scan(model: &Model, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.duration(&STANDSTILL) + model.quality().lag.unwrap_or_default();
    let semaphores = model.contested().filter(|(_, it)| it.kind == ResourceKind::Semaphore && it.dropped.is_none());
    for (key, semaphore) in semaphores {
        let oldest = model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op))).max();
        let last = semaphore.grants.last().map(|grant| model.running_since(grant.at));
        let (Some(oldest), Some(last)) = (oldest, last) else { continue };
        if oldest >= limit && last >= limit && nobody_can_release(model, key, semaphore) {
            found.extend(symptom(model, settings, key, oldest.min(last)));
        }
    }
}

/// Whether every task that ever got in, as far as that was seen, is gone or waits here itself.
///
/// A borrowed permit cannot outlive its task, so what a task that is gone had is either back, and then the first in the queue has it, or
/// was forgotten. An owned one may have been passed on to anybody.
fn nobody_can_release(model: &Model, key: ResourceKey, semaphore: &Resource) -> bool {
    let waits_here = |task: TaskKey| model.waits(task).any(|(op, _)| model.lock_of(op) == Some(key));
    let cannot = |task: TaskKey| !model.task(task).is_some_and(Task::is_alive) || waits_here(task);
    let grants = &semaphore.grants;
    let ended = grants.newest_first().all(|grant| !grant.owned && grant.task.is_some_and(cannot))
        && grants.elders().all(cannot)
        && !grants.has_unknown_elder();
    // A future that was granted and lives holds its permits; who waits with an owned acquire is of the kind that passes them on.
    let live = semaphore.ops.iter().filter_map(|op| Some((*op, model.op(*op)?)));
    let none_held = live.into_iter().all(|(key, op)| model.is_waiting(key) && !op.is_owned());
    ended && none_held && semaphore.permits.now.is_none_or(|permits| permits == 0) && !semaphore.permits.drifted
}

fn symptom(model: &Model, settings: Scoped<'_>, key: ResourceKey, age: Duration) -> Option<Symptom> {
    let semaphore = model.resource(key)?;
    let waiting: Vec<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let sites = wording::waiting_sites(model, key).len();
    let last = semaphore.grants.last()?;
    let culprit = last.site.and_then(|site| model.site(site));
    let mut related: Vec<_> = culprit.map(|site| wording::related_site(site, Role::Culprit)).into_iter().collect();
    related.extend(waiting.iter().take(4).filter_map(|task| wording::related_task(model, *task, Role::Waiter)));
    related.dedup();
    let limit = settings.duration(&STANDSTILL);
    let capacity = semaphore.permits.capacity.map_or_else(String::new, |capacity| format!(" with {capacity} permits"));
    Some(Symptom {
        severity: Severity::Warning,
        grade: None,
        subject: wording::resource_subject(model, key, waiting.len()),
        summary: format!(
            "Nobody has got a permit of the {}{capacity} for {} (warning from {}): {} for it, and none of the tasks that ever got one can \
             give it back.",
            wording::resource(model, key),
            wording::duration(age),
            wording::duration(limit),
            if waiting.len() == 1 { "1 task waits".to_owned() } else { format!("{} tasks wait", waiting.len()) },
        ),
        evidence: vec![
            Evidence::time("time without a grant", age, Some(limit)),
            Evidence::count("tasks waiting", "tasks", waiting.len(), Some(1)),
            Evidence::count("spawn sites waiting", "sites", sites, None),
        ],
        related,
        cause: Some(
            "Permits were forgotten (forget, mem::forget, a guard in a leaked value), or are held by the very tasks that wait for more."
                .to_owned(),
        ),
        recommendation: "Look for paths on which a permit is taken and forget() is called without add_permits() to follow, also on errors. \
                         Keep the guard in a variable that is dropped at the end of the work. A task that needs several permits must take \
                         them at once, with acquire_many."
            .to_owned(),
        class: vec![wording::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: waiting.iter().filter_map(|task| Some(model.task(*task)?.site)).collect(),
            tasks: waiting,
            last_progress: Some(last.at),
            ..Scope::default()
        },
        sustains_only: false,
    })
}
