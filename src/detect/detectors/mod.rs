//! The registry: every detector is one file here and one row in [`DETECTORS`].

mod abandoned_wait;
mod blocked_worker;
mod blocking_pool_backlog;
mod boxed_future;
mod busy_loop;
mod cancelled_work;
mod contended_lock;
mod costly_retention;
mod deadlock;
mod full_channel;
mod futurelock;
mod growing_queue;
mod growing_waiters;
mod held_across_await;
mod lagging_receiver;
mod large_future;
mod lock_order;
mod long_polls;
mod lost_turn;
mod lost_waker;
mod needless_spawn_blocking;
mod never_completes;
mod not_instrumented;
mod partial_feed;
mod permit_leak;
mod process_paused;
mod quiet_feed;
mod reader_convoy;
mod runtime_stalled;
mod scheduling_delay;
mod task_pileup;
mod vanished_singleton;
mod waker_growth;

use std::time::Duration;

use super::finding::{Family, Grade, Symptom};
use super::settings::{ENABLED, Scoped, Setting};
use crate::evidence::Evidence;

/// Everything there is to know about a detector.
///
/// A detector keeps no state: history lives in the model, ages live in the engine.
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
    pub settings: &'static [Setting],
    /// How long a symptom must last.
    pub timing: Timing,
    /// What it needs of the feed.
    pub needs: Needs,
    /// Looks at the evidence and reports symptoms.
    pub scan: fn(&Evidence<'_>, Scoped<'_>, &mut Vec<Symptom>),
}

/// How long symptoms must last to become findings, and findings to go away.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// In so many scans in a row.
    pub updates: u64,
    /// And for so long.
    pub hold: Duration,
    /// So long after the last sighting it is resolved.
    pub keep_firing: Duration,
    /// How far back it looks: a run shorter than this has not evaluated it.
    pub window: Duration,
}

/// How complete the feed has to be for a detector to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It judges the feed itself.
    Nothing,
    /// It judges counters of known things, which are exact whatever else is lost.
    Counters,
    /// It compares counts of things over time, which losses and late news distort.
    Everything,
}

impl Detector {
    /// Whether it runs at all: the one setting that all have. A detector that is off unless asked for has it among its own.
    pub fn enabled(&self) -> &Setting {
        self.settings.iter().find(|setting| setting.key == ENABLED.key).unwrap_or(&ENABLED)
    }

    /// Its own settings and the one that all have, which comes first.
    pub fn all_settings(&self) -> impl Iterator<Item = &Setting> {
        let own = self.settings.iter().filter(|setting| setting.key != ENABLED.key);
        std::iter::once(self.enabled()).chain(own)
    }
}

/// Every detector there is, in the order of the documentation.
pub static DETECTORS: &[&Detector] = &[
    &blocked_worker::DETECTOR,
    &long_polls::DETECTOR,
    &runtime_stalled::DETECTOR,
    &scheduling_delay::DETECTOR,
    &busy_loop::DETECTOR,
    &needless_spawn_blocking::DETECTOR,
    &full_channel::DETECTOR,
    &growing_queue::DETECTOR,
    &lagging_receiver::DETECTOR,
    &growing_waiters::DETECTOR,
    &task_pileup::DETECTOR,
    &blocking_pool_backlog::DETECTOR,
    &deadlock::DETECTOR,
    &futurelock::DETECTOR,
    &permit_leak::DETECTOR,
    &lost_waker::DETECTOR,
    &never_completes::DETECTOR,
    &waker_growth::DETECTOR,
    &abandoned_wait::DETECTOR,
    &lock_order::DETECTOR,
    &vanished_singleton::DETECTOR,
    &contended_lock::DETECTOR,
    &held_across_await::DETECTOR,
    &reader_convoy::DETECTOR,
    &cancelled_work::DETECTOR,
    &lost_turn::DETECTOR,
    &large_future::DETECTOR,
    &boxed_future::DETECTOR,
    &partial_feed::DETECTOR,
    &not_instrumented::DETECTOR,
    &quiet_feed::DETECTOR,
    &process_paused::DETECTOR,
    &costly_retention::DETECTOR,
];

/// The detector of this id.
pub fn detector(id: &str) -> Option<&'static Detector> {
    DETECTORS.iter().copied().find(|detector| detector.id == id)
}
