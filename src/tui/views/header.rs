//! The lines on top: which target, how the connection is, how complete the feed, and which view.

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::detect::severity::Severity;
use crate::diagnosis::{Diagnosis, Ended, Status};
use crate::tui::format::{count, grouped, short, whole};
use crate::tui::state::{Pane, Root, UiState};
use crate::tui::theme::Theme;
use crate::tui::widgets::text::{Cut, cut};
use crate::words;

/// A part of a line: its long and its short form, and how soon it is left out where both are too long; zero never.
struct Part {
    long: String,
    short: String,
    style: Style,
    rank: u8,
}

impl Part {
    fn new(long: impl Into<String>, short: impl Into<String>, style: Style, rank: u8) -> Self {
        Self { long: long.into(), short: short.into(), style, rank }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &UiState, now: SystemTime) {
    let Some(pane) = state.pane() else { return };
    let theme = &state.theme;
    let width = usize::from(area.width);
    let mut lines = Vec::new();
    if state.panes.len() > 1 {
        lines.push(tabs(state, width));
    }
    lines.push(connection_line(pane, theme, now, width));
    lines.push(views_line(pane, theme, width));
    frame.render_widget(Paragraph::new(Text::from(lines)), area);
}

/// The targets, where there are several.
fn tabs(state: &UiState, width: usize) -> Line<'static> {
    let theme = &state.theme;
    let room = (width / state.panes.len().max(1)).saturating_sub(6).max(4);
    let mut spans = Vec::new();
    for (index, pane) in state.panes.iter().enumerate() {
        let name = cut(&theme.text(pane.live().target()), room, Cut::Start, theme.ellipsis());
        let worst = pane.live().findings().first().map(|finding| finding.severity());
        let base = worst.map_or(Style::new(), |severity| theme.severity(severity));
        let style = if index == state.active { base.patch(theme.selected()) } else { base };
        spans.push(Span::styled(format!(" {}:{name} ", index + 1), style));
    }
    Line::from(spans)
}

fn connection_line(pane: &Pane, theme: &Theme, now: SystemTime, width: usize) -> Line<'static> {
    let live = pane.live();
    let (connection, good) = connection(live, now);
    let style = if good { theme.good() } else { theme.bad() };
    let mut parts = vec![Part::new(connection.clone(), connection, style, 0)];
    if let Some(frozen) = &pane.frozen {
        let age = now.duration_since(frozen.at).unwrap_or_default().as_secs();
        parts.push(Part::new(format!("FROZEN for {age} s"), format!("FROZEN {age}s"), theme.selected(), 0));
    }
    let tasks: usize = live.model().sites().map(|(_, site)| site.live.len()).sum();
    let (tasks, updates) = (whole(tasks), live.updates());
    let alive = format!("{} live", count(tasks, "task"));
    parts.push(Part::new(alive, format!("{}t", grouped(tasks)), Style::new(), 2));
    parts.push(Part::new(count(updates, "update"), format!("{}u", grouped(updates)), Style::new(), 3));
    let quality = live.model().quality();
    if let Some(lag) = quality.lag.filter(|_| quality.is_lagging()) {
        parts.push(Part::new(format!("lags by {}", words::duration(lag)), "LAG", theme.bad(), 1));
    }
    let missing: Vec<&str> =
        live.gaps().into_iter().filter(|gap| !matches!(*gap, "paused" | "quiet" | "lagging")).collect();
    if !missing.is_empty() {
        let what = missing.join(", ").replace('_', " ");
        parts.push(Part::new(format!("partial: {what}"), "PARTIAL", theme.bad(), 1));
    }
    let tail = fit(parts, width.saturating_sub(12), "  ");
    let room = width.saturating_sub(tail.width() + 2);
    let target = cut(&theme.text(live.target()), room, Cut::Start, theme.ellipsis());
    let mut line = Line::from(vec![Span::styled(target, theme.strong()), Span::raw("  ")]);
    line.extend(tail.spans);
    line
}

/// The state of the connection in a few words, and whether it is as it should be.
fn connection(diagnosis: &Diagnosis, now: SystemTime) -> (String, bool) {
    let quality = diagnosis.model().quality();
    match (diagnosis.ended(), diagnosis.status()) {
        (Some(Ended::Complete), _) => ("end of recording".to_owned(), true),
        (Some(Ended::Truncated { .. }), _) => ("recording cut off".to_owned(), false),
        (None, Status::Resolving | Status::Dialing) => ("connecting".to_owned(), false),
        (None, Status::Lost { retry_at, .. }) => {
            let left = retry_at.duration_since(now).unwrap_or_default();
            (format!("LOST, retry in {} s", left.as_secs_f64().ceil()), false)
        }
        (None, Status::Live) if quality.paused => ("PAUSED by a client".to_owned(), false),
        (None, Status::Live) => match quality.quiet {
            Some(silence) => (format!("QUIET for {}", short(silence)), false),
            None if diagnosis.updates() == 0 => ("connected, waiting".to_owned(), false),
            None => ("live".to_owned(), true),
        },
    }
}

/// The lists that there are, and how much is in them.
fn views_line(pane: &Pane, theme: &Theme, width: usize) -> Line<'static> {
    let shown = pane.shown();
    let findings = shown.findings();
    let worst = findings.iter().map(|finding| finding.severity()).max();
    let lists = [
        (Root::Findings, "f", "findings", findings.len(), worst),
        (Root::Tasks, "t", "tasks", shown.model().tasks().len(), None),
        (Root::Resources, "r", "resources", shown.model().resources().len(), None),
    ];
    let part = |(root, key, name, number, worst): (Root, &str, &str, usize, Option<Severity>)| {
        let base = worst.map_or(Style::new(), |severity| theme.severity(severity));
        let style = if root == pane.root { base.patch(theme.selected()) } else { base };
        let number = grouped(whole(number));
        Part::new(format!(" {key} {name} {number} "), format!(" {key} {number} "), style, 0)
    };
    fit(lists.into_iter().map(part).collect(), width, " ")
}

/// The parts in one line: all of them long, or short, or those that fit.
fn fit(mut parts: Vec<Part>, width: usize, gap: &str) -> Line<'static> {
    let length = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.width() + gap.len()).sum::<usize>().saturating_sub(gap.len())
    };
    let long = length(&mut parts.iter().map(|part| &part.long)) <= width;
    while !long && length(&mut parts.iter().map(|part| &part.short)) > width {
        let Some(worst) = (0..parts.len()).max_by_key(|index| parts[*index].rank).filter(|it| parts[*it].rank > 0)
        else {
            break;
        };
        parts.remove(worst);
    }
    let mut spans = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            spans.push(Span::raw(gap.to_owned()));
        }
        spans.push(Span::styled(if long { part.long } else { part.short }, part.style));
    }
    Line::from(spans)
}
