//! Targets that are found while a run lasts: opened when they come, closed when they go, and never more than a number at a time.

use std::collections::{BTreeMap, VecDeque};

use super::black_boxes::BlackBoxes;
use super::exit::sentence;
use super::opener::Opener;
use super::watch::Watch;
use crate::config::Config;
use crate::config::options::{MAX_TARGETS, TARGETS_FROM};
use crate::feed::discovery::{Discovered, Discovery, all_of};
use crate::feed::endpoint::Target;
use crate::feed::kubernetes::discover;
use crate::feed::listed;
use crate::fleet::TargetId;
use crate::words;

/// Targets without room that are remembered; more are counted.
const WAITING: usize = 1_000;

/// Who is watched of those that are found.
#[derive(Debug)]
pub(super) struct Roster {
    /// None once nothing more can be found.
    discovery: Option<Discovery>,
    opener: Opener,
    most: usize,
    /// Those that have a place, by their keys; without an id where they cannot be opened.
    placed: BTreeMap<String, Option<TargetId>>,
    /// Those beyond the limit, in the order in which they came.
    waiting: VecDeque<Found>,
    /// How many came when not even that had room.
    uncounted: usize,
    /// How many have been opened.
    opened: usize,
    is_closed: bool,
    has_said_full: bool,
    /// What its targets are said to be of, such as ` of the canary`.
    of: &'static str,
}

/// A target that was found.
#[derive(Debug)]
struct Found {
    key: String,
    name: String,
    target: Target,
}

/// Where targets are put.
pub(super) struct Places<'a> {
    pub(super) watch: &'a mut Watch,
    pub(super) black_boxes: &'a mut BlackBoxes,
}

impl Roster {
    /// What a configuration wants to be found.
    pub(super) fn of(config: &Config, opener: Opener) -> Option<Self> {
        let listed = config.get(&TARGETS_FROM).map(listed::follow);
        let pods = config.whole().iter().map(|pods| discover(pods.clone(), opener.clusters()));
        let discovery = all_of(listed.into_iter().chain(pods).collect())?;
        Some(Self::new(discovery, opener, config.get(&MAX_TARGETS)))
    }

    /// Those that a discovery finds, and what they are said to be of.
    pub(super) fn following(discovery: Discovery, opener: Opener, most: usize, of: &'static str) -> Self {
        Self { of, ..Self::new(discovery, opener, most) }
    }

    fn new(discovery: Discovery, opener: Opener, most: usize) -> Self {
        Self {
            discovery: Some(discovery),
            opener,
            most,
            placed: BTreeMap::new(),
            waiting: VecDeque::new(),
            uncounted: 0,
            opened: 0,
            is_closed: false,
            has_said_full: false,
            of: "",
        }
    }

    /// What is found next; never, once nothing more can be found. Nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Discovered {
        if let Some(discovery) = &mut self.discovery {
            if let Some(found) = discovery.events.recv().await {
                return found;
            }
            self.discovery = None;
        }
        std::future::pending().await
    }

    /// Whether targets may be added still.
    pub(super) fn is_open(&self) -> bool {
        self.discovery.is_some() && !self.is_closed
    }

    /// Takes nothing in any more. What is watched goes on, and may still go.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// The target that was found under a key, if it has a place.
    pub(super) fn target(&self, key: &str) -> Option<TargetId> {
        self.placed.get(key).copied().flatten()
    }

    /// How many targets were found and never watched.
    pub(super) fn unwatched(&self) -> usize {
        self.waiting.len() + self.uncounted + self.placed.values().filter(|id| id.is_none()).count()
    }

    /// Does what a discovery means, and returns what there is to say about it.
    pub(super) fn take(&mut self, found: Discovered, places: &mut Places<'_>) -> Vec<String> {
        match found {
            Discovered::Joined { .. } if self.is_closed => Vec::new(),
            Discovered::Joined { key, name, target } => self.join(Found { key, name, target }, places),
            Discovered::Leaving { .. } => Vec::new(),
            Discovered::Left { key, .. } => self.leave(&key, places),
            Discovered::Lost { .. } if self.opener.judging.redacts() => {
                vec![format!("The search for targets{} failed.", self.of)]
            }
            Discovered::Lost { reason } => vec![reason],
            Discovered::Complete => vec![self.first_listing()],
        }
    }

    fn first_listing(&self) -> String {
        match self.placed.len() + self.waiting.len() + self.uncounted {
            0 => format!("No target{} was found so far; any that appears is added.", self.of),
            found => format!("Found {}{}; any other that appears is added.", words::count(found, "target"), self.of),
        }
    }

    fn join(&mut self, found: Found, places: &mut Places<'_>) -> Vec<String> {
        if self.placed.contains_key(&found.key) || self.waiting.iter().any(|it| it.key == found.key) {
            return Vec::new();
        }
        if self.placed.len() < self.most {
            return self.open(found, places).into_iter().collect();
        }
        let first = (!std::mem::replace(&mut self.has_said_full, true)).then(|| {
            format!(
                "Watching {}, the limit (--max-targets {}); {} and later ones wait until one leaves.",
                words::count(self.most, "target"),
                self.most,
                self.opener.name(&found.name, self.opened)
            )
        });
        if self.waiting.len() < WAITING {
            self.waiting.push_back(found);
        } else {
            self.uncounted += 1;
        }
        first.into_iter().collect()
    }

    fn open(&mut self, found: Found, places: &mut Places<'_>) -> Option<String> {
        let Found { key, name, mut target } = found;
        self.opener.fill(&mut target);
        let name = self.opener.name(&name, self.opened);
        self.opened += 1;
        match self.opener.open(&target, name.clone(), places.black_boxes) {
            Ok(ready) => {
                self.placed.insert(key, Some(ready.place(places.watch, places.black_boxes)));
                None
            }
            Err(error) => {
                self.placed.insert(key, None);
                Some(format!("{name} cannot be watched: {}", sentence(&error)))
            }
        }
    }

    fn leave(&mut self, key: &str, places: &mut Places<'_>) -> Vec<String> {
        self.waiting.retain(|it| it.key != key);
        let Some(placed) = self.placed.remove(key) else { return Vec::new() };
        // One that was watched to its end stays: it was judged.
        if let Some(id) = placed.filter(|id| places.watch.is_watched(*id)) {
            places.watch.leave(id);
        }
        let next = if self.is_closed { None } else { self.waiting.pop_front() };
        self.has_said_full = !self.waiting.is_empty();
        next.and_then(|next| self.open(next, places)).into_iter().collect()
    }
}

/// What a roster finds next; nothing ever where there is none.
pub(super) async fn found(roster: &mut Option<Roster>) -> Discovered {
    match roster {
        Some(roster) => roster.next().await,
        None => std::future::pending().await,
    }
}
