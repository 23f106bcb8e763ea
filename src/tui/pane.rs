//! The view of one target: what lies at the bottom of it, and the pages that were opened over that.

use std::sync::Arc;
use std::time::SystemTime;

use super::list::List;
use super::tables::findings::Findings;
use super::tables::resources::Resources;
use super::tables::sites::Sites;
use super::tables::tasks::Tasks;
use super::tables::timeline::Timeline;
use super::tables::{AnyTable, Table};
use super::visit::{Visit, VisitedList};
use super::widgets::page::Reader;
use crate::fleet::Member;
use crate::report::filter::quoted;
use crate::report::{Link, Snapshot};

/// Most pages of the history that are kept.
const MOST_VISITS: usize = 50;

/// What lies at the bottom: the overview, or one of the three lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Root {
    /// The most important of everything, where everybody starts.
    #[default]
    Overview,
    /// What a comparison of all targets comes to, where a comparison starts.
    Comparison,
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

/// A page about all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// The overview.
    Overview,
    /// The comparison.
    Comparison,
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
    /// Where it began, and where going back ends.
    pub home: Root,
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
    /// A view that begins there.
    pub(super) fn new(home: Root) -> Self {
        Self { root: home, home, ..Self::default() }
    }

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
        self.visits.push(Visit { link, reader: Reader::default(), list, made_from: None });
        if self.visits.len() > MOST_VISITS {
            self.visits.remove(0);
        }
    }

    /// Whether a page lies on top, and not a list.
    pub(super) fn is_on_page(&self) -> bool {
        self.visits.last().is_some_and(|visit| !matches!(visit.link, Link::TasksOf(_)))
    }

    /// Whether the list of findings is on top.
    pub(super) fn is_on_findings(&self) -> bool {
        self.root == Root::Findings && self.visits.is_empty()
    }

    /// The page about all targets that is on top.
    pub fn front(&self) -> Option<Front> {
        match self.root {
            _ if !self.visits.is_empty() => None,
            Root::Overview => Some(Front::Overview),
            Root::Comparison => Some(Front::Comparison),
            Root::Findings | Root::Sites | Root::Tasks | Root::Resources | Root::Timeline => None,
        }
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
            (None, Root::Overview | Root::Comparison) => None,
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
            (None, Root::Overview | Root::Comparison) => None,
            (None, Root::Findings) => Some(&mut self.findings),
            (None, Root::Sites) => Some(&mut self.sites),
            (None, Root::Tasks) => Some(&mut self.tasks),
            (None, Root::Resources) => Some(&mut self.resources),
            (None, Root::Timeline) => Some(&mut self.timeline),
        }
    }

    /// Brings the list on top up to date with what is shown.
    pub(super) fn refresh(&mut self, shown: &Snapshot<'_>) {
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
