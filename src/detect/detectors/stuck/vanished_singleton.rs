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
use crate::model::SiteKey;
use crate::model::entity::site::{Life, Site};
use crate::model::text;
use crate::model::time::Timestamp;
use crate::words;

static AGE: Setting<Duration> =
    Setting::new("age", Duration::from_secs(60), "minimum lifetime of the only task of its site");
static GRACE: Setting<Duration> =
    Setting::new("grace", Duration::from_secs(10), "minimum time in which nothing has taken its place");
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
    title: "a task that the process needs has ended, or never came",
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
    doubt: None,
    scan,
};

/// What ends within this time of each other ends together,
const TOGETHER: Duration = Duration::from_secs(2);
/// and this many more sites that end together are a part of the process that is shut down.
const OTHERS: usize = 2;
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
        && !ended_together(evidence, key, life.ended)
        && !is_followed(evidence, key, site, life.ended)
        && others_live(evidence, key)
}

/// How long to wait for a task: its birth may be reported late.
fn patience(evidence: &Evidence<'_>, settings: Scoped<'_>, setting: &Setting<Duration>) -> Duration {
    settings.get(setting) + evidence.quality().lag.unwrap_or_default()
}

fn is_async(site: &Site) -> bool {
    site.id.kind.is_async()
}

fn others_live(evidence: &Evidence<'_>, key: SiteKey) -> bool {
    evidence.sites().any(|(other, site)| other != key && is_async(site) && !site.live.is_empty())
}

/// Whether several sites lost their last task at about the same time, as when the process or a part of it is shut down.
fn ended_together(evidence: &Evidence<'_>, key: SiteKey, at: Timestamp) -> bool {
    let near = |other: Timestamp| other.since(at) <= TOGETHER && at.since(other) <= TOGETHER;
    let others = evidence.sites().filter(|(other, site)| *other != key && is_async(site) && site.live.is_empty());
    others.filter(|(_, site)| site.last_end.is_some_and(near)).count() >= OTHERS
}

/// Whether something came after a task that may take its place or go on with its work: one of the same name or the same future, or of a
/// site that had not been there before.
fn is_followed(evidence: &Evidence<'_>, key: SiteKey, site: &Site, ended: Timestamp) -> bool {
    let from = ended.minus(Duration::from_secs(1));
    evidence.sites().filter(|(other, it)| *other != key && is_async(it)).any(|(_, it)| {
        let alike = (!it.id.name.is_empty() && it.id.name == site.id.name)
            || (it.id.sizes.0 > 0 && it.id.sizes == site.id.sizes);
        let came_after = it.live.iter().any(|(born, _)| *born >= from);
        (alike && came_after) || it.first_seen >= from
    })
}

/// Whether a user means the tasks of this site by a name.
fn is_called(site: &Site, name: &str) -> bool {
    let named = !site.id.name.is_empty() && (*site.id.name == *name || *site.id.name == *text::without_numbers(name));
    named || is_place(site, name)
}

/// Whether a place is meant by its end, with or without the column: `main.rs:7` for `src/main.rs:7:5`.
fn is_place(site: &Site, name: &str) -> bool {
    let location = &site.id.location;
    let ends =
        |place: &str| place.strip_suffix(name).is_some_and(|folders| folders.is_empty() || folders.ends_with('/'));
    name.contains(':') && (ends(location.as_str()) || ends(location.without_column()))
}

/// An expected task that is not there.
fn missing(evidence: &Evidence<'_>, settings: Scoped<'_>, name: &str) -> Option<Symptom> {
    let sites: Vec<(SiteKey, &Site)> = evidence.sites().filter(|(_, site)| is_called(site, name)).collect();
    let is_numbered = text::without_numbers(name) != *name;
    let is_meant = |site: &Site, task| {
        let own_name = evidence.task(task).and_then(|task| task.name.as_deref());
        !is_numbered || is_place(site, name) || own_name == Some(name)
    };
    let there = sites.iter().any(|(_, site)| site.live.iter().any(|(_, task)| is_meant(site, *task)));
    let process_lives = evidence.sites().any(|(_, site)| is_async(site) && !site.live.is_empty());
    if there || !process_lives {
        return None;
    }
    let last = sites.iter().filter_map(|(key, site)| Some((*key, *site, site.last_end?))).max_by_key(|it| it.2);
    let appear = patience(evidence, settings, &APPEAR);
    match last {
        Some((key, site, ended)) => {
            let grace = patience(evidence, settings, &GRACE);
            let gone = evidence.running_since(ended);
            let needed = if ended_together(evidence, key, ended) { grace.max(appear) } else { grace };
            (gone >= needed).then(|| expected_gone(evidence, name, (key, site), (ended, gone), needed))
        }
        None => {
            let watched = evidence.running_since(evidence.clock().began());
            (watched >= appear).then(|| never_there(name, watched, appear))
        }
    }
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
    let subject =
        Subject { kind: SubjectKind::Site, name: name.to_owned(), location: String::new(), ids: Vec::new(), count: 1 };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entity::site::SiteId;
    use crate::model::location::Location;
    use crate::model::tokio::TaskKind;

    #[test]
    fn places_are_known_by_their_ends() {
        let id = SiteId {
            name: "".into(),
            kind: TaskKind::Task,
            location: Location::parse("src/main.rs:7:5"),
            sizes: (0, 0),
        };
        let site = Site::new(id, Timestamp::default());
        for (name, meant) in [
            ("src/main.rs:7:5", true),
            ("src/main.rs:7", true),
            ("main.rs:7", true),
            ("ain.rs:7", false),
            ("main.rs", false),
            ("main.rs:70", false),
            ("7", false),
        ] {
            assert_eq!(is_place(&site, name), meant, "{name}");
        }
    }
}
