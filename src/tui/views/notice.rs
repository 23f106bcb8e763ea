//! What is said where there is nothing to show, or not all of it.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::{Look, SHORT};
use crate::diagnosis::Verdict;
use crate::report::connection::{ConnectionState, ConnectionView, DOCTOR};
use crate::report::target::{QualityView, TargetView};
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::text::{Cut, cut};
use crate::words;

/// Over the last that was known of something that was forgotten.
pub(super) const GONE: &str = "It has ended and is not listed any more; this is the last that was known.";

/// Lines over every view about a connection or a feed that is not as it should be; none if all is well. On a short screen one line has to do: the
/// header says the same in a word.
pub(super) fn banner(look: &Look<'_>, area: Rect) -> Vec<Line<'static>> {
    let write = |width: u16| {
        let mut draft: Draft<()> = Draft::new(*look.theme, usize::from(width));
        oddities(&mut draft, look.connection, &look.target.quality);
        draft.finish().lines
    };
    let mut lines = write(area.width);
    if area.height < SHORT && lines.len() > 1 {
        let (style, ellipsis) = (lines[0].style, look.theme.ellipsis());
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        lines = vec![Line::styled(cut(&text.join(" "), usize::from(area.width), Cut::End, ellipsis), style)];
    }
    lines.truncate(usize::from(area.height / 2));
    lines
}

/// What is odd about a connection and its feed.
pub(super) fn oddities<L>(draft: &mut Draft<L>, connection: &ConnectionView, quality: &QualityView) {
    let theme = draft.theme();
    match connection.state {
        // Before the first connection there is nothing that could be out of date.
        ConnectionState::Resolving | ConnectionState::Dialing if connection.last.is_none() => {}
        ConnectionState::Resolving | ConnectionState::Dialing | ConnectionState::Lost | ConnectionState::Stranger => {
            draft.text(&format!("Not connected. {}", connection.sentence), theme.bad());
            if let Some(last) = &connection.last {
                draft.text(last, theme.strong());
            }
        }
        ConnectionState::Ended if connection.is_played => draft.text(&connection.sentence, theme.strong()),
        ConnectionState::Paused | ConnectionState::Truncated => draft.text(&connection.sentence, theme.bad()),
        ConnectionState::Waiting | ConnectionState::Live | ConnectionState::Quiet | ConnectionState::Ended => {}
    }
    if let Some(late) = quality.lag_sentence().filter(|_| connection.state == ConnectionState::Live) {
        draft.text(&late, theme.bad());
    }
}

/// The view of findings while there are none.
pub(super) fn no_findings<L>(draft: &mut Draft<L>, target: &TargetView) {
    let theme = draft.theme();
    if target.updates == 0 {
        return waiting(draft, &target.connection);
    }
    let is_judged = target.verdict.verdict != Verdict::Inconclusive;
    draft.text("No findings yet.", if is_judged { theme.good() } else { theme.strong() });
    if !is_judged {
        let reasons = target.verdict.reasons_in_words();
        draft.text(&format!("That does not mean healthy: {reasons}."), theme.bad());
        if target.tasks == 0 {
            draft.text(DOCTOR, theme.dim());
        }
    }
    let watched = format!(
        "Watched {} and {} for {} ({}, {}).",
        words::count(target.tasks, "task"),
        words::count(target.resources, "resource"),
        words::duration(target.watched),
        words::count(target.updates, "update"),
        words::count(target.warm_up.detectors, "detector"),
    );
    draft.text(&watched, Style::new());
    if let Some(sentence) = target.forgotten() {
        draft.text(&sentence, theme.dim());
    }
    if let Some(sentence) = target.attachment.sentence() {
        draft.text(&sentence, theme.bad());
    }
    if let Some(sentence) = target.warm_up.sentence() {
        draft.text(&sentence, theme.dim());
    }
}

/// The first screen, before anything is known.
fn waiting<L>(draft: &mut Draft<L>, connection: &ConnectionView) {
    let theme = draft.theme();
    match connection.state {
        ConnectionState::Ended => draft.text("The recording contains no updates.", theme.bad()),
        ConnectionState::Truncated => draft.text(&connection.sentence, theme.bad()),
        ConnectionState::Lost | ConnectionState::Stranger => {
            draft.text("Not connected.", theme.bad());
            draft.text(&connection.sentence, Style::new());
            draft.text("It is retried automatically; the top line counts down.", theme.dim());
            draft.text(DOCTOR, theme.dim());
        }
        ConnectionState::Resolving
        | ConnectionState::Dialing
        | ConnectionState::Waiting
        | ConnectionState::Live
        | ConnectionState::Paused => draft.text(&connection.sentence, Style::new()),
        ConnectionState::Quiet => {
            draft.text(&connection.sentence, Style::new());
            draft.text(DOCTOR, theme.dim());
        }
    }
}
