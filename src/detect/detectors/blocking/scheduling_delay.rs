//! Overload: woken tasks wait for a worker although no single poll takes long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::delays::Delay;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::words;

static DELAY: Setting<Duration> =
    Setting::new("delay", Duration::from_millis(5), "minimum median time from a wake to the poll that follows");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_millis(50), "median time from a wake to the poll that is critical");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static SAMPLES: Setting<usize> = Setting::new("samples", 20, "minimum number of samples in the window");
static SPREAD: Setting<Duration> =
    Setting::new("spread", Duration::from_secs(5), "minimum time between the first and the last sample");
static BUSY: Setting<Share> =
    Setting::new("busy", Share(0.5), "minimum share of the workers' time that all polls together take");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "scheduling-delay",
    family: Family::Blocking,
    grade: Grade::Trend,
    title: "woken tasks wait for a worker",
    explain: include_str!("../../../../docs/detectors/scheduling-delay.md"),
    settings: &[&DELAY, &CRITICAL, &WINDOW, &SAMPLES, &SPREAD, &BUSY],
    timing: Timing {
        updates: 5,
        hold: Duration::from_secs(5),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(15),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[
        Cause::at_site("long-polls"),
        Cause::of_all("blocked-worker"),
        Cause::of_all("runtime-stalled"),
        Cause::of_all("busy-loop"),
    ],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// A poll that runs this long keeps its worker, which is a finding of its own: what waits behind it is not a sign of too much work.
const BLOCKS: Duration = Duration::from_secs(1);
/// Sites with less work than this share of a core are not named: it decides a sentence, not a finding.
const WORTH_NAMING: f64 = 0.01;
/// Most sites that are named.
const NAMED: usize = 3;

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    if !evidence.polls_running_for(BLOCKS).is_empty() {
        return;
    }
    let (start, _) = evidence.judged(settings.get(&WINDOW));
    let sample: Vec<&Delay> = evidence.delays().since(start).collect();
    let spread = sample.first().zip(sample.last()).map_or(Duration::ZERO, |(last, first)| last.at.since(first.at));
    if sample.len() < settings.get(&SAMPLES) || spread < settings.get(&SPREAD) {
        return;
    }
    let mut delays: Vec<Duration> = sample.iter().map(|delay| delay.mean).collect();
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    let sites = busiest(evidence, start);
    let busy = busy_share(evidence, &sites, evidence.now().since(start));
    if median >= settings.get(&DELAY) && busy >= settings.get(&BUSY).0 {
        found.extend(symptom(evidence, settings, &sites, &sample, (median, busy)));
    }
}

/// Sites of async tasks with the time that their polls took, most first.
fn busiest(evidence: &Evidence<'_>, start: Timestamp) -> Vec<(SiteKey, Duration)> {
    let sites = evidence.sites().filter(|(_, site)| site.id.kind.is_async());
    let busy = |site: &Site| site.history.since(start).map(|second| second.busy).sum();
    let mut all: Vec<(SiteKey, Duration)> = sites.map(|(key, site)| (key, busy(site))).collect();
    all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    all
}

/// The share of the time of all threads that run tasks which went into polls.
fn busy_share(evidence: &Evidence<'_>, sites: &[(SiteKey, Duration)], window: Duration) -> f64 {
    let total: Duration = sites.iter().map(|(_, busy)| *busy).sum();
    let threads = u32::try_from(evidence.workers().max(1)).unwrap_or(u32::MAX);
    total.as_secs_f64() / (window.as_secs_f64().max(1.0) * f64::from(threads))
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    sites: &[(SiteKey, Duration)],
    sample: &[&Delay],
    (median, busy): (Duration, f64),
) -> Option<Symptom> {
    let (limit, critical, window) = (settings.get(&DELAY), settings.get(&CRITICAL), settings.get(&WINDOW));
    let named: Vec<(SiteKey, &Site, Duration)> =
        sites.iter().take(NAMED).filter_map(|(key, busy)| Some((*key, evidence.site(*key)?, *busy))).collect();
    let (_, first, _) = *named.first()?;
    let worth_naming = named.iter().filter(|(_, _, busy)| *busy >= window.mul_f64(WORTH_NAMING));
    let shares = worth_naming.map(|(_, site, busy)| {
        let share = busy.as_secs_f64() / window.as_secs_f64().max(1.0);
        format!("{} ({} of a core)", describe::tasks(site), words::percent(share))
    });
    let keys: Vec<SiteKey> = named.iter().map(|(key, ..)| *key).collect();
    let affected = affected(evidence, sample, limit);
    let symptom = Symptom::about(describe::runtime_subject(&first.id.location, Vec::new(), affected))
        .severity(if median >= critical { Severity::Critical } else { Severity::Warning })
        // The order of the busiest sites changes; the overload stays the same.
        .class(["runtime".to_owned()])
        .summary(format!(
            "Half of the woken tasks wait {} or longer for a worker (warning from {}): there is more work than the workers can do. Most of it: \
             {}.",
            words::duration(median),
            words::limit(limit),
            shares.collect::<Vec<_>>().join(", "),
        ))
        .because(Fact::time("median time from wake to poll", median).from(limit).over(window))
        .because(Fact::share("workers' time spent in polls", busy).from(settings.get(&BUSY)).over(window))
        .because(Fact::count("spawn sites affected", "sites", affected))
        .involving(describe::related_sites(evidence, &keys, Role::Culprit))
        .cause(Some("Polls are short, but together they need more time than the workers have.".to_owned()))
        .advice(
            "Do less in the tasks named, move computations to spawn_blocking or to a pool such as rayon's, let fewer tasks work at a time, or give \
             the runtime more workers and the machine more cores. A container with a CPU limit has fewer cores than it shows.",
        )
        .touching_sites(keys);
    Some(symptom)
}

/// How many spawn sites of tasks wait this long.
fn affected(evidence: &Evidence<'_>, sample: &[&Delay], limit: Duration) -> usize {
    let mut sites: BTreeMap<SiteKey, (usize, usize)> = BTreeMap::new();
    for delay in sample {
        let (slow, all) = sites.entry(delay.site).or_default();
        *slow += usize::from(delay.mean >= limit);
        *all += 1;
    }
    let is_async = |key: &SiteKey| evidence.site(*key).is_some_and(|site| site.id.kind != TaskKind::Blocking);
    sites.iter().filter(|(key, (slow, all))| is_async(key) && 2 * slow >= *all).count()
}
