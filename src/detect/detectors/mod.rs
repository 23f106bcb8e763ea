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

/// Every detector there is, in the order of the documentation.
pub static DETECTORS: &[&Detector] = &[
    &blocking::blocked_worker::DETECTOR,
    &blocking::long_polls::DETECTOR,
    &blocking::runtime_stalled::DETECTOR,
    &blocking::scheduling_delay::DETECTOR,
    &spin::busy_loop::DETECTOR,
    &spin::self_wakes::DETECTOR,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::causes::MinSeverity;

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
        let of = |effect: &'static Detector| {
            effect.explained_by.iter().map(move |cause| (cause.detector, effect.id, cause.min_severity))
        };
        let explains: Vec<(&str, &str, MinSeverity)> = DETECTORS.iter().flat_map(|effect| of(effect)).collect();
        for (cause, effect, min_severity) in &explains {
            assert!(detector(cause).is_some(), "{effect} is explained by {cause}, which does not exist");
            let back = explains.iter().find(|(other, explained, _)| other == effect && explained == cause);
            // The more severe one explains the other, and one of them explains its equal.
            let differs = back.is_none_or(|(.., back)| {
                matches!(
                    (min_severity, back),
                    (MinSeverity::Higher, MinSeverity::Equal) | (MinSeverity::Equal, MinSeverity::Higher)
                )
            });
            assert!(differs, "{cause} and {effect} explain each other");
        }
    }
}
