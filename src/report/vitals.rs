//! Vital signs of a target: numbers that say how it does whether or not something is wrong, and how long is waited for what in total.

use std::time::Duration;

use super::snapshot::Snapshot;
use crate::diagnosis::Pulse;
use crate::evidence::delays::DelayQuantiles;
use crate::model::history::activity::Activity;
use crate::model::history::totals::Lost;
use crate::model::history::waited::WaitPlace;

/// The vital signs of a target.
///
/// Totals never fall: they outlive tasks and locks, and go on when the target restarts. They begin when it is first seen.
#[derive(Debug, Clone, PartialEq)]
pub struct VitalsView {
    /// How many tasks are alive, as far as is known.
    pub tasks_alive: usize,
    /// What the async tasks did lately; nothing before the second update.
    pub pulse: Option<Pulse>,
    /// How long woken tasks waited for a worker lately; nothing if none was woken.
    pub delays: Option<DelayQuantiles>,
    /// What the async tasks have done in total, those of console-subscriber left out.
    pub activity: Activity,
    /// How many wait for a lock, a semaphore or room in a bounded channel.
    pub waiting: u64,
    /// How late new tasks and waits are reported, when that could last be told.
    pub lag: Option<Duration>,
    /// Events that the target has dropped in total, because its buffer was full.
    pub lost: Lost,
    /// Parts of messages that made no sense, in total.
    pub malformed: u64,
    /// Updates that have arrived in total.
    pub updates: u64,
    /// Bytes of all updates.
    pub wire_bytes: u64,
    /// How often another process answered, or its clock began anew.
    pub restarts: u32,
}

/// How long tasks of one spawn site have waited for what one place has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitTotalRow {
    /// What is waited for.
    pub place: WaitPlace,
    /// For how long in total, present waits included. Never falls.
    pub waited: Duration,
}

/// How long has been waited for locks, semaphores and room in bounded channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitTotalsView {
    /// Each place and those who wait there, in no order.
    pub rows: Vec<WaitTotalRow>,
    /// The total of those that have no row, because there are too many.
    pub rest: Duration,
}

impl Snapshot<'_> {
    /// The vital signs of the target.
    pub fn vitals(&self) -> VitalsView {
        let (diagnosis, evidence) = (self.diagnosis(), &self.evidence);
        let (totals, quality) = (evidence.totals(), evidence.quality());
        VitalsView {
            tasks_alive: self.activity().0,
            pulse: diagnosis.pulse(),
            delays: evidence.delay_quantiles(),
            activity: *totals.activity.total(),
            waiting: totals.waits.waiting(),
            lag: quality.lag,
            lost: totals.lost,
            malformed: evidence.malformed_in_all(),
            updates: diagnosis.updates(),
            wire_bytes: diagnosis.wire_bytes(),
            restarts: evidence.epoch(),
        }
    }

    /// How long has been waited in total, by what was waited for and by whom.
    pub fn wait_totals(&self) -> WaitTotalsView {
        // Through a silence nothing is known of those who wait.
        let now = self.evidence.now();
        let waits = &self.evidence.totals().waits;
        let row = |(place, total): (&WaitPlace, &crate::model::history::waited::WaitTotal)| WaitTotalRow {
            place: place.clone(),
            waited: total.waited(now),
        };
        WaitTotalsView { rows: waits.rows().map(row).collect(), rest: waits.rest().waited(now) }
    }
}
