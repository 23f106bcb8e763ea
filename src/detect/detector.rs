//! A detector: one row of data, and one function that looks at the evidence.

use std::time::Duration;

use super::causes::Cause;
use super::doubt::Doubt;
use super::settings::{AnySetting, ENABLED, Scoped, Settings, Value};
use super::severity::{Family, Grade, Severity};
use super::symptom::Symptom;
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;

/// Time after which a target that still lags is judged all the same.
pub(in crate::detect) const CATCH_UP: Duration = Duration::from_secs(30);

/// Everything there is to know about a detector.
///
/// A detector keeps no state: history lives in the model and in evidence, ages live in the engine.
#[derive(Debug)]
pub struct Detector {
    /// Its name: command line value, settings prefix, JSON id and name of its docs page.
    pub id: &'static str,
    /// What it is about.
    pub family: Family,
    /// What kind of statement it makes.
    pub grade: Grade,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Its docs page: what it means, why it hurts, what the evidence says, what to do, when it is wrong.
    pub explain: &'static str,
    /// Its own thresholds.
    pub settings: &'static [&'static dyn AnySetting],
    /// How long a symptom must last.
    pub timing: Timing,
    /// What it needs of the feed.
    pub needs: Needs,
    /// Whether what it finds may end by itself; a deadlock does not.
    pub recovers: bool,
    /// Whose findings explain its own.
    pub explained_by: &'static [Cause],
    /// Harmless explanations that its findings may have, which make them information.
    pub look_alikes: &'static [LookAlike],
    /// The doubt that its findings cast on a verdict, from a severity on.
    pub doubt: Option<(Severity, Doubt)>,
    /// Looks at the evidence and reports symptoms.
    pub scan: fn(&Evidence<'_>, Scoped<'_>, &mut Vec<Symptom>),
}

/// How long symptoms must last to become findings, and findings to go away.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Scans in a row that must see it,
    pub updates: u64,
    /// and the time over which they must.
    pub hold: Duration,
    /// How long after the last sighting a finding is resolved.
    pub keep_firing: Duration,
    /// How far back it looks: a run shorter than this has not evaluated it.
    pub window: Duration,
    /// A finding stays while its numbers are this share of what begins one.
    pub leave: f64,
}

/// How complete the feed has to be for a detector to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It judges the feed itself.
    Nothing,
    /// It judges counters of known things, which are exact whatever else is lost.
    Counters,
    /// It compares counts of things over time, which losses and late reports distort.
    Everything,
}

impl Detector {
    /// Whether it runs at all: the one setting that all have. A detector that is off unless asked for has it among its own.
    pub fn enabled(&self) -> &'static dyn AnySetting {
        self.settings.iter().copied().find(|setting| setting.key() == ENABLED.key).unwrap_or(&ENABLED)
    }

    /// Whether it runs under these settings.
    pub fn is_enabled(&self, settings: &Settings) -> bool {
        settings.value(self.id, self.enabled()) == Value::Switch(true)
    }

    /// Its own settings and the one that all have, which comes first.
    pub fn all_settings(&self) -> impl Iterator<Item = &'static dyn AnySetting> {
        let own = self.settings.iter().copied().filter(|setting| setting.key() != ENABLED.key);
        std::iter::once(self.enabled()).chain(own)
    }

    /// The setting of this key, if it has one.
    pub fn setting(&self, key: &str) -> Option<&'static dyn AnySetting> {
        self.all_settings().find(|setting| setting.key() == key)
    }
}
