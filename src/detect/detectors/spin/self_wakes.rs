//! A task that wakes itself for most of its wakes.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::self_wakes::SelfWaking;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "observation window");
/// Where tokio-console draws the line as well.
static SHARE: Setting<Share> = Setting::new("share", Share(0.5), "minimum share of wakes that come from the task");
static RATE: Setting<f64> = Setting::new("rate", 50.0, "minimum wakes of a task by itself a second");
static BUSY: Setting<Share> = Setting::new(
    "busy",
    Share(0.1),
    "minimum share of a core that is a warning where the rate does not follow the load",
);
static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_micros(20), "mean poll duration below which no work gets done");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "self-wakes",
    family: Family::Spin,
    grade: Grade::Risk,
    title: "a task wakes itself again and again",
    explain: include_str!("../../../../docs/detectors/self-wakes.md"),
    settings: &[&WINDOW, &SHARE, &RATE, &BUSY, &MEAN],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(12),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[Cause::at_site("busy-loop")],
    look_alikes: &[LookAlike::WakesByDesign],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let waking = evidence.self_waking(key, site, settings.get(&WINDOW));
        let is_much = |it: &SelfWaking| {
            it.pace.self_wake_share() > settings.get(&SHARE).0 && it.pace.self_wakes_per_second() >= settings.get(&RATE)
        };
        if let Some(waking) = waking.filter(is_much) {
            found.extend(symptom(evidence, settings, (key, site), &waking));
        }
    }
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    SelfWaking { pace, is_steady }: &SelfWaking,
) -> Option<Symptom> {
    let task = evidence.task(pace.task)?;
    let (rate, busy) = (pace.self_wakes_per_second(), pace.busy_share());
    let mean = pace.mean_poll().unwrap_or_default();
    let is_idle_work = *is_steady && busy >= settings.get(&BUSY).0 && mean < settings.get(&MEAN);
    let symptom = Symptom::of_site(evidence, key, &[pace.task], 1)
        .unless((!is_idle_work).then_some(LookAlike::WakesByDesign))
        .summary(format!(
            "{} woke itself {} times a second in the last {} (reported from {}): {} of its wakes. Its polls took {} of a core.",
            describe::task(evidence, task),
            words::decimal(rate),
            words::duration(pace.time),
            words::decimal(settings.get(&RATE)),
            words::percent(pace.self_wake_share()),
            words::percent(busy),
        ))
        .because(Fact::share("share of wakes by itself", pace.self_wake_share()).from(settings.get(&SHARE)).over(pace.time))
        .because(Fact::number("wakes by itself", "wakes/s", rate).from(settings.get(&RATE)).over(pace.time))
        .because(Fact::share("share of a core", busy).from(settings.get(&BUSY)).over(pace.time))
        .because(Fact::time("mean duration of a poll", mean).below(settings.get(&MEAN)).over(pace.time))
        .cause(is_idle_work.then(|| {
            "The rate stays the same whatever the load is: the task asks again and again for something that does not come.".to_owned()
        }))
        .advice(format!(
            "Find the yield_now or wake_by_ref in this task. If it waits for something, await that instead; if it divides a long computation, make the \
             pieces longer or move it to spawn_blocking.{}",
            describe::library_hint(&site.id.location),
        ));
    Some(symptom)
}
