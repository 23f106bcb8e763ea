//! What actions do to the state.

use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use super::keymap::{self, Action};
use super::state::{OverWhat, Pane, Root, UiState};
use super::tables::{Listing, Table};
use super::widgets::page::Reader;
use super::widgets::table::fit;
use crate::fleet::{Fleet, TargetId};
use crate::playing::Ask;
use crate::report::{Snapshot, markdown};

/// What the state cannot do for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Give the terminal back and stop until continued.
    Suspend,
    /// Redraw the screen.
    Redraw,
    /// Copy a finding.
    Copy {
        /// As Markdown.
        text: String,
        /// The file that keeps it.
        file: String,
    },
    /// Open a file of the repository at a line.
    Edit {
        /// Its path from the root of the repository.
        path: String,
        /// The line, from 1.
        line: u32,
    },
    /// Write a witness of a finding.
    Witness {
        /// The target.
        target: TargetId,
        /// The finding.
        fingerprint: String,
    },
    /// Play a recording otherwise.
    Play {
        /// The target.
        target: TargetId,
        /// How.
        ask: Ask,
    },
    /// Save what is kept of a target.
    Save {
        /// The target.
        target: TargetId,
    },
}

/// How far a recording is put back or forward by one key.
const LEAP: Duration = Duration::from_secs(10);

/// What an action may need to know besides the state.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The targets.
    pub fleet: &'a Fleet,
    /// The width of the screen, which decides what columns there are to sort by.
    pub width: u16,
    /// The time, by our clock.
    pub now: SystemTime,
}

impl UiState {
    /// Takes in a key.
    pub fn press(&mut self, key: KeyEvent, around: Surroundings<'_>) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.message = None;
        // Keys may come faster than frames.
        self.refresh(around.fleet);
        let action = keymap::resolve(key, self);
        let prefix = match key.code {
            KeyCode::Char(character) if action == Some(Action::Prefix) => Some(character),
            _ => None,
        };
        let effect = action.and_then(|action| self.act(action, around));
        self.prefix = prefix;
        effect
    }

    fn act(&mut self, action: Action, around: Surroundings<'_>) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Help => self.over = if self.over.is_some() { None } else { Some(OverWhat::Help.into()) },
            Action::Explain => self.explain(around.fleet),
            Action::Copy => return self.copy(around.fleet),
            Action::Edit => return self.edit(around.fleet),
            Action::NextTarget => self.switch(true),
            Action::PreviousTarget => self.switch(false),
            Action::Overview => self.in_pane(|pane| pane.go_to(Root::Overview)),
            Action::Findings => self.in_pane(|pane| pane.go_to(Root::Findings)),
            Action::Tasks => self.in_pane(|pane| pane.go_to(Root::Tasks)),
            Action::Resources => self.in_pane(|pane| pane.go_to(Root::Resources)),
            Action::Timeline => self.in_pane(|pane| pane.go_to(Root::Timeline)),
            Action::Open => return self.open_selected(around),
            Action::Back => self.in_pane(Pane::go_back),
            Action::Down => self.travel(Travel::Rows(1)),
            Action::Up => self.travel(Travel::Rows(-1)),
            Action::PageDown => self.travel(Travel::Pages(1)),
            Action::PageUp => self.travel(Travel::Pages(-1)),
            Action::First => self.travel(Travel::First),
            Action::Last => self.travel(Travel::Last),
            Action::Prefix => {}
            Action::SortLeft => self.in_pane(|pane| pane.sort(around.width, -1)),
            Action::SortRight => self.in_pane(|pane| pane.sort(around.width, 1)),
            Action::Invert => self.in_pane(Pane::invert),
            Action::Freeze => self.freeze(around),
            Action::Witness => return self.ask_for_witness(),
            Action::PlayOrPause => return self.play(Ask::Toggle),
            Action::Step => return self.play(Ask::Step),
            Action::Slower => return self.play(Ask::Slower),
            Action::Faster => return self.play(Ask::Faster),
            Action::SeekBack => return self.play(Ask::Back(LEAP)),
            Action::SeekForward => return self.play(Ask::Forward(LEAP)),
            Action::PreviousOpening => return self.play(Ask::PreviousOpening),
            Action::NextOpening => return self.play(Ask::NextOpening),
            Action::Save => return self.active.map(|target| Effect::Save { target }),
            Action::Filter => self.prompt = true,
            Action::Accept => self.prompt = false,
            Action::Discard => {
                self.prompt = false;
                self.in_pane(|pane| pane.filter_mut().text.clear());
            }
            Action::Type(character) => self.in_pane(|pane| pane.filter_mut().text.push(character)),
            Action::Erase => self.in_pane(|pane| {
                pane.filter_mut().text.pop();
            }),
            Action::EraseAll => self.in_pane(|pane| pane.filter_mut().text.clear()),
        }
        None
    }

    fn in_pane(&mut self, act: impl FnOnce(&mut Pane)) {
        if let Some(pane) = self.pane_mut() {
            act(pane);
        }
    }

    fn ask_for_witness(&mut self) -> Option<Effect> {
        if let Some((target, key)) = self.chosen_finding() {
            return Some(Effect::Witness { target, fingerprint: key.fingerprint().to_owned() });
        }
        self.message = Some("Select or open a finding, then press W.".to_owned());
        None
    }

    fn explain(&mut self, fleet: &Fleet) {
        let chosen = self.chosen_finding();
        let row = chosen.and_then(|(target, key)| Snapshot::new(fleet, fleet.member(target)?).finding_row(&key));
        match row {
            Some(row) => self.over = Some(OverWhat::Detector(row.detector).into()),
            None => self.message = Some("Select or open a finding, then press x.".to_owned()),
        }
    }

    fn copy(&mut self, fleet: &Fleet) -> Option<Effect> {
        let copied = self.chosen_finding().and_then(|(target, key)| {
            let member = fleet.member(target)?;
            let view = Snapshot::new(fleet, member).finding(&key)?;
            let text = markdown::finding(&view, member.diagnosis().target());
            let file = format!("tokio-canary-{}-{}.md", view.row.detector, view.fingerprint);
            Some(Effect::Copy { text, file })
        });
        if copied.is_none() {
            self.message = Some("Select or open a finding, then press y.".to_owned());
        }
        copied
    }

    fn edit(&mut self, fleet: &Fleet) -> Option<Effect> {
        let Some((target, link)) = self.chosen() else {
            self.message = Some("Select something that has a place, then press e.".to_owned());
            return None;
        };
        let place = fleet.member(target).map(|member| Snapshot::new(fleet, member).place_of(&link));
        match self.repository.place(&place.unwrap_or_default()) {
            Ok(place) => Some(Effect::Edit { path: place.path, line: place.line }),
            Err(elsewhere) => {
                self.message = Some(elsewhere.sentence().to_owned());
                None
            }
        }
    }

    /// Opens what is selected. A recording is put to where that is which is selected in its timeline.
    fn open_selected(&mut self, around: Surroundings<'_>) -> Option<Effect> {
        let at = self.pane().and_then(Pane::selected_time);
        match self.overview_target().cloned() {
            Some(goto) => self.go(goto),
            None => self.in_pane(Pane::follow),
        }
        let member = around.fleet.member(self.active?)?;
        member.playing().and(at).and_then(|at| self.play(Ask::To(at)))
    }

    fn play(&self, ask: Ask) -> Option<Effect> {
        self.active.map(|target| Effect::Play { target, ask })
    }

    fn freeze(&mut self, around: Surroundings<'_>) {
        let live = self.active.and_then(|id| around.fleet.member(id));
        if let (Some(pane), Some(live)) = (self.pane_mut(), live) {
            pane.freeze(live, around.now);
        }
    }

    /// Moves in whatever lies on top.
    fn travel(&mut self, travel: Travel) {
        if let Some(over) = &mut self.over {
            return travel.read(&mut over.reader);
        }
        if self.pane().is_some_and(|pane| pane.visits.is_empty() && pane.root == Root::Overview) {
            return travel.read(&mut self.overview);
        }
        let Some(pane) = self.pane_mut() else { return };
        match (pane.visits.last_mut(), pane.root) {
            (Some(visit), _) => travel.read(&mut visit.reader),
            (None, Root::Overview) => {}
            (None, Root::Findings) => travel.select(&mut pane.findings),
            (None, Root::Tasks) => travel.select(&mut pane.tasks),
            (None, Root::Resources) => travel.select(&mut pane.resources),
            (None, Root::Timeline) => travel.select(&mut pane.timeline),
        }
    }
}

impl Pane {
    /// Shows a list, with nothing over it.
    fn go_to(&mut self, root: Root) {
        self.root = root;
        self.visits.clear();
    }

    /// Opens the page that is selected in the page on top, or in the list.
    fn follow(&mut self) {
        let link = match self.visits.last() {
            Some(visit) => visit.reader.target().cloned(),
            None => self.selected(),
        };
        if let Some(link) = link {
            self.open(link);
        }
    }

    /// Closes the page on top; in a list, clears the filter, or goes to the overview.
    fn go_back(&mut self) {
        if self.visits.pop().is_some() {
            return;
        }
        if self.filter().is_empty() {
            self.root = Root::Overview;
        }
        self.filter_mut().text.clear();
    }

    fn sort(&mut self, width: u16, step: isize) {
        match self.root {
            Root::Overview => {}
            Root::Findings => sort(&mut self.findings, width, step),
            Root::Tasks => sort(&mut self.tasks, width, step),
            Root::Resources => sort(&mut self.resources, width, step),
            Root::Timeline => sort(&mut self.timeline, width, step),
        }
    }

    fn invert(&mut self) {
        match self.root {
            Root::Overview => {}
            Root::Findings => invert(&mut self.findings),
            Root::Tasks => invert(&mut self.tasks),
            Root::Resources => invert(&mut self.resources),
            Root::Timeline => invert(&mut self.timeline),
        }
    }
}

fn sort<L: Listing>(table: &mut Table<L>, width: u16, step: isize) {
    let columns: Vec<L::Column> = fit(L::COLUMNS, width).iter().map(|(column, _)| column.id).collect();
    table.sort_by_neighbour(&columns, step);
}

fn invert<L: Listing>(table: &mut Table<L>) {
    table.sort.inverted = !table.sort.inverted;
}

/// A way to move.
#[derive(Debug, Clone, Copy)]
enum Travel {
    Rows(isize),
    Pages(isize),
    First,
    Last,
}

impl Travel {
    fn select<L: Listing>(self, table: &mut Table<L>) {
        match self {
            Self::Rows(rows) => table.list.step(rows),
            Self::Pages(pages) => table.list.page(pages),
            Self::First => table.list.first(),
            Self::Last => table.list.last(),
        }
    }

    fn read<T: Clone + PartialEq>(self, reader: &mut Reader<T>) {
        match self {
            Self::Rows(rows) => reader.step(rows),
            Self::Pages(pages) => reader.page(pages),
            Self::First => reader.first(),
            Self::Last => reader.last(),
        }
    }
}
