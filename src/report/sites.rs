//! Spawn sites as rows of a list: the tasks of one place, what they do together, and what they cost.

use std::time::Duration;

use super::columns::{Column, Kind, Spec, Value, column};
use super::link::Link;
use super::order::{Rows, Wanted, sorted};
use super::place::file_and_line;
use super::snapshot::Snapshot;
use crate::evidence::places;
use crate::model::entity::site::Site;
use crate::model::{SiteKey, TaskKey};
use crate::words;

/// The time over which rates, busy shares and longest polls are taken.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// Most tasks of a site that are asked how long they wait. They are the oldest, and no wait is older than its task.
const ASKED: usize = 64;

/// A column of a list of spawn sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteColumn {
    /// The name of its tasks, or what its library spawns there.
    Name,
    /// Their kind.
    Kind,
    /// How many are alive.
    Live,
    /// How many are spawned in a second.
    Rate,
    /// The median lifetime of those that completed.
    Lifetime,
    /// How long a poll takes.
    Poll,
    /// How long a woken task waits for a worker.
    Scheduled,
    /// The share of a core that they keep busy.
    Busy,
    /// What they cost those who wait for what they hold.
    Blame,
    /// How many findings there are about them, and how bad they are.
    Findings,
    /// Which findings those are.
    Finding,
    /// The longest wait among them, and for what.
    Wait,
    /// The age of that wait.
    Waited,
    /// The size of their future.
    Size,
    /// The dependency that spawns them.
    Crate,
    /// The name and the place in one.
    Site,
    /// Where they are spawned.
    Location,
}

impl Column for SiteColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(
            Self::Name,
            "site",
            "name",
            Kind::Text,
            "name of the tasks, or what their library spawns there, or else the line of the spawn",
        ),
        column(Self::Kind, "kind", "kind", Kind::Text, "task, local, blocking or block_on"),
        column(Self::Location, "location", "location", Kind::Text, "place of the spawn"),
        column(Self::Site, "site", "site", Kind::Text, "name and place of the spawn site"),
        column(Self::Crate, "crate", "crate", Kind::Text, "dependency that spawns the tasks"),
        column(Self::Live, "live", "live", Kind::Count, "number of tasks alive"),
        column(Self::Rate, "spawn/s", "rate", Kind::Rate, "spawned tasks per second, over 30 s"),
        column(Self::Lifetime, "lifetime", "lifetime", Kind::Time, "median lifetime of the tasks that completed"),
        column(
            Self::Poll,
            "poll",
            "poll",
            Kind::Time,
            "p99 of the polls where it is known of every task, else the longest (max); the current poll if that is longer (now)",
        ),
        column(Self::Scheduled, "sched", "sched", Kind::Time, "p99 of the time from wake to poll, sampled over 30 s"),
        column(Self::Busy, "busy", "busy", Kind::Share, "share of a core that the polls take, over 30 s"),
        column(
            Self::Blame,
            "blame",
            "blame",
            Kind::Rate,
            "task-seconds per second that tasks waited for what tasks of the site held, over 30 s",
        ),
        column(
            Self::Findings,
            "findings",
            "findings",
            Kind::Text,
            "number of findings about the site, and the worst severity",
        ),
        column(Self::Finding, "finding", "finding", Kind::Text, "detectors with a finding about the site"),
        column(
            Self::Wait,
            "longest wait",
            "waits",
            Kind::Text,
            "longest current wait of a task, and what it waits for",
        ),
        column(Self::Waited, "waited", "waited", Kind::Time, "age of the longest current wait"),
        column(Self::Size, "size", "size", Kind::Bytes, "size of the future"),
    ];
}

impl SiteColumn {
    /// The column whose values are in the same order, and need no text.
    fn sorted_by(self) -> Self {
        if self == Self::Wait { Self::Waited } else { self }
    }
}

/// The name of the tasks of a site, or what its library spawns there; empty if neither is known.
pub(super) fn site_name(site: &Site) -> &str {
    if site.id.name.is_empty() {
        places::of_task(site.id.kind, &site.id.location).map_or("", |place| place.name)
    } else {
        &site.id.name
    }
}

impl Snapshot<'_> {
    /// The spawn sites that are wanted. Those of the runtimes and of console-subscriber are hidden, unless there is a finding about them.
    pub fn sites(&self, wanted: &Wanted<'_, SiteColumn>) -> Rows<SiteKey> {
        let (mut rows, mut hidden, mut live) = (Vec::new(), 0, 0);
        let by = wanted.order.by.sorted_by();
        for (key, site) in self.evidence.sites() {
            if !wanted.query.is_empty() && !wanted.query.accepts(|column| self.value_of_site(key, site, column)) {
                continue;
            }
            if !wanted.all && self.is_hidden_site(key) {
                hidden += 1;
                continue;
            }
            live += site.live.len();
            rows.push((self.value_of_site(key, site, by), site.first_seen, key));
        }
        Rows { keys: sorted(rows, wanted.order.descending), hidden, tally: vec![(live, "tasks alive")] }
    }

    /// What a list shows of a site in a column; nothing if it was forgotten.
    pub fn site_value(&self, key: SiteKey, column: SiteColumn) -> Value<'_> {
        self.evidence.model().site(key).map_or(Value::Nothing, |site| self.value_of_site(key, site, column))
    }

    /// How many tasks of a site are alive, unless it was forgotten.
    pub fn live_tasks_of(&self, key: SiteKey) -> Option<usize> {
        self.evidence.site(key).map(|site| site.live.len())
    }

    /// The name and the place of a site, by which a filter finds its tasks.
    pub fn site_text(&self, key: SiteKey) -> String {
        let Some(site) = self.evidence.site(key) else { return String::new() };
        format!("{} {}", site_name(site), site.id.location).trim().to_owned()
    }

    /// The dependency that spawns the tasks of a site.
    pub(super) fn crate_of_site(&self, key: SiteKey) -> Value<'_> {
        let site = self.evidence.model().site(key);
        site.and_then(|site| site.id.location.package()).map_or(Value::Nothing, |package| Value::text(package.name))
    }

    fn value_of_site<'a>(&'a self, key: SiteKey, site: &'a Site, column: SiteColumn) -> Value<'a> {
        let link = Link::Site(key);
        match column {
            SiteColumn::Name => match site_name(site) {
                "" => Value::place(file_and_line(&site.id.location)),
                name => Value::text(name),
            },
            SiteColumn::Kind => Value::Ranked(site.id.kind as u128, site.id.kind.as_str().into()),
            SiteColumn::Live => Value::count(site.live.len()),
            SiteColumn::Rate => Value::rate(self.evidence.births_per_second(site)),
            SiteColumn::Lifetime => Value::time(site.lifetime_at(0.5)),
            SiteColumn::Poll => self.poll_of(key, site),
            SiteColumn::Scheduled => {
                Value::time(self.evidence.delay_quantiles_of(key, WINDOW).map(|delays| delays.p99))
            }
            SiteColumn::Busy => Value::share(self.evidence.busy_share(key, site, WINDOW)),
            SiteColumn::Blame => self.costs_of(key),
            SiteColumn::Findings => self.severity_about(&link),
            SiteColumn::Finding => self.detectors_about(&link),
            SiteColumn::Wait => {
                let wait = self.longest_wait_of(site);
                let text = wait.map(|(_, task)| self.wait(task).map(|it| it.in_words()).unwrap_or_default());
                wait.map_or(Value::Nothing, |(age, _)| Value::Ranked(age.as_nanos(), text.unwrap_or_default().into()))
            }
            SiteColumn::Waited => Value::time(self.longest_wait_of(site).map(|(age, _)| age)),
            SiteColumn::Size => Value::number(Some(site.id.sizes.0).filter(|it| *it > 0)),
            SiteColumn::Crate => self.crate_of_site(key),
            SiteColumn::Site => Value::Text(self.site_text(key).into()),
            SiteColumn::Location => Value::place(site.id.location.as_str()),
        }
    }

    /// How long polls take: the current one if it is longer than what is known of those that ended.
    fn poll_of(&self, key: SiteKey, site: &Site) -> Value<'_> {
        let running = self.evidence.running().filter(|(_, task)| task.site == key);
        let running = running.filter(|(task, _)| !self.evidence.only_seems_to_run(*task));
        let current = running.filter_map(|(_, task)| Some(self.evidence.running_since(task.stats.poll.started?))).max();
        let ended = self.ended_polls_of(key, site);
        let current = current.filter(|time| ended.is_none_or(|(ended, _)| *time > ended)).map(|time| (time, "now"));
        let Some((time, what)) = current.or(ended) else { return Value::Nothing };
        Value::Ranked(time.as_nanos(), format!("{} {what}", words::duration(time)).into())
    }

    /// How long the polls of a site took that ended: their 99th percentile where the distributions of all its tasks are known, or else the longest
    /// that is known, for one task says nothing about the others.
    pub(super) fn ended_polls_of(&self, key: SiteKey, site: &Site) -> Option<(Duration, &'static str)> {
        let of_site = self.evidence.known_details();
        let of_site = of_site.filter(|(task, _)| self.evidence.task(*task).is_some_and(|it| it.site == key));
        let known: Vec<_> = of_site.filter_map(|(_, details)| details.polls.as_ref()).collect();
        if !known.is_empty() && known.len() >= site.live.len() {
            return known.iter().map(|polls| (polls.quantile(0.99), "p99")).max();
        }
        let longest = self.evidence.poll_time(site, WINDOW).longest.map(|(time, _)| time);
        longest.into_iter().chain(known.iter().map(|polls| polls.longest())).max().map(|time| (time, "max"))
    }

    /// The task of a site that has waited longest at present.
    pub fn longest_waiting_of(&self, key: SiteKey) -> Option<TaskKey> {
        self.longest_wait_of(self.evidence.site(key)?).map(|(_, task)| task)
    }

    /// The longest wait of a task of a site, and the task.
    fn longest_wait_of(&self, site: &Site) -> Option<(Duration, TaskKey)> {
        let mut longest = None;
        for (born, key) in site.live.iter().take(ASKED) {
            if longest.is_some_and(|(age, _)| self.evidence.running_since(*born) <= age) {
                break;
            }
            let wait = self.evidence.task_wait(*key).longest();
            longest = longest.max(wait.map(|wait| (self.evidence.running_since(wait.since), *key)));
        }
        longest
    }

    /// Whether a list leaves a site out by default: it does no work for the service, and no finding is about it.
    fn is_hidden_site(&self, key: SiteKey) -> bool {
        self.evidence.is_scaffolding(key) && !self.is_touched(&Link::Site(key))
    }
}
