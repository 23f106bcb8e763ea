//! Canary against stable, in the order in which it convinces: what is new, then rates, then times.

use super::comparability::{comparability, coverage, deaths, least_blocks, overflows, short, time_of};
use super::comparison::{
    Change, Comparison, Conclusion, Criteria, Level, Measurement, NewFinding, NewItem, Reason, Side, Standing, Unit,
};
use super::item::Item;
use super::load::{self, Work};
use super::metric::{Kind, Metric, Subject, What};
use super::observer::{FindingKey, Observer};
use super::statistics::{
    FIRST_LOOK, allowed, blocks_of, float, holm, least_chance, looks, mean_higher, median, quantile, rank_higher,
    tests_of,
};
use super::structure::{Exercise, Structure};
use crate::detect::severity::Grade;
use crate::model::location::Location;

/// With so many targets a side, each of them is one unit.
const PODS: usize = 3;
/// Blocks that each of those needs.
const BLOCKS_OF_POD: usize = 3;
/// The least ratio that counts between blocks of time, which say little of how targets differ.
const RATIO_OF_BLOCKS: f64 = 1.5;
/// The same of what comes of queueing: at a lock that is busy nine tenths of the time, a twentieth more work doubles the waits.
const RATIO_OF_QUEUES: f64 = 2.5;
/// How many times as long a lock is held where longer waits for it come from that.
const HELD_LONGER: f64 = 1.25;
/// The least ratio that counts between targets.
const RATIO_OF_PODS: f64 = 1.2;
/// Between few targets, so much more cannot be called the same, even where it may be chance.
const MUCH: f64 = 2.0;
/// What varies less than this over both sides is no candidate.
const LEAST_SPREAD: f64 = 1.5;
/// Under more load than this, what queues is not compared.
const LIKE_LOAD: f64 = 1.25;
/// What would have been seen so often elsewhere and was not, is not there: by chance that happens once in 150 times.
const EXPECTED: f64 = 5.0;

/// Both sides.
struct Sides<'a> {
    canary: &'a [&'a Observer],
    stable: &'a [&'a Observer],
    works: (Work<'a>, Work<'a>),
}

/// Compares the targets of two sides. Pure: the same observations give the same result.
pub fn compare(canary: &[&Observer], stable: &[&Observer], criteria: Criteria) -> Comparison {
    let works = (Work::of(canary), Work::of(stable));
    let loads = (works.0.load, works.1.load);
    let sides = Sides { canary, stable, works };
    let unit = sides.unit();
    let mut comparison = Comparison {
        conclusion: Conclusion::NotEnoughData,
        reasons: Vec::new(),
        unit,
        canary: coverage(canary, loads.0),
        stable: coverage(stable, loads.1),
        load_ratio: loads.0.over(loads.1),
        findings: Vec::new(),
        structure: Vec::new(),
        changes: Vec::new(),
        measurements: Vec::new(),
        compared: 0,
        not_compared: 0,
        look: sides.look(unit),
    };
    comparison.reasons = comparability(&comparison);
    // Nothing is new or higher beside what was not watched. A canary may be idle because of what is wrong with it.
    let is_comparable = comparison.reasons.is_empty() || comparison.reasons == [Reason::CanaryIdle];
    comparison.findings = new_findings(&sides, criteria, is_comparable.then_some(comparison.load_ratio));
    if comparison.reasons.is_empty() {
        comparison.structure = new_structure(&sides, &comparison, criteria);
        let measured = measure(&sides, unit, comparison.look);
        (comparison.changes, comparison.compared) = (measured.changes, measured.compared);
        comparison.measurements = measured.measurements;
        comparison.changes.iter_mut().for_each(|it| it.place = place(canary, &it.metric.subject));
        comparison.not_compared = measured.not_compared;
        comparison.reasons.extend(measured.too_short);
        let is_of_load =
            comparison.findings.iter().any(|it| it.standing == Standing::OfLoad) || measured.is_hidden_by_load;
        comparison.reasons.extend(is_of_load.then_some(Reason::Load(comparison.load_ratio)));
    }
    comparison.reasons.extend(overflows(canary, stable));
    // A process that died comes first.
    comparison.reasons.splice(0..0, deaths(canary, stable));
    let is_worse = comparison.findings.iter().any(|it| it.standing == Standing::Counts)
        || comparison.structure.iter().any(|it| it.counts)
        || !comparison.changes.is_empty();
    comparison.conclusion = match () {
        () if is_worse => Conclusion::Regression,
        () if comparison.reasons.is_empty() => Conclusion::Same,
        () => Conclusion::NotEnoughData,
    };
    comparison
}

/// Findings that count on the canary and of which nothing was ever seen on stable. What is only a trend may come from more load. Where the
/// sides cannot be compared (no ratio), they are named all the same: what is proven needs no other side.
fn new_findings(sides: &Sides<'_>, criteria: Criteria, load_ratio: Option<f64>) -> Vec<NewFinding> {
    let is_known = |key: &FindingKey| sides.stable.iter().any(|it| it.findings().contains_key(key));
    let mut new: Vec<NewFinding> = Vec::new();
    for (key, sighted) in sides.canary.iter().flat_map(|it| it.findings()) {
        let counts = sighted.shown.is_some_and(|severity| severity >= criteria.fail_on);
        if counts && !is_known(key) && !new.iter().any(|it| it.key == *key) {
            let standing = match load_ratio {
                None => Standing::Open,
                Some(ratio) if sighted.grade != Grade::Proof && ratio > LIKE_LOAD => Standing::OfLoad,
                Some(_) => Standing::Counts,
            };
            new.push(NewFinding { key: key.clone(), sighted: sighted.clone(), standing });
        }
    }
    new.sort_by_key(|it| (it.standing, std::cmp::Reverse(it.sighted.shown), it.key.clone()));
    new
}

/// Structure that was exercised on the canary and is not on stable. An order of locks counts where it would have shown there.
fn new_structure(sides: &Sides<'_>, of: &Comparison, criteria: Criteria) -> Vec<NewItem> {
    let join = |side: &[&Observer]| {
        let mut all = Structure::default();
        side.iter().for_each(|it| all.join(it.structure()));
        all
    };
    let (canary, stable) = (join(sides.canary), join(sides.stable));
    let time = |side: &[&Observer]| side.iter().map(|it| it.watched().as_secs_f64()).sum::<f64>();
    // How much of what the canary did stable did, too.
    let share = (time(sides.stable) / time(sides.canary).max(1.0) / of.load_ratio.max(1.0)).min(1.0);
    let knows_start = |item: &Item| match item {
        Item::Spawns { .. } | Item::Makes(_) => sides.stable.iter().any(|it| it.knows_start()),
        Item::Waits { .. } | Item::Nests { .. } | Item::Inverts { .. } => sides.stable.iter().any(|it| it.saw_start()),
    };
    let new = canary.items().filter(|(item, exercise)| exercise.times > 0 && stable.get(item).is_none());
    let item = |(item, exercise): (&Item, &Exercise)| {
        let is_of_start = !exercise.is_lasting && !knows_start(item);
        // What was left out on stable may be there.
        let may_be_there = is_of_start || stable.is_full();
        let would_show = float(usize::try_from(exercise.times).unwrap_or(usize::MAX)) * share >= EXPECTED;
        let is_order = matches!(item, Item::Nests { .. } | Item::Inverts { .. }) && would_show;
        NewItem {
            item: item.clone(),
            exercise: exercise.clone(),
            counts: !may_be_there && (is_order || criteria.fails_on_new),
            is_of_start,
        }
    };
    let mut items: Vec<NewItem> = new.map(item).collect();
    items.sort_by_key(|it| (!it.counts, std::cmp::Reverse(it.item.clone())));
    items
}

/// Where a subject is spawned or made on the canary.
fn place(canary: &[&Observer], subject: &Subject) -> Option<Location> {
    let is_it = |item: &Item| match (item, subject) {
        (Item::Spawns { who, .. }, Subject::Site(site)) => who == site,
        (Item::Makes(thing), Subject::Thing(it)) => thing == it,
        _ => false,
    };
    let mut items = canary.iter().flat_map(|it| it.structure().items());
    items.find_map(|(item, exercise)| exercise.place.clone().filter(|_| is_it(item)))
}

/// What came of the numbers.
#[derive(Default)]
struct Measured {
    changes: Vec<Change>,
    measurements: Vec<Measurement>,
    compared: usize,
    not_compared: usize,
    /// Whether a number that was not compared is higher.
    is_hidden_by_load: bool,
    too_short: Vec<Reason>,
}

/// A number that can be compared.
struct Candidate {
    change: Change,
    /// The least chance that these samples could have had.
    least_chance: f64,
    /// How many such tests the look has, as there is another one with each block.
    tests: f64,
    /// Whether it is higher by enough, be it by chance.
    is_higher: bool,
}

fn measure(sides: &Sides<'_>, unit: Unit, look: u32) -> Measured {
    let mut measured = Measured::default();
    let mut metrics: Vec<&Metric> = sides.canary.iter().flat_map(|it| it.series().metrics()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    for kind in [Kind::Rate, Kind::Time] {
        let mut candidates = Vec::new();
        for metric in metrics.iter().filter(|it| it.what.kind() == kind) {
            let load_ratio = load::ratio(metric, &sides.works.0, &sides.works.1);
            let Some(candidate) = sides.candidate(metric, (unit, look), load_ratio) else { continue };
            let is_of_load = metric.what.depends_on_load() && load_ratio > LIKE_LOAD;
            measured.measurements.extend(candidate.measurement(is_of_load));
            if is_of_load {
                measured.not_compared += 1;
                measured.is_hidden_by_load |= candidate.is_higher;
            } else {
                measured.compared += 1;
                candidates.push(candidate);
            }
        }
        // What hardly varies over both sides together cannot differ between them, and is no further chance of an error: the choice does not
        // depend on which block is whose (Bourgon, Gentleman and Huber, "Independent filtering", PNAS 107, 2010).
        candidates.retain(|it| it.change.chance.is_finite());
        let level = allowed(look) / 2.0;
        let chances: Vec<f64> = candidates.iter().map(|it| it.change.chance * it.tests).collect();
        let significant = holm(&chances, level);
        let is_beyond = |it: &Candidate| match unit {
            Unit::Pod => it.change.ratio >= MUCH,
            Unit::Block => it.least_chance * it.tests > level / float(candidates.len()),
        };
        let is_weak = candidates.iter().any(|it| it.is_higher && is_beyond(it));
        if look == 0 || (is_weak && !significant.contains(&true)) {
            measured.too_short.extend(sides.too_short(unit, candidates.len()));
        }
        let mut changes: Vec<Change> = candidates
            .into_iter()
            .zip(significant)
            .filter(|(it, holds)| *holds && it.is_higher)
            .map(|(it, _)| it.change)
            .collect();
        changes.sort_by(|one, other| other.ratio.total_cmp(&one.ratio));
        measured.changes.extend(changes);
    }
    measured.too_short.dedup();
    measured.rank();
    measured
}

impl Measured {
    /// Marks the measurements that are changes, and sorts all of them: those first, then the greatest ratio.
    fn rank(&mut self) {
        for it in &mut self.measurements {
            if self.changes.iter().any(|change| change.metric == it.metric) {
                it.level = Level::Higher;
            }
        }
        self.measurements.sort_by(|one, other| {
            let is_lower = |it: &Measurement| it.level != Level::Higher;
            is_lower(one).cmp(&is_lower(other)).then_with(|| other.ratio.total_cmp(&one.ratio))
        });
    }
}

impl Candidate {
    /// The number itself, if it is large enough to matter on a side.
    fn measurement(&self, is_of_load: bool) -> Option<Measurement> {
        let Change { metric, canary, stable, ratio, .. } = &self.change;
        let level = match () {
            () if is_of_load => Level::OfLoad,
            () if self.is_higher => Level::Unsure,
            () => Level::Alike,
        };
        let measurement =
            || Measurement { metric: metric.clone(), canary: *canary, stable: *stable, ratio: *ratio, level };
        (canary.max(*stable) >= metric.what.floor()).then(measurement)
    }
}

impl Sides<'_> {
    fn unit(&self) -> Unit {
        let enough = |side: &[&Observer]| side.iter().filter(|it| it.series().blocks() >= FIRST_LOOK).count() >= PODS;
        if enough(self.canary) && enough(self.stable) { Unit::Pod } else { Unit::Block }
    }

    /// Which look this is.
    fn look(&self, unit: Unit) -> u32 {
        let blocks = |side: &[&Observer]| match unit {
            // Of each target the same first blocks are compared until all of them have twice as many.
            Unit::Pod => {
                let blocks = side.iter().map(|it| it.series().blocks()).filter(|blocks| *blocks >= FIRST_LOOK);
                blocks.min().unwrap_or_default()
            }
            Unit::Block => side.iter().map(|it| it.series().blocks()).sum(),
        };
        looks(blocks(self.canary).min(blocks(self.stable)))
    }

    /// What the side with fewer blocks lacks for comparing this many numbers: time, or valid blocks.
    fn too_short(&self, unit: Unit, candidates: usize) -> Option<Reason> {
        if unit == Unit::Pod {
            return Some(Reason::TooFewTargets);
        }
        let blocks = |side: &[&Observer]| side.iter().map(|it| it.series().blocks()).sum::<usize>();
        let sides = [(Side::Canary, self.canary), (Side::Stable, self.stable)];
        let (side, observers) = sides.into_iter().min_by_key(|(_, side)| blocks(side))?;
        // Where there would be enough of them, a number of its own has too few: it takes more of all.
        let needed = least_blocks(blocks(observers), candidates);
        let watched = observers.iter().map(|it| it.watched()).max().unwrap_or_default();
        Some(short(side, watched, time_of(needed, observers.len())))
    }

    /// A metric that both sides have, compared; the chance is no number where it varies too little to differ.
    fn candidate(&self, metric: &Metric, (unit, look): (Unit, u32), load_ratio: f64) -> Option<Candidate> {
        let unit = self.unit_of(metric, unit, look);
        let (canary, stable) = (values(self.canary, metric, unit, look), values(self.stable, metric, unit, look));
        let least = match unit {
            Unit::Pod => PODS,
            Unit::Block => FIRST_LOOK,
        };
        if canary.len() < least || stable.len() < least {
            return None;
        }
        let floor = metric.what.floor();
        let by_load = if metric.what.kind() == Kind::Rate { load_ratio.max(1.0) } else { 1.0 };
        let least_ratio = match unit {
            Unit::Pod => RATIO_OF_PODS,
            Unit::Block if metric.what.is_of_queueing() => self.own_ratio(metric).max(RATIO_OF_QUEUES),
            Unit::Block => self.own_ratio(metric).max(RATIO_OF_BLOCKS),
        };
        let (typical, usual) = (median(&canary), median(&stable));
        let ratio = typical / by_load / usual.max(floor / 10.0);
        let more = typical / by_load - usual;
        let is_higher = typical >= floor && more >= floor && ratio >= least_ratio && self.has_cause(metric, unit, more);
        let pooled: Vec<f64> = canary.iter().chain(&stable).copied().collect();
        let (low, high) = (quantile(&pooled, 0.05), quantile(&pooled, 0.95));
        let varies = high >= floor && high >= low.max(floor / 10.0) * LEAST_SPREAD;
        let lowered: Vec<f64> = canary.iter().map(|it| it / by_load / least_ratio).collect();
        let (chance, least_chance, tests) = match unit {
            Unit::Pod => {
                let logarithms =
                    |values: &[f64]| values.iter().map(|it| it.max(floor / 10.0).ln()).collect::<Vec<f64>>();
                (mean_higher(&logarithms(&lowered), &logarithms(&stable)), 0.0, 1.0)
            }
            Unit::Block => (rank_higher(&lowered, &stable), least_chance(canary.len(), stable.len()), tests_of(look)),
        };
        let chance = if varies { chance } else { f64::NAN };
        let change =
            Change { metric: metric.clone(), canary: typical, stable: usual, ratio, least_ratio, chance, place: None };
        Some(Candidate { change, least_chance, tests, is_higher })
    }

    /// The unit for a metric: blocks where too few targets have it, as the time for which a lock is held that is hardly ever waited for.
    fn unit_of(&self, metric: &Metric, unit: Unit, look: u32) -> Unit {
        let has_enough = |side: &[&Observer]| values(side, metric, Unit::Pod, look).len() >= PODS;
        if has_enough(self.canary) && has_enough(self.stable) { unit } else { Unit::Block }
    }

    /// Whether so much longer waits can have another cause than chance. Tasks in step with each other wait for a lock at each turn, or never,
    /// and stay so as long as the process lives, so that blocks of time do not show it; what is held longer, or waited for by far, does.
    fn has_cause(&self, metric: &Metric, unit: Unit, more: f64) -> bool {
        let by_far = match metric.what {
            What::Waited => 0.5,
            What::MedianWait | What::LongWait => 0.05,
            _ => return true,
        };
        let held = Metric { subject: metric.subject.clone(), what: What::Held };
        let held = |side: &[&Observer]| {
            let values = values(side, &held, Unit::Block, 0);
            (!values.is_empty()).then(|| median(&values))
        };
        let is_held_longer =
            held(self.canary).zip(held(self.stable)).is_some_and(|(canary, stable)| canary >= stable * HELD_LONGER);
        unit == Unit::Pod || is_held_longer || more >= by_far
    }

    /// How much stable differs from itself: between the halves of its time, every other block, and its targets.
    fn own_ratio(&self, metric: &Metric) -> f64 {
        let little = metric.what.floor() / 2.0;
        let ratio = |one: &[f64], other: &[f64]| {
            let (one, other) = (median(one) + little, median(other) + little);
            (one / other).max(other / one)
        };
        let all: Vec<Vec<f64>> = self.stable.iter().map(|it| it.series().values(metric)).collect();
        let mut worst: f64 = 1.0;
        for values in all.iter().filter(|values| values.len() >= 4) {
            let (first, second) = values.split_at(values.len() / 2);
            let every = |from: usize| values.iter().skip(from).step_by(2).copied().collect::<Vec<f64>>();
            worst = worst.max(ratio(first, second)).max(ratio(&every(0), &every(1)));
        }
        for (index, one) in all.iter().enumerate() {
            for other in all.iter().skip(index + 1).filter(|other| !one.is_empty() && !other.is_empty()) {
                worst = worst.max(ratio(one, other));
            }
        }
        worst
    }
}

/// The values of a side: of each target, by the blocks that its look may use, or of each block of each.
fn values(side: &[&Observer], metric: &Metric, unit: Unit, look: u32) -> Vec<f64> {
    match unit {
        Unit::Block => side.iter().flat_map(|it| it.series().values(metric)).collect(),
        Unit::Pod => {
            let first = |it: &&Observer| it.series().first_values(metric, blocks_of(look));
            let pods = side.iter().filter(|it| it.series().blocks() >= FIRST_LOOK).map(first);
            pods.filter(|values| values.len() >= BLOCKS_OF_POD).map(|values| median(&values)).collect()
        }
    }
}
