//! A diagnosis with suppressions: what counts, what does not, and from when on.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::time::{Duration, SystemTime};

use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::detect::suppression::{Suppression, Suppressor};
use tokio_canary::diagnosis::{Criteria, Diagnosis, Verdict};
use tokio_canary::feed::recording::{Speed, open};
use tokio_canary::model::DEFAULT_RETENTION;

use crate::source::in_repository;
use crate::support::run;

/// What became of a recording of a deadlock.
struct Played {
    diagnosis: Diagnosis,
    /// When each transition of the deadlock came.
    transitions: Vec<(SystemTime, State)>,
    /// When the last event came.
    end: SystemTime,
}

async fn play(suppressions: Vec<Suppression>, begun: SystemTime) -> Played {
    let recording = in_repository("tests/recordings/old-0.4-crossed-mutexes.mcap");
    let mut feed = open(&recording, Speed::Max).expect("a recording");
    let diagnosis = Diagnosis::new("recording".to_owned(), Settings::default(), DEFAULT_RETENTION);
    let diagnosis = diagnosis.suppressing(Suppressor::new(suppressions.into(), begun));
    let mut played = Played { diagnosis, transitions: Vec::new(), end: begun };
    while let Some(arrived) = feed.events.recv().await {
        played.end = arrived.at;
        let transitions = played.diagnosis.apply(arrived);
        let of_deadlock = transitions.iter().filter(|it| it.finding.detector.id == "deadlock");
        played.transitions.extend(of_deadlock.map(|it| (played.end, it.finding.state)));
    }
    played
}

fn deadlocks(expires: Option<SystemTime>) -> Vec<Suppression> {
    let (names, locations, fingerprints) = (Vec::new(), Vec::new(), Vec::new());
    let (detectors, statement) = (vec!["deadlock"], "known".to_owned());
    vec![Suppression { detectors, names, locations, fingerprints, statement, expires }]
}

fn verdict(diagnosis: &Diagnosis) -> Verdict {
    diagnosis.verdict(Criteria::default())
}

#[test]
fn what_is_suppressed_can_be_listed_and_does_not_count() {
    run(async {
        let plain = play(Vec::new(), SystemTime::UNIX_EPOCH).await.diagnosis;
        assert_eq!((plain.findings().len(), plain.suppressed().len(), verdict(&plain)), (1, 0, Verdict::Findings));

        let played = play(deadlocks(None), SystemTime::UNIX_EPOCH).await;
        let diagnosis = played.diagnosis;
        assert_eq!(played.transitions, []);
        assert_eq!((diagnosis.findings().len(), verdict(&diagnosis)), (0, Verdict::Healthy));
        assert_eq!((diagnosis.worst(), diagnosis.fired(Severity::Critical)), (None, 0));
        let suppressed = diagnosis.suppressed();
        let [(finding, suppression)] = suppressed.as_slice() else { panic!("{suppressed:?}") };
        assert_eq!((finding.detector.id, suppression.statement.as_str()), ("deadlock", "known"));
        assert_eq!(diagnosis.suppressed_so_far(), 1);
        assert!(!diagnosis.warming_up().any(|(detector, _)| detector.id == "deadlock"), "it was looked for, and found");
    });
}

#[test]
fn when_a_suppression_expires_in_the_middle_of_a_run_the_finding_opens() {
    run(async {
        let plain = play(Vec::new(), SystemTime::UNIX_EPOCH).await;
        let &(fired, _) = plain.transitions.iter().find(|(_, state)| *state == State::Firing).expect("it fires");
        let middle = fired + plain.end.duration_since(fired).expect("it ends later") / 2;
        assert!(middle > fired, "the recording goes on after that");

        let played = play(deadlocks(Some(middle)), SystemTime::UNIX_EPOCH).await;
        let [(at, State::Firing)] = played.transitions.as_slice() else { panic!("{:?}", played.transitions) };
        assert!(*at >= middle);
        assert_eq!((played.diagnosis.findings().len(), verdict(&played.diagnosis)), (1, Verdict::Findings));
        assert_eq!(played.diagnosis.suppressed_so_far(), 0, "each finding is counted once");

        // Today decides for a recording of long ago.
        let begun = plain.end + Duration::from_secs(86_400);
        let played = play(deadlocks(Some(middle)), begun).await;
        assert_eq!(played.transitions, plain.transitions);
    });
}
