//! Overload: woken tasks wait for a worker though no single poll takes long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Related, Role, Subject, SubjectKind};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::detect::{describe, polls};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::words;

static DELAY: Setting<Duration> =
    Setting::new("delay", Duration::from_millis(5), "half of the woken tasks wait for so long or longer");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_millis(50), "a wait of this length is critical");
static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the waits of so long a time are judged");
static SAMPLES: Setting<usize> = Setting::new("samples", 20, "so many waits must be known");
static BUSY: Setting<Share> =
    Setting::new("busy", Share(0.5), "the polls of all tasks must keep this share of their workers busy");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "scheduling-delay",
    family: Family::Blocking,
    grade: Grade::Trend,
    title: "woken tasks wait for a worker",
    explain: include_str!("../../../../docs/detectors/scheduling-delay.md"),
    settings: &[&DELAY, &CRITICAL, &WINDOW, &SAMPLES, &BUSY],
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
    doubt: None,
    scan,
};

/// Waits reported over less than this are one burst.
const SPREAD: Duration = Duration::from_secs(5);
/// Sites with less work than this share of a core are not named,
const WORTH_NAMING: f64 = 0.01;
/// nor any beyond so many.
const NAMED: usize = 3;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, _) = model.judged(settings.get(&WINDOW));
    // A poll that keeps its worker is a finding of its own, and what waits behind it is no sign of too much work.
    if !polls::running_for(model, Duration::from_secs(1)).is_empty() {
        return;
    }
    let sample: Vec<_> = model.delays().since(start).collect();
    let spread = sample.first().zip(sample.last()).map_or(Duration::ZERO, |(last, first)| last.at.since(first.at));
    if sample.len() < settings.get(&SAMPLES) || spread < SPREAD {
        return;
    }
    let mut delays: Vec<Duration> = sample.iter().map(|delay| delay.mean).collect();
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    let sites = busiest(model, start);
    let busy = busy_share(model, &sites, model.now().since(start));
    if median >= settings.get(&DELAY) && busy >= settings.get(&BUSY).0 {
        found.extend(symptom(model, settings, &sites, median, busy));
    }
}

/// Sites of async tasks with the time that their polls took, most first.
fn busiest(model: &Evidence<'_>, start: Timestamp) -> Vec<(SiteKey, Duration)> {
    let sites = model.sites().filter(|(_, site)| site.id.kind.is_async());
    let busy = |site: &Site| site.history.since(start).map(|second| second.busy).sum();
    let mut all: Vec<(SiteKey, Duration)> = sites.map(|(key, site)| (key, busy(site))).collect();
    all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    all
}

/// How much of the time of all threads that run tasks went into polls.
fn busy_share(model: &Evidence<'_>, sites: &[(SiteKey, Duration)], window: Duration) -> f64 {
    let workers = model.worker_threads().filter(|(_, task)| task.is_worker_thread()).count();
    let total: Duration = sites.iter().map(|(_, busy)| *busy).sum();
    let threads = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
    total.as_secs_f64() / (window.as_secs_f64().max(1.0) * f64::from(threads))
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    sites: &[(SiteKey, Duration)],
    median: Duration,
    busy: f64,
) -> Option<Symptom> {
    let (limit, critical, window) = (settings.get(&DELAY), settings.get(&CRITICAL), settings.get(&WINDOW));
    let named: Vec<(SiteKey, &Site, Duration)> =
        sites.iter().take(NAMED).filter_map(|(key, busy)| Some((*key, model.site(*key)?, *busy))).collect();
    let (_, first, _) = *named.first()?;
    let shares: Vec<String> = named
        .iter()
        .filter(|(_, _, busy)| *busy >= window.mul_f64(WORTH_NAMING))
        .map(|(_, site, busy)| {
            let share = busy.as_secs_f64() / window.as_secs_f64().max(1.0);
            format!("{} ({} of a core)", describe::site(site), words::percent(share))
        })
        .collect();
    let related: Vec<Related> = named.iter().map(|(_, site, _)| describe::related_site(site, Role::Culprit)).collect();
    Some(Symptom {
        severity: if median >= critical { Severity::Critical } else { Severity::Warning },
        grade: None,
        subject: Subject {
            kind: SubjectKind::Runtime,
            name: "runtime".to_owned(),
            location: first.id.location.to_string(),
            ids: Vec::new(),
            count: affected(model, settings),
        },
        summary: format!(
            "Half of the woken tasks wait {} or longer for a worker (warning from {}): there is more work than workers. Most of the work is \
             {}.",
            words::duration(median),
            words::duration(limit),
            shares.join(", "),
        ),
        facts: vec![
            Fact::time("median wait for a worker", median).from(limit).over(window),
            Fact::share("share of the workers' time in polls", busy).from(settings.get(&BUSY).0).over(window),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some("Polls are short but too many: together they need more time than the workers have.".to_owned()),
        recommendation: "Do less in the sites named, move computations to spawn_blocking or a pool such as rayon's, let fewer tasks work at a \
                         time, or give the runtime more workers and the machine more cores. A container with a CPU limit gives fewer than \
                         it shows."
            .to_owned(),
        // The order of the busiest sites changes; the overload stays the same.
        class: vec!["runtime".to_owned()],
        scope: Scope { sites: named.iter().map(|(key, _, _)| *key).collect(), ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}

/// How many spawn sites of tasks wait so long.
fn affected(model: &Evidence<'_>, settings: Scoped<'_>) -> usize {
    let (start, _) = model.judged(settings.get(&WINDOW));
    let mut sites: BTreeMap<SiteKey, (usize, usize)> = BTreeMap::new();
    for delay in model.delays().since(start) {
        let (slow, all) = sites.entry(delay.site).or_default();
        *slow += usize::from(delay.mean >= settings.get(&DELAY));
        *all += 1;
    }
    let async_site = |key: &SiteKey| model.site(*key).is_some_and(|site| site.id.kind != TaskKind::Blocking);
    sites.iter().filter(|(key, (slow, all))| async_site(key) && 2 * slow >= *all).count()
}
