//! Permits of a semaphore that nobody holds any more and nobody gave back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::detect::{demand, describe};
use crate::evidence::Evidence;
use crate::evidence::waiters::Unanswered;
use crate::model::entity::resource::Resource;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static STANDSTILL: Setting<Duration> =
    Setting::new("standstill", Duration::from_secs(5), "nobody has got a permit and somebody has waited for so long");

static WARNING: Setting<Duration> = Setting::new(
    "warning",
    Duration::from_secs(15),
    "from then on it is a warning: pools of connections that are lent to other tasks look the same for a while",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "permit-leak",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "permits of a semaphore are gone for good",
    explain: include_str!("../../../../docs/detectors/permit-leak.md"),
    settings: &[&STANDSTILL, &WARNING],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(7),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[Cause::involved("deadlock"), Cause::involved("futurelock")],
    doubt: None,
    scan,
};

/// Where no permit was ever given back, it takes so many times longer to tell a leak from permits that are meant to be used up.
const CONSUMED: u32 = 6;
/// So many different tasks have waited and given up, where none waits for as long as it takes.
const SEVERAL: usize = 3;
/// Who got in after less than this did not have to wait for somebody else.
const A_WAIT: Duration = Duration::from_millis(2);
/// A standstill is longer than so many times the longest wait that ended well.
const PAST: u32 = 3;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let kinds = [ResourceKind::Semaphore, ResourceKind::Mutex];
    for (key, lock) in model.contested().filter(|(_, it)| kinds.contains(&it.kind) && it.dropped.is_none()) {
        let Some(limit) = limit(model, settings, key, lock) else { continue };
        let limit = limit + model.quality().lag.unwrap_or_default();
        let last = lock.grants.last().map(|grant| (grant.at, model.running_since(grant.at)));
        let (Some(in_vain), Some((at, last))) = (model.unanswered(key), last) else { continue };
        let age = in_vain.lasts.min(last);
        if age < limit || !model.nobody_can_release(key) {
            continue;
        }
        // One that waits with a timeout again and again may wait for a signal, or be a task of many futures that has what others of them want.
        if model.longest_present_wait(key).is_some_and(|wait| wait >= limit)
            || model.gave_up_since(key, at).len() >= SEVERAL
        {
            found.extend(symptom(model, settings, key, Unanswered { lasts: age, ..in_vain }));
        }
    }
}

/// After how long a standstill permits are taken for lost; never where they come from elsewhere, as those of a signal or a rate limit do.
fn limit(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, lock: &Resource) -> Option<Duration> {
    // Who has waited long before and got in at last may have to wait longer still.
    let standstill = settings.get(&STANDSTILL).max(lock.waits.longest() * PAST);
    let fed = model.waiter_history(key).is_some_and(|it| it.is_replenished_externally());
    if fed || lock.permits.capacity == Some(0) {
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

/// How sure a leak is that is known by its age and by those who gave up.
fn severity(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, it: Unanswered) -> Severity {
    let warning = settings.get(&WARNING);
    let Some(semaphore) = model.resource(key).filter(|_| it.lasts >= warning) else { return Severity::Info };
    if semaphore.permits.capacity.is_some() || model.longest_present_wait(key).is_some_and(|wait| wait >= warning) {
        return Severity::Warning;
    }
    // Where each waits for a moment only, a semaphore that was not seen new may be a signal for which some tasks look out again and again,
    // or, as long as nobody has waited for a permit and got it, a quota that will be filled again.
    let last = semaphore.grants.last().map_or(semaphore.created, |grant| grant.at);
    let is_quota = semaphore.waits.longest() < A_WAIT && it.lasts < CONSUMED * settings.get(&STANDSTILL);
    let fails = demand::most_failed(model, semaphore, last, Duration::ZERO);
    if fails && !is_quota { Severity::Warning } else { Severity::Info }
}

fn symptom(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, it: Unanswered) -> Option<Symptom> {
    let semaphore = model.resource(key)?;
    let age = it.lasts;
    let waiting: Vec<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let sites = describe::waiting_sites(model, key).len();
    let last = semaphore.grants.last()?;
    let culprit = last.site.and_then(|site| model.site(site));
    let mut related: Vec<_> = culprit.map(|site| describe::related_site(site, Role::Culprit)).into_iter().collect();
    related.extend(waiting.iter().take(4).filter_map(|task| describe::related_task(model, *task, Role::Waiter)));
    related.dedup();
    let limit = settings.get(&STANDSTILL);
    let gave_up = semaphore.given_up.iter().rev().take_while(|given_up| given_up.at >= last.at).map(|it| it.task);
    let concerned = waiting.iter().copied().chain(gave_up).filter_map(|task| Some(model.task(task)?.site));
    let concerned: Vec<SiteKey> = concerned.collect::<BTreeSet<_>>().into_iter().collect();
    let what = if semaphore.kind == ResourceKind::Mutex { "into" } else { "a permit of" };
    let capacity = semaphore.permits.capacity.map_or_else(String::new, |capacity| format!(" with {capacity} permits"));
    Some(Symptom {
        severity: severity(model, settings, key, it),
        grade: None,
        subject: describe::resource_subject(model, key, waiting.len()),
        summary: format!(
            "Nobody has got {what} the {}{capacity} for {} (warning from {}): {}{}, and none of the tasks that got in before can let \
             go of it.",
            describe::resource(model, key),
            words::duration(age),
            words::duration(settings.get(&WARNING)),
            match waiting.len() {
                0 => "nobody waits for it at this moment".to_owned(),
                1 => "1 task waits for it".to_owned(),
                waiting => format!("{waiting} tasks wait for it"),
            },
            match it.given_up {
                0 => String::new(),
                1 => ", 1 wait was given up in that time".to_owned(),
                given_up => format!(", {given_up} waits were given up in that time"),
            },
        ),
        facts: vec![
            Fact::time("time without a grant", age).from(limit),
            Fact::count("tasks waiting", "tasks", waiting.len()).from(1),
            Fact::count("spawn sites waiting", "sites", sites),
            Fact::count("waits given up", "waits", usize::try_from(it.given_up).unwrap_or(usize::MAX)),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(if it.given_up > 0 {
            "Permits or a guard were forgotten (forget, mem::forget, a leaked value), or what was lent with them, such as a connection of a \
             pool, is kept somewhere and not given back."
                .to_owned()
        } else {
            "Permits or a guard were forgotten (forget, mem::forget, a leaked value), or are held by the very tasks that wait for more; or \
             whoever hands them out with add_permits has stopped."
                .to_owned()
        }),
        recommendation: "Look for paths on which a permit is taken and forget() is called without add_permits() to follow, also on errors. \
                         Keep the guard in a variable that is dropped at the end of the work. A task that needs several permits must take \
                         them at once, with acquire_many."
            .to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: concerned,
            tasks: waiting,
            last_progress: Some(last.at),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}
