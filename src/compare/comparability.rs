//! Whether two sides can be compared at all, and what keeps a comparison from saying that they are the same.

use std::time::Duration;

use super::comparison::{Comparison, Coverage, Reason, Restarts, Side};
use super::load::Load;
use super::observer::{Loss, Observer};
use super::series::BLOCK;
use super::statistics::{FIRST_LOOK, allowed, float, least_chance, looks, tests_of};

/// Stable has to be watched for this share of the time of the canary, or nothing is new.
const LIKE_TIME: f64 = 0.5;

/// More blocks than this are not asked for.
const MOST_NEEDED: usize = 64;

/// What is known of a side.
pub(super) fn coverage(side: &[&Observer], load: Load) -> Coverage {
    let watched = |it: &&&Observer| !it.watched().is_zero();
    Coverage {
        targets: side.iter().filter(watched).count(),
        late: side.iter().filter(watched).filter(|it| it.is_late()).count(),
        taken_away: side.iter().filter(watched).filter(|it| it.is_taken_away()).count(),
        watched: side.iter().map(|it| it.watched()).max().unwrap_or_default(),
        blocks: side.iter().map(|it| it.series().blocks()).sum(),
        spoilt: side.iter().map(|it| it.series().spoilt()).sum(),
        stranger: side.iter().find_map(|it| it.stranger()).map(str::to_owned),
        load,
    }
}

/// Why the two sides cannot be compared at all.
pub(super) fn comparability(of: &Comparison) -> Vec<Reason> {
    let sides = [(Side::Canary, &of.canary), (Side::Stable, &of.stable)];
    let mut silent: Vec<Reason> = sides
        .iter()
        .filter(|(_, it)| it.targets == 0)
        .map(|(side, it)| Reason::NoUpdates { side: *side, answers: it.stranger.clone() })
        .collect();
    let is_explained = |it: &Reason| matches!(it, Reason::NoUpdates { answers: Some(_), .. });
    if silent.iter().any(is_explained) {
        // The watch ended there, perhaps before the other side could say anything.
        silent.retain(is_explained);
    }
    if !silent.is_empty() {
        return silent;
    }
    let (watched, like) = (of.stable.watched, of.canary.watched.mul_f64(LIKE_TIME));
    if watched < like {
        let needed = like.max(time_of(FIRST_LOOK, of.stable.targets));
        return vec![Reason::TooShort { side: Side::Stable, watched, needed }];
    }
    let without = |(side, it): &(Side, &Coverage)| match (it.blocks, it.spoilt) {
        (0, 0) if it.watched < BLOCK * 2 => {
            // The first block alone gives no verdict.
            let needed = time_of(FIRST_LOOK, it.targets);
            Some(Reason::TooShort { side: *side, watched: it.watched, needed })
        }
        (0, _) => Some(Reason::Incomplete(*side)),
        _ => None,
    };
    let short: Vec<Reason> = sides.iter().filter_map(without).collect();
    match () {
        () if !short.is_empty() => short,
        () if of.canary.load.is_idle_beside(of.stable.load) => vec![Reason::CanaryIdle],
        () if of.stable.load.is_idle_beside(of.canary.load) => vec![Reason::StableIdle],
        () if of.canary.load.is_nothing() && of.stable.load.is_nothing() => vec![Reason::Idle],
        () => Vec::new(),
    }
}

/// The blocks that a side needs for comparing this many numbers, with more than these.
pub(super) fn least_blocks(more_than: usize, candidates: usize) -> usize {
    let is_enough = |blocks: &usize| {
        let look = looks(*blocks);
        look > 0 && least_chance(*blocks, *blocks) <= allowed(look) / 2.0 / tests_of(look) / float(candidates.max(1))
    };
    ((more_than + 1).max(FIRST_LOOK)..MOST_NEEDED).find(is_enough).unwrap_or(MOST_NEEDED)
}

/// The time for which this many targets must be watched to give this many blocks together: the first block of each begins late.
pub(super) fn time_of(blocks: usize, targets: usize) -> Duration {
    BLOCK * u32::try_from(blocks.div_ceil(targets.max(1)) + 1).unwrap_or(u32::MAX)
}

/// What a side lacks that has too few blocks: time, or what the feed withheld in its time.
pub(super) fn short(side: Side, watched: Duration, needed: Duration) -> Reason {
    if watched < needed { Reason::TooShort { side, watched, needed } } else { Reason::Incomplete(side) }
}

impl Restarts {
    fn of(side: &[&Observer]) -> Self {
        let targets = side.iter().filter(|it| !it.watched().is_zero()).count();
        Self { times: side.iter().map(|it| it.restarts()).sum(), targets }
    }

    /// Whether there were more of them for each target.
    fn exceed(self, other: Self) -> bool {
        self.times * other.targets.max(1) > other.times * self.targets.max(1)
    }
}

/// What ended on a side before its time, so that a comparison without a difference does not show that the canary works.
pub(super) fn deaths(canary: &[&Observer], stable: &[&Observer]) -> Vec<Reason> {
    let lost = [(Side::Canary, canary, stable), (Side::Stable, stable, canary)].map(lost);
    // Stable may be scaled down while the canary takes over.
    let is_there = |it: &&&Observer| !it.watched().is_zero() && !it.is_taken_away();
    let has_left = canary.iter().any(|it| it.is_taken_away()) && !canary.iter().any(|it| is_there(&it));
    let (of_canary, of_stable) = (Restarts::of(canary), Restarts::of(stable));
    let restarted = of_canary.exceed(of_stable).then_some(Reason::Restarted { canary: of_canary, stable: of_stable });
    restarted.into_iter().chain(lost.into_iter().flatten()).chain(has_left.then_some(Reason::AllLeft)).collect()
}

/// The worst loss of a side of which something came.
fn lost((side, observers, others): (Side, &[&Observer], &[&Observer])) -> Option<Reason> {
    if observers.iter().all(|it| it.watched().is_zero()) {
        return None;
    }
    let is_end = |it: &Observer| it.is_recorded() && matches!(it.loss(), Some(Loss::Gone | Loss::Silent));
    let ends = |side: &[&Observer]| side.iter().filter(|it| is_end(it)).count();
    // A recording may be ended with its service, but then as often on stable.
    let are_usual = side == Side::Stable || ends(observers) * others.len() <= ends(others) * observers.len();
    let counting = observers.iter().filter(|it| !(are_usual && is_end(it)));
    let losses = counting.filter_map(|it| it.loss().map(|how| (how, it.watched())));
    losses.min().map(|(how, after)| Reason::Lost { side, how, after })
}

/// Sides of whose structure not all was kept.
pub(super) fn overflows(canary: &[&Observer], stable: &[&Observer]) -> impl Iterator<Item = Reason> {
    let is_full = |side: &[&Observer]| side.iter().any(|it| it.structure().is_full());
    let sides = [(Side::Canary, is_full(canary)), (Side::Stable, is_full(stable))];
    sides.into_iter().filter(|(_, is_full)| *is_full).map(|(side, _)| Reason::TooManyParts(side))
}
