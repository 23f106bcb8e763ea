//! What actions do to the state.

use std::time::SystemTime;

use crossterm::event::{KeyEvent, KeyEventKind};

use super::keymap::{self, Action};
use super::state::{Pane, Root, UiState};
use super::tables::{Listing, Table};
use super::widgets::page::Reader;
use super::widgets::table::fit;

/// What the state cannot do for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Give the terminal back and stop until continued.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

impl UiState {
    /// Takes in a key. `width` is that of the screen, which decides what columns there are to sort by.
    pub fn press(&mut self, key: KeyEvent, width: u16, now: SystemTime) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let action = keymap::resolve(key, self);
        let prefix = match key.code {
            crossterm::event::KeyCode::Char(character) if action == Some(Action::Prefix) => Some(character),
            _ => None,
        };
        let effect = action.and_then(|action| self.act(action, width, now));
        self.prefix = prefix;
        effect
    }

    fn act(&mut self, action: Action, width: u16, now: SystemTime) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Help => self.help = if self.help.is_some() { None } else { Some(Reader::default()) },
            Action::NextTarget => self.active = (self.active + 1) % self.panes.len().max(1),
            Action::PreviousTarget => {
                let count = self.panes.len().max(1);
                self.active = (self.active + count - 1) % count;
            }
            Action::Filter => self.prompt = true,
            Action::Accept => self.prompt = false,
            Action::Prefix => {}
            Action::Down => self.travel(Travel::Rows(1)),
            Action::Up => self.travel(Travel::Rows(-1)),
            Action::PageDown => self.travel(Travel::Pages(1)),
            Action::PageUp => self.travel(Travel::Pages(-1)),
            Action::First => self.travel(Travel::First),
            Action::Last => self.travel(Travel::Last),
            _ => self.act_on_target(action, width, now),
        }
        None
    }

    fn act_on_target(&mut self, action: Action, width: u16, now: SystemTime) {
        if action == Action::Discard {
            self.prompt = false;
        }
        let Some(pane) = self.panes.get_mut(self.active) else { return };
        match action {
            Action::Findings => pane.go_to(Root::Findings),
            Action::Tasks => pane.go_to(Root::Tasks),
            Action::Resources => pane.go_to(Root::Resources),
            Action::Open => {
                let target = match pane.pages.last() {
                    Some(page) => page.reader.target().cloned(),
                    None => pane.selected(),
                };
                if let Some(about) = target {
                    pane.open(about);
                }
            }
            Action::Back => match pane.pages.pop() {
                Some(_) => {}
                None => pane.filter().text.clear(),
            },
            Action::Freeze => pane.freeze(now),
            Action::SortLeft => pane.sort(width, -1),
            Action::SortRight => pane.sort(width, 1),
            Action::Invert => match pane.root {
                Root::Findings => invert(&mut pane.findings),
                Root::Tasks => invert(&mut pane.tasks),
                Root::Resources => invert(&mut pane.resources),
            },
            Action::Type(character) => pane.filter().text.push(character),
            Action::Erase => {
                pane.filter().text.pop();
            }
            Action::EraseAll | Action::Discard => pane.filter().text.clear(),
            _ => {}
        }
    }

    /// Moves in whatever lies on top.
    fn travel(&mut self, travel: Travel) {
        if let Some(help) = &mut self.help {
            return travel.read(help);
        }
        let Some(pane) = self.panes.get_mut(self.active) else { return };
        match (pane.pages.last_mut(), pane.root) {
            (Some(page), _) => travel.read(&mut page.reader),
            (None, Root::Findings) => travel.select(&mut pane.findings),
            (None, Root::Tasks) => travel.select(&mut pane.tasks),
            (None, Root::Resources) => travel.select(&mut pane.resources),
        }
    }
}

impl Pane {
    /// Shows a list, with nothing over it.
    fn go_to(&mut self, root: Root) {
        self.root = root;
        self.pages.clear();
    }

    fn sort(&mut self, width: u16, step: isize) {
        match self.root {
            Root::Findings => sort(&mut self.findings, width, step),
            Root::Tasks => sort(&mut self.tasks, width, step),
            Root::Resources => sort(&mut self.resources, width, step),
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
