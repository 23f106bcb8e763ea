//! What the metrics say of a target, taken from the run in one turn of its loop.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::fleet::{Fleet, Member};
use crate::report::blame::TimesView;
use crate::report::connection::{ConnectionState, ConnectionView};
use crate::report::target::QualityView;
use crate::report::verdict::VerdictView;
use crate::report::vitals::{VitalsView, WaitTotalsView};
use crate::report::{Severity, Snapshot, State};

/// How often findings of a detector opened, fired or were resolved: by its id and the state.
pub(super) type Transitions = BTreeMap<(&'static str, &'static str), u64>;

/// Everything that the metrics are made of.
#[derive(Debug)]
pub struct Scrape {
    /// The targets that are watched.
    pub(super) readings: Vec<Reading>,
    /// Names of outputs, and how many events each has lost.
    pub(super) lost: Vec<(String, u64)>,
}

/// A target.
#[derive(Debug)]
pub(super) struct Reading {
    /// As the user named it.
    pub(super) target: String,
    /// Whether updates arrive, so that what holds at present is known.
    pub(super) is_live: bool,
    pub(super) vitals: VitalsView,
    pub(super) waits: WaitTotalsView,
    pub(super) times: TimesView,
    /// The detectors that run.
    pub(super) detectors: Vec<&'static str>,
    /// How many findings there are at present, by detector and severity.
    pub(super) findings: BTreeMap<(&'static str, Severity), u64>,
    pub(super) transitions: Transitions,
    pub(super) verdict: VerdictView,
    /// Words for what the feed withholds.
    pub(super) withheld: Vec<&'static str>,
    /// When the last thing arrived, by our clock.
    pub(super) heard: Option<SystemTime>,
}

impl Reading {
    pub(super) fn of(fleet: &Fleet, member: &Member, verdict: VerdictView, transitions: Transitions) -> Self {
        let (snapshot, diagnosis) = (Snapshot::new(fleet, member), member.diagnosis());
        let mut findings = BTreeMap::new();
        let rows = snapshot.all_findings().into_iter().filter_map(|key| snapshot.finding_row(&key));
        for row in rows.filter(|row| row.state != State::Resolved) {
            *findings.entry((row.detector, row.severity)).or_default() += 1;
        }
        Self {
            target: diagnosis.target().to_owned(),
            is_live: connection(member) == ConnectionState::Live,
            vitals: snapshot.vitals(),
            waits: snapshot.wait_totals(),
            times: snapshot.times(),
            detectors: diagnosis.detectors().map(|detector| detector.id).collect(),
            findings,
            transitions,
            verdict,
            withheld: QualityView::of(diagnosis).withheld.iter().map(|it| it.as_str()).collect(),
            heard: diagnosis.arrived(),
        }
    }

    /// Whether a target has been judged at least once, and is connected.
    pub(super) fn is_ready(member: &Member) -> bool {
        member.diagnosis().updates() > 0 && connection(member).is_good()
    }
}

fn connection(member: &Member) -> ConnectionState {
    ConnectionView::of(member.diagnosis(), SystemTime::now()).state
}
