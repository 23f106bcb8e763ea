//! How each target of a run is opened: what its feed is made to say, what it is judged by, and what it is called.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::black_boxes::BlackBoxes;
use super::player::Player;
use super::watch::Watch;
use crate::config::options::{CA, DECODE_LIMIT, HEADER, PUMP, REDACT, RETAIN, WARMUP};
use crate::config::{Config, Faults, Pods};
use crate::detect::expectation::Expectations;
use crate::detect::settings::Settings;
use crate::detect::suppression::Suppressor;
use crate::diagnosis::Diagnosis;
use crate::feed::access::Access;
use crate::feed::endpoint::Target;
use crate::feed::kubernetes::Clusters;
use crate::feed::recording::black_box::BlackBox;
use crate::feed::recording::{self, Control, Deck, Speed};
use crate::feed::{Feed, live, mapped};
use crate::fleet::TargetId;
use crate::witness::redact::{self, Redactor};

/// Opens targets while a run lasts, each as the others.
#[derive(Debug)]
pub(super) struct Opener {
    /// What they are judged by.
    pub(super) judging: Judging,
    options: live::Options,
    speed: Speed,
    /// What the command line says of pods.
    pods: Pods,
    /// How many targets were named, besides those that are found.
    named: usize,
}

/// A target that is open, and not watched yet.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) diagnosis: Diagnosis,
    pub(super) feed: Feed,
    pub(super) black_box: Option<BlackBox>,
}

impl Opener {
    /// What opens targets as a configuration says.
    ///
    /// # Errors
    /// A suppression that cannot be applied to stand-ins.
    pub(super) fn new(config: &Config, speed: Speed) -> Result<Self, Faults> {
        let (judging, pods) = (Judging::of(config)?, config.pods().clone());
        Ok(Self { judging, options: options(config), speed, pods, named: 0 })
    }

    /// The same, with this many targets named on the command line.
    pub(super) fn after(self, named: usize) -> Self {
        Self { named, ..self }
    }

    /// The same, with the clusters of another, so that both keep to one rate.
    pub(super) fn sharing(self, clusters: Clusters) -> Self {
        Self { options: live::Options { clusters, ..self.options }, ..self }
    }

    /// The clusters of the run.
    pub(super) fn clusters(&self) -> Clusters {
        self.options.clusters.clone()
    }

    /// The name of the found target with this index.
    pub(super) fn name(&self, name: &str, index: usize) -> String {
        self.judging.name(name.to_owned(), (self.named + index, usize::MAX))
    }

    /// Says what a target that was found leaves open.
    pub(super) fn fill(&self, target: &mut Target) {
        self.pods.fill(target);
    }

    /// Opens a target under a name.
    ///
    /// # Errors
    /// A recording that cannot be read.
    pub(super) fn open(&self, target: &Target, name: String, black_boxes: &BlackBoxes) -> anyhow::Result<Ready> {
        let feed = self.judging.redacted(self.feed(target)?);
        let (feed, black_box) = black_boxes.put_behind(feed, &name);
        Ok(Ready { diagnosis: self.judging.diagnosis(name), feed, black_box })
    }

    /// The feed of a target, as it is.
    ///
    /// # Errors
    /// A recording that cannot be read.
    pub(super) fn feed(&self, target: &Target) -> anyhow::Result<Feed> {
        match target {
            Target::Live(address) => Ok(live::open(address.clone(), self.options.clone())),
            Target::Recording(path) => Ok(recording::open(path, self.speed)?),
        }
    }

    /// A recording under control, and what it delivers.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn player(&self, path: &Path, is_paused: bool) -> anyhow::Result<(Player, Feed)> {
        let extent = recording::extent(path)?;
        let (path, redactor) = (path.to_owned(), self.judging.redactor.clone());
        // One for all readings: what an event introduces is not introduced again in the events after it.
        let redactor = redactor.map(|redactor| Arc::new(Mutex::new(redactor)));
        let reopen = move |control, skip| {
            let Deck { feed, control } = recording::deck(&path, control, skip)?;
            let feed = match redactor.clone() {
                Some(redactor) => {
                    mapped(feed, move |arrived| redactor.lock().unwrap_or_else(PoisonError::into_inner).event(arrived))
                }
                None => feed,
            };
            Ok(Deck { feed, control })
        };
        let control = Control { speed: self.speed, is_paused, ..Control::default() };
        Player::begin(Box::new(reopen), control, extent)
    }
}

impl Ready {
    /// Watches it from now on.
    pub(super) fn place(self, watch: &mut Watch, black_boxes: &mut BlackBoxes) -> TargetId {
        let name = self.diagnosis.target().to_owned();
        let id = watch.open(self.diagnosis, self.feed);
        self.black_box.into_iter().for_each(|black_box| black_boxes.insert(id, name.clone(), black_box));
        id
    }
}

/// How running services are read.
pub(super) fn options(config: &Config) -> live::Options {
    live::Options {
        decode_limit: config.get(&DECODE_LIMIT).bytes(),
        pump: config.get(&PUMP),
        clusters: config.pods().clusters(),
        access: access(config),
        ..live::Options::default()
    }
}

/// How to get past what guards running services.
pub(super) fn access(config: &Config) -> Access {
    Access { ca: config.get(&CA), headers: config.get(&HEADER).map(|headers| headers.0).unwrap_or_default() }
}

/// What targets are judged by, in terms of what their feeds are made to say.
#[derive(Debug)]
pub(super) struct Judging {
    redactor: Option<Redactor>,
    settings: Settings,
    suppressor: Suppressor,
    expectations: Expectations,
    warmup: Duration,
    retention: Duration,
}

impl Judging {
    /// What the configuration says.
    ///
    /// # Errors
    /// A suppression that cannot be applied to stand-ins.
    pub(super) fn of(config: &Config) -> Result<Self, Faults> {
        let mut redactor = config.get(&REDACT).then(Redactor::by_name);
        let (settings, suppressor) = match &mut redactor {
            Some(redactor) => {
                let settings = redactor.settings(config.settings());
                (settings, config.suppressor(|suppression| redactor.suppression(suppression))?)
            }
            None => (config.settings().clone(), config.suppressor(|suppression| Ok(suppression.clone()))?),
        };
        let (warmup, retention) = (config.get(&WARMUP), config.get(&RETAIN).0);
        Ok(Self { redactor, settings, suppressor, expectations: config.expectations(), warmup, retention })
    }

    /// Whether names are replaced by stand-ins.
    pub(super) fn redacts(&self) -> bool {
        self.redactor.is_some()
    }

    /// The name of a target with this index, out of this number.
    pub(super) fn name(&self, target: String, (index, of): (usize, usize)) -> String {
        if self.redactor.is_some() { redact::target(index, of) } else { target }
    }

    /// What a feed is made to say, before anything else sees it, recorders included.
    pub(super) fn redacted(&self, feed: Feed) -> Feed {
        match self.redactor.clone() {
            Some(mut redactor) => mapped(feed, move |arrived| redactor.event(arrived)),
            None => feed,
        }
    }

    /// The diagnosis of a target.
    pub(super) fn diagnosis(&self, name: String) -> Diagnosis {
        let diagnosis = Diagnosis::new(name, self.settings.clone(), self.retention);
        let diagnosis = diagnosis.suppressing(self.suppressor.clone()).expecting(self.expectations.clone());
        diagnosis.after_warmup(self.warmup)
    }
}
