//! What the terminal shows at present: a view of each target, and what the user has chosen there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::comparing::Comparing;
pub use super::pane::{Front, Frozen, Pane, Root};
use super::theme::Theme;
pub use super::visit::{Detail, Goto, MadeFrom, Over, OverWhat, Visit, VisitedList};
use super::widgets::page::Reader;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Fleet, Member, TargetId};
use crate::report::long_waits::LongWaits;
use crate::report::progress::ProgressView;
use crate::report::repository::Repository;
use crate::report::{FindingKey, Link, Snapshot, TaskKey, Version};

/// Everything that decides what is drawn, except the fleet and the time.
#[derive(Debug)]
pub struct UiState {
    /// The views of the targets.
    pub panes: BTreeMap<TargetId, Pane>,
    /// Which of them is on the screen.
    pub active: Option<TargetId>,
    /// The overview, which is one for all targets.
    pub overview: Reader<Goto>,
    /// The longest waits of a target, as the overview lists them.
    pub long_waits: Option<(Version, LongWaits)>,
    /// The page beside the overview.
    pub detail: Option<Detail>,
    /// The comparison of all targets, where there is one.
    pub comparison: Option<Comparing>,
    /// What is explained over it.
    pub over: Option<Over>,
    /// Whether the filter of the list is being typed.
    pub prompt: bool,
    /// The filters that were kept before, the newest last.
    pub past_filters: Vec<String>,
    /// How many of those were gone back while typing.
    pub recalled: usize,
    /// The first half of a command of two keys.
    pub prefix: Option<char>,
    /// What was said last and is shown until the next key.
    pub message: Option<String>,
    /// How it looks.
    pub theme: Theme,
    /// What a target is measured by.
    pub criteria: Criteria,
    /// Where the places of targets are in the user's repository.
    pub repository: Repository,
}

impl Default for UiState {
    fn default() -> Self {
        Self::new(Theme::new(true, true))
    }
}

impl UiState {
    /// A screen without targets.
    pub fn new(theme: Theme) -> Self {
        Self {
            panes: BTreeMap::new(),
            active: None,
            overview: Reader::default(),
            long_waits: None,
            detail: None,
            comparison: None,
            over: None,
            prompt: false,
            past_filters: Vec::new(),
            recalled: 0,
            prefix: None,
            message: None,
            theme,
            criteria: Criteria::default(),
            repository: Repository::default(),
        }
    }

    /// Brings everything up to date that keys act on: the targets, and the list on the screen.
    pub fn refresh(&mut self, fleet: &Fleet) {
        self.sync(fleet);
        self.with_shown(fleet, |pane, shown| pane.refresh(shown));
    }

    /// Lets the pane on the screen do something with the target as it is shown, which may be frozen.
    pub fn with_shown<T>(&mut self, fleet: &Fleet, act: impl FnOnce(&mut Pane, &Snapshot<'_>) -> T) -> Option<T> {
        let live = self.active.and_then(|id| fleet.member(id))?;
        let pane = self.pane_mut()?;
        let frozen = pane.frozen.as_ref().map(|frozen| Arc::clone(&frozen.member));
        Some(act(pane, &Snapshot::new(fleet, frozen.as_deref().unwrap_or(live))))
    }

    /// Makes views of the targets that joined, and drops those of targets that left.
    pub fn sync(&mut self, fleet: &Fleet) {
        let home = if self.comparison.is_some() { Root::Comparison } else { Root::Overview };
        self.panes.retain(|id, _| fleet.member(*id).is_some());
        for member in fleet.members() {
            self.panes.entry(member.id()).or_insert_with(|| Pane::new(home));
        }
        self.active = self.active.filter(|id| self.panes.contains_key(id)).or(self.panes.keys().next().copied());
    }

    /// Where keys go.
    pub fn context(&self) -> Context {
        if self.over.is_some() {
            Context::Help
        } else if self.prompt {
            Context::Prompt
        } else if self.front().is_some() || self.pane().is_some_and(Pane::is_on_page) {
            Context::Page
        } else {
            Context::List
        }
    }

    /// The view of the target on the screen.
    pub fn pane(&self) -> Option<&Pane> {
        self.panes.get(&self.active?)
    }

    /// The same, to be changed.
    pub fn pane_mut(&mut self) -> Option<&mut Pane> {
        self.panes.get_mut(&self.active?)
    }

    /// Shows another target: the next one, or the one before.
    pub fn switch(&mut self, forward: bool) {
        let ids: Vec<TargetId> = self.panes.keys().copied().collect();
        let Some(at) = ids.iter().position(|id| Some(*id) == self.active) else { return };
        let step = if forward { 1 } else { ids.len() - 1 };
        self.active = ids.get((at + step) % ids.len()).copied();
    }

    /// Shows a target with the page of a finding on top, if it is there.
    pub fn open_finding(&mut self, fleet: &Fleet, target: TargetId, fingerprint: &str) {
        self.sync(fleet);
        let Some(shown) = fleet.member(target).map(|member| Snapshot::new(fleet, member)) else { return };
        if let (Some(pane), Some(key)) = (self.panes.get_mut(&target), shown.finding_of(fingerprint)) {
            pane.open(Link::Finding(key), &shown);
            self.active = Some(target);
        }
    }

    /// Whether the picture changes by the mere passing of time: a countdown or the age of a frozen view is on it.
    pub fn is_ticking(&self, fleet: &Fleet) -> bool {
        let is_lost =
            |member: &Member| matches!(member.diagnosis().status(), Status::Lost { .. } | Status::Stranger { .. });
        let runs = self.comparison.as_ref().is_some_and(|it| !it.view.is_over);
        runs || self.panes.values().any(|pane| pane.frozen.is_some()) || fleet.members().any(is_lost)
    }

    /// The finding that is being looked at: on the page on top, or selected in the list.
    pub fn chosen_finding(&self) -> Option<(TargetId, FindingKey)> {
        match self.chosen()? {
            (target, Link::Finding(key)) => Some((target, key)),
            (_, Link::Task(_) | Link::Site(_) | Link::TasksOf(_) | Link::Resource(_)) => None,
        }
    }

    /// What is being looked at: on the page on top, or selected in a list or the overview.
    pub fn chosen(&self) -> Option<(TargetId, Link)> {
        let pane = self.pane()?;
        let of_pane = || if pane.is_on_page() { Some(pane.visits.last()?.link.clone()) } else { pane.selected() };
        let (target, link) = match self.front_target() {
            Some(Goto { target, link }) => (*target, link.clone()),
            None => (self.active?, of_pane()),
        };
        Some((target, link?))
    }

    /// The page about all targets that is on top: the overview, or the comparison.
    pub fn front(&self) -> Option<&Reader<Goto>> {
        match self.pane()?.front()? {
            Front::Overview => Some(&self.overview),
            Front::Comparison => self.comparison.as_ref().map(|it| &it.reader),
        }
    }

    /// The same, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut Reader<Goto>> {
        match self.pane()?.front()? {
            Front::Overview => Some(&mut self.overview),
            Front::Comparison => self.comparison.as_mut().map(|it| &mut it.reader),
        }
    }

    /// Where the selected line of that page leads.
    pub fn front_target(&self) -> Option<&Goto> {
        self.front()?.target()
    }

    /// Shows what a comparison of the targets comes to so far.
    pub fn compare(&mut self, view: ProgressView) {
        match &mut self.comparison {
            Some(comparison) => comparison.view = view,
            None => self.comparison = Some(view.into()),
        }
    }

    /// Shows what a line of that page leads to: a page about a target, or the findings of one.
    pub fn go(&mut self, goto: Goto, fleet: &Fleet) {
        let Goto { target, link } = goto;
        self.active = Some(target);
        self.with_shown(fleet, |pane, shown| match link {
            Some(link) => pane.open(link, shown),
            None => pane.go_to(Root::Findings),
        });
    }

    /// The task of a target that is being looked at, whose details are worth having.
    pub fn open_task(&self, target: TargetId) -> Option<TaskKey> {
        let pane = self.panes.get(&target).filter(|pane| pane.frozen.is_none())?;
        match pane.visits.last()?.link {
            Link::Task(key) => Some(key),
            Link::Finding(_) | Link::Site(_) | Link::TasksOf(_) | Link::Resource(_) => None,
        }
    }
}

/// Where keys have their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A list of findings, spawn sites, tasks or resources.
    List,
    /// A page about one of them.
    Page,
    /// The help.
    Help,
    /// The filter is being typed.
    Prompt,
}

impl Context {
    /// Every context.
    pub const ALL: [Self; 4] = [Self::List, Self::Page, Self::Help, Self::Prompt];
}
