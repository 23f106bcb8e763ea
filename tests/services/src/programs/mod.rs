//! The programs: each a small service with a fault, and the same service repaired.

mod actors;
mod agencies;
mod answers;
mod brokers;
mod budgets;
mod cancelled;
mod clinics;
mod collectors;
mod counters;
mod crowds;
mod deliveries;
mod depots;
mod desks;
mod edges;
mod editors;
mod errands;
mod feeds;
mod ferries;
mod fleets;
mod frameworks;
mod galleries;
mod gates;
mod gateways;
mod guards;
mod habits;
mod harbours;
mod harvests;
mod hosts;
mod hubs;
mod kitchens;
mod libraries;
mod limits;
mod links;
mod locks;
mod orchards;
mod patience;
mod permits;
mod plants;
mod pools;
mod queues;
mod registers;
mod renewals;
mod rounds;
mod runtimes;
mod sessions;
mod shards;
mod shared;
mod shelves;
mod sidelines;
mod spins;
mod stages;
mod stations;
mod stores;
mod stragglers;
mod streams;
mod studios;
mod synchronous;
mod tasks;
mod theatres;
mod threads;
mod tunnels;
mod uplinks;
mod wakers;
mod warehouses;
mod workers;
mod workshops;

use std::time::Duration;

use crate::service::{Load, Running};

/// All programs, by file.
pub(crate) const PROGRAMS: &[&[Program]] = &[
    stragglers::PROGRAMS,
    pools::PROGRAMS,
    answers::PROGRAMS,
    actors::PROGRAMS,
    workers::PROGRAMS,
    runtimes::PROGRAMS,
    cancelled::PROGRAMS,
    crowds::PROGRAMS,
    sessions::PROGRAMS,
    spins::PROGRAMS,
    locks::PROGRAMS,
    guards::PROGRAMS,
    permits::PROGRAMS,
    synchronous::PROGRAMS,
    wakers::PROGRAMS,
    brokers::PROGRAMS,
    limits::PROGRAMS,
    frameworks::PROGRAMS,
    shared::PROGRAMS,
    habits::PROGRAMS,
    edges::PROGRAMS,
    queues::PROGRAMS,
    tasks::PROGRAMS,
    threads::PROGRAMS,
    stores::PROGRAMS,
    gateways::PROGRAMS,
    uplinks::PROGRAMS,
    patience::PROGRAMS,
    fleets::PROGRAMS,
    shards::PROGRAMS,
    rounds::PROGRAMS,
    budgets::PROGRAMS,
    feeds::PROGRAMS,
    links::PROGRAMS,
    hosts::PROGRAMS,
    errands::PROGRAMS,
    plants::PROGRAMS,
    shelves::PROGRAMS,
    deliveries::PROGRAMS,
    hubs::PROGRAMS,
    collectors::PROGRAMS,
    studios::PROGRAMS,
    desks::PROGRAMS,
    depots::PROGRAMS,
    streams::PROGRAMS,
    stages::PROGRAMS,
    renewals::PROGRAMS,
    harvests::PROGRAMS,
    ferries::PROGRAMS,
    clinics::PROGRAMS,
    tunnels::PROGRAMS,
    counters::PROGRAMS,
    editors::PROGRAMS,
    registers::PROGRAMS,
    gates::PROGRAMS,
    warehouses::PROGRAMS,
    galleries::PROGRAMS,
    agencies::PROGRAMS,
    stations::PROGRAMS,
    harbours::PROGRAMS,
    workshops::PROGRAMS,
    kitchens::PROGRAMS,
    libraries::PROGRAMS,
    theatres::PROGRAMS,
    orchards::PROGRAMS,
];

/// A service with a fault, its repaired twin, and what has to be said about them.
pub(crate) struct Program {
    /// Name on the command line.
    pub(crate) id: &'static str,
    /// The published crates that it is about.
    pub(crate) crates: &'static str,
    /// What is wrong, in a sentence.
    pub(crate) fault: &'static str,
    /// Where the like was reported, as `owner/repository#number`.
    pub(crate) issue: &'static str,
    /// The way in which the fault works.
    pub(crate) way: Way,
    /// What arrives.
    pub(crate) rate_of: &'static str,
    /// How many of it arrive in a second by default.
    pub(crate) rate: f64,
    /// What has a size.
    pub(crate) size_of: &'static str,
    /// The size by default.
    pub(crate) size: usize,
    /// Whether the fault is that this is too little for the load, so that the two grow together.
    pub(crate) size_is_capacity: bool,
    /// Threads for blocking jobs, where it matters.
    pub(crate) blocking_threads: Option<usize>,
    /// What has to be found in the faulty one.
    pub(crate) label: Label,
    /// Where it is written down.
    pub(crate) source: Source,
    /// The service.
    pub(crate) run: fn(Load) -> Running,
}

impl Program {
    /// Lines of its own that the finding may name, as `file:line`: the marked ones, and those that spawn the tasks of the label.
    pub(crate) fn own_places(&self) -> impl Iterator<Item = String> {
        let marker = format!("// <- {}", self.id);
        let lines = self.source.text.lines().enumerate();
        let marked = lines.filter(move |(_, line)| line.trim_end().ends_with(&marker)).map(|(index, _)| index + 1);
        let spawning = self.label.names.iter().flat_map(|name| self.source.spawning(name));
        marked.chain(spawning).map(|line| format!("{}:{line}", self.source.file))
    }

    /// Everything of which the finding has to name one: lines, libraries and tasks.
    pub(crate) fn all_places(&self) -> Vec<String> {
        let others = self.label.libraries.iter().chain(self.label.names);
        self.own_places().chain(others.map(|&other| other.to_owned())).collect()
    }
}

/// What has to be found: any finding of these families that is as bad at one of these places, in time.
pub(crate) struct Label {
    /// Families of detectors; any will do.
    pub(crate) families: &'static [&'static str],
    /// Names of tasks; the lines that spawn them and those marked `// <- ID` in the source will do as well,
    pub(crate) names: &'static [&'static str],
    /// and these parts of paths of libraries.
    pub(crate) libraries: &'static [&'static str],
    /// How bad it has to become at least.
    pub(crate) severity: Severity,
    /// Seconds from the first update until it has to be so bad.
    pub(crate) within: u64,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    /// All of them, from mild to bad.
    pub(crate) const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word for it in the tool's output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The way in which a fault works, as far as a client of the feed is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Most tasks of a site finish, some never do, and no wait is shown.
    Stragglers,
    /// A pool is too small, or what it lends is held over something slow.
    Pool,
    /// Everything runs into its timeout.
    Timeouts,
    /// A line of answers is silent.
    Unanswered,
    /// Nobody drives a runtime.
    Undriven,
    /// Work is dropped half-way, as a habit.
    Cancelled,
    /// A crowd only grows.
    Crowd,
    /// A task's span is entered on another thread.
    ForeignSpan,
    /// A loop around something that is always ready.
    Spin,
    /// A wait that can never end, on locks.
    Deadlock,
    /// A lock held for too long.
    HeldLock,
    /// Permits that nobody gives back.
    Permits,
    /// A poll that keeps its worker.
    Blocking,
    /// Work that arrives faster than it is done.
    Backlog,
    /// A task that nothing can wake.
    LostWaker,
}

impl Way {
    /// The words for it in tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stragglers => "stragglers",
            Self::Pool => "pool",
            Self::Timeouts => "everything times out",
            Self::Unanswered => "answers stop",
            Self::Undriven => "undriven runtime",
            Self::Cancelled => "cancelled work",
            Self::Crowd => "growing crowd",
            Self::ForeignSpan => "foreign span",
            Self::Spin => "spin",
            Self::Deadlock => "deadlock",
            Self::HeldLock => "held lock",
            Self::Permits => "kept permits",
            Self::Blocking => "blocking",
            Self::Backlog => "backlog",
            Self::LostWaker => "lost waker",
        }
    }

    /// How long the repaired twin is watched: longer where the faults come to light slowly, and so do false alarms.
    pub(crate) fn watch_of_twin(self) -> Duration {
        match self {
            Self::Stragglers | Self::Timeouts | Self::Cancelled | Self::Crowd => Duration::from_secs(300),
            _ => Duration::from_secs(90),
        }
    }

    /// Whether what the fault does to the processor, or the processor to it, leaves no room for another program.
    pub(crate) fn runs_alone(self) -> bool {
        matches!(self, Self::Spin | Self::Blocking | Self::ForeignSpan)
    }
}

/// A source file, whose lines marked `// <- ID` are places that the finding about program ID may name.
pub(crate) struct Source {
    /// End of the path as it stands in the feed.
    pub(crate) file: &'static str,
    /// The file itself.
    pub(crate) text: &'static str,
}

impl Source {
    /// The lines that spawn tasks of this name, counted from 1.
    fn spawning(&self, name: &str) -> impl Iterator<Item = usize> {
        let [spawned, named, alone] =
            [format!("spawn(\"{name}\""), format!(".name(\"{name}\")"), format!("\"{name}\",")];
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            if line.contains(&spawned) || line.contains(&named) {
                Some(index + 1)
            } else {
                // The name is on a line of its own: the call is on the one before.
                (line.trim() == alone).then_some(index)
            }
        })
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Program> {
        PROGRAMS.iter().flat_map(|file| file.iter())
    }

    #[test]
    fn every_program_has_a_name_of_its_own_and_a_public_report() {
        let names: BTreeSet<_> = all().map(|program| program.id).collect();
        assert_eq!(names.len(), all().count());
        for program in all() {
            let number =
                program.issue.split_once('#').map(|(repository, number)| (repository.matches('/').count(), number));
            assert!(matches!(number, Some((1, number)) if number.parse::<u32>().is_ok()), "{}", program.id);
        }
    }

    /// A label without a place would be met by any finding of its families, and one with a wrong name by none.
    #[test]
    fn every_label_names_places_that_exist() {
        for program in all() {
            assert!(!program.all_places().is_empty(), "{} has no place", program.id);
            for name in program.label.names {
                assert!(program.source.spawning(name).next().is_some(), "{} spawns no {name}", program.id);
            }
        }
    }

    #[test]
    fn every_label_names_families_of_detectors() {
        let families = ["blocking", "spin", "queue", "stuck", "contention", "cancellation"];
        for program in all() {
            let label = &program.label;
            assert!(!label.families.is_empty(), "{}", program.id);
            assert!(label.families.iter().all(|family| families.contains(family)), "{}", program.id);
            let is_crowd = program.way == Way::Crowd;
            assert_eq!(label.severity, if is_crowd { Severity::Info } else { Severity::Warning }, "{}", program.id);
        }
    }

    #[test]
    fn every_mark_belongs_to_a_program() {
        let ids: BTreeSet<_> = all().map(|program| program.id).collect();
        let texts: BTreeSet<_> = all().map(|program| program.source.text).collect();
        let marks = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once("// <- "));
        for (_, mark) in marks.filter(|(code, _)| !code.trim().is_empty()) {
            assert!(ids.contains(mark.trim()), "{mark}");
        }
    }
}
