//! What is written down at each update: waits that ended, and what a sample of tasks rests on.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::cause::Cause;
use super::culprits::Tracer;
use super::tally::{Awaited, Blocked, SiteTally, Tally};
use super::waits::{RecentWaits, Wait};
use crate::evidence::view::Evidence;
use crate::model::entity::task::TaskState;
use crate::model::history::waits::A_WAIT;
use crate::model::time::Timestamp;
use crate::model::{Changes, Model, ResourceKey, SiteKey, TaskKey};

/// Shorter waits are no waits: the op was ready in the poll that made it.
const NO_WAIT: Duration = Duration::from_micros(20);
/// Samples are taken once in this time: updates come a second apart, give or take.
const SAMPLES_EVERY: Duration = Duration::from_millis(900);
/// Tasks that are sampled of one site at a time, and of all sites.
const OF_A_SITE: usize = 4;
const OF_ALL: usize = 512;
/// How often what has been counted so far is kept, for the time since then.
const MARK_EVERY: Duration = Duration::from_secs(30);
/// Marks that are kept: what happened lately goes back to the older one.
const MARKS: usize = 2;
/// Present waits for one lock by tasks of one site whose holders are looked for; the others are taken to be like them.
const TRACED: usize = 64;

/// What has been written down of one target.
#[derive(Debug, Clone, Default)]
pub(in crate::evidence) struct Ledger {
    sites: FxHashMap<SiteKey, SiteTally>,
    recent: RecentWaits,
    next_samples: Timestamp,
    rounds: usize,
    marks: VecDeque<Tally>,
}

impl Ledger {
    /// Writes down what an update has changed. Costs what changed; a sample of what lives is looked at once a second.
    pub(in crate::evidence) fn observe(&mut self, evidence: &Evidence<'_>, changes: &Changes) {
        let ended = changes.ended_ops.iter().filter_map(|op| evidence.wait_of(*op));
        let waits: Vec<Wait> = ended.filter(|wait| wait.to.since(wait.from) >= NO_WAIT).collect();
        // Those that end in one update are each other's holders.
        for wait in waits.iter().filter(|wait| wait.cause.is_blocked() && wait.to.since(wait.from) >= A_WAIT) {
            self.recent.note(*wait);
        }
        let mut tracer = Tracer::new(evidence, &self.recent);
        for wait in waits {
            let site = self.sites.entry(wait.site).or_default();
            if !wait.cause.is_blocked() {
                site.rest(wait.cause, wait.to.since(wait.from));
            } else if let Some(wait) = self.recent.own_part(evidence, wait) {
                let awaited = evidence.awaited_class(wait.resource);
                lay(&mut tracer, &wait, wait.to.since(wait.from), awaited.as_ref(), site);
            }
        }
        if evidence.now() >= self.next_samples {
            self.next_samples = evidence.now().plus(SAMPLES_EVERY);
            self.sample(evidence);
        }
    }

    /// Whether it is time to keep what has been counted so far.
    pub(in crate::evidence) fn is_mark_due(&self, model: &Model) -> bool {
        let last = self.marks.back().map_or(model.clock().began(), Tally::taken);
        model.now().since(last) >= MARK_EVERY
    }

    /// Keeps what has been counted so far.
    pub(in crate::evidence) fn mark(&mut self, tally: Tally) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(tally);
    }

    /// What had been counted some time ago; nothing if that was the beginning.
    pub(super) fn earlier(&self) -> Option<&Tally> {
        self.marks.front().filter(|_| self.marks.len() == MARKS)
    }

    /// Forgets sites that are gone from the model.
    pub(in crate::evidence) fn sweep(&mut self, model: &Model) {
        self.sites.retain(|key, _| model.site(*key).is_some());
    }

    /// Looks at what a few of the tasks of each site rest on. A timer does not say whose it is, and most are gone before they are reported: only a
    /// sample can tell how much of their rest tasks spend on timers.
    fn sample(&mut self, evidence: &Evidence<'_>) {
        let sites = evidence.sites().len();
        let turns = sites.div_ceil(OF_ALL / OF_A_SITE).max(1);
        self.rounds = self.rounds.wrapping_add(1);
        for (key, site) in evidence.sites().skip(self.rounds % turns).step_by(turns) {
            let live = site.live.len();
            let picked = (0..OF_A_SITE.min(live)).map(|nth| (self.rounds + nth * live / OF_A_SITE.min(live)) % live);
            for task in picked.filter_map(|nth| site.live.iter().nth(nth)).map(|(_, task)| *task) {
                let Some(on_timer) = rests_on_timer(evidence, task) else { continue };
                let samples = &mut self.sites.entry(key).or_default().samples;
                if on_timer {
                    samples.timer += 1;
                } else {
                    samples.unseen += 1;
                }
            }
        }
    }
}

/// Whether a task rests on a timer, or on something unseen; nothing if it does not rest, or waits for something that reports itself.
fn rests_on_timer(evidence: &Evidence<'_>, key: TaskKey) -> Option<bool> {
    evidence.task(key).filter(|task| task.state() == TaskState::Idle)?;
    let wait = evidence.task_wait(key);
    (wait.awaited.is_empty() && !wait.ticking).then_some(wait.sleeping.is_some())
}

/// Attributes a time to those who held what a task waited for meanwhile.
fn lay(
    tracer: &mut Tracer<'_>,
    wait: &Wait,
    time: Duration,
    awaited: Option<&(Awaited, ResourceKey)>,
    site: &mut SiteTally,
) {
    let row = |holder, time| Blocked { cause: wait.cause, awaited: awaited.cloned(), holder, time };
    if wait.cause != Cause::Lock {
        return site.block(row(None, time));
    }
    if tracer.is_for_work(wait.resource) {
        return site.rest(Cause::Message, time);
    }
    let mut left = time;
    for (holder, share) in tracer.culprits(wait).into_iter().filter(|(holder, _)| holder.is_some()) {
        let part = time.mul_f64(share.clamp(0.0, 1.0)).min(left);
        left -= part;
        site.block(row(holder, part));
    }
    site.block(row(None, left));
}

impl Evidence<'_> {
    /// What has been counted of each site until now, present waits included.
    pub(in crate::evidence) fn tally(&self) -> Tally {
        let now = self.now();
        let ledger = &self.memory.ledger;
        let mut sites = ledger.sites.clone();
        for (key, site) in self.sites() {
            let lived = site.spent.lived.at(now);
            if !lived.is_zero() {
                let tally = sites.entry(key).or_default();
                let (running, scheduled) = (site.spent.running.at(now), site.spent.scheduled.at(now));
                *tally = SiteTally { lived, running, scheduled, ..std::mem::take(tally) };
            }
        }
        self.count_present_waits(&ledger.recent, &mut sites);
        Tally { from: self.clock().began(), to: now, sites }
    }

    fn count_present_waits(&self, recent: &RecentWaits, sites: &mut FxHashMap<SiteKey, SiteTally>) {
        let mut tracer = Tracer::new(self, recent);
        for (key, _) in self.contested() {
            let mut blocked: FxHashMap<SiteKey, Vec<Wait>> = FxHashMap::default();
            for wait in self.waiters(key).filter_map(|(op, _)| self.wait_of(op)) {
                if !wait.cause.is_blocked() {
                    sites.entry(wait.site).or_default().rest(wait.cause, wait.to.since(wait.from));
                } else if let Some(wait) = recent.own_part(self, wait) {
                    blocked.entry(wait.site).or_default().push(wait);
                }
            }
            for (site, waits) in blocked {
                let tally = sites.entry(site).or_default();
                let step = waits.len().div_ceil(TRACED);
                // Each that is traced stands for those after it.
                for waits in waits.chunks(step) {
                    let time = waits.iter().map(|wait| wait.to.since(wait.from)).sum();
                    lay(&mut tracer, &waits[0], time, self.awaited_class(key).as_ref(), tally);
                }
            }
        }
    }
}
