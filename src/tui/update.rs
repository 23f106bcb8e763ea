//! What actions do to the state.

use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use super::keymap::{self, Action};
use super::state::{OverWhat, Pane, Root, UiState};
use super::tables::{AnyTable, Travel};
use super::widgets::page::Reader;
use crate::fleet::{Fleet, TargetId};
use crate::playing::Ask;
use crate::report::{FindingKey, Link, Snapshot, findings, markdown};

/// Most filters that can be recalled.
const MOST_FILTERS: usize = 50;

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

/// How far one key seeks in a recording.
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
            Action::OpenEditor => return self.open_editor(around.fleet),
            Action::NextTarget => self.switch(true),
            Action::PreviousTarget => self.switch(false),
            Action::Overview => self.in_pane(|pane| pane.go_to(Root::Overview)),
            Action::Comparison => self.show_comparison(),
            Action::Findings => self.in_pane(|pane| pane.go_to(Root::Findings)),
            Action::Tasks => self.in_pane(Pane::go_to_tasks),
            Action::AllTasks => self.in_pane(|pane| pane.go_to(Root::Tasks)),
            Action::Resources => self.in_pane(|pane| pane.go_to(Root::Resources)),
            Action::Timeline => self.in_pane(|pane| pane.go_to(Root::Timeline)),
            Action::Open => return self.open_selected(around),
            Action::Back => self.in_pane(Pane::go_back),
            Action::Forward => self.in_pane(Pane::go_forward),
            Action::NextFinding => self.go_to_finding(around, true),
            Action::PreviousFinding => self.go_to_finding(around, false),
            Action::Down => self.travel(Travel::Rows(1)),
            Action::Up => self.travel(Travel::Rows(-1)),
            Action::PageDown => self.travel(Travel::Pages(1)),
            Action::PageUp => self.travel(Travel::Pages(-1)),
            Action::First => self.travel(Travel::First),
            Action::Last => self.travel(Travel::Last),
            Action::Prefix => {}
            Action::SortLeft => self.in_table(|table| table.sort(around.width, -1)),
            Action::SortRight => self.in_table(|table| table.sort(around.width, 1)),
            Action::Invert => self.in_table(|table| table.invert()),
            Action::All => self.in_table(|table| table.toggle_all()),
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
            Action::Filter => self.begin_to_filter(),
            Action::Accept => self.keep_filter(),
            Action::Discard => {
                self.prompt = false;
                self.in_table(|table| table.set_filter(""));
            }
            Action::Edit(edit) => self.in_table(|table| table.edit(edit)),
            Action::OlderFilter => self.recall(self.recalled + 1),
            Action::NewerFilter => self.recall(self.recalled.saturating_sub(1)),
        }
        None
    }

    fn in_pane(&mut self, act: impl FnOnce(&mut Pane)) {
        if let Some(pane) = self.pane_mut() {
            act(pane);
        }
    }

    fn in_table(&mut self, act: impl FnOnce(&mut dyn AnyTable)) {
        if let Some(table) = self.pane_mut().and_then(Pane::table_mut) {
            act(table);
        }
    }

    fn show_comparison(&mut self) {
        match self.comparison {
            Some(_) => self.in_pane(|pane| pane.go_to(Root::Comparison)),
            None => self.message = Some("Nothing is compared; `tokio-canary compare --tui` does that.".to_owned()),
        }
    }

    fn begin_to_filter(&mut self) {
        (self.prompt, self.recalled) = (self.pane().and_then(Pane::table).is_some(), 0);
        if !self.prompt {
            self.message = Some("This page has no list to filter.".to_owned());
        }
    }

    /// Ends typing, unless there is a mistake in the filter.
    fn keep_filter(&mut self) {
        let Some(table) = self.pane().and_then(Pane::table) else { return self.prompt = false };
        if table.mistake().is_some() {
            return;
        }
        let text = table.line().text().to_owned();
        self.prompt = false;
        self.past_filters.retain(|past| *past != text);
        if !text.is_empty() {
            self.past_filters.push(text);
        }
        let surplus = self.past_filters.len().saturating_sub(MOST_FILTERS);
        self.past_filters.drain(..surplus);
    }

    /// Puts an earlier filter into the prompt: the newest is 1, and 0 is an empty line.
    fn recall(&mut self, back: usize) {
        let text = match back {
            0 => Some(String::new()),
            back => self.past_filters.len().checked_sub(back).map(|place| self.past_filters[place].clone()),
        };
        if let Some(text) = text {
            self.recalled = back;
            self.in_table(|table| table.set_filter(&text));
        }
    }

    /// Opens the page of the finding after the one on the screen, or before it, in the order in which they are read: those of all targets, where
    /// there are several.
    fn go_to_finding(&mut self, around: Surroundings<'_>, forward: bool) {
        let findings = self.findings_to_walk(around.fleet);
        let on_top = self.pane().and_then(Pane::finding_on_top);
        let at = on_top.and_then(|key| findings.iter().position(|(_, it)| it.fingerprint() == key.fingerprint()));
        let count = findings.len();
        let next = match (at, forward) {
            (Some(at), true) => at + 1,
            (Some(at), false) => at + count - 1,
            (None, true) => 0,
            (None, false) => count.saturating_sub(1),
        };
        let Some((target, key)) = findings.get(next % count.max(1)) else {
            return self.message = Some("There are no findings.".to_owned());
        };
        self.active = Some(*target);
        self.with_shown(around.fleet, |pane, shown| pane.show_finding(key.clone(), shown));
    }

    /// The present findings with their targets. A view that is frozen has those of its time.
    fn findings_to_walk(&mut self, fleet: &Fleet) -> Vec<(TargetId, FindingKey)> {
        let is_frozen = self.pane().is_some_and(|pane| pane.frozen.is_some());
        match self.active {
            Some(active) if is_frozen || fleet.members().len() == 1 => {
                let own = self.with_shown(fleet, |_, shown| shown.current_findings()).unwrap_or_default();
                own.into_iter().map(|key| (active, key)).collect()
            }
            _ => findings::of_fleet(fleet).into_iter().map(|it| (it.target, it.row.key)).collect(),
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
            // A colon is a drive or a host to some programs.
            let file = format!("tokio-canary-{}.md", view.fingerprint.replace(':', "-"));
            Some(Effect::Copy { text, file })
        });
        if copied.is_none() {
            self.message = Some("Select or open a finding, then press y.".to_owned());
        }
        copied
    }

    fn open_editor(&mut self, fleet: &Fleet) -> Option<Effect> {
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

    /// Opens what is selected. In the timeline of a recording, seeks to it as well.
    fn open_selected(&mut self, around: Surroundings<'_>) -> Option<Effect> {
        let at = self.pane().and_then(Pane::selected_time);
        match self.front_target().cloned() {
            Some(goto) => self.go(goto, around.fleet),
            None => drop(self.with_shown(around.fleet, Pane::follow)),
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
        if let Some(front) = self.front_mut() {
            return travel.read(front);
        }
        let Some(pane) = self.pane_mut() else { return };
        match pane.visits.last_mut().filter(|visit| !matches!(visit.link, Link::TasksOf(_))) {
            Some(visit) => travel.read(&mut visit.reader),
            None => self.in_table(|table| table.travel(travel)),
        }
    }
}

impl Pane {
    /// Shows a list, with nothing over it.
    pub(super) fn go_to(&mut self, root: Root) {
        self.root = root;
        self.visits.clear();
        self.ahead.clear();
    }

    /// Shows the spawn sites, or from there the tasks one by one.
    fn go_to_tasks(&mut self) {
        let from_sites = self.root == Root::Sites && self.visits.is_empty();
        self.go_to(if from_sites { Root::Tasks } else { Root::Sites });
    }

    /// Opens the page that is selected in the page on top, or in the list.
    fn follow(&mut self, shown: &Snapshot<'_>) {
        let link = match self.visits.last().filter(|visit| !matches!(visit.link, Link::TasksOf(_))) {
            Some(visit) => visit.reader.target().cloned(),
            None => self.selected(),
        };
        if let Some(link) = link {
            self.open(link, shown);
        }
    }

    /// Closes the page on top; in a list, clears the filter, or goes to where it began.
    fn go_back(&mut self) {
        match self.visits.pop() {
            Some(visit) => self.ahead.push(visit),
            None if self.table().is_none_or(|table| table.line().text().is_empty()) => self.root = self.home,
            None => self.table_mut().into_iter().for_each(|table| table.set_filter("")),
        }
    }

    /// Opens the page again that was closed last.
    fn go_forward(&mut self) {
        self.visits.extend(self.ahead.pop());
    }

    /// The finding whose page is on top.
    fn finding_on_top(&self) -> Option<&FindingKey> {
        match self.visits.last().map(|visit| &visit.link) {
            Some(Link::Finding(key)) => Some(key),
            _ => None,
        }
    }

    /// Opens the page of a finding, in the place of another one that is on top.
    fn show_finding(&mut self, key: FindingKey, shown: &Snapshot<'_>) {
        if self.finding_on_top().is_some() {
            self.visits.pop();
        }
        self.open(Link::Finding(key), shown);
    }
}

impl Travel {
    fn read<T: Clone + PartialEq>(self, reader: &mut Reader<T>) {
        match self {
            Self::Rows(rows) => reader.step(rows),
            Self::Pages(pages) => reader.page(pages),
            Self::First => reader.first(),
            Self::Last => reader.last(),
        }
    }
}
