//! What the terminal shows at present: a view of each target, and what the user has chosen there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::list::List;
use super::tables::findings::Findings;
use super::tables::ops::Ops;
use super::tables::resources::Resources;
use super::tables::sites::Sites;
use super::tables::tasks::Tasks;
use super::tables::{AnyTable, Table};
use super::theme::Theme;
use super::widgets::page::Reader;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Fleet, Member, TargetId};
use crate::report::filter::quoted;
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
    /// Whether the help lies over it.
    pub help: Option<Reader<()>>,
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
}

impl Default for UiState {
    fn default() -> Self {
        Self::new(Theme::new(true, true))
    }
}

impl UiState {
    /// A screen without targets.
    pub fn new(theme: Theme) -> Self {
        let (panes, criteria) = (BTreeMap::new(), Criteria::default());
        Self {
            panes,
            active: None,
            help: None,
            prompt: false,
            past_filters: Vec::new(),
            recalled: 0,
            prefix: None,
            message: None,
            theme,
            criteria,
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
        if self.help.is_some() {
            Context::Help
        } else if self.prompt {
            Context::Prompt
        } else if self.pane().is_some_and(Pane::is_on_page) {
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

    /// Whether the picture changes by the mere passing of time: a countdown or the age of a frozen view is on it.
    pub fn is_ticking(&self, fleet: &Fleet) -> bool {
        let is_lost =
            |member: &Member| matches!(member.diagnosis().status(), Status::Lost { .. } | Status::Stranger { .. });
        self.panes.values().any(|pane| pane.frozen.is_some()) || fleet.members().any(is_lost)
    }

    /// The finding that is being looked at: on the page on top, or selected in the list.
    pub fn chosen_finding(&self) -> Option<(TargetId, FindingKey)> {
        let pane = self.pane()?;
        let link = if pane.is_on_page() { Some(pane.visits.last()?.link.clone()) } else { pane.selected() };
        match link? {
            Link::Finding(key) => Some((self.active?, key)),
            Link::Task(_) | Link::Site(_) | Link::TasksOf(_) | Link::Resource(_) => None,
        }
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

/// One of the lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Root {
    /// Findings, where everybody starts.
    #[default]
    Findings,
    /// Tasks, grouped by spawn site.
    Sites,
    /// Tasks, one by one.
    Tasks,
    /// Resources.
    Resources,
}

impl Root {
    /// The list that stands for it in the header: tasks are one view, grouped or not.
    #[must_use]
    pub fn in_header(self) -> Self {
        if self == Self::Sites { Self::Tasks } else { self }
    }
}

/// A page or a part of a list that was opened.
#[derive(Debug)]
pub struct Visit {
    /// What it is about.
    pub link: Link,
    /// How far it was read.
    pub reader: Reader<Link>,
    /// The list on it, if there is one.
    pub list: Option<VisitedList>,
}

/// A list on a page, or instead of one.
#[derive(Debug)]
pub enum VisitedList {
    /// The tasks of a spawn site.
    Tasks(Box<Table<Tasks>>),
    /// The async ops on a resource.
    Ops(Box<Table<Ops>>),
}

impl VisitedList {
    /// The list itself, whatever it is of.
    fn table(&self) -> &dyn AnyTable {
        match self {
            Self::Tasks(table) => table.as_ref(),
            Self::Ops(table) => table.as_ref(),
        }
    }

    /// The same, to be changed.
    fn table_mut(&mut self) -> &mut dyn AnyTable {
        match self {
            Self::Tasks(table) => table.as_mut(),
            Self::Ops(table) => table.as_mut(),
        }
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

    /// What is selected in the list on top.
    pub fn selected(&self) -> Option<Link> {
        self.table()?.selected()
    }

    /// The list on top, or on the page on top.
    pub fn table(&self) -> Option<&dyn AnyTable> {
        match (self.visits.last(), self.root) {
            (Some(visit), _) => visit.list.as_ref().map(VisitedList::table),
            (None, Root::Findings) => Some(&self.findings),
            (None, Root::Sites) => Some(&self.sites),
            (None, Root::Tasks) => Some(&self.tasks),
            (None, Root::Resources) => Some(&self.resources),
        }
    }

    /// The same, to be changed.
    pub fn table_mut(&mut self) -> Option<&mut dyn AnyTable> {
        match (self.visits.last_mut(), self.root) {
            (Some(visit), _) => visit.list.as_mut().map(VisitedList::table_mut),
            (None, Root::Findings) => Some(&mut self.findings),
            (None, Root::Sites) => Some(&mut self.sites),
            (None, Root::Tasks) => Some(&mut self.tasks),
            (None, Root::Resources) => Some(&mut self.resources),
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
