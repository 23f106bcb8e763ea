//! What the terminal shows at present: a view of each target, and what the user has chosen there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::list::List;
use super::tables::findings::Findings;
use super::tables::resources::Resources;
use super::tables::sites::Sites;
use super::tables::tasks::Tasks;
use super::tables::timeline::Timeline;
use super::tables::{AnyTable, Table};
use super::theme::Theme;
pub use super::visit::{Goto, Over, OverWhat, Visit, VisitedList};
use super::widgets::page::Reader;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Fleet, Member, TargetId};
use crate::report::filter::quoted;
use crate::report::repository::Repository;
use crate::report::{FindingKey, Link, Snapshot, TaskKey};

/// Most pages of the history that are kept.
const MOST_VISITS: usize = 50;

/// Everything that decides what is drawn, except the fleet and the time.
#[derive(Debug)]
pub struct UiState {
    /// The views of the targets.
    pub panes: BTreeMap<TargetId, Pane>,
    /// Which of them is on the screen.
    pub active: Option<TargetId>,
    /// The overview, which is one for all targets.
    pub overview: Reader<Goto>,
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
        self.panes.retain(|id, _| fleet.member(*id).is_some());
        for member in fleet.members() {
            self.panes.entry(member.id()).or_default();
        }
        self.active = self.active.filter(|id| self.panes.contains_key(id)).or(self.panes.keys().next().copied());
    }

    /// Where keys go.
    pub fn context(&self) -> Context {
        if self.over.is_some() {
            Context::Help
        } else if self.prompt {
            Context::Prompt
        } else if self.pane().is_some_and(|pane| pane.is_on_page() || pane.is_overview()) {
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
        self.panes.values().any(|pane| pane.frozen.is_some()) || fleet.members().any(is_lost)
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
        let (target, link) = match self.overview_target() {
            Some(Goto { target, link }) => (*target, link.clone()),
            None => (self.active?, of_pane()),
        };
        Some((target, link?))
    }

    /// Where the selected line of the overview leads, while that is on top.
    pub fn overview_target(&self) -> Option<&Goto> {
        self.pane().filter(|pane| pane.is_overview()).and_then(|_| self.overview.target())
    }

    /// Shows what a line of the overview leads to: a page about a target, or the findings of one.
    pub fn go(&mut self, goto: Goto, fleet: &Fleet) {
        let Goto { target, link } = goto;
        self.active = Some(target);
        self.with_shown(fleet, |pane, shown| match link {
            Some(link) => pane.open(link, shown),
            None => pane.root = Root::Findings,
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

/// What lies at the bottom: the overview, or one of the three lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Root {
    /// The most important of everything, where everybody starts.
    #[default]
    Overview,
    /// Findings.
    Findings,
    /// Tasks, grouped by spawn site.
    Sites,
    /// Tasks, one by one.
    Tasks,
    /// Resources.
    Resources,
    /// What became of findings, in the order of time.
    Timeline,
}

impl Root {
    /// The list that stands for it in the header: tasks are one view, grouped or not.
    #[must_use]
    pub fn in_header(self) -> Self {
        if self == Self::Sites { Self::Tasks } else { self }
    }
}

/// A target as it was when the user stopped the view.
#[derive(Debug)]
pub struct Frozen {
    /// By our clock.
    pub at: SystemTime,
    /// The target as it was.
    pub member: Arc<Member>,
}

/// The view of one target.
#[derive(Debug, Default)]
pub struct Pane {
    /// What is shown instead of what is, while frozen.
    pub frozen: Option<Frozen>,
    /// The list at the bottom.
    pub root: Root,
    /// The pages opened over it, the last one on top.
    pub visits: Vec<Visit>,
    /// Those that were left by going back, the one to go forward to last.
    pub ahead: Vec<Visit>,
    /// The list of findings.
    pub findings: Table<Findings>,
    /// The list of spawn sites.
    pub sites: Table<Sites>,
    /// The list of tasks.
    pub tasks: Table<Tasks>,
    /// The list of resources.
    pub resources: Table<Resources>,
    /// The timeline.
    pub timeline: Table<Timeline>,
    /// The process of the target that the keys in lists and pages belong to.
    epoch: u32,
}

impl Pane {
    /// Freezes the view, or lets it continue. The target is watched all the same.
    pub fn freeze(&mut self, live: &Member, now: SystemTime) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => Some(Frozen { at: now, member: Arc::new(live.clone()) }),
        };
    }

    /// Opens a page, or the tasks of a spawn site.
    pub fn open(&mut self, link: Link, shown: &Snapshot<'_>) {
        let list = match &link {
            Link::TasksOf(site) => {
                let mut tasks: Box<Table<Tasks>> = Box::default();
                tasks.all = true;
                tasks.set_filter(&format!("site:{}", quoted(&shown.site_text(*site))));
                Some(VisitedList::Tasks(tasks))
            }
            Link::Resource(resource) => Some(VisitedList::Ops(Box::new(Table::of(*resource)))),
            Link::Finding(_) | Link::Task(_) | Link::Site(_) => None,
        };
        self.ahead.clear();
        self.visits.push(Visit { link, reader: Reader::default(), list });
        if self.visits.len() > MOST_VISITS {
            self.visits.remove(0);
        }
    }

    /// Whether a page lies on top, and not a list.
    fn is_on_page(&self) -> bool {
        self.visits.last().is_some_and(|visit| !matches!(visit.link, Link::TasksOf(_)))
    }

    /// Whether the overview is on top.
    pub fn is_overview(&self) -> bool {
        self.root == Root::Overview && self.visits.is_empty()
    }

    /// When that happened which is selected in the timeline, if that is on the screen.
    pub fn selected_time(&self) -> Option<SystemTime> {
        let is_shown = self.root == Root::Timeline && self.visits.is_empty();
        self.timeline.list.selected().filter(|_| is_shown).map(|key| key.at)
    }

    /// What is selected in the list on top.
    pub fn selected(&self) -> Option<Link> {
        self.table()?.selected()
    }

    /// The list on top, or on the page on top.
    pub fn table(&self) -> Option<&dyn AnyTable> {
        match (self.visits.last(), self.root) {
            (Some(visit), _) => visit.list.as_ref().map(VisitedList::table),
            (None, Root::Overview) => None,
            (None, Root::Findings) => Some(&self.findings),
            (None, Root::Sites) => Some(&self.sites),
            (None, Root::Tasks) => Some(&self.tasks),
            (None, Root::Resources) => Some(&self.resources),
            (None, Root::Timeline) => Some(&self.timeline),
        }
    }

    /// The same, to be changed.
    pub fn table_mut(&mut self) -> Option<&mut dyn AnyTable> {
        match (self.visits.last_mut(), self.root) {
            (Some(visit), _) => visit.list.as_mut().map(VisitedList::table_mut),
            (None, Root::Overview) => None,
            (None, Root::Findings) => Some(&mut self.findings),
            (None, Root::Sites) => Some(&mut self.sites),
            (None, Root::Tasks) => Some(&mut self.tasks),
            (None, Root::Resources) => Some(&mut self.resources),
            (None, Root::Timeline) => Some(&mut self.timeline),
        }
    }

    /// Brings the list on top up to date with what is shown.
    fn refresh(&mut self, shown: &Snapshot<'_>) {
        // The keys of another process mean nothing, or worse, something else.
        let epoch = shown.epoch();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            for visits in [&mut self.visits, &mut self.ahead] {
                visits.retain(|visit| matches!(visit.link, Link::Finding(_)));
            }
            self.sites.list = List::default();
            self.tasks.list = List::default();
            self.resources.list = List::default();
        }
        if let Some(table) = self.table_mut() {
            table.refresh(shown);
        }
    }
}
