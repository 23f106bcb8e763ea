//! What a comparison comes to, as plain data.

use std::time::Duration;

use super::item::Item;
use super::load::Load;
use super::metric::Metric;
use super::observer::{FindingKey, Loss, Sighted};
use super::structure::Exercise;
use crate::detect::severity::Severity;
use crate::model::location::Location;

/// What counts.
#[derive(Debug, Clone, Copy)]
pub struct Criteria {
    /// The lowest severity of a new finding that is a regression.
    pub fail_on: Severity,
    /// Whether any new structure is one.
    pub fails_on_new: bool,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The new version.
    Canary,
    /// The old one.
    Stable,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The canary is worse.
    Regression,
    /// No difference that counts.
    Same,
    /// Neither can be said.
    NotEnoughData,
}

/// Why neither can be said.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// No update came from a side.
    NoUpdates {
        /// Which.
        side: Side,
        /// What answers there instead, if that is known.
        answers: Option<String>,
    },
    /// A side was watched for too short a time.
    TooShort {
        /// Which.
        side: Side,
        /// The time.
        watched: Duration,
        /// How long it would have to be.
        needed: Duration,
    },
    /// The feed of a side lagged or lost events all the time, or its process was paused.
    Incomplete(Side),
    /// The canary has nothing to do while stable is busy.
    CanaryIdle,
    /// Stable has nothing to do while the canary is busy.
    StableIdle,
    /// Neither side does anything.
    Idle,
    /// A target of a side did not come up, or was gone before its time was over.
    Lost {
        /// Which side.
        side: Side,
        /// How.
        how: Loss,
        /// How long it had been watched.
        after: Duration,
    },
    /// Every target of the canary was taken away before its time was over.
    AllLeft,
    /// The canary restarted more often than stable.
    Restarted {
        /// Its restarts,
        canary: Restarts,
        /// and those of stable.
        stable: Restarts,
    },
    /// The canary has so many times the load, and what differs may come from that.
    Load(f64),
    /// Something is much higher on the canary, and its targets or those of stable differ too much from each other for their number.
    TooFewTargets,
    /// The structure of a side exceeds the limit, and parts are missing.
    TooManyParts(Side),
    /// A signal ended it.
    Interrupted,
}

/// How often the processes of a side were seen to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// All of them together.
    pub times: usize,
    /// Targets that sent updates.
    pub targets: usize,
}

/// What is one observation in the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A target.
    Pod,
    /// Ten seconds of a target.
    Block,
}

/// What is known of a side.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Targets that sent updates.
    pub targets: usize,
    /// How many of them came after the others.
    pub late: usize,
    /// How many of them were taken away before their time was over.
    pub taken_away: usize,
    /// The longest time that one of them was watched.
    pub watched: Duration,
    /// Blocks that count, of all of them.
    pub blocks: usize,
    /// Blocks that do not, because something of them is missing.
    pub spoilt: usize,
    /// What answers at one of its targets instead of a console.
    pub stranger: Option<String>,
    /// What each does in a second.
    pub load: Load,
}

/// A finding that only the canary has.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// By what it is known.
    pub key: FindingKey,
    /// The finding.
    pub sighted: Sighted,
    /// How it is taken.
    pub standing: Standing,
}

/// How a finding on the canary is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is a regression.
    Counts,
    /// More load explains it as well.
    OfLoad,
    /// Too little was seen of the two sides to say that stable does not have it.
    Open,
}

/// A part of the structure that only the canary has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// The part.
    pub item: Item,
    /// How it was exercised.
    pub exercise: Exercise,
    /// Whether it is a regression.
    pub counts: bool,
    /// Whether it may be part of starting, which was not watched on stable.
    pub is_of_start: bool,
}

/// A number that is higher on the canary.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which.
    pub metric: Metric,
    /// What it is on the canary, typically,
    pub canary: f64,
    /// and on stable.
    pub stable: f64,
    /// How many times that is, after allowing for the load.
    pub ratio: f64,
    /// The ratio that it had to exceed: the least that counts, or how much stable differs from itself.
    pub least_ratio: f64,
    /// The chance of such a difference between equal sides.
    pub chance: f64,
    /// Where what it is about is spawned or made on the canary, if that is known.
    pub place: Option<Location>,
}

/// Canary against stable.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What it comes to.
    pub conclusion: Conclusion,
    /// Why nothing can be said; empty otherwise.
    pub reasons: Vec<Reason>,
    /// What is one observation.
    pub unit: Unit,
    /// The canary.
    pub canary: Coverage,
    /// Stable.
    pub stable: Coverage,
    /// How many times the load of stable the canary has.
    pub load_ratio: f64,
    /// Findings that only the canary has.
    pub findings: Vec<NewFinding>,
    /// Structure that only the canary has.
    pub structure: Vec<NewItem>,
    /// What is higher on the canary, rates before times, the greatest ratio first.
    pub changes: Vec<Change>,
    /// How many numbers were compared.
    pub compared: usize,
    /// How many were not, because the canary had more load.
    pub not_compared: usize,
    /// Which look it is: one for each doubling of the time.
    pub look: u32,
}

impl Comparison {
    /// What ended on a side before its time.
    pub fn deaths(&self) -> impl Iterator<Item = &Reason> {
        let is_death = |it: &&Reason| matches!(it, Reason::Lost { .. } | Reason::AllLeft | Reason::Restarted { .. });
        self.reasons.iter().filter(is_death)
    }

    /// The same of a comparison that was ended before its time: what is worse is worse all the same.
    #[must_use]
    pub fn interrupted(mut self) -> Self {
        self.reasons.push(Reason::Interrupted);
        if self.conclusion == Conclusion::Same {
            self.conclusion = Conclusion::NotEnoughData;
        }
        self
    }
}
