//! Diagrams of who keeps whom waiting, of findings in simulated time.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::fs;

use tokio_canary::fleet::Fleet;
use tokio_canary::report::diagram::DiagramView;
use tokio_canary::report::{Link, Snapshot};

use crate::source::in_repository;
use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Told, play_before};

/// The diagrams of the findings of a detector in a scenario of the repository, or of all detectors, after every update.
fn diagrams(scenario: &str, detector: Option<&str>) -> Vec<DiagramView> {
    diagrams_of(scenario, detector).into_iter().map(|(_, diagram)| diagram).collect()
}

/// The same, each with the sentence of its finding.
fn diagrams_of(scenario: &str, detector: Option<&str>) -> Vec<(String, DiagramView)> {
    let path = in_repository("tests/scenarios").join(scenario);
    let mut drawn = Vec::new();
    play_before(&Scenario::read(&path), Told::Once, &mut |diagnosis| {
        let is_it = |id: &str| detector.is_none_or(|detector| detector == id);
        if !diagnosis.findings().iter().any(|finding| is_it(finding.detector.id)) {
            return;
        }
        let mut fleet = Fleet::default();
        let target = fleet.join(diagnosis.clone());
        let shown = Snapshot::new(&fleet, fleet.member(target).expect("it has joined"));
        let keys = shown.current_findings();
        let rows = keys.iter().filter_map(|key| Some((key, shown.finding_row(key)?)));
        let rows = rows.filter(|(_, row)| is_it(row.detector));
        drawn.extend(rows.filter_map(|(key, _)| Some((shown.finding(key)?.headline, shown.diagram(key)?))));
    });
    drawn
}

/// What each node does to the next one, with what it is: `T holds`, `R blocks`.
fn ties(diagram: &DiagramView) -> Vec<String> {
    let kind = |link: &Link| if matches!(link, Link::Task(_)) { "T" } else { "R" };
    let nodes = diagram.spine.iter();
    nodes.map(|it| format!("{} {}", kind(&it.node.link), it.tie.verb).trim().to_owned()).collect()
}

#[test]
fn a_cycle_leads_from_each_holder_to_the_next() {
    for (scenario, tasks) in [("fires-self", 1), ("fires-three", 3)] {
        let diagrams = diagrams(&format!("deadlock/{scenario}.toml"), Some("deadlock"));
        let last = diagrams.last().expect("it fires");
        assert!(last.is_cycle && last.note.is_none(), "{last:#?}");
        assert_eq!(ties(last), ["T holds", "R blocks"].repeat(tasks), "{last:#?}");
    }
}

#[test]
fn a_lock_and_a_channel_that_close_a_cycle_are_drawn_as_one() {
    let diagrams = diagrams("deadlock/fires-through-channel.toml", Some("deadlock"));
    let last = diagrams.last().expect("it fires");
    assert!(last.is_cycle, "{last:#?}");
    assert_eq!(ties(last), ["T may be the receiver of", "R is full and blocks", "T holds", "R blocks"], "{last:#?}");
}

#[test]
fn those_who_wait_for_a_contended_lock_stand_below_its_holder() {
    let diagrams = diagrams("contended-lock/fires.toml", Some("contended-lock"));
    let crowded = diagrams.iter().find(|it| it.others.len() > 1).expect("several wait");
    assert!(!crowded.is_cycle, "{crowded:#?}");
    assert_eq!(ties(crowded), ["T holds", "R blocks", "T"], "{crowded:#?}");
    assert!(crowded.others.is_sorted_by(|one, other| one.1 >= other.1), "the longest wait first: {crowded:#?}");
}

#[test]
fn a_deadlock_counts_all_who_wait_behind_it_as_its_diagram_does() {
    let diagrams = diagrams_of("deadlock/fires-with-others-behind.toml", Some("deadlock"));
    let (sentence, last) = diagrams.last().expect("it fires");
    assert!(sentence.contains("2 more tasks wait behind."), "{sentence}");
    assert_eq!(last.others.len() + last.more, 2, "{last:#?}");
}

#[test]
fn no_task_stands_twice_in_a_diagram() {
    let folders = fs::read_dir(in_repository("tests/scenarios")).expect("the scenarios");
    let mut seen = 0;
    for folder in folders.map(|it| it.expect("an entry").path()).filter(|it| it.is_dir()) {
        for file in fs::read_dir(&folder).expect("a folder").map(|it| it.expect("an entry").path()) {
            if file.extension().is_none_or(|it| it != "toml") {
                continue;
            }
            for diagram in diagrams(&file.to_string_lossy(), None) {
                seen += 1;
                let links =
                    diagram.spine.iter().map(|it| &it.node.link).chain(diagram.others.iter().map(|it| &it.0.link));
                let tasks: Vec<&Link> = links.filter(|link| matches!(link, Link::Task(_))).collect();
                let is_twice = tasks.iter().enumerate().any(|(at, task)| tasks[..at].contains(task));
                assert!(!is_twice && diagram.spine.len() > 1, "{}: {diagram:#?}", file.display());
            }
        }
    }
    assert!(seen > 100, "only {seen} diagrams were drawn");
}
