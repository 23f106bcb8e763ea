//! What people see first: the verdict, the findings, the longest waits and the vital signs, of every target; beside it what is selected.

use std::time::{Duration, SystemTime};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::{Look, SHORT, draw_reader, notice, page};
use crate::diagnosis::Verdict;
use crate::fleet::{Fleet, TargetId};
use crate::report::findings::{self, FleetFinding};
use crate::report::target::{self, TargetView};
use crate::report::{Link, Snapshot, State};
use crate::tui::state::{Detail, Goto, UiState};
use crate::tui::widgets::page::{Draft, Reader};
use crate::tui::widgets::rows::Column;
use crate::tui::widgets::sparkline::sparkline_of;
use crate::tui::widgets::table::Cell;
use crate::tui::widgets::text::Cut;
use crate::words;

/// What is selected is shown beside the list from this width on.
const WIDE: u16 = 120;
/// The list's part of a wide screen, in per cent.
const LIST_SHARE: u16 = 52;
/// Most findings and most targets that are listed; the other views list all.
const MOST_ROWS: usize = 12;
/// Most places where tasks wait that are listed.
const MOST_WAITS: usize = 6;

/// How far back the curves of vital signs reach.
const VITALS_WINDOW: Duration = Duration::from_secs(120);
/// What stands before such a curve, and the most columns that it has.
const VITALS_MARGIN: usize = 28;
const MOST_COLUMNS: usize = 60;

/// Width from which on the list of findings says their grades, and that of targets how many tasks they have.
const ROOM_FOR_MORE: u16 = 60;

/// What the overview is about.
pub(super) struct Overview<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) active: TargetId,
    pub(super) look: &'a Look<'a>,
    pub(super) now: SystemTime,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &mut UiState, overview: &Overview<'_>) {
    let theme = *overview.look.theme;
    overview.know_waits(state);
    if area.width < WIDE {
        state.overview.show(overview.write(state, area).finish(), usize::from(area.height));
        return draw_reader(frame, area, &theme, &state.overview);
    }
    let layout = Layout::horizontal([Constraint::Percentage(LIST_SHARE), Constraint::Length(3), Constraint::Min(0)]);
    let [list, rule, detail] = layout.areas(area);
    state.overview.show(overview.write(state, list).finish(), usize::from(list.height));
    draw_reader(frame, list, &theme, &state.overview);
    let bar = vec![Line::styled(format!(" {}", theme.vertical_rule()), theme.dim()); usize::from(rule.height)];
    frame.render_widget(Paragraph::new(Text::from(bar)), rule);
    overview.draw_detail(frame, detail, state);
}

impl Overview<'_> {
    /// Looks at the longest waits, if anything has arrived since the last time.
    fn know_waits(&self, state: &mut UiState) {
        let version = self.look.shown.version();
        if state.long_waits.as_ref().is_none_or(|(of, _)| *of != version) {
            state.long_waits = Some((version, self.look.shown.long_waits(MOST_WAITS)));
        }
    }

    /// Draws the page of what is selected.
    fn draw_detail(&self, frame: &mut Frame<'_>, area: Rect, state: &mut UiState) {
        let Some(goto) = state.overview.target().cloned() else { return };
        if goto.target == self.active {
            return draw_detail(frame, area, state, &goto, self.look);
        }
        let Some(member) = self.fleet.member(goto.target) else { return };
        let shown = Snapshot::new(self.fleet, member);
        let target = shown.target(state.criteria, self.now);
        let look = Look { shown: &shown, target: &target, connection: &target.connection, ..*self.look };
        draw_detail(frame, area, state, &goto, &look);
    }

    fn write(&self, state: &UiState, area: Rect) -> Draft<Goto> {
        let mut draft = Draft::new(*self.look.theme, usize::from(area.width));
        let several = self.fleet.members().count() > 1;
        let is_open = several && self.targets(&mut draft, state);
        if self.look.target.updates == 0 && !several {
            notice::no_findings(&mut draft, self.look.target);
            return draft;
        }
        let rows = self.findings(several);
        // On a short screen the findings come before what is open.
        let is_short = area.height < SHORT && !rows.is_empty();
        if !several {
            so_far(&mut draft, self.look.target, rows.is_empty());
        }
        if !several && !is_short {
            open_questions(&mut draft, self.look.target, rows.is_empty());
        }
        if rows.is_empty() && several {
            none_anywhere(&mut draft, is_open);
        }
        let (first, others) = rows.split_at(rows.len().min(MOST_ROWS));
        list_findings(&mut draft, "Findings", first, several);
        if !others.is_empty() {
            let where_to = if several { "at the end of this page (G)" } else { "press f" };
            let others = words::count(others.len(), "other finding");
            draft.text(&format!("and {others}: {where_to}"), draft.theme().dim());
        }
        if !several && is_short {
            open_questions(&mut draft, self.look.target, rows.is_empty());
        }
        self.waits(&mut draft, state);
        self.vitals(&mut draft);
        if several {
            list_findings(&mut draft, "Other findings", others, several);
        }
        draft
    }

    /// Every target with its state in words, worst first. Returns whether one of them is not judged.
    fn targets(&self, draft: &mut Draft<Goto>, state: &UiState) -> bool {
        let theme = draft.theme();
        let views = target::of_fleet(self.fleet, state.criteria, self.now, MOST_ROWS);
        draft.heading("Targets");
        let more = self.fleet.members().len() - views.len();
        let has_count = draft.width() >= ROOM_FOR_MORE;
        let rows = views.iter().map(|view| {
            let style = if view.connection.state.is_good() { theme.good() } else { theme.bad() };
            let verdict = match view.verdict.verdict {
                Verdict::Healthy => theme.good(),
                Verdict::Findings | Verdict::Inconclusive => theme.plain(),
            };
            let verdict = view.worst.map_or(verdict, |severity| theme.severity(severity));
            let mut cells = vec![
                Cell::from(view.name.clone()),
                Cell::styled(view.connection.label.clone(), style),
                Cell::styled(view.verdict_in_words(), verdict),
            ];
            cells.extend(has_count.then(|| Cell::from(words::count(view.tasks_alive, "task"))));
            (cells, Some(Goto { target: view.id, link: None }))
        });
        let mut columns =
            vec![Column::flexible("target", Cut::Start), Column::text("state"), Column::flexible("verdict", Cut::End)];
        columns.extend(has_count.then(|| Column::text("live")));
        draft.rows(&columns, &rows.collect::<Vec<_>>());
        if more > 0 {
            draft.text(&format!("and {}: Tab shows each", words::count(more, "other target")), theme.dim());
        }
        more > 0 || views.iter().any(|view| view.verdict.verdict == Verdict::Inconclusive)
    }

    /// The findings of all targets, or of the only one with those that are resolved.
    fn findings(&self, several: bool) -> Vec<FleetFinding> {
        if several {
            return findings::of_fleet(self.fleet);
        }
        let rows = self.look.shown.all_findings().into_iter().filter_map(|key| self.look.shown.finding_row(&key));
        rows.map(|row| FleetFinding { target: self.active, on: String::new(), row }).collect()
    }

    fn waits(&self, draft: &mut Draft<Goto>, state: &UiState) {
        let theme = draft.theme();
        let Some((_, waits)) = &state.long_waits else { return };
        draft.heading("Longest waits");
        if waits.rows.is_empty() {
            return draft.text("No task waits for a lock, a permit or room in a channel.", theme.dim());
        }
        let rows = waits.rows.iter().map(|row| {
            let cells = vec![
                Cell::from(words::duration(row.age)),
                Cell::from(words::number(row.waiters)),
                Cell::from(row.what.clone()),
                Cell::from(row.place.clone()),
                Cell::from(row.holder.clone().unwrap_or_else(|| "-".to_owned())),
            ];
            (cells, Some(Goto { target: self.active, link: Some(Link::Resource(row.resource)) }))
        });
        let columns = [
            Column::number("longest"),
            Column::number("tasks"),
            Column::text("wait for"),
            Column::flexible("created at", Cut::Start),
            Column::flexible("held by", Cut::Start),
        ];
        draft.rows(&columns, &rows.collect::<Vec<_>>());
        if waits.more > 0 {
            draft.text(&format!("and {} where tasks wait", words::count(waits.more, "other place")), theme.dim());
        }
    }

    /// How the target does as a whole, now and lately.
    fn vitals(&self, draft: &mut Draft<Goto>) {
        let theme = draft.theme();
        let room = usize::from(draft.width()).saturating_sub(VITALS_MARGIN).min(MOST_COLUMNS);
        let Some(signs) = self.look.shown.vital_signs(Some(VITALS_WINDOW), room.max(1)) else { return };
        draft.heading(&format!("Vital signs, last {}", words::limit(VITALS_WINDOW)));
        for row in &signs.rows {
            let latest = row.latest.map_or_else(|| "-".to_owned(), |value| row.sign.in_words(value));
            let curve = sparkline_of(&theme, &row.values);
            draft.field(row.sign.name(), &if room > 0 { format!("{latest:<9} {curve}") } else { latest });
        }
    }
}

/// Draws a page of a target, or what it comes to so far.
fn draw_detail(frame: &mut Frame<'_>, area: Rect, state: &mut UiState, goto: &Goto, look: &Look<'_>) {
    let height = usize::from(area.height);
    let Some(link) = &goto.link else {
        let mut reader: Reader<Link> = Reader::default();
        reader.show(target_page(look, area.width).finish(), height);
        return draw_reader(frame, area, look.theme, &reader.unselected());
    };
    let made_from = look.made_from(area.width);
    let is_made = |it: &Detail| it.goto == *goto && it.made_from == made_from;
    if !state.detail.as_ref().is_some_and(is_made) {
        let mut reader: Reader<Link> = Reader::default();
        reader.show(page(look, link, &mut None, area.width), height);
        state.detail = Some(Detail { goto: goto.clone(), made_from, reader: reader.unselected() });
    }
    if let Some(detail) = &mut state.detail {
        detail.reader.resize(height);
        draw_reader(frame, area, look.theme, &detail.reader);
    }
}

/// What a target comes to so far, what that leaves open, and its findings.
fn target_page(look: &Look<'_>, width: u16) -> Draft<Link> {
    let theme = *look.theme;
    let mut draft = Draft::new(theme, usize::from(width));
    draft.text(&look.target.name, theme.strong());
    if look.target.updates > 0 {
        notice::oddities(&mut draft, look.connection, &look.target.quality);
    }
    let keys = look.shown.current_findings();
    so_far(&mut draft, look.target, keys.is_empty());
    open_questions(&mut draft, look.target, keys.is_empty());
    let rows: Vec<_> = keys.iter().filter_map(|key| look.shown.finding_row(key)).collect();
    if !rows.is_empty() {
        draft.heading("Findings");
    }
    for row in rows {
        let text =
            format!("{} {} {}, {}", row.severity.as_str(), row.detector, row.place(), words::duration(row.since));
        draft.item("-", &text, Some(Link::Finding(row.key)));
    }
    draft
}

/// What a target comes to so far.
fn so_far<L>(draft: &mut Draft<L>, target: &TargetView, is_clean: bool) {
    if is_clean {
        return notice::no_findings(draft, target);
    }
    let theme = draft.theme();
    let style = target.worst.map_or(theme.strong(), |severity| theme.severity(severity));
    let so_far = format!("{} so far in {}.", target.verdict.fired_in_words(), words::age(target.watched));
    draft.text(&words::sentences(&so_far), style);
}

/// What could not be judged beside what was found.
fn open_questions<L>(draft: &mut Draft<L>, target: &TargetView, is_clean: bool) {
    if is_clean {
        return;
    }
    let theme = draft.theme();
    if target.verdict.verdict != Verdict::Healthy && !target.verdict.reasons.is_empty() {
        draft.text(&format!("Not fully judged: {}.", target.verdict.reasons_in_words()), theme.bad());
    }
    let missing = &target.quality.missing;
    let missing = (!missing.is_empty()).then(|| format!("The feed is incomplete: {missing}."));
    for sentence in missing.into_iter().chain(target.attachment.sentence()) {
        draft.text(&sentence, theme.dim());
    }
}

/// What is said where no target has a finding; `is_open` where that does not mean that all are healthy.
fn none_anywhere(draft: &mut Draft<Goto>, is_open: bool) {
    let theme = draft.theme();
    draft.heading("Findings");
    draft.text("No findings on any target yet.", theme.plain());
    if is_open {
        draft.text("That does not mean healthy: not every target could be judged.", theme.bad());
    }
}

fn list_findings(draft: &mut Draft<Goto>, heading: &str, rows: &[FleetFinding], several: bool) {
    let theme = draft.theme();
    if rows.is_empty() {
        return;
    }
    draft.heading(heading);
    // The page says the grade as well; beside the name of a target, and on a narrow screen, there is no room for it.
    let has_grade = !several && draft.width() >= ROOM_FOR_MORE;
    let cells = |FleetFinding { target, on, row }: &FleetFinding| {
        let is_over = row.state == State::Resolved;
        let style = if is_over { theme.dim() } else { theme.severity(row.severity) };
        let severity = if is_over { row.state.as_str() } else { row.severity.as_str() };
        let mut cells = vec![Cell::styled(severity, style)];
        if has_grade {
            cells.push(Cell::from(row.grade.as_str().to_owned()));
        }
        cells.push(Cell::from(row.detector.to_owned()));
        if several {
            cells.push(Cell::from(on.clone()));
        }
        cells.push(Cell::from(format!("{} {}", row.name, row.location).trim().to_owned()));
        cells.push(Cell::from(words::duration(row.since)));
        (cells, Some(Goto { target: *target, link: Some(Link::Finding(row.key.clone())) }))
    };
    let (severity, finding) = (Column::text("severity"), Column::text("finding"));
    let mut columns = vec![severity];
    columns.extend(has_grade.then(|| Column::text("grade")));
    columns.push(finding);
    columns.extend(several.then(|| Column::flexible("target", Cut::Start)));
    columns.extend([Column::flexible("where", Cut::Start), Column::number("age")]);
    draft.rows(&columns, &rows.iter().map(cells).collect::<Vec<_>>());
}
