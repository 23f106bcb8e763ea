//! Who is examined: every illness under every condition that it bears, every healthy habit, and feeds that are disturbed.

use std::time::Duration;

use tokio_canary::detect::severity::{Family, Severity};

use clap::ValueEnum as _;

use crate::healthy::{self, Pattern};
use crate::machine::Demand;
use crate::route::Route;
use crate::service::Subscriber;
use crate::sick::{self, Condition, Illness};

/// The argument that makes this program a patient.
pub(crate) const FLAG: &str = "--patient";
/// The name of the program with healthy habits.
pub(crate) const HEALTHY: &str = "healthy_service";
const SICK: &str = "sick_service";

/// How long a service has been ill before a late client attaches.
const LATE: Duration = Duration::from_secs(35);
/// How long a service has run before a client attaches to whom it cannot tell how it came to its fault,
const FORGOTTEN: Duration = Duration::from_secs(20);
/// because it remembers no longer than this what has ended.
const RETENTION: &str = "5s";
/// How long a wait may last before it is found although its cause is unknown, counted from when the client attaches.
const UNEXPLAINED: Duration = Duration::from_secs(60);
/// How long healthy programs are watched that have forgotten something.
const FORGOTTEN_WATCH: Duration = Duration::from_secs(90);
/// How long a healthy family is watched in the fast selection.
const FAMILY_WATCH: Duration = Duration::from_secs(60);
/// How long a sick program is watched on after its illness was found, for false alarms beside it.
const AFTERCARE: Duration = Duration::from_secs(5);

/// The families of the detectors that find what waits.
const WAITS: &[Family] = &[Family::Stuck, Family::Contention, Family::Queue];
/// Sick programs whose semaphore cannot be told from a gate that was never open, once its last grants are forgotten.
const GATES: &[&str] = &["kept-permits"];
/// Sick programs whose tasks stay and become more: to be found as a crowd that grows, or as tasks that never complete.
const STAY: &[&str] = &["detached-half", "task-leak"];
/// Sick programs, and families of healthy ones, that the fast selection has with their causes forgotten too.
const FAST_FORGOTTEN: &[&str] = &["deadlock", "rwlock-upgrade", "stopped-consumer", "resting"];

/// A program to be watched and what is to be said about it.
pub(crate) struct Patient {
    /// Name of the test: the group, the program, and its conditions.
    pub(crate) name: String,
    /// The program's own name, whatever the conditions.
    pub(crate) program: String,
    /// The program and its flags.
    pub(crate) command: Vec<String>,
    /// What it needs of the machine.
    pub(crate) demand: Demand,
    /// How the tool reaches it.
    pub(crate) route: Route,
    /// How long it runs before the tool attaches.
    pub(crate) head_start: Duration,
    /// How long the tool watches.
    pub(crate) stay: Stay,
    /// A time in which the process stands still.
    pub(crate) standstill: Option<Standstill>,
    /// What has to be found; nothing for the healthy.
    pub(crate) label: Option<Label>,
    /// The exit codes with which the tool may end.
    pub(crate) exit_codes: &'static [i32],
}

/// How long the tool watches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stay {
    /// So long, as `check`.
    For(Duration),
    /// As `watch`, until what has to be found was found and a little longer, but no less than `least`; in vain for so long as the label
    /// allows.
    UntilFound {
        /// The least time.
        least: Duration,
    },
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
    /// How bad its finding has to become at least.
    pub(crate) severity: Severity,
    /// Places of which it has to name one, as `file:line`; none if it has no place.
    pub(crate) places: Vec<String>,
    /// Further places that it may name in further findings.
    pub(crate) other_places: Vec<String>,
    /// Families any detector of which may fire in its stead.
    pub(crate) families: &'static [Family],
    /// Detectors that may fire as well, at these places or without one.
    pub(crate) also: &'static [&'static str],
    /// From when on the fault is there to be seen, counted from the time at which the tool attaches.
    pub(crate) visible_after: Duration,
    /// How long it may take to find it from then on.
    pub(crate) within: Duration,
}

/// Which patients are examined, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selection {
    /// Every illness until it is found, and the healthy habits by families.
    Fast,
    /// Every illness until it is found, each healthy habit alone for so long, and the disturbed feeds.
    Bases {
        /// How long each healthy program is watched.
        healthy_for: Duration,
    },
    /// Every illness under every condition for at least so long, and each healthy habit alone.
    Everything {
        /// How long each healthy program is watched.
        healthy_for: Duration,
        /// How long each sick program is watched at least.
        sick_for: Duration,
    },
}

/// Sick programs, and families of healthy ones, that are reached in pods too.
const IN_PODS: &[&str] = &["deadlock", "blocked-worker", "stopped-consumer", "servers"];

/// The patients of a selection.
pub(crate) fn patients(selection: Selection) -> Vec<Patient> {
    let plain = |least| sick::all().map(move |illness| sick_patient(illness, None, least));
    let alone = |watch| {
        let families = healthy::FAMILIES.iter();
        families.flat_map(move |family| {
            let patterns = family.patterns.iter();
            patterns.map(move |pattern| healthy_patient(pattern.id, family, std::slice::from_ref(pattern), watch))
        })
    };
    let families = healthy::FAMILIES.iter();
    let families = families.map(|family| healthy_patient(family.name, family, family.patterns, FAMILY_WATCH));
    match selection {
        Selection::Fast => {
            let sick = sick::all().filter(|illness| FAST_FORGOTTEN.contains(&illness.id));
            let sick = sick.map(|illness| sick_patient(illness, Some(Condition::Forgotten), Duration::ZERO));
            let healthy = families.clone().filter(|family| FAST_FORGOTTEN.contains(&family.program.as_str()));
            let forgotten = sick.chain(healthy.map(|family| forgetful(family, FAMILY_WATCH)));
            plain(Duration::ZERO).chain(families).chain(disturbed()).chain(forgotten).chain(in_pods()).collect()
        }
        Selection::Bases { healthy_for } => {
            plain(Duration::ZERO).chain(alone(healthy_for)).chain(disturbed()).collect()
        }
        Selection::Everything { healthy_for, sick_for } => {
            let conditions = sick::all().flat_map(move |illness| {
                illness.conditions().map(move |condition| sick_patient(illness, Some(condition), sick_for))
            });
            let forgotten = alone(FORGOTTEN_WATCH).map(|patient| forgetful(patient, FORGOTTEN_WATCH));
            plain(sick_for).chain(conditions).chain(alone(healthy_for)).chain(forgotten).collect()
        }
    }
}

impl Patient {
    /// The same program with its feed served by that subscriber; `None` if its fault is one that only another can have.
    pub(crate) fn served_by(mut self, subscriber: Subscriber) -> Option<Self> {
        let is_impossible = match subscriber {
            Subscriber::Console => false,
            // It has no buffer of events.
            Subscriber::CanaryLayer => self.name == "feed::partial-feed",
            // Nor can a filter keep the runtime's spans from it.
            Subscriber::Canary => matches!(&*self.name, "feed::partial-feed" | "feed::not-instrumented"),
        };
        if is_impossible {
            return None;
        }
        let name = subscriber.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        self.command.extend(["--subscriber".to_owned(), name]);
        Some(self)
    }

    /// The most time that it is watched, which is what an examination is planned with.
    pub(crate) fn longest_watch(&self) -> Duration {
        match self.stay {
            Stay::For(watch) => watch,
            Stay::UntilFound { least } => {
                let limit = self.label.as_ref().map_or(Duration::ZERO, |label| label.visible_after + label.within);
                limit.max(least) + AFTERCARE
            }
        }
    }

    /// When to stop watching once the illness was found, counted as the argument is.
    pub(crate) fn enough(&self, found_after: Duration) -> Duration {
        match self.stay {
            Stay::For(watch) => watch,
            Stay::UntilFound { least } => (found_after + AFTERCARE).max(least),
        }
    }

    /// Name of the file that its feed is recorded in.
    pub(crate) fn recording(&self) -> String {
        format!("{}.mcap", self.name.replace("::", "-").replace('+', "-"))
    }
}

fn sick_patient(illness: &Illness, condition: Option<Condition>, least: Duration) -> Patient {
    let mut places = illness.places();
    if places.is_empty() {
        // A label that lost its marker must not pass for one without a place.
        places.push(format!("a line marked for {}", illness.id));
    }
    let (flags, head_start): (&[&str], _) = match condition {
        None => (&[], Duration::ZERO),
        Some(Condition::Late) => (&[], LATE),
        Some(Condition::CurrentThread) => (&["--current-thread"], Duration::ZERO),
        Some(Condition::Load) => (&["--load"], Duration::ZERO),
        Some(Condition::Forgotten) => (&["--retention", RETENTION], FORGOTTEN),
    };
    let suffix = condition.map(|condition| format!("+{}", condition.as_str())).unwrap_or_default();
    let flags = [&["--illness", illness.id], flags].concat();
    let label = Label {
        detector: illness.finding,
        severity: illness.severity,
        places,
        other_places: illness.other_places(),
        families: if STAY.contains(&illness.id) { &[Family::Stuck, Family::Queue] } else { &[] },
        also: illness.also,
        visible_after: illness.onset.saturating_sub(head_start),
        within: illness.within,
    };
    let label = if condition == Some(Condition::Forgotten) { unexplained(illness, label) } else { label };
    Patient {
        name: format!("sick::{}{suffix}", illness.id),
        program: illness.id.to_owned(),
        command: command(SICK, &flags),
        demand: if illness.computes { Demand::Core } else { Demand::Little },
        route: Route::Direct,
        head_start,
        stay: Stay::UntilFound { least },
        standstill: None,
        label: Some(label),
        exit_codes: &[1],
    }
}

/// The label of a wait whose cause is forgotten: it is found as what it is, at the lock or at those who wait.
fn unexplained(illness: &Illness, label: Label) -> Label {
    let may_be_a_gate = GATES.contains(&illness.id);
    Label {
        severity: label.severity.min(if may_be_a_gate { Severity::Info } else { Severity::Warning }),
        places: [label.places, label.other_places].concat(),
        other_places: Vec::new(),
        families: WAITS,
        within: label.within.max(UNEXPLAINED),
        ..label
    }
}

/// A healthy program to which the client attaches when it has forgotten how it came to where it is.
fn forgetful(patient: Patient, watch: Duration) -> Patient {
    let flags = ["--retention", RETENTION].map(str::to_owned);
    Patient {
        name: format!("{}+{}", patient.name, Condition::Forgotten.as_str()),
        command: patient.command.into_iter().chain(flags).collect(),
        head_start: FORGOTTEN,
        stay: Stay::For(watch),
        ..patient
    }
}

fn healthy_patient(name: &str, family: &healthy::Family, patterns: &[Pattern], watch: Duration) -> Patient {
    let ids: Vec<_> = patterns.iter().map(|pattern| pattern.id).collect();
    Patient {
        name: format!("healthy::{name}"),
        program: name.to_owned(),
        command: command(HEALTHY, &["--pattern", &ids.join(",")]),
        demand: if family.measures { Demand::Everything } else { Demand::Little },
        route: Route::Direct,
        head_start: Duration::ZERO,
        stay: Stay::For(watch),
        standstill: None,
        label: None,
        exit_codes: &[0],
    }
}

/// Programs that are reached by a port-forward to a pod, near and far.
fn in_pods() -> impl Iterator<Item = Patient> {
    let routes = if cfg!(feature = "k8s") { &[Route::Pod, Route::FarPod][..] } else { &[] };
    routes.iter().flat_map(|route| {
        let sick = sick::all().filter(|illness| IN_PODS.contains(&illness.id));
        let sick = sick.map(|illness| sick_patient(illness, None, Duration::ZERO));
        let families = healthy::FAMILIES.iter().filter(|family| IN_PODS.contains(&family.name));
        let healthy = families.map(|family| healthy_patient(family.name, family, family.patterns, FAMILY_WATCH));
        sick.chain(healthy).map(|patient| Patient {
            name: format!("{}+{}", patient.name, route.as_str()),
            route: *route,
            ..patient
        })
    })
}

fn disturbed() -> [Patient; 4] {
    let stopped = ["--pattern", "intervals,worker-pool,pipeline"];
    let standstill = |length| Standstill { after: Duration::from_secs(7), length: Duration::from_secs(length) };
    let filtered = ["--pattern", "intervals", "--filtered"];
    let small_buffer = ["--pattern", "futures-unordered,batch-limiter", "--event-buffer", "32"];
    [
        disturbed_patient("not-instrumented", Severity::Warning, &filtered, None, &[3]),
        disturbed_patient("partial-feed", Severity::Info, &small_buffer, None, &[3]),
        // A pause that is over is no reason to give up: only a note, or no verdict.
        disturbed_patient("process-paused", Severity::Info, &stopped, Some(standstill(3)), &[0, 3]),
        disturbed_patient("quiet-feed", Severity::Warning, &stopped, Some(standstill(60)), &[3]),
    ]
}

fn disturbed_patient(
    detector: &'static str,
    severity: Severity,
    flags: &[&str],
    standstill: Option<Standstill>,
    exit_codes: &'static [i32],
) -> Patient {
    let watch = Duration::from_secs(20);
    Patient {
        name: format!("feed::{detector}"),
        program: detector.to_owned(),
        command: command(HEALTHY, flags),
        demand: Demand::Little,
        route: Route::Direct,
        head_start: Duration::ZERO,
        stay: Stay::For(watch),
        standstill,
        label: Some(Label {
            detector,
            severity,
            places: Vec::new(),
            other_places: Vec::new(),
            families: &[],
            also: &[],
            visible_after: Duration::ZERO,
            within: watch,
        }),
        exit_codes,
    }
}

/// The command of a family of healthy habits in one process.
pub(crate) fn healthy_command(family: &str) -> Vec<String> {
    let patterns = healthy::FAMILIES.iter().filter(|it| it.name == family).flat_map(|it| it.patterns);
    let ids: Vec<_> = patterns.map(|pattern| pattern.id).collect();
    command(HEALTHY, &["--pattern", &ids.join(",")])
}

/// The command of a program, which ends with this one and says where its feed is.
pub(crate) fn command(program: &str, flags: &[&str]) -> Vec<String> {
    let common = ["--bind", "127.0.0.1:0", "--die-with-parent"];
    [FLAG, program].iter().chain(&common).chain(flags).map(|&word| word.to_owned()).collect()
}
