//! Blocking jobs so short that handing them to another thread costs more than doing them.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::{number, ratio};
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::tokio::{TaskKind, is_file_call};
use crate::words;

static RATE: Setting<f64> = Setting::new("rate", 200.0, "minimum blocking jobs a second of a site");
static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_micros(50), "mean duration below which a job is too short for a thread");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "observation window");
static STEADY: Setting<Share> = Setting::new("steady", Share(0.8), "minimum share of seconds that reach the rate");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "needless-spawn-blocking",
    family: Family::Spin,
    grade: Grade::Trend,
    title: "blocking jobs are too short to be worth a thread",
    explain: include_str!("../../../../docs/detectors/needless-spawn-blocking.md"),
    settings: &[&RATE, &MEAN, &WINDOW, &STEADY],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(13),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[Cause::at_site("blocking-pool-backlog")],
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking) {
        found.extend(judge(evidence, settings, key, site));
    }
}

/// The jobs of a site within the window, if they are many and short.
fn judge(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site) -> Option<Symptom> {
    let (window, steady) = (settings.get(&WINDOW), settings.get(&STEADY).0);
    let seconds = site.history.since(evidence.now().minus(window)).filter(|it| it.to > it.from);
    let seconds: Vec<&Second> = seconds.collect();
    let known: Duration = seconds.iter().map(|second| second.to.since(second.from)).sum();
    if known < window.mul_f64(steady) || seconds.iter().any(|second| second.unreliable) {
        return None;
    }
    let is_busy = |second: &&&Second| rate(second.polls, second.to.since(second.from)) >= settings.get(&RATE);
    let busy_seconds = seconds.iter().filter(is_busy).count();
    let jobs: u64 = seconds.iter().map(|second| second.polls).sum();
    let busy: Duration = seconds.iter().map(|second| second.busy).sum();
    let mean = u32::try_from(jobs).ok().and_then(|jobs| busy.checked_div(jobs))?;
    let many = rate(jobs, known) >= settings.get(&RATE) && ratio(busy_seconds, seconds.len()) >= steady;
    (many && mean < settings.get(&MEAN)).then(|| symptom(evidence, settings, (key, site), rate(jobs, known), mean))
}

fn rate(jobs: u64, time: Duration) -> f64 {
    number(jobs) / time.as_secs_f64().max(0.001)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    rate: f64,
    mean: Duration,
) -> Symptom {
    let (least, short, window) = (settings.get(&RATE), settings.get(&MEAN), settings.get(&WINDOW));
    let advice = if is_file_call(&site.id.location) {
        "These are calls of tokio::fs, each of which is a job of its own. Do several steps in one spawn_blocking with std::fs, read whole files \
         at once, and put a BufReader or BufWriter around a file."
    } else {
        "Do work of microseconds where it is: a poll may take up to about 100 µs. Where a call blocks now and then, give a job many items at \
         once, or keep one thread that takes them from a channel."
    };
    Symptom::of_site(evidence, key, &[], site.live.len())
        .severity(Severity::Info)
        .summary(format!(
            "{} blocking jobs a second (reported from {}) of {} take {} on average (reported below {}). Handing each to another thread and back \
             costs more than doing it.",
            words::decimal(rate),
            words::decimal(least),
            describe::site(site),
            words::duration(mean),
            words::limit(short),
        ))
        .because(Fact::number("blocking jobs", "jobs/s", rate).from(least).over(window))
        .because(Fact::time("mean duration of a job", mean).below(short).over(window))
        .advice(format!("{advice}{}", describe::library_hint(&site.id.location)))
}
