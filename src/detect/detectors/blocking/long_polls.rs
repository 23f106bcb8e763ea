//! Blocking in small portions: polls that end, but take long again and again.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::number;
use crate::evidence::poll_time::{PollTime, Sightings, busiest, mean_poll, seconds_with};
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::tokio::TaskKind;
use crate::words;

static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_millis(10), "minimum mean duration of the polls of a site");
static SINGLE: Setting<Duration> = Setting::new(
    "single",
    Duration::from_millis(50),
    "minimum mean duration of the polls of one task within a second, over twice the window",
);
static SINGLE_SECONDS: Setting<usize> =
    Setting::new("single-seconds", 3, "minimum number of seconds with long polls of one task");
static BUSY: Setting<Duration> = Setting::new(
    "busy",
    Duration::from_millis(200),
    "minimum time that the polls of one task take within a second if each takes `mean` on average",
);
static POLLS: Setting<usize> = Setting::new("polls", 3, "minimum number of polls in the window");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static APART: Setting<Duration> = Setting::new(
    "apart",
    Duration::from_millis(2_500),
    "minimum time between the first and the last second with long polls",
);
static CAUGHT: Setting<Duration> =
    Setting::new("caught", Duration::from_millis(25), "minimum age of a running poll in a sample");
static SIGHTINGS: Setting<usize> = Setting::new("sightings", 4, "minimum number of samples that met a long poll");
static SAMPLES: Setting<usize> =
    Setting::new("samples", 20, "number of most recent samples considered, at most one a second");
static MET: Setting<Share> = Setting::new("met", Share(0.2), "minimum share of samples that met a long poll");
static SAMPLES_APART: Setting<Duration> = Setting::new(
    "samples-apart",
    Duration::from_secs(5),
    "minimum time between the first and the last sample that met a long poll, or second that one task fills",
);
static SHARE: Setting<Share> = Setting::new("share", Share(0.02), "minimum share of one core that the polls take");
static OFTEN: Setting<Share> = Setting::new(
    "starved",
    Share(0.33),
    "minimum share of seconds or samples with a long poll, where the process is short of CPU",
);
static MANY_OPS: Setting<usize> = Setting::new(
    "traced",
    50,
    "number of timers and async ops made in one poll from which on the poll may be long because of tracing",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "long-polls",
    family: Family::Blocking,
    grade: Grade::Risk,
    title: "polls repeatedly take too long",
    explain: include_str!("../../../../docs/detectors/long-polls.md"),
    settings: &[
        &MEAN,
        &SINGLE,
        &SINGLE_SECONDS,
        &BUSY,
        &POLLS,
        &WINDOW,
        &APART,
        &CAUGHT,
        &SIGHTINGS,
        &SAMPLES,
        &MET,
        &SAMPLES_APART,
        &SHARE,
        &OFTEN,
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
    look_alikes: &[
        LookAlike::Tracing,
        LookAlike::ShortOfCpu,
        LookAlike::ThreadOfItsOwn,
        LookAlike::SpanEnteredElsewhere,
    ],
    doubt: None,
    scan,
};

/// What shows that polls are long.
enum Proof {
    Site,
    Task,
    /// The polls of one task take much of a second.
    Second,
    Samples(Sightings),
}

/// The long polls of a site.
struct LongPolls {
    time: PollTime,
    proof: Proof,
    /// The share of seconds or samples with a long poll.
    often: f64,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let Some(polls) = long_polls(evidence, settings, key, site) else { continue };
        if polls.time.share() >= settings.get(&SHARE).0 && !evidence.spins(site) {
            found.push(symptom(evidence, settings, (key, site), &polls));
        }
    }
}

fn long_polls(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site) -> Option<LongPolls> {
    let (window, mean, now) = (settings.get(&WINDOW), settings.get(&MEAN), evidence.now());
    let by_task = evidence.poll_time(site, 2 * window);
    if by_task.busy.is_zero() {
        return None;
    }
    let are_apart = |(seconds, apart): (usize, Duration), least| seconds >= least && apart >= settings.get(&APART);
    let share_of = |seconds, window: Duration| number(seconds) / window.as_secs_f64().max(1.0);
    let by_site = evidence.poll_time(site, window);
    let enough = by_site.mean >= mean && by_site.polls >= u64::try_from(settings.get(&POLLS)).unwrap_or(u64::MAX);
    let slow = seconds_with(site, now.minus(window), |second| mean_poll(second) >= Some(mean));
    if enough && are_apart(slow, 2) {
        return Some(LongPolls { time: by_site, proof: Proof::Site, often: share_of(slow.0, window) });
    }
    let is_slow = |second: &Second| second.longest.is_some_and(|(mean, _)| mean >= settings.get(&SINGLE));
    let slow = seconds_with(site, now.minus(2 * window), is_slow);
    if are_apart(slow, settings.get(&SINGLE_SECONDS)) {
        return Some(LongPolls { time: by_task, proof: Proof::Task, often: share_of(slow.0, 2 * window) });
    }
    // A connection serves its next requests in the same second: their short polls make the mean small.
    let is_full =
        |second: &Second| busiest(second).is_some_and(|(busy, each, _)| busy >= settings.get(&BUSY) && each >= mean);
    let full = seconds_with(site, now.minus(2 * window), is_full);
    if are_apart(full, settings.get(&SINGLE_SECONDS)) && full.1 >= settings.get(&SAMPLES_APART) {
        return Some(LongPolls { time: by_task, proof: Proof::Second, often: share_of(full.0, 2 * window) });
    }
    let sightings = evidence.sightings(key, settings.get(&SAMPLES), settings.get(&CAUGHT))?;
    // Samples and polls may only keep the same time, unless polls take half of that share at least.
    let often = sightings.met >= settings.get(&SIGHTINGS)
        && sightings.share() >= settings.get(&MET).0
        && by_site.share() >= settings.get(&MET).0 / 2.0;
    let polls = LongPolls { time: by_site, proof: Proof::Samples(sightings), often: sightings.share() };
    (often && sightings.apart >= settings.get(&SAMPLES_APART)).then_some(polls)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    LongPolls { time, proof, often }: &LongPolls,
) -> Symptom {
    let worst = match proof {
        Proof::Samples(sightings) => Some(sightings.longest.1),
        Proof::Site | Proof::Task => time.longest.map(|(_, task)| task),
        Proof::Second => time.busiest.map(|(.., task)| task),
    };
    let task = worst.and_then(|task| evidence.task(task));
    let traced = task.is_some_and(|task| evidence.made_in_last_poll(task) >= settings.get(&MANY_OPS));
    let is_starved = *often < settings.get(&OFTEN).0 && evidence.is_short_of_cpu();
    let apart = site.id.kind == TaskKind::BlockOn && evidence.has_workers();
    let (window, hurt) = (time.window, evidence.hurt_by(key, time.window));
    let mut symptom = Symptom::of_site(evidence, key, worst.as_slice(), site.live.len())
        .unless(traced.then_some(LookAlike::Tracing))
        .unless(is_starved.then_some(LookAlike::ShortOfCpu))
        .unless(apart.then_some(LookAlike::ThreadOfItsOwn))
        .unless(site.spans_entered_off_task.then_some(LookAlike::SpanEnteredElsewhere))
        .summary(summary(settings, site, time, proof))
        .because(Fact::time("mean duration of polls", time.mean).from(settings.get(&MEAN)).over(window))
        .because(Fact::share("share of one core", time.share()).from(settings.get(&SHARE)).over(window))
        .involving(describe::related_sites(evidence, &hurt.sites, Role::Victim))
        .advice(format!(
            "Move the computation or the blocking call to tokio::task::spawn_blocking or to a pool such as rayon's, or cut it into slices with \
             tokio::task::yield_now().await between them.{}",
            describe::library_hint(&site.id.location),
        ));
    if let Some((longest, _)) = time.longest {
        let metric = "longest mean of one task between two updates";
        symptom = symptom.because(Fact::time(metric, longest).from(settings.get(&SINGLE)).over(window));
    }
    if let Some((busy, each, _)) = time.busiest {
        symptom = symptom
            .because(
                Fact::time("most time in polls of one task between two updates", busy)
                    .from(settings.get(&BUSY))
                    .over(window),
            )
            .because(Fact::time("mean duration of those polls", each).from(settings.get(&MEAN)).over(window));
    }
    if let Proof::Samples(sightings) = proof {
        symptom = symptom
            .because(Fact::share("samples that met a long poll", sightings.share()).from(settings.get(&MET)))
            .because(Fact::time("age of the oldest poll met", sightings.longest.0).from(settings.get(&CAUGHT)));
    }
    if let Some(polls) = worst.and_then(|task| evidence.details(task)).and_then(|details| details.polls.as_ref()) {
        symptom = symptom
            .because(Fact::time("99th percentile of the polls of one suspect", polls.quantile(0.99)))
            .because(Fact::time("longest poll of that suspect", polls.longest()));
    }
    if let Some(irregularity) = evidence.clock().irregularity() {
        symptom = symptom.because(Fact::time("irregularity of the target's updates", irregularity));
    }
    if let Some(delay) = hurt.delay {
        let metric = "90th percentile of the time from wake to poll in other tasks";
        symptom = symptom.because(Fact::time(metric, delay).over(window));
    }
    symptom
}

fn summary(settings: Scoped<'_>, site: &Site, time: &PollTime, proof: &Proof) -> String {
    let who = describe::tasks(site);
    let (value, limit, what) = match (proof, time.longest) {
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
        (Proof::Second, _) => {
            let (busy, each, _) = time.busiest.unwrap_or_default();
            return format!(
                "Polls of one of the {who} took {} within a second, {} each on average (warning from {} and {}). Other tasks on that worker wait \
                 that long.",
                words::duration(busy),
                words::duration(each),
                words::limit(settings.get(&BUSY)),
                words::limit(settings.get(&MEAN)),
            );
        }
        (Proof::Task, Some((longest, _))) => (longest, settings.get(&SINGLE), "in one task"),
        (Proof::Site | Proof::Task, _) => (time.mean, settings.get(&MEAN), "on average"),
    };
    format!(
        "Polls of {who} take {} {what} (warning from {}) and occupy a worker {} of the time. Other tasks on that worker wait that long.",
        words::duration(value),
        words::limit(limit),
        words::percent(time.share()),
    )
}
