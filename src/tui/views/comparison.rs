//! The comparison of a canary with stable: what it comes to so far, what is new or worse, the numbers of both sides, and what they are based on.

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::draw_reader;
use crate::fleet::Fleet;
use crate::report::comparison::SideView;
use crate::report::connection::ConnectionView;
use crate::report::measurement::MeasurementRow;
use crate::report::progress::{ComparedTarget, ProgressView};
use crate::report::{Link, Snapshot};
use crate::tui::state::{Goto, UiState};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::{Draft, Page};
use crate::tui::widgets::rows::Column;
use crate::tui::widgets::table::Cell;
use crate::tui::widgets::text::Cut;
use crate::words;

/// Most differences and most numbers that are listed.
const MOST_DIFFERENCES: usize = 30;
const MOST_NUMBERS: usize = 100;

/// Width from which on the words before differences have a column of their own, and numbers one for what they are of.
const WIDE: u16 = 60;

/// Draws it, if there is one.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &mut UiState, fleet: &Fleet, now: SystemTime) {
    let theme = state.theme;
    if let Some(comparison) = &mut state.comparison {
        let page = page(&comparison.view, fleet, now, Draft::new(theme, usize::from(area.width)));
        comparison.reader.show(page, usize::from(area.height));
        draw_reader(frame, area, &theme, &comparison.reader);
    }
}

fn page(view: &ProgressView, fleet: &Fleet, now: SystemTime, mut draft: Draft<Goto>) -> Page<Goto> {
    let theme = draft.theme();
    let style = match view.comparison.exit_code {
        0 => theme.good(),
        1 => theme.bad(),
        _ => theme.strong(),
    };
    draft.text(&words::sentences(&view.sentence()), style);
    draft.text(&view.outlook(), theme.dim());
    if view.comparison.exit_code == 1 && !view.comparison.reasons.is_empty() {
        draft.text(&format!("Not fully compared: {}.", view.comparison.reasons_in_words()), theme.bad());
    }
    differences(&mut draft, view, fleet);
    numbers(&mut draft, view);
    sides(&mut draft, view);
    targets(&mut draft, view, fleet, now);
    draft.finish()
}

/// What is new or higher on the canary: what counts first.
fn differences(draft: &mut Draft<Goto>, view: &ProgressView, fleet: &Fleet) {
    let theme = draft.theme();
    let all = &view.comparison.differences;
    draft.heading("New or worse on the canary");
    if all.is_empty() {
        let nothing = if is_compared(view) { "Nothing so far." } else { "No findings of its own so far." };
        let nothing = if view.is_over { nothing.replace(" so far", "") } else { nothing.to_owned() };
        return draft.text(&nothing, theme.dim());
    }
    let is_wide = draft.width() >= WIDE;
    for it in all.iter().take(MOST_DIFFERENCES) {
        let (mark, style) = if it.counts { ("regression", theme.bad()) } else { ("new here", theme.dim()) };
        let target = it.finding.as_deref().and_then(|fingerprint| finding(view, fleet, fingerprint));
        if is_wide {
            draft.drawn(&Span::styled(format!("{mark:<12}"), style), &it.summary, Style::new(), target);
        } else {
            draft.item("-", &format!("{mark}: {}", it.summary), target);
        }
    }
    let more = all.len().saturating_sub(MOST_DIFFERENCES);
    if more > 0 {
        draft.text(&format!("and {}", words::count(more, "other difference")), theme.dim());
    }
}

/// Whether the two sides can be compared so far, and not only findings named.
fn is_compared(view: &ProgressView) -> bool {
    view.comparison.reasons.is_empty() || view.comparison.compared > 0
}

/// Where a finding of the canary has its page.
fn finding(view: &ProgressView, fleet: &Fleet, fingerprint: &str) -> Option<Goto> {
    let canaries = view.targets.iter().filter(|it| it.side == "canary");
    canaries.map(|it| it.id).find_map(|target| {
        let key = Snapshot::new(fleet, fleet.member(target)?).finding_of(fingerprint)?;
        Some(Goto { target, link: Some(Link::Finding(key)) })
    })
}

/// Rates and times of both sides, once there are enough of them on both.
fn numbers(draft: &mut Draft<Goto>, view: &ProgressView) {
    let theme = draft.theme();
    let all = &view.comparison.measurements;
    draft.heading("Rates and times");
    if all.is_empty() {
        return draft.text(&view.without_numbers(), theme.dim());
    }
    let is_wide = draft.width() >= WIDE;
    let row = |it: &MeasurementRow| {
        let style = if it.counts { theme.bad() } else { theme.plain() };
        let numbers = [&it.canary, &it.stable, &it.ratio].map(|it| Cell::from(it.clone()));
        let cells = if is_wide {
            let [canary, stable, ratio] = numbers;
            let (what, of) = (Cell::from(it.what.to_owned()), Cell::from(it.of.clone()));
            vec![what, canary, stable, ratio, Cell::styled(it.judged, style), of]
        } else {
            let mark = if it.counts { "! " } else { "" };
            let what = Cell::styled(format!("{mark}{} {}", it.what, it.of), style);
            [what].into_iter().chain(numbers).collect()
        };
        (cells, None)
    };
    let rows: Vec<_> = all.iter().take(MOST_NUMBERS).map(row).collect();
    let numbers = [Column::number("canary"), Column::number("stable"), Column::number("ratio")];
    let columns = if is_wide {
        let [canary, stable, ratio] = numbers;
        vec![Column::text("what"), canary, stable, ratio, Column::text("judged"), Column::flexible("of", Cut::End)]
    } else {
        [Column::flexible("what", Cut::End)].into_iter().chain(numbers).collect()
    };
    draft.rows(&columns, &rows);
    let more = all.len().saturating_sub(MOST_NUMBERS);
    if more > 0 {
        draft.text(&format!("and {}", words::count(more, "other number")), theme.dim());
    }
    draft.text(&view.comparison.method, theme.dim());
}

/// What each side did, and how much of it can be compared.
fn sides(draft: &mut Draft<Goto>, view: &ProgressView) {
    draft.heading("Load and coverage");
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), words::decimal);
    let row = |(name, side): (&str, &SideView)| {
        vec![
            name.to_owned(),
            number(side.polls),
            number(side.started),
            words::duration(side.watched),
            format!("{} of {}", words::number(side.blocks), words::number(side.blocks + side.spoilt)),
            words::number(side.targets),
        ]
    };
    let rows = [("canary", &view.comparison.canary), ("stable", &view.comparison.stable)].map(row);
    draft.grid(&["side", "polls/s", "tasks/s", "watched", "good blocks", "targets"], &rows);
    if let Some(ratio) = view.comparison.load_ratio {
        draft.field("load ratio", &words::decimal(ratio));
    }
}

/// The targets, each of which leads to its findings.
fn targets(draft: &mut Draft<Goto>, view: &ProgressView, fleet: &Fleet, now: SystemTime) {
    let theme = draft.theme();
    draft.heading("Targets");
    let rows = view.targets.iter().filter_map(|it| Some((target(it, view, fleet, now, &theme)?, Some(goto(it)))));
    let columns = [
        Column::text("side"),
        Column::flexible("target", Cut::Start),
        Column::text("state"),
        Column::text("found"),
        Column::number("watched"),
    ];
    draft.rows(&columns, &rows.collect::<Vec<_>>());
}

fn goto(it: &ComparedTarget) -> Goto {
    Goto { target: it.id, link: None }
}

fn target(
    it: &ComparedTarget,
    view: &ProgressView,
    fleet: &Fleet,
    now: SystemTime,
    theme: &Theme,
) -> Option<Vec<Cell>> {
    let member = fleet.member(it.id)?;
    let (diagnosis, snapshot) = (member.diagnosis(), Snapshot::new(fleet, member));
    let connection = ConnectionView::of_member(member, now);
    let style = if connection.state.is_good() { theme.good() } else { theme.bad() };
    let worst = snapshot.worst().map_or(theme.plain(), |severity| theme.severity(severity));
    let findings = words::number(snapshot.current_findings().len());
    let found = match snapshot.worst() {
        _ if diagnosis.updates() == 0 => "-".to_owned(),
        None => findings,
        Some(severity) => format!("{findings}, {}", severity.as_str()),
    };
    Some(vec![
        Cell::from(it.side.to_owned()),
        Cell::from(diagnosis.target().to_owned()),
        Cell::styled(view.connection(it.id, &connection), style),
        Cell::styled(found, worst),
        Cell::from(words::duration(diagnosis.engine().observed())),
    ])
}
