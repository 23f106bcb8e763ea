//! A task that a process has only one of has ended, while everything else continues without it.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Names, Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Subject, SubjectKind};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::number;
use crate::evidence::succession::is_called;
use crate::model::SiteKey;
use crate::model::entity::site::{Life, Site};
use crate::model::time::Timestamp;
use crate::words;

static AGE: Setting<Duration> =
    Setting::new("age", Duration::from_secs(60), "minimum lifetime of the only task of its site");
static GRACE: Setting<Duration> = Setting::new(
    "grace",
    Duration::from_secs(10),
    "minimum time since the end of a task in which nothing has taken its place",
);
static APPEAR: Setting<Duration> =
    Setting::new("appear", Duration::from_secs(30), "time after attaching in which an expected task must appear");
static EXPECT: Setting<Names> = Setting::new(
    "expect",
    Names(Vec::new()),
    "tasks that must exist, by name or file:line of their spawn; --expect adds to the list",
);
static POLLS: Setting<usize> = Setting::new("polls", 10, "minimum number of polls of a task that was at work");
static PACE: Setting<Duration> =
    Setting::new("pace", Duration::from_secs(10), "maximum mean time between the polls of a task that was at work");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "vanished-singleton",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "a task that the process needs has ended or never started",
    explain: include_str!("../../../../docs/detectors/vanished-singleton.md"),
    settings: &[&AGE, &GRACE, &APPEAR, &EXPECT, &POLLS, &PACE],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(2),
        window: Duration::from_secs(32),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// It is worth a finding for this long; later it is history.
const NEWS: Duration = Duration::from_secs(600);

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let Names(expected) = settings.get(&EXPECT);
    for name in &expected {
        found.extend(missing(evidence, settings, name));
    }
    let lone = evidence.sites().filter(|(_, site)| site.live.is_empty() && site.born == 1);
    for (key, site) in lone.filter(|(_, site)| !expected.iter().any(|name| is_called(site, name))) {
        if let Some(life) = site.last_life.filter(|life| has_vanished(evidence, settings, key, site, *life)) {
            found.push(vanished(evidence, settings, (key, site), life));
        }
    }
}

/// Whether the only task of a site lived long, was at work, and has ended alone, in our presence, without anything in its place.
fn has_vanished(evidence: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site, life: Life) -> bool {
    let lived = life.ended.since(life.born);
    let gone = evidence.running_since(life.ended);
    let at_work = number(life.polls) >= number(settings.get(&POLLS))
        && lived.as_secs_f64() <= settings.get(&PACE).as_secs_f64() * number(life.polls);
    let watched = life.ended > evidence.clock().began();
    let own = site.id.kind.is_spawned() && !site.id.location.is_library();
    own && lived >= settings.get(&AGE)
        && at_work
        && watched
        // Somebody aborted it on purpose.
        && !life.cancelled
        && gone >= patience(evidence, settings, &GRACE)
        && gone <= NEWS
        && !evidence.ended_together(key, life.ended)
        && !evidence.is_followed(key, site, life.ended)
        && evidence.others_live(key)
}

/// How long to wait for a task: its birth may be reported late.
fn patience(evidence: &Evidence<'_>, settings: Scoped<'_>, setting: &Setting<Duration>) -> Duration {
    settings.get(setting) + evidence.quality().lag.unwrap_or_default()
}

/// An expected task that is not there.
fn missing(evidence: &Evidence<'_>, settings: Scoped<'_>, name: &str) -> Option<Symptom> {
    if evidence.is_there(name) || !evidence.process_lives() {
        return None;
    }
    let meant = evidence.sites().filter(|(_, site)| is_called(site, name));
    let last = meant.filter_map(|(key, site)| Some((key, site, site.last_end?))).max_by_key(|it| it.2);
    let appear = patience(evidence, settings, &APPEAR);
    let Some((key, site, ended)) = last else {
        let watched = evidence.running_since(evidence.clock().began());
        return (watched >= appear).then(|| never_there(name, watched, appear));
    };
    let grace = patience(evidence, settings, &GRACE);
    let gone = evidence.running_since(ended);
    let needed = if evidence.ended_together(key, ended) { grace.max(appear) } else { grace };
    (gone >= needed).then(|| expected_gone(evidence, name, (key, site), (ended, gone), needed))
}

fn vanished(evidence: &Evidence<'_>, settings: Scoped<'_>, (key, site): (SiteKey, &Site), life: Life) -> Symptom {
    let (lived, gone) = (life.ended.since(life.born), evidence.running_since(life.ended));
    let (age, grace, polls) = (settings.get(&AGE), settings.get(&GRACE), number(life.polls));
    alarm(Symptom::of_site(evidence, key, &[], 1))
        .severity(Severity::Info)
        .summary(format!(
            "The only {} ended {} ago, after {} and {}, and nothing has taken its place (reported from {}).",
            describe::site(site),
            words::duration(gone),
            words::duration(lived),
            words::count(usize::try_from(life.polls).unwrap_or(usize::MAX), "poll"),
            words::limit(grace),
        ))
        .because(Fact::time("time since it ended", gone).from(grace))
        .because(Fact::time("lifetime", lived).from(age))
        .because(Fact::number("polls", "polls", polls).from(settings.get(&POLLS)))
        .since(Some(life.ended))
}

fn expected_gone(
    evidence: &Evidence<'_>,
    name: &str,
    (key, site): (SiteKey, &Site),
    (ended, gone): (Timestamp, Duration),
    grace: Duration,
) -> Symptom {
    alarm(Symptom::of_site(evidence, key, &[], 1))
        .class([name.to_owned()])
        .summary(format!(
            "The expected {} ended {} ago, and nothing has taken its place (warning from {}).",
            describe::site(site),
            words::duration(gone),
            words::limit(grace),
        ))
        .because(Fact::time("time since it ended", gone).from(grace))
        .since(Some(ended))
}

fn never_there(name: &str, watched: Duration, appear: Duration) -> Symptom {
    let (kind, location) = (SubjectKind::Site, String::new());
    let subject = Subject { kind, name: name.to_owned(), location, ids: Vec::new(), count: 1, site: None };
    Symptom::about(subject)
        .class([name.to_owned()])
        .summary(format!(
            "The expected task {name} has not appeared within {} of attaching (warning from {}).",
            words::duration(watched),
            words::limit(appear),
        ))
        .because(Fact::time("time without it", watched).from(appear))
        .cause(Some(
            "It was never spawned, ended before we attached, or has another name: `tokio::spawn` gives none, and a task spawned before the \
             subscriber was installed does not show."
                .to_owned(),
        ))
        .advice(
            "Compare the name with the list of tasks. If it is right, look in the log for an error at the start of the task, and for a condition \
             under which it is not spawned at all.",
        )
}

/// What is said of every task that has ended.
fn alarm(symptom: Symptom) -> Symptom {
    symptom
        .cause(Some("The feed does not say whether it returned, panicked or met an error.".to_owned()))
        .advice(
            "Look in the log for a panic or an error of this task. Keep its JoinHandle and await it, in a select! of main or in a supervisor, so \
             that its end is noticed: a dropped handle lets the task run on, and its panic is not seen.",
        )
}
