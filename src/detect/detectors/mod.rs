//! The registry: every detector is one file here and one row in [`DETECTORS`].

mod blocking;
mod cancellation;
mod contention;
mod feed;
mod queue;
mod size;
mod spin;
mod stuck;

use super::detector::Detector;
use super::settings::Settings;

/// Every detector there is, in the order of the documentation.
pub static DETECTORS: &[&Detector] = &[
    &blocking::blocked_worker::DETECTOR,
    &blocking::long_polls::DETECTOR,
    &blocking::runtime_stalled::DETECTOR,
    &blocking::scheduling_delay::DETECTOR,
    &spin::busy_loop::DETECTOR,
    &spin::needless_spawn_blocking::DETECTOR,
    &queue::full_channel::DETECTOR,
    &queue::growing_queue::DETECTOR,
    &queue::lagging_receiver::DETECTOR,
    &queue::growing_waiters::DETECTOR,
    &queue::task_pileup::DETECTOR,
    &queue::blocking_pool_backlog::DETECTOR,
    &stuck::deadlock::DETECTOR,
    &stuck::futurelock::DETECTOR,
    &stuck::permit_leak::DETECTOR,
    &stuck::lost_waker::DETECTOR,
    &stuck::never_completes::DETECTOR,
    &stuck::waker_growth::DETECTOR,
    &stuck::abandoned_wait::DETECTOR,
    &stuck::lock_order::DETECTOR,
    &stuck::timed_out_tasks::DETECTOR,
    &stuck::undriven_runtime::DETECTOR,
    &stuck::unanswered_requests::DETECTOR,
    &stuck::vanished_singleton::DETECTOR,
    &contention::contended_lock::DETECTOR,
    &contention::held_across_await::DETECTOR,
    &contention::reader_convoy::DETECTOR,
    &cancellation::cancelled_work::DETECTOR,
    &cancellation::lost_turn::DETECTOR,
    &size::large_future::DETECTOR,
    &size::boxed_future::DETECTOR,
    &feed::partial_feed::DETECTOR,
    &feed::not_instrumented::DETECTOR,
    &feed::quiet_feed::DETECTOR,
    &feed::process_paused::DETECTOR,
    &feed::costly_retention::DETECTOR,
];

/// The detector of this id.
pub fn detector(id: &str) -> Option<&'static Detector> {
    DETECTORS.iter().copied().find(|detector| detector.id == id)
}

/// Changes one setting, as in `DETECTOR.KEY=VALUE`.
///
/// # Errors
/// A sentence that says what is wrong and what the right ones are.
pub fn configure(settings: &mut Settings, assignment: &str) -> Result<(), String> {
    let form =
        || format!("`{assignment}` is not of the form DETECTOR.KEY=VALUE, for example blocked-worker.critical=2s");
    let (name, text) = assignment.split_once('=').ok_or_else(form)?;
    let (id, key) = name.split_once('.').ok_or_else(form)?;
    let detector = detector(id).ok_or_else(|| {
        let ids: Vec<_> = DETECTORS.iter().map(|detector| detector.id).collect();
        format!("there is no detector `{id}`; the detectors are {}", ids.join(", "))
    })?;
    let setting = detector.setting(key).ok_or_else(|| {
        let keys: Vec<_> = detector.all_settings().map(|setting| setting.key()).collect();
        format!("detector {id} has no setting `{key}`; it has {}", keys.join(", "))
    })?;
    let value = setting.parse(text).map_err(|error| format!("{id}.{key}: {error}"))?;
    settings.change(detector.id, setting, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn settings_are_validated() {
        let mut settings = Settings::default();
        assert_eq!(configure(&mut settings, "blocked-worker.critical=250ms"), Ok(()));
        for (wrong, says) in [
            ("blocked-worker", "DETECTOR.KEY=VALUE"),
            ("blocked.critical=1s", "there is no detector `blocked`; the detectors are"),
            ("blocked-worker.criticl=1s", "it has"),
            ("blocked-worker.critical=fast", "not a duration"),
            ("deadlock.enabled=maybe", "neither true nor false"),
        ] {
            let error = configure(&mut settings, wrong).expect_err(wrong);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_setting_reads_its_own_default_back() {
        for detector in DETECTORS {
            for setting in detector.all_settings() {
                let (key, default) = (setting.key(), setting.default());
                assert_eq!(setting.parse(&setting.written(&default)), Ok(default), "{}.{key}", detector.id);
                assert!(key.chars().all(|it| it.is_ascii_lowercase() || it == '-'), "{key}");
                assert!(!setting.help().is_empty());
            }
        }
    }

    #[test]
    fn every_cause_is_a_detector_and_none_explains_what_explains_it() {
        let explains: BTreeSet<(&str, &str)> = DETECTORS
            .iter()
            .flat_map(|effect| effect.explained_by.iter().map(|cause| (cause.detector, effect.id)))
            .collect();
        for (cause, effect) in &explains {
            assert!(detector(cause).is_some(), "{effect} is explained by {cause}, which does not exist");
            assert!(!explains.contains(&(*effect, *cause)), "{cause} and {effect} explain each other");
        }
    }
}
