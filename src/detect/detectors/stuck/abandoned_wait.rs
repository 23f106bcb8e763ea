//! A wait that outlives everything usual: a barrier that is short of parties, or permits whose holders do not come back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::holders::Holder;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> = Setting::new(
    "wait",
    Duration::from_secs(30),
    "somebody has waited and nobody has got through for at least so long",
);
static TIMES: Setting<f64> = Setting::new("times", 10.0, "and for so many times as long as is usual there");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "abandoned-wait",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "tasks wait for something that does not seem to come any more",
    explain: include_str!("../../../../docs/detectors/abandoned-wait.md"),
    settings: &[&WAIT, &TIMES],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(32),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("task-pileup"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// Lifetimes of ended tasks, or turns of live ones, that make a habit.
const HABIT: usize = 10;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // Late news change nothing: who waited first is known by now, and so is everybody who came before, while nobody passes it.
    let limit = settings.get(&WAIT);
    for (key, resource) in model.contested().filter(|(_, it)| it.dropped.is_none()) {
        let oldest = match resource.kind {
            // Who waits with a timeout does not wait for long, but the next one does for him.
            ResourceKind::Semaphore => model.unanswered(key).map(|it| it.lasts),
            _ => model.longest_present_wait(key),
        };
        let Some(oldest) = oldest.filter(|oldest| *oldest >= limit) else { continue };
        match resource.kind {
            ResourceKind::Barrier => found.extend(barrier(model, settings, key, oldest)),
            ResourceKind::Semaphore => found.extend(semaphore(model, settings, key, oldest)),
            _ => {}
        }
    }
}

/// Whether a task goes on by itself before long, or went on lately.
fn is_at_work(model: &Evidence<'_>, key: TaskKey, limit: Duration) -> bool {
    let Some(task) = model.task(key).filter(|task| task.is_alive()) else { return false };
    let mut awaited = model.waits(key).filter_map(|(op, _)| model.resource(model.lock_of(op)?));
    task.state() != TaskState::Idle
        || model.running_since(task.stats.idle_from()) < limit
        || model.timer(task).is_some()
        || awaited.any(|resource| resource.kind.is_timer())
}

/// Whether a task, or whoever it waits for in the end, is at work.
fn goes_on(model: &Evidence<'_>, key: TaskKey, limit: Duration) -> bool {
    let chain = model.wait_chain(key);
    let ends = chain.last().map(|step| step.holders.iter().map(|holder| holder.task).collect::<Vec<_>>());
    is_at_work(model, key, limit) || ends.into_iter().flatten().any(|holder| is_at_work(model, holder, limit))
}

fn waiting_tasks(model: &Evidence<'_>, key: ResourceKey) -> Vec<TaskKey> {
    model.waiters(key).filter_map(|(_, op)| op.task).collect()
}

fn sites_of(model: &Evidence<'_>, tasks: &[TaskKey]) -> BTreeSet<SiteKey> {
    tasks.iter().filter_map(|task| Some(model.task(*task)?.site)).collect()
}

/// A barrier of which some parties have waited long for the rest.
///
/// `arrived` counts everybody since the barrier was made (Tokio's `Barrier` starts each round from zero without saying so), and a party that
/// gave up waiting stays counted, there as here.
fn barrier(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, oldest: Duration) -> Option<Symptom> {
    let barrier = model.resource(key)?;
    let (size, arrived) = (barrier.number("size").filter(|size| *size > 1)?, barrier.number("arrived")?);
    let (rounds, here) = (arrived / size, arrived % size);
    let usual = longest_wait(barrier);
    let limit = settings.get(&WAIT);
    // One that has let everybody through before tells how long its parties may take.
    let limit = if rounds == 0 { limit } else { limit.max(usual?.mul_f64(settings.get(&TIMES))) };
    if here == 0 || oldest < limit {
        return None;
    }
    let waiting = waiting_tasks(model, key);
    let coming = parties(model, barrier, &waiting).any(|task| goes_on(model, task, limit));
    Some(short_of_parties(model, key, &waiting, Round { size, here, rounds, usual, oldest, limit, coming }))
}

/// The longest wait at a resource that ended well, if any is known.
fn longest_wait(resource: &Resource) -> Option<Duration> {
    let kinds = resource.waits.kinds();
    kinds.filter_map(|kind| resource.waits.window(kind, Timestamp::default()).quantile(1.0)).max()
}

/// Tasks that may be the missing parties: those that came in earlier rounds, and siblings of those that wait.
fn parties<'a>(
    model: &'a Evidence<'_>,
    barrier: &'a Resource,
    waiting: &'a [TaskKey],
) -> impl Iterator<Item = TaskKey> + 'a {
    let earlier = barrier.grants.newest_first().filter_map(|grant| grant.task);
    let siblings = sites_of(model, waiting).into_iter().filter_map(|site| model.site(site));
    let siblings = siblings.flat_map(|site| site.live.iter().map(|(_, task)| *task));
    earlier.chain(siblings).filter(|task| !waiting.contains(task))
}

/// The present round of a barrier.
struct Round {
    size: u64,
    here: u64,
    rounds: u64,
    usual: Option<Duration>,
    oldest: Duration,
    limit: Duration,
    coming: bool,
}

fn short_of_parties(model: &Evidence<'_>, key: ResourceKey, waiting: &[TaskKey], round: Round) -> Symptom {
    let missing = count(round.size - round.here);
    let sites = sites_of(model, waiting);
    let past = match (round.rounds, round.usual) {
        (0, _) | (_, None) => "It has never let anybody through.".to_owned(),
        (rounds, Some(usual)) => format!(
            "It has let its parties through {rounds} times, and none of those that are remembered waited longer than {}.",
            words::duration(usual)
        ),
    };
    let cause = if round.coming {
        "A task that may be a missing party is at work, so that it may only be late.".to_owned()
    } else {
        "The missing parties have ended before they came, were never spawned, or are stuck themselves.".to_owned()
    };
    Symptom {
        severity: if round.coming { Severity::Info } else { Severity::Warning },
        grade: None,
        subject: describe::resource_subject(model, key, waiting.len()),
        summary: format!(
            "{} for the {} for up to {} (warning from {}): it takes {}, {} came, and {missing} {} missing. {past}",
            waits_or_wait(waiting.len()),
            describe::resource(model, key),
            words::duration(round.oldest),
            words::duration(round.limit),
            words::count(count(round.size), "task"),
            round.here,
            if missing == 1 { "is" } else { "are" },
        ),
        facts: vec![
            Fact::time("longest present wait", round.oldest).from(round.limit),
            Fact::count("parties missing", "tasks", missing).from(1),
            Fact::count("parties of the barrier", "tasks", count(round.size)),
        ],
        related: sites
            .iter()
            .filter_map(|site| model.site(*site))
            .take(4)
            .map(|site| describe::related_site(site, Role::Waiter))
            .collect(),
        look_alikes: Vec::new(),
        cause: Some(cause),
        recommendation: "Compare the size of the barrier with the number of tasks that reach it, also when one of them fails or returns early: \
                         every party must come, on every path. A party that gave up waiting still counts as one that came. For waiting until \
                         tasks have ended, a JoinSet or a TaskTracker needs no number."
            .to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: sites.into_iter().collect(),
            tasks: waiting.to_vec(),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn waits_or_wait(tasks: usize) -> String {
    if tasks == 1 { "1 task has waited".to_owned() } else { format!("{tasks} tasks have waited") }
}

/// A semaphore that let people in and has stopped, because those who have its permits wait for something themselves and for far longer
/// than they used to.
fn semaphore(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, oldest: Duration) -> Option<Symptom> {
    let limit = settings.get(&WAIT);
    let semaphore = model.resource(key)?;
    let last = semaphore.grants.last().map(|grant| model.running_since(grant.at))?;
    let holders = idle_holders(model, key, semaphore, limit)?;
    let still = oldest.min(last);
    if still < limit {
        return None;
    }
    let times = settings.get(&TIMES);
    let is_overdue = |holder: &Holder| {
        let usual = usual_turn(model, semaphore, holder.task);
        usual.is_some_and(|usual| model.running_since(holder.since) >= usual.mul_f64(times))
    };
    let overdue = holders.iter().all(is_overdue);
    standstill(model, key, &holders, Standstill { still, limit, overdue })
}

/// The tasks that may have the permits of a semaphore, if all of them have been idle for so long and none of the permits can have been
/// passed on or taken unseen.
fn idle_holders(model: &Evidence<'_>, key: ResourceKey, semaphore: &Resource, limit: Duration) -> Option<Vec<Holder>> {
    let waiting = waiting_tasks(model, key);
    let grants = &semaphore.grants;
    let is_borrowed = grants.newest_first().all(|grant| !grant.owned && grant.task.is_some());
    let permits_are_out = semaphore.permits.now.is_none_or(|permits| permits == 0) && !semaphore.permits.drifted;
    let none_passed_on = model.waiters(key).all(|(_, op)| !op.owned);
    if !is_borrowed || grants.may_have_evicted_unknown_holder() || !permits_are_out || !none_passed_on {
        return None;
    }
    let holders = model.holders(key).into_iter().filter(|holder| !waiting.contains(&holder.task));
    let holders: Vec<Holder> = holders.collect();
    let elders = grants.evicted_holders().filter(|task| !waiting.contains(task));
    let mut possible = holders.iter().map(|holder| holder.task).chain(elders);
    let some_go_on = possible.any(|task| goes_on(model, task, limit));
    (!holders.is_empty() && !some_go_on).then_some(holders)
}

/// How long tasks of this one's site have a permit, at most: as long as they live, or until they take the next one.
fn usual_turn(model: &Evidence<'_>, semaphore: &Resource, key: TaskKey) -> Option<Duration> {
    let site_key = model.task(key)?.site;
    let site = model.site(site_key)?;
    if site.completed() >= HABIT as u64 {
        return site.lifetime_at(0.99);
    }
    let mut turns: Vec<(TaskKey, Timestamp)> = semaphore
        .grants
        .newest_first()
        .filter(|grant| grant.site == Some(site_key))
        .filter_map(|grant| Some((grant.task?, grant.at)))
        .collect();
    turns.sort_unstable();
    let gaps = turns.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1.since(pair[0].1));
    let gaps: Vec<Duration> = gaps.collect();
    gaps.iter().max().copied().filter(|_| gaps.len() >= HABIT)
}

/// A semaphore that nobody gets into.
struct Standstill {
    still: Duration,
    limit: Duration,
    overdue: bool,
}

fn standstill(model: &Evidence<'_>, key: ResourceKey, holders: &[Holder], it: Standstill) -> Option<Symptom> {
    let waiting = waiting_tasks(model, key);
    let waiters = sites_of(model, &waiting);
    let tasks: Vec<TaskKey> = holders.iter().map(|holder| holder.task).collect();
    let first = model.task(*tasks.first()?)?;
    let mut related: Vec<_> =
        tasks.iter().filter_map(|task| describe::related_task(model, *task, Role::Holder)).collect();
    related.dedup();
    related.truncate(4);
    let sites = waiters.iter().filter_map(|site| model.site(*site)).take(4);
    related.extend(sites.map(|site| describe::related_site(site, Role::Waiter)));
    let others = tasks.len() - 1;
    let habit = if it.overdue {
        " Those of its kind used to be done in less than a tenth of that."
    } else {
        " How long they usually take is not known."
    };
    Some(Symptom {
        severity: if it.overdue { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: describe::resource_subject(model, key, waiting.len()),
        summary: format!(
            "Nobody has got a permit of the {} for {} (warning from {}): {} for one, while {}{} idle since then and may have them.{habit}",
            describe::resource(model, key),
            words::duration(it.still),
            words::duration(it.limit),
            if waiting.len() == 1 { "1 task waits".to_owned() } else { format!("{} tasks wait", waiting.len()) },
            describe::task(model, first),
            if others == 0 { " is".to_owned() } else { format!(" and {others} more are") },
        ),
        facts: vec![
            Fact::time("time without a grant", it.still).from(it.limit),
            Fact::count("tasks waiting", "tasks", waiting.len()).from(1),
            Fact::count("tasks that may have permits", "tasks", tasks.len()),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(awaited(model, *tasks.first()?, first)),
        recommendation: "Put a timeout around what is awaited while a permit is held, so that a peer that went silent gives it back. Drop the \
                         permit before anything that may take for ever."
            .to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: waiters.into_iter().chain(sites_of(model, &tasks)).collect(),
            tasks: waiting.into_iter().chain(tasks).collect(),
            last_progress: model.resource(key)?.grants.last().map(|grant| grant.at),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}

fn awaited(model: &Evidence<'_>, key: TaskKey, task: &Task) -> String {
    let who = describe::task(model, task);
    let known = model.waits(key).find_map(|(op, _)| model.lock_of(op)).map(|it| describe::resource(model, it));
    known.map_or_else(
        || format!("What {who} waits for cannot be seen: a socket, a channel, a Notify."),
        |what| format!("{who} waits for the {what}."),
    )
}
