//! What detectors ask of a queue that tells of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use super::describe;
use super::subject::{Related, Role};
use crate::evidence::Evidence;
use crate::model::entity::resource::{Depth, Resource};
use crate::model::{ResourceKey, SiteKey};

/// Whether a total has risen in each third of a time until now: what it counts happens all along, and not now and then.
pub(super) fn rises_all_along(
    model: &Evidence<'_>,
    window: Duration,
    queue: &Resource,
    total: impl Fn(&Depth) -> Option<u64>,
) -> bool {
    let told = |thirds| queue.depth_at(model.now().minus(window * thirds / 3)).and_then(&total);
    let totals = [3, 2, 1, 0].map(told);
    totals.iter().all(Option::is_some) && totals.windows(2).all(|pair| pair[0] < pair[1])
}

/// The sites that put something in, and those that take it out, as far as the feed tells.
pub(super) fn users(model: &Evidence<'_>, queue: ResourceKey) -> (Vec<Related>, Vec<SiteKey>) {
    let (senders, receivers) = (model.senders(queue), model.receivers(queue));
    let related = |sites: &BTreeSet<SiteKey>, role| {
        let sites = sites.iter().filter_map(|site| model.site(*site)).take(4);
        sites.map(move |site| describe::related_site(site, role)).collect::<Vec<_>>()
    };
    let all = [related(&senders, Role::Sender), related(&receivers, Role::Receiver)].concat();
    (all, senders.union(&receivers).copied().collect())
}

/// A number of entries or messages to reckon with.
#[expect(clippy::cast_precision_loss, reason = "queues stay far below 2^53 entries")]
pub(super) fn as_number(count: u64) -> f64 {
    count as f64
}
