//! The screen: header, one view, footer. Views only draw; what they say comes from the report.

mod comparison;
mod diagram;
mod finding;
mod footer;
mod header;
mod help;
mod list;
mod notice;
mod over;
mod overview;
mod resource;
mod site;
mod task;
mod timeline;
mod wait;

use std::sync::Arc;
use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::state::{Front, MadeFrom, Pane, Root, UiState, VisitedList};
use super::theme::Theme;
use super::widgets::page::{Draft, Page, Reader};
use super::widgets::text::cells;
use crate::fleet::Fleet;
use crate::report::connection::ConnectionView;
use crate::report::target::TargetView;
use crate::report::{Link, Snapshot};
use crate::words;

/// Screens with fewer lines than this show the findings before anything else.
const SHORT: u16 = 16;
/// Nothing of use fits into less.
const LEAST: (u16, u16) = (20, 6);

/// What a view is made from.
struct Look<'a> {
    /// The target as it is shown, which may be frozen.
    shown: &'a Snapshot<'a>,
    /// The same as a whole.
    target: &'a TargetView,
    /// The connection as it is now.
    connection: &'a ConnectionView,
    theme: &'a Theme,
}

impl Look<'_> {
    /// What a page of this width is made from.
    fn made_from(&self, width: u16) -> MadeFrom {
        MadeFrom { version: self.shown.version(), width }
    }
}

/// Draws the whole screen as of `now`, by our clock.
pub fn draw(frame: &mut Frame<'_>, state: &mut UiState, fleet: &Fleet, now: SystemTime) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("too small"), area);
        return;
    }
    state.refresh(fleet);
    let header_height = Constraint::Length(header::height(state));
    let layout = Layout::vertical([header_height, Constraint::Min(0), Constraint::Length(1)]);
    let [header, body, footer] = layout.areas(area);
    let Some(member) = state.active.and_then(|id| fleet.member(id)) else {
        footer::draw(frame, footer, state);
        return nobody(frame, body, state);
    };
    let live = Snapshot::new(fleet, member);
    let frozen = state.pane().and_then(|pane| pane.frozen.as_ref()).map(|frozen| Arc::clone(&frozen.member));
    let shown = Snapshot::new(fleet, frozen.as_deref().unwrap_or(member));
    let meanwhile = frozen.as_deref().map(|frozen| live.meanwhile(frozen)).unwrap_or_default();
    let (live, target) = (live.target(state.criteria, now), shown.target(state.criteria, now));
    let theme = state.theme;
    header::draw(frame, header, state, fleet, &header::Targets { live: &live, shown: &target, meanwhile, now });
    footer::draw(frame, footer, state);
    if let Some(over) = &mut state.over {
        return over::draw(frame, body, over, theme, Some(&shown));
    }
    let active = member.id();
    if let Some(pane) = state.pane_mut() {
        let look = Look { shown: &shown, target: &target, connection: &live.connection, theme: &theme };
        let front = pane.front();
        // Where nothing is known yet, the page itself says why.
        let says_why = target.updates == 0 && (front.is_some() || pane.is_on_findings());
        let is_whole = front == Some(Front::Comparison) || says_why;
        let body = if is_whole { body } else { draw_banner(frame, body, &look) };
        match front {
            None => draw_pane(frame, body, pane, &look),
            Some(Front::Overview) => {
                overview::draw(frame, body, state, &overview::Overview { fleet, active, look: &look, now });
            }
            Some(Front::Comparison) => comparison::draw(frame, body, state, fleet, now),
        }
    }
}

/// What is said while there is no target, or the help that lies over it.
fn nobody(frame: &mut Frame<'_>, area: Rect, state: &mut UiState) {
    let theme = state.theme;
    if let Some(over) = &mut state.over {
        return over::draw(frame, area, over, theme, None);
    }
    let mut draft: Draft<()> = Draft::new(theme, usize::from(area.width));
    draft.text("No target yet. Any that is found is shown here at once.", theme.strong());
    frame.render_widget(Paragraph::new(draft.finish().lines), area);
}

/// Draws what is odd about the connection or the feed above a view, and returns the area below it.
fn draw_banner(frame: &mut Frame<'_>, area: Rect, look: &Look<'_>) -> Rect {
    let banner = notice::banner(look, area);
    let [above, below] = Layout::vertical([Constraint::Length(cells(banner.len())), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(Text::from(banner)), above);
    below
}

fn draw_pane(frame: &mut Frame<'_>, area: Rect, pane: &mut Pane, look: &Look<'_>) {
    if let Some(visit) = pane.visits.last_mut() {
        if let Some(VisitedList::Tasks(tasks)) = &mut visit.list {
            return list::draw(frame, area, tasks, look);
        }
        let (height, from) = (usize::from(area.height), look.made_from(area.width));
        // A list on a page changes by keys as well.
        if visit.list.is_none() && visit.made_from == Some(from) {
            visit.reader.resize(height);
        } else if look.shown.knows(&visit.link) || visit.reader.is_empty() {
            visit.made_from = Some(from);
            visit.reader.show(page(look, &visit.link, &mut visit.list, area.width), height);
        } else {
            visit.made_from = None;
            visit.reader.end(Line::styled(notice::GONE, look.theme.bad()), height);
        }
        return draw_reader(frame, area, look.theme, &visit.reader);
    }
    match pane.root {
        Root::Overview | Root::Comparison => {}
        Root::Findings => list::findings(frame, area, &mut pane.findings, look),
        Root::Sites => list::draw(frame, area, &mut pane.sites, look),
        Root::Tasks => list::draw(frame, area, &mut pane.tasks, look),
        Root::Resources => list::draw(frame, area, &mut pane.resources, look),
        Root::Timeline => timeline::draw(frame, area, &mut pane.timeline, look),
    }
}

/// The page about something.
fn page(look: &Look<'_>, link: &Link, list: &mut Option<VisitedList>, width: u16) -> Page<Link> {
    let mut draft = Draft::new(*look.theme, usize::from(width));
    match link {
        Link::Finding(key) => finding::write(&mut draft, look.shown, key),
        Link::Task(key) => task::write(&mut draft, look.shown, *key),
        Link::Site(key) | Link::TasksOf(key) => site::write(&mut draft, look.shown, *key),
        Link::Resource(key) => resource::write(&mut draft, look.shown, *key, list),
    }
    draft.finish()
}

/// Draws the part of a page that is on the screen, and says in its corner whether there is more.
fn draw_reader<L: Clone + PartialEq>(frame: &mut Frame<'_>, area: Rect, theme: &Theme, reader: &Reader<L>) {
    let lines = reader.visible().map(|(line, selected)| {
        let style = if selected { theme.selected() } else { line.style };
        line.clone().style(style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<Line<'_>>>()), area);
    let (above, below) = reader.hidden();
    let more = match (above, below) {
        (0, 0) => return,
        (0, below) => format!(" {} more ", words::count(below, "line")),
        (_, 0) => " end ".to_owned(),
        (above, below) => format!(" {above} above, {below} below "),
    };
    let width = u16::try_from(more.len()).unwrap_or(u16::MAX).min(area.width);
    let corner = Rect::new(area.right() - width, area.bottom().saturating_sub(1), width, 1.min(area.height));
    frame.render_widget(Paragraph::new(Line::styled(more, theme.dim())), corner);
}

/// A text, or what is said where it is not known.
fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
