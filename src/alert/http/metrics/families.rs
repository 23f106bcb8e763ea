//! Every metric: a row each, from which it is measured, written and documented.

use std::time::{Duration, SystemTime};

use prometheus_client::metrics::MetricType;
use prometheus_client::registry;

use super::labels::distinct_labels;
use super::times::Spent;
use super::waits::{Place, Selection};
use crate::alert::http::reading::{Reading, Scrape};
use crate::config::word::Word;
use crate::diagnosis::{Verdict, Withheld};
use crate::report::{Severity, State};

/// Whether a metric only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// It never falls, not even when the target restarts.
    Counter,
    /// It is what holds at present.
    Gauge,
}

impl Measure {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }

    pub(super) fn of_library(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
        }
    }
}

/// The unit at the end of a metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share, from 0 to 1.
    Ratio,
}

impl Unit {
    /// The word for it in a name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }

    pub(super) fn of_library(self) -> registry::Unit {
        match self {
            Self::Seconds => registry::Unit::Seconds,
            Self::Bytes => registry::Unit::Bytes,
            Self::Ratio => registry::Unit::Other(self.as_str().to_owned()),
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name, without its unit and without `_total`.
    pub name: &'static str,
    /// Its unit, if it has one.
    pub unit: Option<Unit>,
    /// Whether it only rises.
    pub measure: Measure,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it is, as a sentence.
    pub help: &'static str,
    pub(super) samples: fn(&View) -> Vec<Sample>,
}

impl Family {
    /// The name under which it is asked for.
    pub fn full_name(&self) -> String {
        let unit = self.unit.map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
        let total = if self.measure == Measure::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name)
    }
}

/// A series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

/// A target by its label, what is measured of it, and the sums of those places and sites that have labels of their own.
type Measured = (String, Reading, Chosen);

/// Sums by the labels of their series.
#[derive(Debug)]
struct Chosen {
    /// How long was waited, by what was waited for and by whom.
    waits: Vec<(Place, Duration)>,
    /// What tasks spent their time on, by cause and site.
    times: Vec<(Spent, Duration)>,
}

/// What is measured, with the labels of each target.
#[derive(Debug)]
pub(super) struct View {
    targets: Vec<Measured>,
    lost: Vec<(String, u64)>,
}

impl View {
    pub(super) fn new(scrape: Scrape, selection: &mut Selection) -> Self {
        let labels = distinct_labels(scrape.readings.iter().map(|reading| reading.target.as_str()));
        selection.keep(&labels);
        let target = |(label, reading): (String, Reading)| {
            let waits = selection.waits(&label, &reading.waits);
            let times = selection.times(&label, &reading.times);
            (label, reading, Chosen { waits, times })
        };
        Self { targets: labels.into_iter().zip(scrape.readings).map(target).collect(), lost: scrape.lost }
    }

    /// A series for each of what a target has, with labels besides that of the target.
    fn each<const N: usize>(
        &self,
        names: [&'static str; N],
        of: impl Fn(&Reading) -> Vec<([String; N], f64)>,
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (target, reading, _) in &self.targets {
            samples.extend(of(reading).into_iter().map(|(values, value)| sample(target, names, values, value)));
        }
        samples
    }

    /// A series for each target that has a value.
    fn one(&self, of: impl Fn(&Reading) -> Option<f64>) -> Vec<Sample> {
        self.each([], |reading| of(reading).map(|value| ([], value)).into_iter().collect())
    }

    /// The same of what holds at present, and is known only as long as updates arrive.
    fn present(&self, of: impl Fn(&Reading) -> Option<f64>) -> Vec<Sample> {
        self.one(|reading| of(reading).filter(|_| reading.is_live))
    }
}

fn sample<const N: usize>(target: &str, names: [&'static str; N], values: [String; N], value: f64) -> Sample {
    let labels = std::iter::once(("target", target.to_owned())).chain(names.into_iter().zip(values));
    Sample { labels: labels.collect(), value }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn count(count: usize) -> f64 {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&View) -> Vec<Sample>) -> Family {
    Family { name, unit: None, measure: Measure::Counter, labels: &["target"], help, samples }
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&View) -> Vec<Sample>) -> Family {
    Family { measure: Measure::Gauge, ..counter(name, help, samples) }
}

impl Family {
    const fn in_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// Every metric, vital signs first.
pub static METRICS: &[Family] = &[
    gauge("tokio_canary_build_info", "Version of the tool; always 1.", |_| {
        vec![Sample { labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())], value: 1.0 }]
    })
    .by(&["version"]),
    gauge("tokio_canary_target_up", "Whether updates arrive from the target.", |view| {
        view.one(|it| Some(flag(it.is_live)))
    }),
    counter("tokio_canary_target_restarts", "Restarts of the target process, or of its clock.", |view| {
        view.one(|it| Some(it.vitals.restarts.into()))
    }),
    gauge("tokio_canary_tasks", "Tasks alive.", |view| view.present(|it| Some(count(it.vitals.tasks_alive)))),
    counter("tokio_canary_polls", "Polls of async tasks that ended, those of console-subscriber left out.", |view| {
        view.one(|it| Some(number(it.vitals.activity.polls)))
    }),
    counter("tokio_canary_busy", "Time spent in those polls; its rate is the number of busy cores.", |view| {
        view.one(|it| Some(it.vitals.activity.busy.as_secs_f64()))
    })
    .in_unit(Unit::Seconds),
    gauge("tokio_canary_busy", "Share of the worker threads' time spent in polls over the last 10 s.", |view| {
        view.present(|it| it.vitals.pulse?.busy_share)
    })
    .in_unit(Unit::Ratio),
    counter("tokio_canary_wakes", "Wakes of async tasks.", |view| {
        view.one(|it| Some(number(it.vitals.activity.wakes)))
    }),
    counter("tokio_canary_scheduled", "Time between wakes and the polls that followed.", |view| {
        view.one(|it| Some(it.vitals.activity.scheduled.as_secs_f64()))
    })
    .in_unit(Unit::Seconds),
    gauge("tokio_canary_scheduling_delay", "Time from a wake to the poll, sampled over the last 10 s.", delays)
        .in_unit(Unit::Seconds)
        .by(&["target", "percentile"]),
    gauge("tokio_canary_waiters", "Current waits for locks, semaphores and room in bounded channels.", |view| {
        view.present(|it| Some(number(it.vitals.waiting)))
    }),
    counter(
        "tokio_canary_waited",
        "Time waited for locks, semaphores and room in bounded channels; its rate is the mean number of waiters.",
        waits,
    )
    .in_unit(Unit::Seconds)
    .by(&["target", "kind", "location", "task", "spawned_at"]),
    counter(
        "tokio_canary_task_time",
        "Time that tasks lived, by what they spent it on; its rate is the mean number of tasks that do.",
        times,
    )
    .in_unit(Unit::Seconds)
    .by(&["target", "cause", "task", "spawned_at"]),
    gauge("tokio_canary_feed_lag", "Delay with which new tasks and waits are reported.", |view| {
        view.present(|it| Some(it.vitals.lag?.as_secs_f64()))
    })
    .in_unit(Unit::Seconds),
    counter("tokio_canary_feed_updates", "Updates received.", |view| view.one(|it| Some(number(it.vitals.updates)))),
    counter("tokio_canary_feed_received", "Size of all updates.", |view| {
        view.one(|it| Some(number(it.vitals.wire_bytes)))
    })
    .in_unit(Unit::Bytes),
    counter("tokio_canary_feed_dropped_events", "Events that the target dropped because its buffer was full.", dropped)
        .by(&["target", "entity"]),
    counter("tokio_canary_feed_malformed", "Malformed parts of messages.", |view| {
        view.one(|it| Some(number(it.vitals.malformed)))
    }),
    gauge("tokio_canary_feed_withheld", "Whether the feed is incomplete for this reason.", withheld)
        .by(&["target", "reason"]),
    gauge("tokio_canary_feed_last_message_timestamp", "Unix time of the last message from the target.", |view| {
        view.one(|it| Some(it.heard?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64()))
    })
    .in_unit(Unit::Seconds),
    gauge("tokio_canary_findings", "Current findings.", findings).by(&["target", "detector", "severity"]),
    counter("tokio_canary_finding_transitions", "Findings that entered a state.", transitions)
        .by(&["target", "detector", "state"]),
    gauge("tokio_canary_findings_suppressed", "Findings that fired so far and are suppressed.", |view| {
        view.one(|it| Some(count(it.verdict.suppressed)))
    }),
    gauge("tokio_canary_verdict", "1 for the verdict so far, 0 for the others.", verdicts).by(&["target", "verdict"]),
    counter("tokio_canary_output_lost_events", "Events that an output or receiver did not get.", |view| {
        let labels = distinct_labels(view.lost.iter().map(|(name, _)| name.as_str()));
        let samples = labels.into_iter().zip(&view.lost);
        samples.map(|(label, (_, lost))| Sample { labels: vec![("output", label)], value: number(*lost) }).collect()
    })
    .by(&["output"]),
];

fn delays(view: &View) -> Vec<Sample> {
    view.each(["percentile"], |reading| {
        let Some(delays) = reading.vitals.delays.filter(|_| reading.is_live) else { return Vec::new() };
        let percentiles = [("50", delays.median), ("90", delays.p90), ("99", delays.p99)];
        percentiles.map(|(percentile, delay)| ([percentile.to_owned()], delay.as_secs_f64())).into()
    })
}

fn waits(view: &View) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (target, _, Chosen { waits, .. }) in &view.targets {
        let names = ["kind", "location", "task", "spawned_at"];
        samples.extend(waits.iter().map(|(place, waited)| sample(target, names, place.clone(), waited.as_secs_f64())));
    }
    samples
}

fn times(view: &View) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (target, _, Chosen { times, .. }) in &view.targets {
        let names = ["cause", "task", "spawned_at"];
        samples.extend(times.iter().map(|(spent, time)| sample(target, names, spent.clone(), time.as_secs_f64())));
    }
    samples
}

fn dropped(view: &View) -> Vec<Sample> {
    view.each(["entity"], |reading| {
        let lost = reading.vitals.lost;
        let kinds = [("task", lost.tasks), ("resource", lost.resources), ("async_op", lost.ops)];
        kinds.map(|(entity, lost)| ([entity.to_owned()], number(lost))).into()
    })
}

fn withheld(view: &View) -> Vec<Sample> {
    view.each(["reason"], |reading| {
        let holds = |it: Withheld| ([it.as_str().to_owned()], flag(reading.withheld.contains(&it.as_str())));
        Withheld::ALL.map(holds).into()
    })
}

/// Zero for every detector that runs and finds nothing, so that a finding is a change and not a new series.
fn findings(view: &View) -> Vec<Sample> {
    view.each(["detector", "severity"], |reading| {
        let mut all = Vec::new();
        for detector in &reading.detectors {
            for severity in <Severity as Word>::ALL {
                let found = reading.findings.get(&(*detector, *severity)).copied().unwrap_or_default();
                all.push(([*detector, severity.as_str()].map(str::to_owned), number(found)));
            }
        }
        all
    })
}

fn transitions(view: &View) -> Vec<Sample> {
    view.each(["detector", "state"], |reading| {
        let mut all = Vec::new();
        for detector in &reading.detectors {
            for state in [State::Firing, State::Resolved] {
                let times = reading.transitions.get(&(*detector, state.as_str())).copied().unwrap_or_default();
                all.push(([*detector, state.as_str()].map(str::to_owned), number(times)));
            }
        }
        all
    })
}

fn verdicts(view: &View) -> Vec<Sample> {
    view.each(["verdict"], |reading| {
        let verdict = reading.verdict.verdict;
        Verdict::ALL.map(|it| ([it.outcome().to_owned()], flag(it == verdict))).into()
    })
}
