//! A task that a process has only one of has ended, while everything else goes on without it.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Names, Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Subject, SubjectKind};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::{Life, Site};
use crate::model::text;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::words;

static AGE: Setting<Duration> =
    Setting::new("age", Duration::from_secs(60), "the only task of its site has lived for so long");
static GRACE: Setting<Duration> =
    Setting::new("grace", Duration::from_secs(10), "nothing has taken its place for so long");
static APPEAR: Setting<Duration> =
    Setting::new("appear", Duration::from_secs(30), "an expected task has this time to appear after we attached");
static EXPECT: Setting<Names> = Setting::new(
    "expect",
    Names(Vec::new()),
    "tasks that have to be there, by name or file:line of their spawn; --expect adds to it",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "vanished-singleton",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "a task that the process needs has ended, or never came",
    explain: include_str!("../../../../docs/detectors/vanished-singleton.md"),
    settings: &[&AGE, &GRACE, &APPEAR, &EXPECT],
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
    doubt: None,
    scan,
};

/// It was at work if it was polled so often,
const POLLS: u64 = 10;
/// once in so long on average.
const PACE: Duration = Duration::from_secs(10);
/// What ends within this time of each other ends together,
const TOGETHER: Duration = Duration::from_secs(2);
/// and so many more sites that end together are a part of the process that is shut down.
const OTHERS: usize = 2;
/// It was news for so long.
const NEWS: Duration = Duration::from_secs(600);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let expected = settings.get(&EXPECT).0;
    for name in &expected {
        found.extend(missing(model, settings, name));
    }
    let lone = model.sites().filter(|(_, site)| site.live.is_empty() && site.born == 1);
    for (key, site) in lone.filter(|(_, site)| !expected.iter().any(|name| is_called(site, name))) {
        if let Some(life) = site.last_life.filter(|life| has_vanished(model, settings, key, site, *life)) {
            found.push(vanished(model, settings, key, site, life));
        }
    }
}

/// Whether the only task of a site lived long, was at work, and has ended alone, in our presence, without anything in its place.
fn has_vanished(model: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site, life: Life) -> bool {
    let lived = life.ended.since(life.born);
    let gone = model.running_since(life.ended);
    let at_work = life.polls >= POLLS && lived.as_secs_f64() <= PACE.as_secs_f64() * as_number(life.polls);
    let watched = life.ended > model.clock().began();
    let own = matches!(site.id.kind, TaskKind::Task | TaskKind::Local) && !site.id.location.is_library();
    own && lived >= settings.get(&AGE)
        && at_work
        && watched
        // Somebody aborted it on purpose.
        && !life.cancelled
        && gone >= patience(model, settings, &GRACE)
        && gone <= NEWS
        && !ended_together(model, key, life.ended)
        && !is_followed(model, key, site, life.ended)
        && others_live(model, key)
}

/// How long to wait for a task: news of its birth may come late.
fn patience(model: &Evidence<'_>, settings: Scoped<'_>, setting: &Setting<Duration>) -> Duration {
    settings.get(setting) + model.quality().lag.unwrap_or_default()
}

fn is_async(site: &Site) -> bool {
    matches!(site.id.kind, TaskKind::Task | TaskKind::Local | TaskKind::BlockOn)
}

fn others_live(model: &Evidence<'_>, key: SiteKey) -> bool {
    model.sites().any(|(other, site)| other != key && is_async(site) && !site.live.is_empty())
}

/// Whether several sites lost their last task at about the same time, as when the process or a part of it is shut down.
fn ended_together(model: &Evidence<'_>, key: SiteKey, at: Timestamp) -> bool {
    let near = |other: Timestamp| other.since(at) <= TOGETHER && at.since(other) <= TOGETHER;
    let others = model.sites().filter(|(other, site)| *other != key && is_async(site) && site.live.is_empty());
    others.filter(|(_, site)| site.last_end.is_some_and(near)).count() >= OTHERS
}

/// Whether something came after a task that may take its place or go on with its work: one of the same name or the same future, or of a
/// site that had not been there before.
fn is_followed(model: &Evidence<'_>, key: SiteKey, site: &Site, ended: Timestamp) -> bool {
    let from = ended.minus(Duration::from_secs(1));
    model.sites().filter(|(other, it)| *other != key && is_async(it)).any(|(_, it)| {
        let alike = (!it.id.name.is_empty() && it.id.name == site.id.name)
            || (it.id.sizes.0 > 0 && it.id.sizes == site.id.sizes);
        let came_after = it.live.iter().any(|(born, _)| *born >= from);
        (alike && came_after) || it.first_seen >= from
    })
}

/// Whether a user means the tasks of this site by a name.
fn is_called(site: &Site, name: &str) -> bool {
    let named = !site.id.name.is_empty() && (*site.id.name == *name || *site.id.name == *text::without_numbers(name));
    named || is_place(site.id.location.as_str(), name)
}

/// Whether a place is meant by its end, with or without the column: `main.rs:7` for `src/main.rs:7:5`.
fn is_place(location: &str, name: &str) -> bool {
    let ends =
        |place: &str| place.strip_suffix(name).is_some_and(|folders| folders.is_empty() || folders.ends_with('/'));
    let without_column = location.rsplit_once(':').map_or("", |(place, _)| place);
    name.contains(':') && (ends(location) || ends(without_column))
}

/// An expected task that is not there.
fn missing(model: &Evidence<'_>, settings: Scoped<'_>, name: &str) -> Option<Symptom> {
    let sites: Vec<(SiteKey, &Site)> = model.sites().filter(|(_, site)| is_called(site, name)).collect();
    let is_numbered = text::without_numbers(name) != *name;
    let is_meant = |site: &Site, task| {
        let own_name = model.task(task).and_then(|task| task.name.as_deref());
        !is_numbered || is_place(site.id.location.as_str(), name) || own_name == Some(name)
    };
    let there = sites.iter().any(|(_, site)| site.live.iter().any(|(_, task)| is_meant(site, *task)));
    let process_lives = model.sites().any(|(_, site)| is_async(site) && !site.live.is_empty());
    if there || !process_lives {
        return None;
    }
    let last = sites.iter().filter_map(|(key, site)| Some((*key, *site, site.last_end?))).max_by_key(|it| it.2);
    let appear = patience(model, settings, &APPEAR);
    match last {
        Some((key, site, ended)) => {
            let grace = patience(model, settings, &GRACE);
            let gone = model.running_since(ended);
            let needed = if ended_together(model, key, ended) { grace.max(appear) } else { grace };
            (gone >= needed).then(|| expected_gone(name, key, site, gone, needed))
        }
        None => {
            let watched = model.running_since(model.clock().began());
            (watched >= appear).then(|| never_there(name, watched, appear))
        }
    }
}

fn vanished(model: &Evidence<'_>, settings: Scoped<'_>, key: SiteKey, site: &Site, life: Life) -> Symptom {
    let (lived, gone) = (life.ended.since(life.born), model.running_since(life.ended));
    let (age, grace) = (settings.get(&AGE), settings.get(&GRACE));
    Symptom {
        summary: format!(
            "The only {} ended {} ago, after {} (from {} on it counts as long-lived) and {} polls, and nothing has taken its place for {} \
             or more.",
            describe::site(site),
            words::duration(gone),
            words::duration(lived),
            words::duration(age),
            life.polls,
            words::duration(grace),
        ),
        facts: vec![
            Fact::time("time since it ended", gone).from(grace),
            Fact::time("time it lived", lived).from(age),
            Fact::number("its polls", "polls", as_number(life.polls)).from(as_number(POLLS)),
        ],
        scope: Scope { sites: vec![key], ..Scope::default() },
        ..alarm(Severity::Info, subject(&site.id.name, site.id.location.as_str()))
    }
}

fn expected_gone(name: &str, key: SiteKey, site: &Site, gone: Duration, grace: Duration) -> Symptom {
    Symptom {
        summary: format!(
            "The expected task {name} ended {} ago ({}), and nothing has taken its place (warning from {}).",
            words::duration(gone),
            describe::site(site),
            words::duration(grace),
        ),
        facts: vec![Fact::time("time since it ended", gone).from(grace)],
        class: vec![name.to_owned()],
        scope: Scope { sites: vec![key], ..Scope::default() },
        ..alarm(Severity::Warning, subject(name, site.id.location.as_str()))
    }
}

fn never_there(name: &str, watched: Duration, appear: Duration) -> Symptom {
    Symptom {
        summary: format!(
            "The expected task {name} has not appeared in the {} since we attached (warning from {}).",
            words::duration(watched),
            words::duration(appear),
        ),
        facts: vec![Fact::time("time without it", watched).from(appear)],
        look_alikes: Vec::new(),
        cause: Some(
            "It was never spawned, ended before we attached, or has another name: `tokio::spawn` gives none, and a task spawned before the \
             subscriber was installed does not show."
                .to_owned(),
        ),
        recommendation: "Check the name against the list of tasks. If it is right, look into the log for an error at the start of the task, and \
                         for a condition under which it is not spawned at all."
            .to_owned(),
        class: vec![name.to_owned()],
        ..alarm(Severity::Warning, subject(name, ""))
    }
}

fn subject(name: &str, location: &str) -> Subject {
    Subject { kind: SubjectKind::Site, name: name.to_owned(), location: location.to_owned(), ids: Vec::new(), count: 1 }
}

/// What all of them have in common.
fn alarm(severity: Severity, subject: Subject) -> Symptom {
    Symptom {
        severity,
        grade: None,
        subject,
        summary: String::new(),
        facts: Vec::new(),
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: Some("Whether it returned, panicked or met an error cannot be told from the feed.".to_owned()),
        recommendation: "Look into the log for a panic or an error of this task. Keep its JoinHandle and await it, in a select! of main or \
                         in a supervisor, so that its end is noticed: a dropped handle lets the task run on, and its panic goes unseen."
            .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        strength: f64::INFINITY,
        since: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the number of polls is only compared roughly")]
fn as_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_by_their_ends() {
        for (name, meant) in [
            ("src/main.rs:7:5", true),
            ("src/main.rs:7", true),
            ("main.rs:7", true),
            ("ain.rs:7", false),
            ("main.rs", false),
            ("main.rs:70", false),
            ("7", false),
        ] {
            assert_eq!(is_place("src/main.rs:7:5", name), meant, "{name}");
        }
    }
}
