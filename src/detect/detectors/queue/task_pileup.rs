//! Tasks that pile up: more of one spawn site begin than end, and they get older.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth as trend;
use crate::model::entity::site::Site;
use crate::model::entity::task::Task;
use crate::model::history::seconds::Second;
use crate::model::location::Location;
use crate::model::tokio::ResourceKind;
use crate::model::tokio::TaskKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new(
    "window",
    Duration::from_secs(12),
    "growth must last so long where it is seen what the tasks wait for",
);
static WINDOW_UNSEEN: Setting<Duration> = Setting::new(
    "window-unseen",
    Duration::from_secs(50),
    "and so long where it is not, for a crowd that connects looks the same",
);
static WINDOW_CROWD: Setting<Duration> = Setting::new(
    "window-crowd",
    Duration::from_secs(150),
    "after so long even a crowd of which hardly anybody has left is none that connects",
);
static FLOOR: Setting<f64> = Setting::new(
    "floor",
    10.0,
    "growth below this, plus five times the root of those who came and stayed and of those who left meanwhile, is noise",
);
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "Mann-Kendall statistic (a normal deviate) from which on growth is no chance");
static AGE: Setting<Duration> = Setting::new("age", Duration::from_secs(1), "the median age of the tasks alive");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "task-pileup",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "tasks of one spawn site pile up",
    explain: include_str!("../../../../docs/detectors/task-pileup.md"),
    settings: &[&WINDOW, &WINDOW_UNSEEN, &WINDOW_CROWD, &FLOOR, &CERTAINTY, &AGE],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(52),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::at_site("blocking-pool-backlog"),
        Cause::involved("full-channel"),
        Cause::at_site("lost-waker"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// The age of the tasks alive must rise too, with this certainty.
const AGE_RISES: f64 = 2.3;
/// Where counts were doubtful for more than this share of the time, no growth is told.
const UNKNOWN: f64 = 0.4;
/// So many of the tasks alive are asked what they wait for.
const SAMPLE: usize = 64;
/// This share of them must wait for the same kind of thing for it to be what they all wait for.
const MOST: f64 = 0.7;
/// Fewer ends than one in so many births are hardly any.
const FEW: u32 = 5;
/// Sleepers that wake this soon are no leak: a session that lasts minutes reaches a plateau.
const SOON: Duration = Duration::from_secs(300);

/// Who is older than so many times the sleep it is in sleeps again and again.
const TURNS: u32 = 10;

/// Resources of one kind.
struct Several {
    place: Location,
    /// How many they are; nothing where each task has one of its own.
    shared: Option<usize>,
}

/// What most tasks of a site wait for.
enum WaitsFor {
    /// One resource, or several made at the same place.
    Resource(ResourceKey, Option<Several>),
    /// Nothing that the feed shows.
    Unseen,
    /// The next tick of an interval, each of its own: a heartbeat or a stream, which ends when somebody ends it.
    Tick,
    /// A timer that ends soon, so that they go on by themselves.
    Timer,
    /// Such a timer for the umpteenth time: a loop, which goes on until somebody ends it.
    Loop,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let kinds = [TaskKind::Task, TaskKind::Local];
    let sites = model.sites().filter(|(_, site)| kinds.contains(&site.id.kind));
    for (key, site) in sites {
        // Looked at only when it has grown at all: the rest costs.
        let alive = as_number(site.live.len());
        let seconds = settings.get(&WINDOW_UNSEEN).as_secs();
        if alive < settings.get(&FLOOR) || site.median_age(model.now()) < settings.get(&AGE) {
            continue;
        }
        let (short, long) = (series(model, site, settings.get(&WINDOW).as_secs()), series(model, site, seconds));
        let grows = |series: &Option<Series>| series.as_ref().is_some_and(|series| is_pileup(series, settings));
        if !grows(&short) && !grows(&long) {
            continue;
        }
        let (waits_for, share) = waits_for(model, site);
        let series = match waits_for {
            WaitsFor::Timer => continue,
            // Where they do come to an end, it may be that they have more steps than others.
            WaitsFor::Loop if !nearly_all_stay(model, site, settings.get(&WINDOW_UNSEEN)) => continue,
            WaitsFor::Resource(..) if grows(&short) => short,
            _ if grows(&long) => long,
            _ => continue,
        };
        if let Some(series) = series {
            found.push(symptom(model, settings, key, site, &series, &(waits_for, share)));
        }
    }
}

/// Tasks alive and their median age, second by second.
struct Series {
    live: Vec<f64>,
    ages: Vec<f64>,
    /// Those who came meanwhile and are still alive, and those who were alive before and have ended.
    exchanged: f64,
    window: Duration,
}

/// The last so many seconds of a site, if most of them can be relied on. Where nothing changed, or what did was not told in time, the same
/// tasks got older.
fn series(model: &Evidence<'_>, site: &Site, seconds: u64) -> Option<Series> {
    let start = model.now().minus(Duration::from_secs(seconds));
    let (doubtful, history): (Vec<&Second>, Vec<&Second>) = site.history.all().partition(|second| second.unreliable);
    let unknown: Duration = doubtful.iter().map(|second| second.to.since(second.from.max(start))).sum();
    if history.first()?.to > start || unknown > Duration::from_secs(seconds).mul_f64(UNKNOWN) {
        return None;
    }
    let (mut live, mut ages) = (Vec::new(), Vec::new());
    for second in 0..=seconds {
        let time = start.plus(Duration::from_secs(second));
        let known = history.get(history.partition_point(|known| known.to <= time).checked_sub(1)?)?;
        live.push(as_number(known.live));
        ages.push((known.median_age + time.since(known.to)).as_secs_f64());
    }
    let came = site.live.iter().rev().take_while(|(born, _)| *born > start).count();
    let left = (live.first()? - as_number(site.live.len() - came)).max(0.0);
    Some(Series { live, ages, exchanged: as_number(came) + left, window: Duration::from_secs(seconds) })
}

fn is_pileup(series: &Series, settings: Scoped<'_>) -> bool {
    trend::growth(&series.live) >= least_growth(series, settings)
        && trend::mann_kendall(&series.live) >= settings.get(&CERTAINTY)
        && trend::mann_kendall(&series.ages) >= AGE_RISES
        && trend::still_grows(&series.live)
}

/// Growth below this may be chance. Where tasks come and leave independently, those who came and stayed and those who were there and left are
/// two Poisson numbers, whose difference the growth is: it varies by the root of their sum. Those who stay all the time add nothing to that.
/// Where nearly all turn over, it varies by the root of the count itself.
fn least_growth(series: &Series, settings: Scoped<'_>) -> f64 {
    let alive = series.live.last().copied().unwrap_or_default();
    settings.get(&FLOOR) + 5.0 * series.exchanged.min(alive).sqrt()
}

/// What most of the tasks alive wait for, and how many of those asked do.
fn waits_for(model: &Evidence<'_>, site: &Site) -> (WaitsFor, f64) {
    let step = site.live.len().div_ceil(SAMPLE).max(1);
    let asked: Vec<TaskKey> = site.live.iter().step_by(step).map(|(_, key)| *key).collect();
    let (mut sleeping, mut turning, mut ticking) = (0, 0, 0);
    let mut waits: BTreeMap<(ResourceKind, Location), Vec<ResourceKey>> = BTreeMap::new();
    for key in &asked {
        let lock = model.waits(*key).find_map(|(op, _)| model.lock_of(op));
        if let Some((lock, resource)) = lock.and_then(|lock| Some((lock, model.resource(lock)?))) {
            if resource.kind.is_timer() {
                ticking += 1;
                continue;
            }
            // Who waits for what is in a queue may be a session that nobody has sent anything.
            if resource.kind == ResourceKind::Other && resource.depth().is_some() {
                continue;
            }
            waits.entry((resource.kind, resource.location.clone())).or_default().push(lock);
        } else if let Some(length) = model.task(*key).and_then(|task| short_sleep(model, task)) {
            sleeping += 1;
            let age = model.task(*key).map(|task| model.running_since(task.stats.created));
            turning += usize::from(age >= Some(length * TURNS));
        }
    }
    let share = |count: usize| as_number(count) / as_number(asked.len().max(1));
    let most = waits.into_values().max_by_key(Vec::len);
    match most {
        Some(locks) if share(locks.len()) >= MOST => {
            let distinct = locks.iter().collect::<BTreeSet<_>>().len();
            let several = model.resource(locks[0]).filter(|_| distinct > 1).map(|lock| Several {
                place: lock.location.clone(),
                shared: (2 * distinct <= locks.len()).then_some(distinct),
            });
            (WaitsFor::Resource(locks[0], several), share(locks.len()))
        }
        _ if share(turning) > 0.5 => (WaitsFor::Loop, share(turning)),
        _ if share(sleeping) > 0.5 => (WaitsFor::Timer, share(sleeping)),
        _ if share(ticking) > 0.5 => (WaitsFor::Tick, share(ticking)),
        _ => (WaitsFor::Unseen, 0.0),
    }
}

/// The length of the sleep that a task is in, if that ends soon.
fn short_sleep(model: &Evidence<'_>, task: &Task) -> Option<Duration> {
    let timer = model.timer(task)?;
    let due = model.due(timer).filter(|due| due.since(model.now()) < SOON)?;
    Some(due.since(timer.created))
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    site: &Site,
    series: &Series,
    (waits_for, share): &(WaitsFor, f64),
) -> Symptom {
    let (first, last) =
        (series.live.first().copied().unwrap_or_default(), series.live.last().copied().unwrap_or_default());
    let rate = (last - first) / series.window.as_secs_f64();
    let age = site.median_age(model.now());
    let unseen = matches!(waits_for, WaitsFor::Unseen | WaitsFor::Tick | WaitsFor::Loop);
    let crowd = unseen && nearly_all_stay(model, site, series.window) && !has_grown_for_long(model, settings, site);
    let (cause, recommendation, resources) = advice(model, waits_for, *share, crowd);
    let oldest: Vec<TaskKey> = site.live.iter().take(describe::MOST_IDS).map(|(_, task)| *task).collect();
    let related = resources.iter().map(|lock| describe::related_resource(model, *lock)).collect();
    let progress = resources.first().and_then(|lock| model.resource(*lock)?.grants.last()).map(|grant| grant.at);
    let progress = progress.max(site.last_end);
    Symptom {
        severity: if crowd { Severity::Info } else { Severity::Warning },
        grade: None,
        subject: describe::site_subject(model, site, &oldest, site.live.len()),
        summary: format!(
            "{} pile up: {first:.0} were alive {} ago and {last:.0} are now, {rate:.1} more every second, half of them older than {}. {cause}",
            capital(&describe::site(site).replacen("task", "tasks", 1)),
            words::duration(series.window),
            words::duration(age),
        ),
        facts: vec![
            Fact::count("tasks alive", "tasks", site.live.len()),
            Fact::number("growth", "tasks", trend::growth(&series.live))
                .from(least_growth(series, settings))
                .over(series.window),
            Fact::number("Mann-Kendall statistic", "deviates", trend::mann_kendall(&series.live))
                .from(settings.get(&CERTAINTY))
                .over(series.window),
            Fact::time("median age", age).from(settings.get(&AGE)),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(cause),
        recommendation,
        class: Vec::new(),
        scope: Scope { resources, sites: vec![key], tasks: oldest, stalls_since: None, last_progress: progress },
        strength: f64::INFINITY,
        since: None,
    }
}

/// Whether hardly any of the tasks that were spawned in the window have ended: clients that connect and stay look like that, too.
fn nearly_all_stay(model: &Evidence<'_>, site: &Site, window: Duration) -> bool {
    let seconds = site.history.since(model.now().minus(window));
    let (born, ended) = seconds.fold((0_u32, 0_u32), |(born, ended), second| {
        (born.saturating_add(second.born), ended.saturating_add(second.ended))
    });
    ended < born / FEW
}

fn has_grown_for_long(model: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> bool {
    let long = series(model, site, settings.get(&WINDOW_CROWD).as_secs());
    long.is_some_and(|series| is_pileup(&series, settings))
}

/// What brings the pile-up about, what to do, and the resource behind it.
fn advice(model: &Evidence<'_>, waits_for: &WaitsFor, share: f64, crowd: bool) -> (String, String, Vec<ResourceKey>) {
    match waits_for {
        WaitsFor::Resource(lock, None) => (
            format!("{} of them wait for the {}: the tasks are its queue.", words::percent(share), describe::resource(model, *lock)),
            "Take the permit or the lock before spawning, so that what arrives too fast waits where it comes from; or spawn a fixed number of \
             workers behind a bounded channel. Then look at why it is given back so slowly."
                .to_owned(),
            vec![*lock],
        ),
        WaitsFor::Resource(lock, Some(Several { place, shared })) => {
            let kind = model.resource(*lock).map(describe::type_name).unwrap_or_default();
            let what = match shared {
                Some(count) => format!("for one of {count} resources ({kind})"),
                None => format!("each for a {kind} of its own"),
            };
            (
                format!("{} of them wait, {what} made at {place}.", words::percent(share)),
                "Find out who should answer or release these, and put a timeout around the wait.".to_owned(),
                vec![*lock],
            )
        }
        WaitsFor::Tick | WaitsFor::Loop => (
            format!(
                "{} of them {}: heartbeats or streams that nobody has ended.",
                words::percent(share),
                if matches!(waits_for, WaitsFor::Loop) { "sleep again and again" } else { "wait for the next tick of an interval" },
            ),
            "Look at what should end the loop of these tasks: a client that leaves, a shutdown signal, an owner that is dropped. Mind that \
             dropping a JoinHandle does not end its task; a JoinSet or an abort does."
                .to_owned(),
            Vec::new(),
        ),
        WaitsFor::Unseen | WaitsFor::Timer => (
            if crowd {
                "What they wait for cannot be seen, and hardly any of them ends: possibly clients that connect and stay.".to_owned()
            } else {
                "What they wait for cannot be seen: a socket, an unbounded channel, a Notify or a lock of another crate.".to_owned()
            },
            "Look at what these tasks await last and give it a timeout. Bound how many are spawned, for example with a semaphore taken before \
             the spawn. Mind that dropping a JoinHandle does not end its task."
                .to_owned(),
            Vec::new(),
        ),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of tasks stay far below 2^53")]
fn as_number(count: usize) -> f64 {
    count as f64
}
