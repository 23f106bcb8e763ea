//! Blame as rows: where the time of each spawn site's tasks goes, what that waits for, and what it costs others.

use std::sync::Arc;
use std::time::Duration;

use super::columns::Value;
use super::place::named_place;
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::evidence::blame::{Awaited, Blame, Cause, Share, SiteBlame};
use crate::evidence::{Evidence, places};
use crate::model::entity::site::Site;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};
use crate::words;

/// Most sites whose tasks wait for what one site holds that a row lists.
const VICTIMS: usize = 4;
/// A cost below this many task-seconds a second is not worth a line.
const LEAST_COST: f64 = 0.005;

/// The time over which task time is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlameWindow {
    /// Since the process was first seen.
    All,
    /// The last 30 to 60 s, or all of it where that is less.
    Recent,
}

/// Who costs whom, over a time.
#[derive(Debug, Clone, PartialEq)]
pub struct BlameView {
    /// The time over which it was counted.
    pub window: Duration,
    /// The sites, those whose tasks lost most time to others first.
    pub rows: Vec<BlameRow>,
    /// How many sites are left out: the runtime's own threads, and tasks of console-subscriber.
    pub hidden: usize,
}

/// Where the time of one site's tasks goes.
#[derive(Debug, Clone, PartialEq)]
pub struct BlameRow {
    /// Which site.
    pub key: SiteKey,
    /// The name of its tasks without numbers, or what is known of their place; empty if neither says anything.
    pub name: String,
    /// Their kind.
    pub kind: &'static str,
    /// Where they are spawned; empty if that is not known.
    pub location: String,
    /// Task-seconds a second that they lived: how many there were on average.
    pub lived: f64,
    /// The part of it that they waited for others: to be polled, for locks, room in channels and threads.
    pub lost: f64,
    /// What it was spent on, the most first: the sum is what they lived.
    pub causes: Vec<CauseRow>,
    /// The largest of them in words: `0.93 of 1.2 task-seconds/s waiting for Mutex bank.rs:13:9 held by transfer`.
    pub largest: String,
    /// Task-seconds a second that tasks of other sites waited for what its tasks held.
    pub costs_others: f64,
    /// The same of its own tasks.
    pub costs_siblings: f64,
    /// Both in words, if they are anything: `costs others 3.4 task-seconds/s`.
    pub costs: Option<String>,
    /// Whose tasks waited for what its tasks held, the longest first.
    pub victims: Vec<VictimRow>,
}

/// One thing that the tasks of a site spent their time on.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseRow {
    /// What kind of thing.
    pub cause: Cause,
    /// What they did, in words: `waiting for Mutex bank.rs:13:9 held by transfer`.
    pub text: String,
    /// What they waited for, where that was a lock or a channel.
    pub awaited: Option<AwaitedRow>,
    /// Whose tasks held it in the end, where that is known.
    pub holder: Option<PartyRow>,
    /// For how long, all of them together.
    pub time: Duration,
    /// Task-seconds a second.
    pub rate: f64,
    /// The share of what they lived.
    pub share: f64,
}

/// A lock or channel that tasks wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedRow {
    /// The last one of its kind; perhaps gone since.
    pub key: ResourceKey,
    /// Its type, as users know it.
    pub kind: String,
    /// Where it was made; empty if that is not known.
    pub location: String,
}

/// A site with a part in a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRow {
    /// Which site.
    pub key: SiteKey,
    /// The name of its tasks, or what is known of their place; empty if neither says anything.
    pub name: String,
    /// Where they are spawned; empty if that is not known.
    pub location: String,
}

impl PartyRow {
    /// Its name, or its place without folders.
    pub fn label(&self) -> String {
        match (self.name.as_str(), self.location.as_str()) {
            ("", "") => "tasks of unknown origin".to_owned(),
            ("", location) => format!("task {}", short(location)),
            (name, _) => name.to_owned(),
        }
    }
}

/// A site whose tasks wait for what another holds.
#[derive(Debug, Clone, PartialEq)]
pub struct VictimRow {
    /// The site.
    pub party: PartyRow,
    /// Task-seconds a second.
    pub rate: f64,
}

/// What tasks have spent their time on since their process was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimesView {
    /// Which process that is: rises by one when the target was seen to restart.
    pub epoch: u32,
    /// How long, by cause and by the name and place of the tasks.
    pub rows: Vec<TimesRow>,
}

/// How long tasks of one name and place have spent on one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimesRow {
    /// On what.
    pub cause: Cause,
    /// Their name without numbers; empty for tasks without one.
    pub name: String,
    /// Where they were spawned; empty if that is not known.
    pub location: String,
    /// For how long, all of them together.
    pub time: Duration,
}

impl BlameRow {
    /// The name and the place of its tasks.
    pub fn title(&self) -> String {
        match named_place(&self.name, &self.location) {
            title if title.is_empty() => "tasks of unknown origin".to_owned(),
            title => title,
        }
    }
}

impl Snapshot<'_> {
    /// Who costs whom, for all sites but those of the runtime.
    pub fn blame(&self, window: BlameWindow) -> BlameView {
        let blame = self.blame_over(window);
        let rows = blame.sites.keys().filter(|key| !self.evidence.is_of_runtime(**key));
        let mut rows: Vec<BlameRow> = rows.filter_map(|key| row(&self.evidence, &blame, *key)).collect();
        let hidden = blame.sites.len() - rows.len();
        rows.sort_by(|one, other| {
            let by_time = |of: fn(&BlameRow) -> f64| of(other).total_cmp(&of(one));
            by_time(|it| it.lost).then(by_time(|it| it.lived)).then_with(|| one.title().cmp(&other.title()))
        });
        BlameView { window: blame.window(), rows, hidden }
    }

    /// Where the time of one site's tasks goes; nothing of a site whose tasks did not live meanwhile.
    pub fn blame_of(&self, key: SiteKey, window: BlameWindow) -> Option<BlameRow> {
        row(&self.evidence, &self.blame_over(window), key)
    }

    /// Task-seconds a second that tasks lately waited for what tasks of a site held; nothing if they did not.
    pub(super) fn costs_of(&self, key: SiteKey) -> Value<'static> {
        let blame = self.blame_over(BlameWindow::Recent);
        let cost = blame.sites.get(&key).map(|spent| spent.costs_others + spent.costs_siblings).unwrap_or_default();
        let rate = cost.as_secs_f64() / blame.window().as_secs_f64().max(f64::MIN_POSITIVE);
        if rate < LEAST_COST { Value::Nothing } else { Value::rate(rate) }
    }

    /// What tasks have spent their time on, those of the runtime left out.
    pub fn times(&self) -> TimesView {
        let blame = self.evidence.blame();
        let mut rows = Vec::new();
        for (key, spent) in blame.sites.iter().filter(|(key, _)| !self.evidence.is_of_runtime(**key)) {
            let Some(site) = self.evidence.site(*key) else { continue };
            let times = Cause::ALL.map(|cause| (cause, spent.time_of(cause)));
            rows.extend(times.into_iter().filter(|(_, time)| !time.is_zero()).map(|(cause, time)| TimesRow {
                cause,
                name: site.id.name.to_string(),
                location: site.id.location.to_string(),
                time,
            }));
        }
        TimesView { epoch: self.epoch(), rows }
    }

    fn blame_over(&self, window: BlameWindow) -> Arc<Blame> {
        match window {
            BlameWindow::All => self.evidence.blame(),
            BlameWindow::Recent => self.evidence.recent_blame(),
        }
    }
}

fn row(evidence: &Evidence<'_>, blame: &Blame, key: SiteKey) -> Option<BlameRow> {
    let (site, spent) = (evidence.site(key)?, blame.sites.get(&key)?);
    let seconds = blame.window().as_secs_f64().max(f64::MIN_POSITIVE);
    let rate = |time: Duration| time.as_secs_f64() / seconds;
    let causes: Vec<CauseRow> = spent.shares.iter().map(|share| cause(evidence, share, spent, seconds)).collect();
    let lived = rate(spent.lived);
    let largest = causes.first().map(|it| format!("{} of {} {}", words::rate(it.rate), task_seconds(lived), it.text));
    let victims = blame.victims(key).into_iter().filter(|(victim, time)| *victim != key && rate(*time) >= LEAST_COST);
    let (others, siblings) = (rate(spent.costs_others), rate(spent.costs_siblings));
    Some(BlameRow {
        key,
        name: name(site),
        kind: site.id.kind.as_str(),
        location: site.id.location.to_string(),
        lived,
        lost: rate(lost(spent)),
        largest: largest.unwrap_or_default(),
        causes,
        costs_others: others,
        costs_siblings: siblings,
        costs: costs(others, siblings),
        victims: victims
            .take(VICTIMS)
            .map(|(victim, time)| VictimRow { party: party(evidence, victim), rate: rate(time) })
            .collect(),
    })
}

/// How long the tasks of a site waited for others, or for a thread.
fn lost(spent: &SiteBlame) -> Duration {
    let causes = [Cause::Scheduling, Cause::Lock, Cause::FullChannel, Cause::BlockingThread];
    causes.into_iter().map(|cause| spent.time_of(cause)).sum()
}

fn costs(others: f64, siblings: f64) -> Option<String> {
    match (others >= LEAST_COST, siblings >= LEAST_COST) {
        (true, true) => Some(format!("costs others {}, its own tasks {}", task_seconds(others), words::rate(siblings))),
        (true, false) => Some(format!("costs others {}", task_seconds(others))),
        (false, true) => Some(format!("costs its own tasks {}", task_seconds(siblings))),
        (false, false) => None,
    }
}

/// An amount of task time in a second: `3.4 task-seconds/s`.
pub fn task_seconds(rate: f64) -> String {
    let number = words::rate(rate);
    let unit = if number == "1" { "task-second/s" } else { "task-seconds/s" };
    format!("{number} {unit}")
}

fn cause(evidence: &Evidence<'_>, share: &Share, spent: &SiteBlame, seconds: f64) -> CauseRow {
    let awaited = share.awaited.as_ref().map(|(awaited, key)| awaited_row(evidence, awaited, *key));
    let holder = share.holder.map(|key| party(evidence, key));
    CauseRow {
        cause: share.cause,
        text: in_words(share.cause, awaited.as_ref(), holder.as_ref()),
        awaited,
        holder,
        time: share.time,
        rate: share.time.as_secs_f64() / seconds,
        share: share.time.as_secs_f64() / spent.lived.as_secs_f64().max(f64::MIN_POSITIVE),
    }
}

fn in_words(cause: Cause, awaited: Option<&AwaitedRow>, holder: Option<&PartyRow>) -> String {
    let what = awaited.map(|it| match short(&it.location) {
        "" => it.kind.clone(),
        place => format!("{} {place}", it.kind),
    });
    match cause {
        Cause::Running => "running".to_owned(),
        Cause::Scheduling => "woken and waiting to be polled".to_owned(),
        Cause::Lock => {
            let what = what.unwrap_or_else(|| "other locks".to_owned());
            match holder {
                Some(holder) => format!("waiting for {what} held by {}", holder.label()),
                None => format!("waiting for {what}, holder unknown"),
            }
        }
        Cause::FullChannel => format!("waiting for room in {}", what.unwrap_or_else(|| "other channels".to_owned())),
        Cause::BlockingThread => "waiting for a thread of the blocking pool".to_owned(),
        Cause::Timer => "waiting for a timer".to_owned(),
        Cause::Message => "waiting for a message".to_owned(),
        Cause::Unknown => "waiting for something that the feed does not show".to_owned(),
    }
}

fn awaited_row(evidence: &Evidence<'_>, awaited: &Awaited, key: ResourceKey) -> AwaitedRow {
    let kind = match evidence.resource(key) {
        Some(resource) => describe::type_name(resource) + &describe::quoted_name(resource),
        None if awaited.kind == ResourceKind::Other && !awaited.concrete_type.is_empty() => {
            awaited.concrete_type.to_string()
        }
        None => awaited.kind.as_str().to_owned(),
    };
    AwaitedRow { key, kind, location: awaited.made_at.as_ref().map(ToString::to_string).unwrap_or_default() }
}

fn party(evidence: &Evidence<'_>, key: SiteKey) -> PartyRow {
    let site = evidence.site(key);
    PartyRow {
        key,
        name: site.map(name).unwrap_or_default(),
        location: site.map(|site| site.id.location.to_string()).unwrap_or_default(),
    }
}

/// The name of a site's tasks, or what is known of their place.
fn name(site: &Site) -> String {
    let known = places::of_task(site.id.kind, &site.id.location).map(|place| place.name);
    if site.id.name.is_empty() { known.unwrap_or_default().to_owned() } else { site.id.name.to_string() }
}

/// The file and line of a place, without folders.
fn short(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_costs_is_said_if_it_is_anything() {
        assert_eq!(costs(3.4, 0.0).as_deref(), Some("costs others 3.4 task-seconds/s"));
        assert_eq!(costs(0.25, 12.0).as_deref(), Some("costs others 0.25 task-seconds/s, its own tasks 12"));
        assert_eq!(costs(0.0, 0.5).as_deref(), Some("costs its own tasks 0.5 task-seconds/s"));
        assert_eq!(costs(0.001, 0.0), None);
    }

    #[test]
    fn a_cause_says_what_is_waited_for_and_who_holds_it_as_far_as_that_is_known() {
        let lock = AwaitedRow {
            key: ResourceKey::default(),
            kind: "Mutex".to_owned(),
            location: "src/bank.rs:13:9".to_owned(),
        };
        let holder =
            PartyRow { key: SiteKey::default(), name: "transfer".to_owned(), location: "src/bank.rs:41:9".to_owned() };
        let unnamed = PartyRow { name: String::new(), ..holder.clone() };
        let channel = AwaitedRow { kind: "bounded channel".to_owned(), location: String::new(), ..lock.clone() };
        for (cause, awaited, holder, text) in [
            (Cause::Lock, Some(&lock), Some(&holder), "waiting for Mutex bank.rs:13:9 held by transfer"),
            (Cause::Lock, Some(&lock), Some(&unnamed), "waiting for Mutex bank.rs:13:9 held by task bank.rs:41:9"),
            (Cause::Lock, Some(&lock), None, "waiting for Mutex bank.rs:13:9, holder unknown"),
            (Cause::FullChannel, Some(&channel), None, "waiting for room in bounded channel"),
            (Cause::Lock, None, None, "waiting for other locks, holder unknown"),
        ] {
            assert_eq!(in_words(cause, awaited, holder), text);
        }
    }
}
