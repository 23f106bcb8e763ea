//! Permits of a semaphore that nobody holds any more and nobody gave back.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Evidence, Family, Grade, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::model::resource::{Resource, ResourceKind};
use crate::model::{Model, ResourceKey, TaskKey};

const STANDSTILL: Setting = Setting::duration(
    "standstill",
    Duration::from_secs(5),
    "nobody has got a permit and somebody has waited for so long",
);

const WARNING: Setting = Setting::duration(
    "warning",
    Duration::from_secs(15),
    "from then on it is a warning: pools of connections that are lent to other tasks look the same for a while",
);

pub(super) static DETECTOR: Detector = Detector {
    id: "permit-leak",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "permits of a semaphore are gone for good",
    explain: include_str!("../../../docs/detectors/permit-leak.md"),
    settings: &[STANDSTILL, WARNING],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(7),
    },
    needs: Needs::Everything,
    scan,
};

/// Where no permit was ever given back, it takes so many times longer to tell a leak from permits that are meant to be used up.
const CONSUMED: u32 = 6;
/// A standstill is longer than so many times the longest wait that ended well.
const PAST: u32 = 3;

fn scan(model: &Model, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let kinds = [ResourceKind::Semaphore, ResourceKind::Mutex];
    for (key, lock) in model.contested().filter(|(_, it)| kinds.contains(&it.kind) && it.dropped.is_none()) {
        let Some(limit) = limit(settings, lock) else { continue };
        let limit = limit + model.quality().lag.unwrap_or_default();
        let oldest = model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op))).max();
        let last = lock.grants.last().map(|grant| model.running_since(grant.at));
        let (Some(oldest), Some(last)) = (oldest, last) else { continue };
        if oldest >= limit && last >= limit && model.nobody_can_release(key) {
            found.extend(symptom(model, settings, key, oldest.min(last)));
        }
    }
}

/// After how long a standstill permits are taken for lost; never where they come from elsewhere, as those of a signal or a rate limit do.
fn limit(settings: Scoped<'_>, lock: &Resource) -> Option<Duration> {
    // Who has waited long before and got in at last may have to wait longer still.
    let standstill = settings.duration(&STANDSTILL).max(lock.waits.longest() * PAST);
    if lock.is_fed || lock.permits.capacity == Some(0) {
        return None;
    }
    Some(match lock.permits.capacity {
        _ if lock.kind == ResourceKind::Mutex => 2 * standstill,
        // Permits that were taken more often than there are of them were given back, and no longer are.
        Some(capacity) if lock.grants.total() > capacity => standstill,
        // Each of them was taken once: that may be what they are for.
        Some(_) => CONSUMED * standstill,
        None => standstill,
    })
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
    let what = if semaphore.kind == ResourceKind::Mutex { "into" } else { "a permit of" };
    let capacity = semaphore.permits.capacity.map_or_else(String::new, |capacity| format!(" with {capacity} permits"));
    Some(Symptom {
        severity: if age >= settings.duration(&WARNING) { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: wording::resource_subject(model, key, waiting.len()),
        summary: format!(
            "Nobody has got {what} the {}{capacity} for {} (warning from {}): {} for it, and none of the tasks that got in before can let \
             go of it.",
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
            "Permits or a guard were forgotten (forget, mem::forget, a leaked value), or are held by the very tasks that wait for more."
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
