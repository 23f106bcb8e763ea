//! The screen: header, one view, footer. Views only draw; what they need is made ready before.

mod finding;
mod footer;
mod header;
mod help;
mod list;
mod notice;
mod resource;
mod task;
mod wait;

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::state::{About, Pane, Root, UiState};
use super::tables::Look;
use super::theme::Theme;
use super::widgets::page::{Finished, Page, Reader};
use crate::words;

/// Nothing of use fits into less.
const LEAST: (u16, u16) = (20, 6);

/// Draws the whole screen as of `now`.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut UiState, now: SystemTime) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("too small"), area);
        return;
    }
    let theme = state.theme;
    let several = state.panes.len() > 1;
    let header_height = if several { 3 } else { 2 };
    let layout = Layout::vertical([Constraint::Length(header_height), Constraint::Min(0), Constraint::Length(1)]);
    let [header, body, footer] = layout.areas(area);
    if let Some(pane) = state.panes.get_mut(state.active) {
        pane.refresh();
    }
    header::draw(frame, header, state, now);
    footer::draw(frame, footer, state);
    if let Some(help) = &mut state.help {
        help.show(help::page(theme, body.width), usize::from(body.height));
        return draw_reader(frame, body, &theme, help);
    }
    if let Some(pane) = state.panes.get_mut(state.active) {
        draw_pane(frame, body, pane, &theme);
    }
}

fn draw_pane(frame: &mut Frame<'_>, area: Rect, pane: &mut Pane, theme: &Theme) {
    let mut area = area;
    let never = pane.shown().updates() == 0;
    if !never || pane.root != Root::Findings {
        let banner = notice::banner(pane.live(), theme, area.width);
        let height = u16::try_from(banner.len()).unwrap_or(u16::MAX).min(area.height / 2);
        let [above, below] = Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
        frame.render_widget(Paragraph::new(Text::from(banner)), above);
        area = below;
    }
    let height = usize::from(area.height);
    if let Some(about) = pane.pages.last().map(|page| page.about.clone()) {
        let page = page(&Look { diagnosis: pane.shown(), theme }, &about, area.width);
        if let Some(open) = pane.pages.last_mut() {
            open.reader.show(page, height);
            draw_reader(frame, area, theme, &open.reader);
        }
        return;
    }
    match pane.root {
        Root::Findings => list::findings(frame, area, pane, theme),
        Root::Tasks => list::tasks(frame, area, pane, theme),
        Root::Resources => list::resources(frame, area, pane, theme),
    }
}

/// The page about something.
fn page(look: &Look<'_>, about: &About, width: u16) -> Finished<About> {
    let mut page = Page::new(*look.theme, usize::from(width));
    match about {
        About::Finding(key) => finding::write(&mut page, look.diagnosis, key),
        About::Task(key) => task::write(&mut page, look.diagnosis, *key),
        About::Resource(key) => resource::write(&mut page, look.diagnosis, *key),
    }
    page.finish()
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
