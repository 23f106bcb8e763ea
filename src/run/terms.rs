//! The terms of a headless run: how long it lasts, what a target is measured by, and what the exit code says.

use std::time::Duration;

use super::black_boxes::BlackBoxes;
use super::exit::{FINDINGS, INCONCLUSIVE, SUCCESS};
use crate::alert::Limits;
use crate::cli::DEFAULT_FOR;
use crate::config::Config;
use crate::config::options::{
    EARLY_EXIT, EXIT_ZERO, FAIL_ON, HEARTBEAT, MIN_ACTIVITY, MIN_UPDATES, PARTIAL, Partial, RATE_LIMIT, RATE_LIMIT_MAX,
    WAIT_FOR_TARGET,
};
use crate::detect::severity::Severity;
use crate::diagnosis::Criteria;

/// The time whose load counts in a run without an end: what was done before says nothing of a service that is idle now.
const RECENTLY: Duration = Duration::from_secs(60);

/// How a headless run goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// How long each target is watched from its first update on; for ever if not given.
    pub(super) duration: Option<Duration>,
    /// The same for a recording, whose first update is long past; to its end if not given.
    pub(super) recorded: Option<Duration>,
    /// How long to wait for the first update of each; for ever if not given.
    pub(super) wait: Option<Duration>,
    /// Whether a running service is watched no longer than until there is proof against it.
    pub(super) ends_early: bool,
    /// How often to say that everything still works.
    pub(super) heartbeat: Duration,
    /// What a target is measured by.
    pub(super) criteria: Criteria,
    /// Whether the verdict makes the exit code, also of a run that a signal ended.
    pub(super) is_verdict: bool,
    /// Whether it does not, for all that.
    pub(super) exits_with_zero: bool,
    /// How findings that come back are held back.
    pub(super) limits: Option<Limits>,
}

impl Options {
    /// What `watch` does.
    pub(super) fn watch(config: &Config) -> Self {
        let is_verdict = config.get(&FAIL_ON).is_some();
        Self {
            duration: None,
            recorded: None,
            wait: None,
            ends_early: false,
            heartbeat: config.get(&HEARTBEAT).0,
            criteria: criteria(config),
            is_verdict,
            exits_with_zero: false,
            limits: limits(config),
        }
    }

    /// What `check` does: it reports everything that counts for its verdict, and ends soon.
    pub(super) fn check(config: &Config, given: Option<Duration>) -> Self {
        let duration = given.unwrap_or(DEFAULT_FOR);
        Self {
            duration: Some(duration),
            recorded: given,
            wait: Some(config.get(&WAIT_FOR_TARGET).map_or(duration, |wait| wait.0)),
            // What would have fired later belongs into a baseline too, and is not gone from it.
            ends_early: config.get(&EARLY_EXIT) && config.baseline().is_none(),
            criteria: Criteria { load_window: None, ..criteria(config) },
            is_verdict: true,
            exits_with_zero: config.get(&EXIT_ZERO),
            limits: None,
            ..Self::watch(config)
        }
    }

    /// The exit code that is asked for where the verdict means another.
    pub(super) fn asked_for(&self, code: u8) -> u8 {
        if self.exits_with_zero && [FINDINGS, INCONCLUSIVE].contains(&code) { SUCCESS } else { code }
    }

    /// The black boxes of a run without an end.
    pub(super) fn black_boxes(&self, config: &Config) -> BlackBoxes {
        if self.duration.is_none() { BlackBoxes::new(config) } else { BlackBoxes::default() }
    }
}

/// How findings that come back are held back.
pub(super) fn limits(config: &Config) -> Option<Limits> {
    let longest = config.get(&RATE_LIMIT_MAX).0;
    config.get(&RATE_LIMIT).first().map(|first| Limits { first, longest: longest.max(first) })
}

/// What a target is measured by.
pub(super) fn criteria(config: &Config) -> Criteria {
    Criteria {
        fail_on: config.get(&FAIL_ON).unwrap_or(Severity::Warning),
        min_updates: u64::try_from(config.get(&MIN_UPDATES)).unwrap_or(u64::MAX),
        partial_passes: config.get(&PARTIAL) == Partial::Pass,
        min_activity: config.get(&MIN_ACTIVITY),
        load_window: Some(RECENTLY),
    }
}
