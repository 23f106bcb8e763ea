//! Whether more is asked of a semaphore than it can give, all the time, and whether those who ask suffer from it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::evidence::waiters::WaiterSnapshot;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::GivenUp;
use crate::model::time::Timestamp;
use crate::model::tokio::AcquireKind;
use crate::model::{ResourceKey, TaskKey};

/// The time in which arrivals are counted is cut into so many parts.
const PARTS: usize = 5;
/// So many of them may be nearly empty. A batch that is worked off leaves more of them empty, as nobody comes meanwhile.
const EMPTY: usize = 1;
/// A part with less than this share of the usual arrivals is nearly empty.
const FEW: u64 = 3;
/// Numbers of those who wait that are further from the beginning of a time say nothing of it.
const APART: Duration = Duration::from_secs(3);
/// So many that gave up in each half of a time, and failed, show that they do not wait on purpose.
const FAILED: u64 = 5;

/// How many permits a semaphore has. Where it was not seen new: as many as there are tasks that got in and do not wait, or fewer; unknown where
/// permits are of the kind that is passed on.
pub(super) fn permits(model: &Evidence<'_>, key: ResourceKey, semaphore: &Resource) -> Option<usize> {
    if let Some(capacity) = semaphore.permits.capacity {
        return usize::try_from(capacity).ok();
    }
    let grants = || semaphore.grants.newest_first();
    let waiting: BTreeSet<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let inside = grants().filter_map(|grant| grant.task).filter(|task| !waiting.contains(task));
    let inside: BTreeSet<TaskKey> =
        inside.filter(|task| model.task(*task).is_some_and(|task| task.is_alive())).collect();
    grants().all(|grant| !grant.owned).then(|| inside.len().max(1))
}

/// Whether those who wait came one after the other from a time until now; those of a batch come at once.
pub(super) fn keeps_coming(model: &Evidence<'_>, key: ResourceKey, from: Timestamp) -> bool {
    let counts: Vec<&WaiterSnapshot> = model.waiter_history(key).into_iter().flat_map(|it| it.since(from)).collect();
    let (Some(first), Some(last)) = (counts.first(), counts.last()) else { return false };
    let span = last.at.since(first.at);
    let come_by = |part: usize| {
        let until = first.at.plus(span.mul_f64(as_number(part) / as_number(PARTS)));
        counts.iter().rev().find(|crowd| crowd.at <= until).map_or(first.came, |crowd| crowd.came)
    };
    let parts: [u64; PARTS] = std::array::from_fn(|part| come_by(part + 1).saturating_sub(come_by(part)));
    let usual = parts.iter().sum::<u64>() / PARTS as u64;
    let empty = parts.iter().filter(|came| FEW * **came < usual).count();
    usual > 0 && empty <= EMPTY && parts[PARTS - 1] > 0 && first.at.since(from) <= APART
}

/// Whether those who wait do so against their will: again and again some gave up after a long wait and failed. Others may wait on purpose, as a
/// limit to how many work at a time is meant to make them.
pub(super) fn fails(
    model: &Evidence<'_>,
    semaphore: &Resource,
    source: AcquireKind,
    (from, to): (Timestamp, Timestamp),
    long: Duration,
) -> bool {
    let gave_up = |since: Timestamp| semaphore.waits.window(source, since).cancelled;
    let late = gave_up(from.plus(to.since(from) / 2));
    let all_the_while = late >= FAILED && gave_up(from).saturating_sub(late) >= FAILED;
    all_the_while && most_failed(model, semaphore, from, long)
}

/// Whether most of those who gave up a wait of some length since a time have failed: their task has ended, or it is a library's, such as the
/// connection of a server. A task of the user's may try again.
pub(super) fn most_failed(model: &Evidence<'_>, semaphore: &Resource, from: Timestamp, long: Duration) -> bool {
    let has_failed = |it: &GivenUp| {
        let Some(task) = model.task(it.task).filter(|task| task.is_alive()) else { return true };
        model.site(task.site).is_some_and(|site| site.id.location.is_library())
    };
    let given_up = semaphore.given_up.iter().filter(|it| it.at >= from && it.at.since(it.since) >= long);
    let (failed, tried): (Vec<bool>, Vec<bool>) = given_up.map(has_failed).partition(|failed| *failed);
    failed.len() > tried.len()
}

#[expect(clippy::cast_precision_loss, reason = "the number of a part")]
fn as_number(part: usize) -> f64 {
    part as f64
}
