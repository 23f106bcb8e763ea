//! Blocking jobs so short that handing them to another thread costs more than doing them.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;
use crate::model::tokio::{TaskKind, is_file_call};
use crate::words;

static RATE: Setting<f64> = Setting::new("rate", 200.0, "so many blocking jobs of a site a second");
static MEAN: Setting<Duration> = Setting::new("mean", Duration::from_micros(50), "that take less than this on average");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "over so long a time");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "needless-spawn-blocking",
    family: Family::Spin,
    grade: Grade::Trend,
    title: "blocking jobs are too short to be worth a thread",
    explain: include_str!("../../../../docs/detectors/needless-spawn-blocking.md"),
    settings: &[&RATE, &MEAN, &WINDOW],
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
    doubt: None,
    scan,
};

/// The jobs must be so many in this share of the seconds, or they are bursts.
const STEADY: f64 = 0.8;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in model.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking) {
        found.extend(judge(model, settings, key, site));
    }
}

/// The jobs of a site within the window, if they are many and short.
fn judge(model: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site) -> Option<Symptom> {
    let window = settings.get(&WINDOW);
    let seconds: Vec<&Second> = site.history.since(model.now().minus(window)).filter(|it| it.to > it.from).collect();
    let known: Duration = seconds.iter().map(|second| second.to.since(second.from)).sum();
    if known < window.mul_f64(STEADY) || seconds.iter().any(|second| second.unreliable) {
        return None;
    }
    let rate = |second: &&&Second| per_second(second.polls, second.to.since(second.from)) >= settings.get(&RATE);
    let busy_seconds = seconds.iter().filter(rate).count();
    let jobs: u64 = seconds.iter().map(|second| second.polls).sum();
    let busy: Duration = seconds.iter().map(|second| second.busy).sum();
    let mean = u32::try_from(jobs).ok().and_then(|jobs| busy.checked_div(jobs))?;
    let steady = as_number(busy_seconds) >= STEADY * as_number(seconds.len());
    let many = per_second(jobs, known) >= settings.get(&RATE);
    (many && steady && mean < settings.get(&MEAN))
        .then(|| symptom(model, settings, (key, site), per_second(jobs, known), mean))
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    rate: f64,
    mean: Duration,
) -> Symptom {
    let window = settings.get(&WINDOW);
    let advice = if is_file_call(&site.id.location) {
        "They are calls of tokio::fs, each of which is a job of its own. Do several steps in one spawn_blocking with std::fs, read whole files \
         at once, and put a BufReader or BufWriter around a file."
    } else {
        "Do work of microseconds where it is: a poll may take up to some 100 us. Where a call may block now and then, give a job many items \
         at once, or keep one thread that takes them from a channel."
    };
    Symptom {
        severity: Severity::Info,
        grade: None,
        subject: describe::site_subject(model, site, &[], site.live.len()),
        summary: format!(
            "{rate:.0} blocking jobs a second (reported from {}) of {} take {} on average (reported below {}): handing each to another thread \
             and back costs more than doing it.",
            settings.get(&RATE),
            describe::site(site),
            words::duration(mean),
            words::duration(settings.get(&MEAN)),
        ),
        facts: vec![
            Fact::number("blocking jobs a second", "jobs/s", rate).from(settings.get(&RATE)).over(window),
            Fact::time("mean duration of a job", mean).from(settings.get(&MEAN)).over(window),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: format!("{advice}{}", describe::library_hint(&site.id.location)),
        class: Vec::new(),
        scope: Scope { sites: vec![key], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

#[expect(clippy::cast_precision_loss, reason = "seconds of one window")]
fn as_number(count: usize) -> f64 {
    count as f64
}
