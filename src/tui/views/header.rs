//! The lines on top: which target, how the connection is, how complete the feed, and which view.

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::diagnosis::{Criteria, Verdict};
use crate::fleet::{Fleet, Member};
use crate::report::connection::{ConnectionState, ConnectionView};
use crate::report::meanwhile::Meanwhile;
use crate::report::target::TargetView;
use crate::report::{Severity, Snapshot};
use crate::tui::state::{Front, Pane, Root, UiState};
use crate::tui::theme::Theme;
use crate::tui::widgets::text::{Cut, cut};
use crate::words;

/// The target on the screen.
pub(super) struct Targets<'a> {
    /// As it is.
    pub(super) live: &'a TargetView,
    /// As it is shown, which may be frozen.
    pub(super) shown: &'a TargetView,
    /// What has happened to it since it was frozen.
    pub(super) meanwhile: Meanwhile,
    /// The time, by our clock.
    pub(super) now: SystemTime,
}

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

/// How many lines it takes.
pub(super) fn height(state: &UiState) -> u16 {
    let has_tabs = state.panes.len() > 1;
    1 + u16::from(has_tabs) + u16::from(!is_comparison(state))
}

/// Whether the comparison is on top, which is about no target in particular.
fn is_comparison(state: &UiState) -> bool {
    state.pane().is_some_and(|pane| pane.front() == Some(Front::Comparison))
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &UiState, fleet: &Fleet, target: &Targets<'_>) {
    let Some(pane) = state.pane() else { return };
    let width = usize::from(area.width);
    let mut lines = Vec::new();
    if state.panes.len() > 1 {
        lines.push(tabs(state, fleet, target.now, width));
    }
    if !is_comparison(state) {
        lines.push(connection_line(state, pane, target, width));
    }
    lines.push(views_line(state, pane, target.shown, width));
    frame.render_widget(Paragraph::new(Text::from(lines)), area);
}

/// What a tab takes where there are many, so that names can be told apart.
const WISHED: usize = 20;
/// The shortest name of use, and what a tab has besides its name and its state.
const NAME: usize = 4;
const FRAME: usize = 6;
/// Width of the counts of hidden tabs, on both sides.
const SIDES: usize = 12;

/// The targets, where there are several; those next to the one on the screen, where there are many.
fn tabs(state: &UiState, fleet: &Fleet, now: SystemTime, width: usize) -> Line<'static> {
    let theme = &state.theme;
    let all = state.panes.len().max(1);
    let active = fleet.members().position(|member| Some(member.id()) == state.active).unwrap_or_default();
    let state_of = |member| state_of(&Snapshot::new(fleet, member), member, state.criteria, now, theme);
    // Those that could be shown are asked for their states; the longest of these decides how many are.
    let most = (width / (NAME + FRAME)).clamp(1, all);
    let begin = active.saturating_sub(most / 2).min(all - most);
    let longest = fleet.members().skip(begin).take(most).map(|member| state_of(member).0.len()).max();
    let frame = FRAME + longest.unwrap_or_default();
    let (shown, room) = if all * (NAME + frame) <= width {
        (all, (width / all).saturating_sub(frame))
    } else {
        let room = width.saturating_sub(SIDES);
        let shown = (room / WISHED.max(NAME + frame)).max(1);
        (shown, (room / shown).saturating_sub(frame))
    };
    let first = active.saturating_sub(shown / 2).min(all.saturating_sub(shown));
    let mut spans = Vec::new();
    spans.extend((first > 0).then(|| Span::styled(format!("{first}< "), theme.dim())));
    for (index, member) in fleet.members().enumerate().skip(first).take(shown) {
        let side = state.comparison.as_ref().and_then(|it| it.view.target(member.id())).map(|it| it.side);
        let name = tab_name(side, &theme.text(member.diagnosis().target()), room, theme);
        let (word, base) = state_of(member);
        let style = if Some(member.id()) == state.active { base.patch(theme.selected()) } else { base };
        spans.push(Span::styled(format!(" {}:{name} {word} ", index + 1), style));
    }
    let after = all.saturating_sub(first + shown);
    spans.extend((after > 0).then(|| Span::styled(format!(" >{after}"), theme.dim())));
    Line::from(spans)
}

/// The name of a target on its tab: behind the side of a comparison that it is on, as far as there is room.
fn tab_name(side: Option<&str>, name: &str, room: usize, theme: &Theme) -> String {
    let Some(side) = side else { return cut(name, room.max(NAME), Cut::Start, theme.ellipsis()) };
    match room.saturating_sub(side.len() + 1) {
        ..NAME => side.to_owned(),
        room => format!("{side} {}", cut(name, room, Cut::Start, theme.ellipsis())),
    }
}

/// Where a target stands, in a word or two: the worst that was found or else the verdict, and how the connection is where that is not live.
fn state_of(
    target: &Snapshot<'_>,
    member: &Member,
    criteria: Criteria,
    now: SystemTime,
    theme: &Theme,
) -> (String, Style) {
    let connection = ConnectionView::of_member(member, now).state;
    let is_odd = !matches!(connection, ConnectionState::Live | ConnectionState::Ended);
    let style = if is_odd { theme.bad() } else { Style::new() };
    let found = match target.worst() {
        Some(severity) => Some(word_of(severity)),
        None if is_odd => None,
        None => Some(match member.diagnosis().verdict(criteria) {
            Verdict::Healthy => "ok",
            Verdict::Findings => "resolved",
            Verdict::Inconclusive => "unclear",
        }),
    };
    let connection = match connection {
        ConnectionState::Live => None,
        ConnectionState::Resolving | ConnectionState::Dialing | ConnectionState::Waiting => Some("wait"),
        ConnectionState::Quiet => Some("QUIET"),
        ConnectionState::Paused => Some("PAUSED"),
        ConnectionState::Lost => Some("LOST"),
        ConnectionState::Stranger => Some("NO CONSOLE"),
        ConnectionState::Ended => Some("END"),
        ConnectionState::Truncated => Some("CUT OFF"),
    };
    let words: Vec<&str> = found.into_iter().chain(connection).collect();
    (words.join(" "), target.worst().map_or(style, |severity| style.patch(theme.severity(severity))))
}

/// A severity where there is little room.
fn word_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "CRIT",
        Severity::Warning => "WARN",
        Severity::Info => "info",
    }
}

fn connection_line(state: &UiState, pane: &Pane, target: &Targets<'_>, width: usize) -> Line<'static> {
    let (theme, live) = (&state.theme, target.live);
    let style = if live.connection.state.is_good() { theme.good() } else { theme.bad() };
    let label = match &state.comparison {
        Some(it) => it.view.connection(live.id, &live.connection),
        None => live.connection.label.clone(),
    };
    let mut parts = vec![Part::new(label.as_str(), label.as_str(), style, 0)];
    if let Some(frozen) = &pane.frozen {
        let age = target.now.duration_since(frozen.at).unwrap_or_default().as_secs();
        let meanwhile = target.meanwhile.in_words().map(|it| format!(", meanwhile {it}")).unwrap_or_default();
        let (long, short) =
            (format!("FROZEN for {age} s{meanwhile}"), format!("FROZEN {age}s{}", target.meanwhile.in_short()));
        parts.push(Part::new(long, short, theme.selected(), 0));
    }
    let (tasks, updates) = (live.tasks_alive, live.updates);
    // Most tasks that are reported late have ended by then.
    if live.quality.lag.is_some() {
        let listed = words::count(live.tasks, "task");
        parts.push(Part::new(format!("{listed} listed, live ones unknown"), "?t", Style::new(), 2));
    } else {
        let alive = format!("{} live", words::count(tasks, "task"));
        parts.push(Part::new(alive, format!("{}t", words::number(tasks)), Style::new(), 2));
    }
    parts.push(Part::new(words::count(updates, "update"), format!("{}u", words::number(updates)), Style::new(), 3));
    if let Some(lag) = live.quality.lag {
        let outlook = live.quality.outlook_in_words().map_or_else(String::new, |it| format!(", {it}"));
        let lag = words::duration(lag);
        parts.push(Part::new(format!("lags by {lag}{outlook}"), format!("LAG {lag}"), theme.bad(), 1));
    }
    if !live.quality.missing.is_empty() {
        parts.push(Part::new(format!("partial: {}", live.quality.missing), "PARTIAL", theme.bad(), 1));
    }
    if let Some(share) = live.quality.pumping {
        let share = words::percent(share);
        parts.push(Part::new(format!("pump: about {share} of a core"), format!("pump {share}"), theme.dim(), 5));
    }
    if live.attachment.may_have_forgotten {
        let late = words::age(live.attachment.after_start);
        parts.push(Part::new(format!("attached {late} after start"), "LATE", theme.dim(), 4));
    }
    let tail = fit(parts, width.saturating_sub(12), "  ");
    let room = width.saturating_sub(tail.width() + 2);
    let name = cut(&theme.text(&live.name), room, Cut::Start, theme.ellipsis());
    let mut line = Line::from(vec![Span::styled(name, theme.strong()), Span::raw("  ")]);
    line.extend(tail.spans);
    line
}

/// The lists that there are, and how much is in them.
fn views_line(state: &UiState, pane: &Pane, shown: &TargetView, width: usize) -> Line<'static> {
    let theme = &state.theme;
    let comparison = state.comparison.as_ref().map(|_| (Root::Comparison, "c", "comparison", None, None));
    // Of tasks that are reported late most have ended when they are.
    let tasks = if shown.quality.lag.is_some() { shown.tasks } else { shown.tasks_alive };
    let resources = shown.resources - shown.hidden_resources;
    let lists = [
        (Root::Overview, "o", "overview", None, None),
        (Root::Findings, "f", "findings", Some(shown.findings), shown.worst),
        (Root::Tasks, "t", "tasks", Some(tasks), None),
        (Root::Resources, "r", "resources", Some(resources), None),
        (Root::Timeline, "v", "timeline", None, None),
    ];
    let part = |(root, key, name, number, worst): (Root, &str, &str, Option<usize>, Option<Severity>)| {
        let base = worst.map_or(Style::new(), |severity| theme.severity(severity));
        let style = if root == pane.root.in_header() { base.patch(theme.selected()) } else { base };
        let worst = worst.map_or_else(String::new, |severity| format!("{} ", word_of(severity)));
        let number = number.map(|number| format!("{} {worst}", words::number(number))).unwrap_or_default();
        Part::new(format!(" {key} {name} {number}"), format!(" {key} {number}"), style, 0)
    };
    fit(comparison.into_iter().chain(lists).map(part).collect(), width, " ")
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
