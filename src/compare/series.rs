//! What a target did, block by block: rates and times, each a short series of numbers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::item::{Thing, Who};
use super::metric::{Kind, Metric, Subject, What};
use super::statistics::quantile;
use crate::diagnosis::{Diagnosis, Withheld};
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::history::activity::Activity;
use crate::model::history::waits::A_WAIT;
use crate::model::time::Timestamp;
use crate::model::tokio::AcquireKind;
use crate::model::{Model, SiteKey};

/// The length of a block. Shorter ones would be less independent of each other, longer ones too few.
pub const BLOCK: Duration = Duration::from_secs(10);

/// Blocks that are kept, newest last: an hour.
const MOST_BLOCKS: usize = 360;
/// Metrics that are kept of a target.
const MOST_METRICS: usize = 4_096;
/// Fewer waits or ends in a block than this have no quantile worth the name.
const ENOUGH: usize = 8;
/// Fewer polls in a block than this have no mean worth the name.
const ENOUGH_POLLS: u64 = 20;

/// What a target did, block by block.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The values of each metric, by the number of their block, oldest first. Where a rate is missing it is zero.
    values: BTreeMap<Metric, VecDeque<(usize, f64)>>,
    /// The numbers of the blocks that count, oldest first.
    blocks: VecDeque<usize>,
    next: usize,
    /// The block that is being watched.
    open: Option<Open>,
    /// Blocks that do not count, because the feed withheld something or the process stood still.
    spoilt: usize,
}

/// A block that is not over.
#[derive(Debug, Clone)]
struct Open {
    from: Timestamp,
    epoch: u32,
    is_spoilt: bool,
    /// What had happened at each site when it began.
    sites: BTreeMap<SiteKey, (u64, u64)>,
    waited: BTreeMap<Thing, Duration>,
    activity: Activity,
}

impl Open {
    fn begin(model: &Model) -> Self {
        Self {
            from: model.now(),
            epoch: model.epoch(),
            is_spoilt: false,
            sites: model.sites().map(|(key, site)| (key, (site.born, site.cancelled))).collect(),
            waited: waited(model),
            activity: *model.totals().activity.total(),
        }
    }
}

impl Series {
    /// How many blocks count.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How many blocks do not count, because the feed withheld something or the process stood still.
    pub fn spoilt(&self) -> usize {
        self.spoilt
    }

    /// All metrics that have a value.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.values.keys()
    }

    /// The values of a metric, oldest first: of a rate one for each block, of a time one for each block that had enough of it.
    pub fn values(&self, metric: &Metric) -> Vec<f64> {
        self.first_values(metric, usize::MAX)
    }

    /// The same of the first `count` blocks.
    pub fn first_values(&self, metric: &Metric, blocks: usize) -> Vec<f64> {
        let Some(known) = self.values.get(metric) else { return Vec::new() };
        if metric.what.kind() == Kind::Time {
            let end = self.blocks.get(blocks).copied().unwrap_or(usize::MAX);
            return known.iter().filter(|(block, _)| *block < end).map(|(_, value)| *value).collect();
        }
        let known: BTreeMap<usize, f64> = known.iter().copied().collect();
        self.blocks.iter().take(blocks).map(|block| known.get(block).copied().unwrap_or_default()).collect()
    }

    /// Takes in an update. Costs little until a block ends, and then a look at every spawn site.
    pub fn observe(&mut self, diagnosis: &Diagnosis) {
        let model = diagnosis.model();
        let now = model.now();
        let Some(open) = self.open.as_mut().filter(|open| open.epoch == model.epoch() && open.from <= now) else {
            self.open = Some(Open::begin(model));
            return;
        };
        // Updates come a little after the full second.
        let tolerance = model.clock().interval().min(Duration::from_secs(1)) / 2;
        open.is_spoilt |= is_incomplete(diagnosis);
        if now.since(open.from) < BLOCK.saturating_sub(tolerance) {
            return;
        }
        let began = open.from;
        let stood_still = model.clock().gaps().any(|gap| gap.to > began);
        // A block ends with the first update after its time, which may be nearly an interval later.
        let too_long = now.since(began) > BLOCK * 3 / 2 + model.clock().interval();
        if open.is_spoilt || stood_still || too_long {
            self.spoilt += 1;
        } else {
            let values = measure(model, open);
            self.close(values);
        }
        self.open = Some(Open::begin(model));
    }

    fn close(&mut self, values: BTreeMap<Metric, f64>) {
        let block = self.next;
        self.next += 1;
        self.blocks.push_back(block);
        for (metric, value) in values {
            if self.values.len() < MOST_METRICS || self.values.contains_key(&metric) {
                self.values.entry(metric).or_default().push_back((block, value));
            }
        }
        if self.blocks.len() > MOST_BLOCKS {
            self.blocks.pop_front();
            let first = self.blocks.front().copied().unwrap_or_default();
            self.values.values_mut().for_each(|series| series.retain(|(block, _)| *block >= first));
            self.values.retain(|_, series| !series.is_empty());
        }
    }
}

/// Whether the feed withholds what is counted here. What never was introduced or made no sense stays that way and is little.
fn is_incomplete(diagnosis: &Diagnosis) -> bool {
    let matters = |it: &Withheld| !matches!(it, Withheld::NeverIntroduced | Withheld::Malformed);
    diagnosis.withheld().iter().any(matters)
}

/// The values of a block that is over.
fn measure(model: &Model, open: &Open) -> BTreeMap<Metric, f64> {
    let mut values = Values { seconds: model.now().since(open.from).as_secs_f64().max(1.0), known: BTreeMap::new() };
    measure_sites(model, open, &mut values);
    measure_things(model, open, &mut values);
    for (thing, waited) in waited(model) {
        let before = open.waited.get(&thing).copied().unwrap_or_default();
        values.rate(Subject::Thing(thing), What::Waited, waited.saturating_sub(before).as_secs_f64());
    }
    let activity = model.totals().activity.total();
    let wakes = activity.wakes.saturating_sub(open.activity.wakes);
    if let Some(wakes) = u32::try_from(wakes).ok().filter(|wakes| u64::from(*wakes) >= ENOUGH_POLLS) {
        let delay = activity.scheduled.saturating_sub(open.activity.scheduled) / wakes;
        values.put(Subject::Target, What::Delay, delay.as_secs_f64());
    }
    values.known
}

/// What is measured of one spawn site, all its sizes of futures together.
#[derive(Debug, Default)]
struct OfSite {
    born: u64,
    cancelled: u64,
    live: usize,
    polls: u64,
    busy: Duration,
    longest: Duration,
    lives: Vec<f64>,
}

impl OfSite {
    fn add(&mut self, site: &Site, (born, cancelled): (u64, u64), from: Timestamp) {
        self.born += site.born.saturating_sub(born);
        self.cancelled += site.cancelled.saturating_sub(cancelled);
        self.live += site.live.len();
        for second in site.history.all().filter(|second| second.to > from && !second.unreliable) {
            self.polls += second.polls;
            self.busy += second.busy;
            self.longest = self.longest.max(second.longest.map_or(Duration::ZERO, |(longest, _)| longest));
        }
        let ended = site.completions.since(from).filter(|it| !it.cancelled && it.at > from);
        self.lives.extend(ended.map(|it| it.age.as_secs_f64()));
    }
}

fn measure_sites(model: &Model, open: &Open, values: &mut Values) {
    let mut sites: BTreeMap<Who, OfSite> = BTreeMap::new();
    let ours = model.sites().filter(|(_, site)| !site.is_of_console && site.id.kind.is_async());
    for (key, site) in ours {
        let before = open.sites.get(&key).copied().unwrap_or_default();
        sites.entry(Who::new(&site.id.name, &site.id.location)).or_default().add(site, before, open.from);
    }
    let live: usize = sites.values().map(|it| it.live).sum();
    values.put(Subject::Target, What::Live, super::statistics::float(live));
    for (who, it) in sites {
        let subject = || Subject::Site(who.clone());
        values.rate(subject(), What::Started, count(it.born));
        values.rate(subject(), What::Cancelled, count(it.cancelled));
        values.rate(subject(), What::Polls, count(it.polls));
        values.rate(subject(), What::Busy, it.busy.as_secs_f64());
        values.put(subject(), What::Live, super::statistics::float(it.live));
        if it.polls >= ENOUGH_POLLS {
            values.put(subject(), What::MeanPoll, it.busy.as_secs_f64() / count(it.polls));
        }
        if it.polls > 0 {
            values.put(subject(), What::LongestPoll, it.longest.as_secs_f64());
        }
        values.quantiles(&subject(), &it.lives, (What::MedianLife, What::LongLife));
    }
}

/// What is measured of all locks, semaphores and channels of one place.
#[derive(Debug, Default)]
struct OfThing {
    waits: Vec<f64>,
    held: Vec<f64>,
    depth: u64,
}

fn measure_things(model: &Model, open: &Open, values: &mut Values) {
    let mut things: BTreeMap<Thing, OfThing> = BTreeMap::new();
    for (_, resource) in model.contested() {
        let Some(thing) = Thing::of(model, resource).filter(|_| resource.kind.is_fair_queue()) else { continue };
        let known = things.entry(thing).or_default();
        for kind in resource.waits.kinds() {
            let waits = resource.waits.window(kind, open.from).waits;
            known.waits.extend(waits.iter().map(Duration::as_secs_f64));
        }
        known.held.extend(held(resource, open.from));
        known.depth = known.depth.max(resource.depth().unwrap_or_default());
    }
    for (_, resource) in model.queues() {
        if let Some((thing, depth)) = Thing::of(model, resource).zip(resource.depth()) {
            let known = things.entry(thing).or_default();
            known.depth = known.depth.max(depth);
        }
    }
    for (thing, it) in things {
        let subject = Subject::Thing(thing);
        values.quantiles(&subject, &it.waits, (What::MedianWait, What::LongWait));
        if it.held.len() >= ENOUGH {
            values.put(subject.clone(), What::Held, quantile(&it.held, 0.5));
        }
        values.put(subject, What::Depth, count(it.depth));
    }
}

/// How long a lock was held each time, where that shows: a task that waited acquires the lock as soon as it is released.
fn held(resource: &Resource, from: Timestamp) -> Vec<f64> {
    let grants: Vec<_> = resource.grants.newest_first().take_while(|grant| grant.at >= from).collect();
    let alone = |kind| matches!(kind, AcquireKind::Lock | AcquireKind::Write);
    let turns = grants.windows(2).filter(|pair| {
        let [next, last] = [pair[0], pair[1]];
        let waited = next.since <= last.at || next.at.since(next.since) >= A_WAIT;
        alone(next.kind) && alone(last.kind) && waited
    });
    turns.map(|pair| pair[0].at.since(pair[1].at).as_secs_f64()).collect()
}

/// How long has been waited for each thing in total.
fn waited(model: &Model) -> BTreeMap<Thing, Duration> {
    let mut waited: BTreeMap<Thing, Duration> = BTreeMap::new();
    for (place, total) in model.totals().waits.rows() {
        let made_at = Some(&place.made_at).filter(|it| !it.is_unknown());
        *waited.entry(Thing::new(place.kind.as_str(), "", made_at)).or_default() += total.waited(model.now());
    }
    waited
}

/// The values of a block.
struct Values {
    seconds: f64,
    known: BTreeMap<Metric, f64>,
}

impl Values {
    fn put(&mut self, subject: Subject, what: What, value: f64) {
        self.known.insert(Metric { subject, what }, value);
    }

    /// Puts what has happened in the block, for each second.
    fn rate(&mut self, subject: Subject, what: What, sum: f64) {
        let rate = sum / self.seconds;
        self.put(subject, what, rate);
    }

    fn quantiles(&mut self, subject: &Subject, sample: &[f64], (middle, high): (What, What)) {
        if sample.len() >= ENOUGH {
            self.put(subject.clone(), middle, quantile(sample, 0.5));
            self.put(subject.clone(), high, quantile(sample, 0.9));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what happens in a few seconds")]
fn count(count: u64) -> f64 {
    count as f64
}
