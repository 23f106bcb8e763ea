//! The diagnosis of one target: what came from the feed, what is known, and what is wrong.

mod activity;
mod criteria;
mod judgement;
mod vitals;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use self::activity::{Coverage, JudgedLoad};
pub use self::criteria::{Criteria, Verdict};
use self::vitals::VitalsLog;
pub use self::vitals::{Pulse, VitalSample};
use crate::detect::detector::{Detector, Needs};
use crate::detect::detectors::DETECTORS;
use crate::detect::engine::Engine;
use crate::detect::expectation::Expectations;
use crate::detect::finding::{Finding, Transition};
use crate::detect::settings::Settings;
use crate::detect::severity::{Family, Severity, State};
use crate::detect::suppression::{Suppression, Suppressor};
use crate::feed::POD_SCHEME;
pub use crate::feed::{Arrived, Ended, FeedEvent, Status, Wanted};

use crate::evidence::{Evidence, Memory};
pub use crate::model::health::lag::Outlook;
pub use crate::model::health::quality::Withheld;
use crate::model::health::watch_time::WatchTime;
use crate::model::time::Timestamp;
use crate::model::{Model, TaskKey};

/// Most details streams that are wanted at once.
const MOST_DETAILS: usize = 8;

/// Everything about one target.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    target: String,
    model: Model,
    memory: Memory,
    engine: Engine,
    status: Status,
    /// What stands behind the address, where one of several things was chosen.
    place: Option<String>,
    ended: Option<Ended>,
    updates: u64,
    wire_bytes: u64,
    pumping: f64,
    arrived: Option<SystemTime>,
    updated: Option<SystemTime>,
    suppressor: Suppressor,
    /// Everything that fired and counts, also if it was resolved since: detector, and the worst severity, by fingerprint.
    fired: BTreeMap<String, (&'static Detector, Severity)>,
    expectations: Expectations,
    coverage: Coverage,
    load: JudgedLoad,
    vitals: VitalsLog,
    watch_time: WatchTime,
    /// Whether anything that ever came made no sense, in whatever process, and whether its clock has jumped.
    was_malformed: bool,
    was_reset: bool,
}

impl Diagnosis {
    /// A diagnosis of which nothing is known yet.
    pub fn new(target: String, settings: Settings, retention: Duration) -> Self {
        Self {
            target,
            model: Model::new(retention),
            memory: Memory::default(),
            engine: Engine::new(settings),
            status: Status::Resolving,
            place: None,
            ended: None,
            updates: 0,
            wire_bytes: 0,
            pumping: 0.0,
            arrived: None,
            updated: None,
            suppressor: Suppressor::default(),
            fired: BTreeMap::new(),
            expectations: Expectations::default(),
            coverage: Coverage::default(),
            load: JudgedLoad::default(),
            vitals: VitalsLog::default(),
            watch_time: WatchTime::default(),
            was_malformed: false,
            was_reset: false,
        }
    }

    /// The same, of which some findings do not count.
    #[must_use]
    pub fn suppressing(mut self, suppressor: Suppressor) -> Self {
        self.suppressor = suppressor;
        self
    }

    /// The same, of which some findings are expected or must not be.
    #[must_use]
    pub fn expecting(mut self, expectations: Expectations) -> Self {
        self.expectations = expectations;
        self
    }

    /// The same, of which nothing counts that is resolved within so long, by the target's clock.
    #[must_use]
    pub fn after_warmup(mut self, warmup: Duration) -> Self {
        self.load = JudgedLoad::after(warmup);
        self
    }

    /// The target as the user named it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What is known of the target.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What that means.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence::new(&self.model, &self.memory)
    }

    /// Its vital signs over time, oldest first.
    pub fn vital_samples(&self) -> impl DoubleEndedIterator<Item = &VitalSample> {
        self.vitals.samples()
    }

    /// What its tasks did lately; nothing before the second update.
    pub fn pulse(&self) -> Option<Pulse> {
        self.vitals.pulse()
    }

    /// What is wrong with it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where the connection stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether it is a pod, or one that is chosen among several.
    pub fn is_pod(&self) -> bool {
        self.target.starts_with(POD_SCHEME)
    }

    /// What stands behind the address, as a phrase, where one of several things was chosen: a pod.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// How the feed ended, if it did.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Updates that came, over all connections.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Bytes of all updates that came.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// When the last thing arrived, by our clock.
    pub fn arrived(&self) -> Option<SystemTime> {
        self.arrived
    }

    /// When the last update arrived, by our clock.
    pub fn updated(&self) -> Option<SystemTime> {
        self.updated
    }

    /// Findings to be shown: confirmed, not explained by others, not suppressed; in the order in which they are read.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut shown: Vec<&Finding> =
            self.confirmed().filter(|it| self.suppressor.suppression(it).is_none()).collect();
        shown.sort_by_cached_key(|finding| finding.rank());
        shown
    }

    /// Findings that hold and do not count, each with the suppression that says why; in the order in which they are read.
    pub fn suppressed(&self) -> Vec<(&Finding, &Suppression)> {
        let mut suppressed: Vec<_> =
            self.confirmed().filter_map(|it| self.suppressor.suppression(it).map(|why| (it, why))).collect();
        suppressed.sort_by_cached_key(|(finding, _)| finding.rank());
        suppressed
    }

    /// How many findings have fired so far that never counted.
    pub fn suppressed_so_far(&self) -> usize {
        self.never_counted().count()
    }

    /// How many of those are of this detector.
    pub fn suppressed_by(&self, detector: &str) -> usize {
        self.never_counted().filter(|it| it.id == detector).count()
    }

    fn never_counted(&self) -> impl Iterator<Item = &'static Detector> {
        let never = self.suppressor.fired().filter(|(fingerprint, _)| !self.fired.contains_key(*fingerprint));
        never.map(|(_, detector)| detector)
    }

    /// Findings that are over and counted, newest last.
    pub fn resolved(&self) -> impl Iterator<Item = &Finding> {
        let counted = |it: &&Finding| {
            self.fired.contains_key(&it.fingerprint) || !self.suppressor.has_suppressed(&it.fingerprint)
        };
        self.engine.resolved().filter(counted)
    }

    fn confirmed(&self) -> impl Iterator<Item = &Finding> {
        self.engine.findings().filter(|finding| finding.is_shown())
    }

    /// Takes in what the feed delivered, and returns what became of the findings.
    pub fn apply(&mut self, arrived: Arrived) -> Vec<Transition> {
        let at = arrived.at;
        self.arrived = Some(at);
        let mut not_before = Timestamp::default();
        match arrived.event {
            FeedEvent::Status(status) => {
                match status {
                    Status::Live => {
                        self.model.reconnect();
                        self.vitals.interrupt();
                    }
                    Status::Lost { .. } | Status::Stranger { .. } => self.watch_time.lose(at),
                    Status::Chosen { ref place, is_new } => {
                        self.place = Some(place.clone());
                        self.model.expect_another(is_new);
                    }
                    Status::Resolving | Status::Dialing => {}
                }
                self.status = status;
                return Vec::new();
            }
            FeedEvent::Ended(ended) => {
                self.ended = Some(ended);
                return Vec::new();
            }
            FeedEvent::Update(update) => {
                self.updates += 1;
                self.updated = Some(at);
                self.pumping = update.pumping;
                self.wire_bytes += u64::try_from(update.wire_bytes()).unwrap_or(u64::MAX);
                self.model.arrive(at);
                let changes = self.model.apply(&update.message, update.lag);
                self.memory.observe(&self.model, &changes);
                self.watch_time.note(at, self.model.now());
                self.vitals.note(at, &Evidence::new(&self.model, &self.memory));
            }
            FeedEvent::Details(details) => self.model.apply_details(&details),
            FeedEvent::Paused(paused) => {
                self.model.pause(paused);
                self.watch_time.interrupt();
                self.vitals.interrupt();
                // Nothing follows a pause that could make the engine look again.
                not_before = self.engine.next_look();
            }
            FeedEvent::Quiet(silence) => {
                self.model.quiet(silence);
                self.watch_time.interrupt();
            }
        }
        self.was_malformed |= self.model.quality().malformed > 0;
        self.was_reset |= self.model.quality().clock_resets > 0;
        let now = self.now().max(not_before);
        let transitions = self.engine.scan(&Evidence::new(&self.model, &self.memory), now);
        for transition in transitions.iter().filter(|transition| transition.finding.is_shown()) {
            self.expectations.note(&transition.finding);
        }
        let transitions = self.suppressor.filter(transitions, self.engine.findings(), (now, at));
        for transition in transitions.iter().filter(|transition| transition.finding.is_shown()) {
            let finding = &transition.finding;
            let known = self.fired.entry(finding.fingerprint.clone()).or_insert((finding.detector, Severity::Info));
            known.1 = known.1.max(finding.severity());
        }
        let is_late = self.engine.findings().any(|it| it.detector.id == "partial-feed" && it.state == State::Firing);
        self.coverage.note(self.model.now(), is_late);
        let polls = self.model.totals().activity.total().polls;
        if self.updates > 0 && self.load.note(self.model.now(), polls) {
            self.forgive();
        }
        transitions
    }

    /// Forgets what has fired and is over, at the end of the warm-up. What still fires is as bad as it is now.
    fn forgive(&mut self) {
        let shown = |fingerprint: &str| self.engine.finding(fingerprint).filter(|it| it.is_shown());
        self.fired.retain(|fingerprint, (_, worst)| {
            let finding = shown(fingerprint);
            *worst = finding.map_or(*worst, Finding::severity);
            finding.is_some()
        });
        self.expectations.retain(|fingerprint| shown(fingerprint).is_some());
    }

    /// What was expected of it, and what became of that.
    pub fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// What was suppressed of it, and by what.
    pub fn suppressor(&self) -> &Suppressor {
        &self.suppressor
    }

    /// Whether the warm-up is over.
    pub fn is_warm(&self) -> bool {
        self.load.is_warm()
    }

    /// The target's time, carried on through a silence.
    pub fn now(&self) -> Timestamp {
        self.model.now().plus(self.model.quality().quiet.unwrap_or_default())
    }

    /// The tasks whose exact distributions are worth having: members of findings about polls. One that has ended may be among them, to
    /// learn from the answer that the target still keeps it.
    pub fn wanted_details(&self) -> Wanted {
        let suspects = self.engine.findings().filter(|finding| finding.detector.family == Family::Blocking);
        let tasks = suspects.flat_map(|finding| &finding.symptom.scope.tasks);
        let ids = tasks.filter_map(|key| self.model.task(*key)).map(|task| task.id).take(MOST_DETAILS);
        ids.chain(self.model.target_retention().witness()).collect()
    }

    /// The span id by which a feed is asked for the details of a task, unless that was forgotten.
    pub fn span_of(&self, task: TaskKey) -> Option<u64> {
        self.model.task(task).map(|task| task.id)
    }

    /// What the feed withholds at present.
    pub fn withheld(&self) -> Vec<Withheld> {
        let mut withheld = self.model.quality().withheld(self.model.now());
        withheld.extend(self.watch_time.is_behind().then_some(Withheld::Clock));
        withheld
    }

    /// Detectors that run and look further back than there was anything to see, unless they have fired all the same; and how much longer
    /// each has to watch.
    pub fn warming_up(&self) -> impl Iterator<Item = (&'static Detector, Duration)> {
        let observed = self.engine.observed();
        let counted = self.fired.values().map(|(detector, _)| *detector);
        let fired: Vec<&str> =
            counted.chain(self.suppressor.fired().map(|(_, it)| it)).map(|detector| detector.id).collect();
        let short = self.detectors().map(move |it| (it, it.timing.window.saturating_sub(observed)));
        short.filter(move |(detector, left)| !left.is_zero() && !fired.contains(&detector.id))
    }

    /// The detectors that are off because the feed is incomplete.
    pub fn held_back(&self) -> impl Iterator<Item = &'static Detector> {
        let lacks_data = self.updates > 0 && self.engine.lacks_data(&self.model) && !self.withheld().is_empty();
        self.detectors().filter(move |it| lacks_data && it.needs == Needs::Everything)
    }

    /// What becomes of a lag that hurts; `None` if there is none, or that cannot be told.
    pub fn outlook(&self) -> Option<Outlook> {
        let quality = self.model.quality();
        quality.lag_trend.outlook().filter(|_| quality.is_lagging())
    }

    /// The share of its time, about, that the target works on our calls for its events.
    pub fn pumping(&self) -> f64 {
        self.pumping
    }

    /// The detectors that run.
    pub fn detectors(&self) -> impl Iterator<Item = &'static Detector> {
        DETECTORS.iter().copied().filter(|detector| detector.is_enabled(self.engine.settings()))
    }
}
