//! Blocking in small portions: polls that end, but take long again and again.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::{Related, Role};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::ratio;
use crate::evidence::pace;
use crate::evidence::poll_samples::PollSample;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_millis(10), "minimum mean duration of the polls of a site");
static SINGLE: Setting<Duration> = Setting::new(
    "single",
    Duration::from_millis(50),
    "minimum mean duration of the polls of one task within a second, seen in several seconds of twice the window",
);
static SINGLE_SECONDS: Setting<usize> =
    Setting::new("single-seconds", 3, "minimum number of seconds in which the polls of one task took that long");
static POLLS: Setting<usize> = Setting::new("polls", 3, "minimum number of polls in the window");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static APART: Setting<Duration> = Setting::new(
    "apart",
    Duration::from_millis(2_500),
    "minimum time between the first and the last second with long polls, so that one piece of work does not count",
);
static CAUGHT: Setting<Duration> =
    Setting::new("caught", Duration::from_millis(25), "minimum age of a running poll in a sample");
static SIGHTINGS: Setting<usize> = Setting::new("sightings", 4, "minimum number of samples that met a long poll");
static SAMPLES: Setting<usize> = Setting::new("samples", 20, "number of the latest samples, one a second at most");
static MET: Setting<Share> = Setting::new("met", Share(0.2), "minimum share of samples that met a long poll");
static SAMPLES_APART: Setting<Duration> = Setting::new(
    "samples-apart",
    Duration::from_secs(5),
    "minimum time between the first and the last sample that met a long poll",
);
static SHARE: Setting<Share> = Setting::new("share", Share(0.02), "minimum share of one core that the polls take");
static MANY_OPS: Setting<usize> = Setting::new(
    "traced",
    50,
    "number of timers and async ops made in one poll from which on tracing them may be what takes long",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "long-polls",
    family: Family::Blocking,
    grade: Grade::Risk,
    title: "polls take long again and again",
    explain: include_str!("../../../../docs/detectors/long-polls.md"),
    settings: &[
        &MEAN,
        &SINGLE,
        &SINGLE_SECONDS,
        &POLLS,
        &WINDOW,
        &APART,
        &CAUGHT,
        &SIGHTINGS,
        &SAMPLES,
        &MET,
        &SAMPLES_APART,
        &SHARE,
        &MANY_OPS,
    ],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(5),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[Cause::at_site("blocked-worker")],
    doubt: None,
    scan,
};

/// Seconds of spinning that are a fault of another kind.
const SPINNING: usize = 3;
/// Tasks that waited this long for a worker are named as victims: it decides a list, not a finding.
const HURT: Duration = Duration::from_millis(2);

/// What was measured of a site.
struct Measured {
    polls: u64,
    busy: Duration,
    mean: Duration,
    longest: Option<(Duration, TaskKey)>,
    window: Duration,
}

/// How often samples met a long poll.
struct Sightings {
    met: usize,
    samples: usize,
    longest: (Duration, TaskKey),
}

/// What shows that polls are long.
enum Proof {
    Site,
    Task,
    Samples(Sightings),
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let Some((measured, proof)) = long_polls(evidence, settings, key, site) else { continue };
        if share(&measured) >= settings.get(&SHARE).0 && !spins(site) {
            found.push(symptom(evidence, settings, key, site, &measured, &proof));
        }
    }
}

fn long_polls(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site) -> Option<(Measured, Proof)> {
    let (window, now) = (settings.get(&WINDOW), evidence.now());
    let by_task = measure(site, now, 2 * window);
    if by_task.busy.is_zero() {
        return None;
    }
    let by_site = measure(site, now, window);
    let is_slow = |second: &&Second| second.polls > 0 && mean(second) >= settings.get(&MEAN);
    let enough = by_site.polls >= u64::try_from(settings.get(&POLLS)).unwrap_or(u64::MAX);
    let slow_seconds = || site.history.since(now.minus(window)).filter(is_slow);
    if by_site.mean >= settings.get(&MEAN) && enough && are_apart(settings, slow_seconds(), 2) {
        return Some((by_site, Proof::Site));
    }
    let is_slow = |second: &&Second| second.longest.is_some_and(|(mean, _)| mean >= settings.get(&SINGLE));
    let slow_seconds = site.history.since(now.minus(2 * window)).filter(is_slow);
    if are_apart(settings, slow_seconds, settings.get(&SINGLE_SECONDS)) {
        return Some((by_task, Proof::Task));
    }
    // Samples and polls may only keep the same time, unless polls take half of that share at least.
    let sightings = (share(&by_site) >= settings.get(&MET).0 / 2.0).then(|| sightings(evidence, settings, key))?;
    sightings.map(|sightings| (by_site, Proof::Samples(sightings)))
}

/// Whether its busiest task spins on something that is always ready, which is a fault of another kind.
fn spins(site: &Site) -> bool {
    let last: Vec<_> = site.history.all().rev().filter_map(|second| second.fastest).take(SPINNING).collect();
    last.len() == SPINNING && last.iter().all(|it| it.spins_in_long_polls(pace::CLONES))
}

/// How often the latest samples met a long poll of the site, if that is often: as often as such polls take time, however many short ones make
/// the mean small.
fn sightings(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey) -> Option<Sightings> {
    let samples = evidence.poll_samples();
    let latest: Vec<Timestamp> = samples.times().rev().take(settings.get(&SAMPLES)).collect();
    let from = *latest.last()?;
    let long = samples.of_site(key).filter(|it| it.at >= from && it.age >= settings.get(&CAUGHT));
    let met: Vec<&PollSample> = long.collect();
    let longest = met.iter().map(|it| (it.age, it.task)).max()?;
    let apart = met.last()?.at.since(met.first()?.at);
    let often = met.len() >= settings.get(&SIGHTINGS) && ratio(met.len(), latest.len()) >= settings.get(&MET).0;
    let enough = often && apart >= settings.get(&SAMPLES_APART);
    enough.then_some(Sightings { met: met.len(), samples: latest.len(), longest })
}

fn measure(site: &Site, now: Timestamp, window: Duration) -> Measured {
    let (mut polls, mut busy, mut longest) = (0, Duration::ZERO, None);
    for second in site.history.since(now.minus(window)) {
        polls += second.polls;
        busy += second.busy;
        longest = longest.max(second.longest);
    }
    let mean = u32::try_from(polls).ok().and_then(|polls| busy.checked_div(polls)).unwrap_or_default();
    Measured { polls, busy, mean, longest, window }
}

fn mean(second: &Second) -> Duration {
    u32::try_from(second.polls).ok().and_then(|polls| second.busy.checked_div(polls)).unwrap_or_default()
}

fn share(measured: &Measured) -> f64 {
    measured.busy.as_secs_f64() / measured.window.as_secs_f64().max(0.001)
}

/// Whether there are this many seconds, and the first and the last lie so far apart that they are not one piece of work.
fn are_apart<'a>(settings: Scoped<'_>, seconds: impl Iterator<Item = &'a Second>, least: usize) -> bool {
    let times: Vec<Timestamp> = seconds.map(|second| second.to).collect();
    let span = times.last().zip(times.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    times.len() >= least && span >= settings.get(&APART)
}

/// How long tasks of other sites waited for a worker meanwhile, and those that waited longest.
fn victims(evidence: &Evidence<'_>, culprit: SiteKey, window: Duration) -> (Option<Duration>, Vec<Related>) {
    let from = evidence.now().minus(window);
    let others = evidence.delays().since(from).filter(|delay| delay.site != culprit);
    let mut delays: Vec<(Duration, SiteKey)> = others.map(|delay| (delay.mean, delay.site)).collect();
    delays.sort_unstable();
    let p90 = delays.get(delays.len() * 9 / 10).map(|(delay, _)| *delay);
    let mut worst: Vec<SiteKey> = Vec::new();
    for (_, site) in delays.iter().rev().take_while(|(delay, _)| *delay >= HURT) {
        if !worst.contains(site) {
            worst.push(*site);
        }
    }
    (p90, describe::related_sites(evidence, &worst, Role::Victim))
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    site: &Site,
    measured: &Measured,
    proof: &Proof,
) -> Symptom {
    let worst = match proof {
        Proof::Samples(sightings) => Some(sightings.longest.1),
        Proof::Site | Proof::Task => measured.longest.map(|(_, task)| task),
    };
    let task = worst.and_then(|task| evidence.task(task));
    let traced = task.is_some_and(|task| evidence.made_in_last_poll(task) >= settings.get(&MANY_OPS));
    let apart = site.id.kind == TaskKind::BlockOn && evidence.has_workers();
    let (delay, related) = victims(evidence, key, measured.window);
    let window = measured.window;
    let mut symptom = Symptom::of_site(evidence, key, worst.as_slice(), site.live.len())
        .unless(traced.then_some(LookAlike::Tracing))
        .unless(apart.then_some(LookAlike::ThreadOfItsOwn))
        .summary(summary(settings, site, measured, proof))
        .because(Fact::time("mean duration of polls", measured.mean).from(settings.get(&MEAN)).over(window))
        .because(Fact::share("share of one core", share(measured)).from(settings.get(&SHARE)).over(window))
        .involving(related)
        .advice(format!(
            "Move the computation or the blocking call to tokio::task::spawn_blocking or to a pool such as rayon's, or cut it into slices with \
             tokio::task::yield_now().await between them.{}",
            describe::library_hint(&site.id.location),
        ));
    if let Some((longest, _)) = measured.longest {
        let metric = "longest mean of one task between two updates";
        symptom = symptom.because(Fact::time(metric, longest).from(settings.get(&SINGLE)).over(window));
    }
    if let Proof::Samples(sightings) = proof {
        let met = ratio(sightings.met, sightings.samples);
        symptom = symptom
            .because(Fact::share("samples that met a long poll", met).from(settings.get(&MET)))
            .because(Fact::time("age of the oldest poll met", sightings.longest.0).from(settings.get(&CAUGHT)));
    }
    if let Some(polls) = worst.and_then(|task| evidence.details(task)).and_then(|details| details.polls.as_ref()) {
        symptom = symptom
            .because(Fact::time("99th percentile of the polls of one suspect", polls.quantile(0.99)))
            .because(Fact::time("its longest poll", polls.longest()));
    }
    if let Some(delay) = delay {
        let metric = "90th percentile of the time from wake to poll in other tasks";
        symptom = symptom.because(Fact::time(metric, delay).over(window));
    }
    symptom
}

fn summary(settings: Scoped<'_>, site: &Site, measured: &Measured, proof: &Proof) -> String {
    let who = describe::tasks(site);
    let (value, limit, what) = match (proof, measured.longest) {
        (Proof::Samples(sightings), _) => {
            return format!(
                "{} of the last {} samples met a poll of {who} that had been running for up to {} (warning from {} samples and {}). Other tasks \
                 on that worker wait that long.",
                sightings.met,
                sightings.samples,
                words::duration(sightings.longest.0),
                settings.get(&SIGHTINGS),
                words::limit(settings.get(&CAUGHT)),
            );
        }
        (Proof::Task, Some((longest, _))) => (longest, settings.get(&SINGLE), "in one task"),
        (Proof::Site | Proof::Task, _) => (measured.mean, settings.get(&MEAN), "on average"),
    };
    format!(
        "Polls of {who} take {} {what} (warning from {}) and occupy a worker {} of the time. Other tasks on that worker wait that long.",
        words::duration(value),
        words::limit(limit),
        words::percent(share(measured)),
    )
}
