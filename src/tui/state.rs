//! What the terminal shows at present: the targets, the view of each, and what the user has chosen there.

use std::time::SystemTime;

use crate::diagnosis::{Arrived, Diagnosis, Status, Wanted};
use crate::model::{ResourceKey, TaskKey};

use super::keymap::Context;
use super::tables::findings::{FindingKey, Findings};
use super::tables::resources::Resources;
use super::tables::tasks::Tasks;
use super::tables::{Filter, Table};
use super::theme::Theme;
use super::widgets::page::Reader;

/// Everything that decides what is drawn, except the time.
#[derive(Debug)]
pub struct UiState {
    /// The targets.
    pub panes: Vec<Pane>,
    /// Which of them is on the screen.
    pub active: usize,
    /// Whether the help lies over it.
    pub help: Option<Reader<()>>,
    /// Whether the filter of the list is being typed.
    pub prompt: bool,
    /// The first half of a command of two keys.
    pub prefix: Option<char>,
    /// How it looks.
    pub theme: Theme,
}

impl Default for UiState {
    fn default() -> Self {
        Self::new(Vec::new(), Theme::new(true, true))
    }
}

impl UiState {
    /// The first screen of these targets.
    pub fn new(diagnoses: Vec<Diagnosis>, theme: Theme) -> Self {
        let panes = diagnoses.into_iter().map(Pane::new).collect();
        Self { panes, active: 0, help: None, prompt: false, prefix: None, theme }
    }

    /// Where keys go.
    pub fn context(&self) -> Context {
        if self.help.is_some() {
            Context::Help
        } else if self.prompt {
            Context::Prompt
        } else if self.pane().is_some_and(|pane| !pane.pages.is_empty()) {
            Context::Page
        } else {
            Context::List
        }
    }

    /// The target on the screen.
    pub fn pane(&self) -> Option<&Pane> {
        self.panes.get(self.active)
    }

    /// Takes in what a target's feed delivered.
    pub fn apply(&mut self, target: usize, arrived: Arrived) {
        if let Some(pane) = self.panes.get_mut(target) {
            pane.live.apply(arrived);
            pane.revision += 1;
        }
    }

    /// The tasks of a target whose details are worth having: suspects, and the one that is being looked at.
    pub fn wanted(&self, target: usize) -> Wanted {
        let Some(pane) = self.panes.get(target) else { return Wanted::new() };
        let mut wanted = pane.live.wanted_details();
        if let (Some(Page { about: About::Task(key), .. }), None) = (pane.pages.last(), &pane.frozen) {
            wanted.extend(pane.live.model().task(*key).map(|task| task.id));
        }
        wanted
    }

    /// Whether the picture changes by the mere passing of time: a countdown or the age of a frozen view is on it.
    pub fn is_ticking(&self) -> bool {
        self.panes.iter().any(|pane| pane.frozen.is_some() || matches!(pane.live.status(), Status::Lost { .. }))
    }
}

/// One of the three lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// Findings, where everybody starts.
    Findings,
    /// Tasks.
    Tasks,
    /// Resources.
    Resources,
}

/// What a page is about, and where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A finding.
    Finding(FindingKey),
    /// A task.
    Task(TaskKey),
    /// A resource.
    Resource(ResourceKey),
}

/// A page that was opened.
#[derive(Debug)]
pub struct Page {
    /// What it is about.
    pub about: About,
    /// How far it was read.
    pub reader: Reader<About>,
}

/// A target as it was when the user stopped the view.
#[derive(Debug)]
pub struct Frozen {
    /// By our clock.
    pub at: SystemTime,
    diagnosis: Box<Diagnosis>,
    revision: u64,
}

/// One target and the view of it.
#[derive(Debug)]
pub struct Pane {
    live: Diagnosis,
    /// Rises with everything that arrives.
    revision: u64,
    /// What is shown instead of what is, while frozen.
    pub frozen: Option<Frozen>,
    /// The list at the bottom.
    pub root: Root,
    /// The pages opened over it, the last one on top.
    pub pages: Vec<Page>,
    /// The list of findings.
    pub findings: Table<Findings>,
    /// The list of tasks.
    pub tasks: Table<Tasks>,
    /// The list of resources.
    pub resources: Table<Resources>,
    /// The process of the target that the keys in lists and pages belong to.
    epoch: u32,
}

impl Pane {
    fn new(live: Diagnosis) -> Self {
        Self {
            live,
            revision: 1,
            frozen: None,
            root: Root::Findings,
            pages: Vec::new(),
            findings: Table::default(),
            tasks: Table::default(),
            resources: Table::default(),
            epoch: 0,
        }
    }

    /// The target as it is.
    pub fn live(&self) -> &Diagnosis {
        &self.live
    }

    /// The target as it is shown.
    pub fn shown(&self) -> &Diagnosis {
        self.frozen.as_ref().map_or(&self.live, |frozen| &frozen.diagnosis)
    }

    /// Stops the view where it is, or lets it go on. The target is watched all the same.
    pub fn freeze(&mut self, now: SystemTime) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => Some(Frozen { at: now, diagnosis: Box::new(self.live.clone()), revision: self.revision }),
        };
    }

    /// Opens a page.
    pub fn open(&mut self, about: About) {
        self.pages.push(Page { about, reader: Reader::default() });
    }

    /// What is selected in the list at the bottom.
    pub fn selected(&self) -> Option<About> {
        match self.root {
            Root::Findings => self.findings.list.selected().cloned().map(About::Finding),
            Root::Tasks => self.tasks.list.selected().copied().map(About::Task),
            Root::Resources => self.resources.list.selected().copied().map(About::Resource),
        }
    }

    /// The filter of the list at the bottom.
    pub fn filter(&mut self) -> &mut Filter {
        match self.root {
            Root::Findings => &mut self.findings.filter,
            Root::Tasks => &mut self.tasks.filter,
            Root::Resources => &mut self.resources.filter,
        }
    }

    /// Brings the list at the bottom up to date.
    pub fn refresh(&mut self) {
        let Self { live, frozen, .. } = self;
        let (diagnosis, revision) =
            frozen.as_ref().map_or((&*live, self.revision), |frozen| (&*frozen.diagnosis, frozen.revision));
        // The keys of another process mean nothing, or worse, something else.
        let epoch = diagnosis.model().epoch();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.pages.retain(|page| matches!(page.about, About::Finding(_)));
            self.tasks.list = super::list::List::default();
            self.resources.list = super::list::List::default();
        }
        match self.root {
            Root::Findings => self.findings.refresh(diagnosis, revision),
            Root::Tasks => self.tasks.refresh(diagnosis, revision),
            Root::Resources => self.resources.refresh(diagnosis, revision),
        }
    }
}
