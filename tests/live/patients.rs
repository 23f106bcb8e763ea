//! Who is examined: every illness, every family of healthy habits, and feeds that are disturbed.

use std::time::Duration;

use crate::illnesses::{self, Illness};
use crate::patterns::{self, Pattern};

/// The argument that makes this program a patient.
pub(crate) const FLAG: &str = "--patient";
/// The name of the program with healthy habits.
pub(crate) const HEALTHY: &str = "healthy_service";
const SICK: &str = "sick_service";

/// A program to be watched and what is to be said about it.
pub(crate) struct Patient {
    /// Name of the test.
    pub(crate) name: String,
    /// The program and its flags.
    pub(crate) command: Vec<String>,
    /// How long the tool watches.
    pub(crate) watch: Duration,
    /// A time in which the process stands still.
    pub(crate) standstill: Option<Standstill>,
    /// What has to be found; nothing for the healthy.
    pub(crate) label: Option<Label>,
    /// The exit codes with which the tool may end.
    pub(crate) exit_codes: &'static [i32],
}

/// A process that is stopped `after` so long for `length`, as by a debugger or a virtual machine that is moved.
#[derive(Clone, Copy)]
pub(crate) struct Standstill {
    pub(crate) after: Duration,
    pub(crate) length: Duration,
}

/// What has to be found.
pub(crate) struct Label {
    /// The detector that has to fire.
    pub(crate) detector: &'static str,
    /// Places of which it has to name one, as `file:line`; none if it has no place.
    pub(crate) places: Vec<String>,
    /// Further places that it may name in further findings.
    pub(crate) other_places: Vec<String>,
    /// Detectors that may fire as well, at these places or without one.
    pub(crate) also: &'static [&'static str],
}

/// All patients.
pub(crate) fn all() -> Vec<Patient> {
    let sick = illnesses::all().map(sick);
    let healthy = patterns::FAMILIES.iter().map(|(family, patterns)| healthy(family, patterns));
    sick.chain(healthy).chain(disturbed()).collect()
}

fn sick(illness: &Illness) -> Patient {
    let mut places = illness.places();
    if places.is_empty() {
        // A label that lost its marker must not pass for one without a place.
        places.push(format!("a line marked for {}", illness.id));
    }
    Patient {
        name: format!("sick::{}", illness.id),
        command: command(SICK, &["--illness", illness.id]),
        watch: illness.within,
        standstill: None,
        label: Some(Label {
            detector: illness.finding,
            places,
            other_places: illness.other_places(),
            also: illness.also,
        }),
        exit_codes: &[1],
    }
}

fn healthy(family: &str, patterns: &[Pattern]) -> Patient {
    let ids: Vec<_> = patterns.iter().map(|pattern| pattern.id).collect();
    Patient {
        name: format!("healthy::{family}"),
        command: command(HEALTHY, &["--pattern", &ids.join(",")]),
        watch: Duration::from_secs(60),
        standstill: None,
        label: None,
        exit_codes: &[0],
    }
}

fn disturbed() -> [Patient; 4] {
    let stopped = ["--pattern", "intervals,worker-pool,pipeline"];
    let standstill = |length| Standstill { after: Duration::from_secs(7), length: Duration::from_secs(length) };
    [
        disturbed_patient(
            "feed::not-instrumented",
            "not-instrumented",
            &["--pattern", "intervals", "--filtered"],
            None,
            &[3],
        ),
        disturbed_patient(
            "feed::partial-feed",
            "partial-feed",
            &["--pattern", "futures-unordered,batch-limiter", "--event-buffer", "32"],
            None,
            &[3],
        ),
        // A pause that is over is no reason to give up: only a note, or no verdict.
        disturbed_patient("feed::process-paused", "process-paused", &stopped, Some(standstill(3)), &[0, 3]),
        disturbed_patient("feed::quiet-feed", "quiet-feed", &stopped, Some(standstill(60)), &[3]),
    ]
}

fn disturbed_patient(
    name: &str,
    detector: &'static str,
    flags: &[&str],
    standstill: Option<Standstill>,
    exit_codes: &'static [i32],
) -> Patient {
    Patient {
        name: name.to_owned(),
        command: command(HEALTHY, flags),
        watch: Duration::from_secs(20),
        standstill,
        label: Some(Label { detector, places: Vec::new(), other_places: Vec::new(), also: &[] }),
        exit_codes,
    }
}

fn command(program: &str, flags: &[&str]) -> Vec<String> {
    let common = ["--bind", "127.0.0.1:0", "--die-with-parent"];
    [FLAG, program].iter().chain(&common).chain(flags).map(|&word| word.to_owned()).collect()
}
