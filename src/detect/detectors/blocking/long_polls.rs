//! Blocking in small portions: polls that end, but take long again and again.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Related, Role};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::detect::{describe, polls};
use crate::evidence::Evidence;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_millis(10), "the polls of a site take this long on average");
static SINGLE: Setting<Duration> =
    Setting::new("single", Duration::from_millis(50), "or those of one task do, in three seconds out of thirty");
static POLLS: Setting<usize> = Setting::new("polls", 3, "so many polls must have ended in the window");
static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the polls of so long a time are judged");
static CAUGHT: Setting<Duration> =
    Setting::new("caught", Duration::from_millis(25), "or a poll has been running so long when one looks what runs");
static SIGHTINGS: Setting<usize> =
    Setting::new("sightings", 4, "in so many of the last twenty looks, one a second at most");
static SHARE: Setting<Share> = Setting::new("share", Share(0.02), "they must keep this share of one core busy");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "long-polls",
    family: Family::Blocking,
    grade: Grade::Risk,
    title: "polls take long again and again",
    explain: include_str!("../../../../docs/detectors/long-polls.md"),
    settings: &[&MEAN, &SINGLE, &POLLS, &WINDOW, &CAUGHT, &SIGHTINGS, &SHARE],
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

/// Sightings closer together than this are one piece of work, such as starting up.
const APART: Duration = Duration::from_millis(2_500);
/// So many seconds with a long poll of a single task are needed.
const SINGLE_SIGHTINGS: usize = 3;
/// So many seconds of turning round are a loop without rest.
const TURNING: usize = 3;
/// So many timers and ops made in one poll are enough for their tracing to take long by itself.
const MANY_OPS: usize = 50;

/// So many looks are judged,
const LOOKS: usize = 20;
/// of which this share has to meet a long poll,
/// while polls take half of it at least (or looks and polls only keep the same time),
const MET: f64 = 0.2;
/// and the first and the last of those lie so far apart, or it is one piece of work.
const SPREAD: Duration = Duration::from_secs(5);

/// Tasks that waited so long for a worker were hurt.
const HURT: Duration = Duration::from_millis(2);

/// Why long polls may be nothing to worry about.
const TRACED: &str = "It makes so many timers or ops in one poll that tracing them may take most of the time.";
const APART_FROM_WORKERS: &str = "It was given to block_on and runs on the thread that called that, while the process has worker threads for \
                                  other tasks. It hurts only if that thread is to drive a current-thread runtime or a LocalSet with more than it.";

/// What was measured of a site.
struct Measured {
    polls: u64,
    busy: Duration,
    mean: Duration,
    longest: Option<(Duration, TaskKey)>,
    window: Duration,
}

/// How often looks met a long poll.
struct Sightings {
    met: usize,
    looks: usize,
    longest: (Duration, TaskKey),
}

/// What tells that polls are long.
enum Proof {
    Site,
    Task,
    Looks(Sightings),
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in model.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let window = settings.get(&WINDOW);
        let by_site = measure(model, site, window);
        let seen = |second: &&Second| second.polls > 0 && mean(second) >= settings.get(&MEAN);
        let site_is_slow = by_site.mean >= settings.get(&MEAN)
            && by_site.polls >= u64::try_from(settings.get(&POLLS)).unwrap_or(u64::MAX)
            && are_apart(site.history.since(model.now().minus(window)).filter(seen), 2);
        let by_task = measure(model, site, 2 * window);
        let seen = |second: &&Second| second.longest.is_some_and(|(mean, _)| mean >= settings.get(&SINGLE));
        let task_is_slow = are_apart(site.history.since(model.now().minus(2 * window)).filter(seen), SINGLE_SIGHTINGS);
        if turns_round(site) {
            continue;
        }
        let (measured, proof) = match (site_is_slow, task_is_slow) {
            (true, _) => (by_site, Proof::Site),
            (false, true) => (by_task, Proof::Task),
            (false, false) => match sightings(model, key, settings) {
                Some(sightings) if share(&by_site) >= MET / 2.0 => (by_site, Proof::Looks(sightings)),
                _ => continue,
            },
        };
        if share(&measured) >= settings.get(&SHARE).0 {
            found.push(symptom(model, settings, key, site, &measured, &proof));
        }
    }
}

/// Whether its busiest task turns around something that is always ready, which is a fault of another kind.
fn turns_round(site: &Site) -> bool {
    let last: Vec<_> = site.history.all().rev().filter_map(|second| second.fastest).take(TURNING).collect();
    last.len() == TURNING && last.iter().all(|pace| polls::turns(pace, polls::CLONES))
}

/// How often the last looks met a long poll of the site, if that is often: as often as such polls take time, however many short ones
/// make the mean small.
fn sightings(model: &Evidence<'_>, key: SiteKey, settings: Scoped<'_>) -> Option<Sightings> {
    let last: Vec<Timestamp> = model.poll_samples().times().rev().take(LOOKS).collect();
    let from = *last.last()?;
    let long =
        model.poll_samples().of_site(key).filter(|caught| caught.at >= from && caught.age >= settings.get(&CAUGHT));
    let met: Vec<_> = long.collect();
    let longest = met.iter().map(|caught| (caught.age, caught.task)).max()?;
    let spread = met.last()?.at.since(met.first()?.at);
    let often = met.len() >= settings.get(&SIGHTINGS) && ratio(met.len(), last.len()) >= MET;
    (often && spread >= SPREAD).then_some(Sightings { met: met.len(), looks: last.len(), longest })
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn measure(model: &Evidence<'_>, site: &Site, window: Duration) -> Measured {
    let from = model.now().minus(window);
    let (mut polls, mut busy, mut longest) = (0, Duration::ZERO, None);
    for second in site.history.since(from) {
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

/// Whether there are so many sightings, and the first and the last lie so far apart that they are not one piece of work.
fn are_apart<'a>(seconds: impl Iterator<Item = &'a Second>, least: usize) -> bool {
    let times: Vec<Timestamp> = seconds.map(|second| second.to).collect();
    let span = times.last().zip(times.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    times.len() >= least && span >= APART
}

/// How long tasks of other sites waited for a worker meanwhile, and those that waited longest.
fn victims(model: &Evidence<'_>, culprit: SiteKey, window: Duration) -> (Option<Duration>, Vec<Related>) {
    let from = model.now().minus(window);
    let others = model.delays().since(from).filter(|delay| delay.site != culprit);
    let mut delays: Vec<(Duration, SiteKey)> = others.map(|delay| (delay.mean, delay.site)).collect();
    delays.sort_unstable();
    let p90 = delays.get(delays.len() * 9 / 10).map(|(delay, _)| *delay);
    let mut worst: Vec<SiteKey> = Vec::new();
    for (_, site) in delays.iter().rev().take_while(|(delay, _)| *delay >= HURT) {
        if worst.len() < 3 && !worst.contains(site) {
            worst.push(*site);
        }
    }
    let sites = worst.into_iter().filter_map(|site| model.site(site));
    (p90, sites.map(|site| describe::related_site(site, Role::Victim)).collect())
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    site: &Site,
    measured: &Measured,
    proof: &Proof,
) -> Symptom {
    let worst = match proof {
        Proof::Looks(sightings) => Some(sightings.longest.1),
        Proof::Site | Proof::Task => measured.longest.map(|(_, task)| task),
    };
    let traced = worst.and_then(|task| model.task(task)).is_some_and(|task| model.made_in_last_poll(task) >= MANY_OPS);
    let mut evidence = vec![
        Fact::time("mean duration of polls", measured.mean).from(settings.get(&MEAN)).over(measured.window),
        Fact::share("share of one core", share(measured)).from(settings.get(&SHARE).0).over(measured.window),
    ];
    if let Some((longest, _)) = measured.longest {
        let metric = "longest mean of one task between two updates";
        evidence.push(Fact::time(metric, longest).from(settings.get(&SINGLE)).over(measured.window));
    }
    if let Proof::Looks(sightings) = proof {
        let metric = "share of looks that met a long poll";
        evidence.push(Fact::share(metric, ratio(sightings.met, sightings.looks)).from(MET));
        let metric = "age of the oldest poll that was met";
        evidence.push(Fact::time(metric, sightings.longest.0).from(settings.get(&CAUGHT)));
    }
    if let Some(polls) = worst.and_then(|task| model.details(task)).and_then(|details| details.polls.as_ref()) {
        evidence.push(Fact::time("99th percentile of the polls of one suspect", polls.quantile(0.99)));
        evidence.push(Fact::time("its longest poll", polls.longest()));
    }
    let (delay, related) = victims(model, key, measured.window);
    if let Some(delay) = delay {
        let metric = "90th percentile of the time that tasks of other sites waited to be polled";
        evidence.push(Fact::time(metric, delay).over(measured.window));
    }
    let apart = site.id.kind == TaskKind::BlockOn && polls::has_workers(model);
    Symptom {
        severity: if traced || apart { Severity::Info } else { Severity::Warning },
        grade: None,
        subject: describe::site_subject(model, site, worst.as_slice(), site.live.len()),
        summary: summary(settings, site, measured, proof),
        facts: evidence,
        related,
        look_alikes: Vec::new(),
        cause: if traced { Some(TRACED.to_owned()) } else { apart.then(|| APART_FROM_WORKERS.to_owned()) },
        recommendation: format!(
            "Move the computation or the blocking call to tokio::task::spawn_blocking or a pool such as rayon's, or cut it into slices \
             with tokio::task::yield_now().await between them.{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: worst.into_iter().collect(), ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    }
}

fn summary(settings: Scoped<'_>, site: &Site, measured: &Measured, proof: &Proof) -> String {
    let (value, limit, what) = match (proof, measured.longest) {
        (Proof::Looks(sightings), _) => {
            return format!(
                "In {} of the last {} looks a poll of {} had been running for up to {} (warning from {} looks and {}), among short ones: \
                 whatever else its worker thread has to do waits as long.",
                sightings.met,
                sightings.looks,
                describe::site(site),
                words::duration(sightings.longest.0),
                settings.get(&SIGHTINGS),
                words::duration(settings.get(&CAUGHT)),
            );
        }
        (Proof::Task, Some((longest, _))) => (longest, &SINGLE, "in one task"),
        _ => (measured.mean, &MEAN, "on average"),
    };
    format!(
        "Polls of {} take {} {what} (warning from {}) and occupy a worker thread for {} of the time: whatever else it has to do waits as long.",
        describe::site(site),
        words::duration(value),
        words::duration(settings.get(limit)),
        words::percent(share(measured)),
    )
}
