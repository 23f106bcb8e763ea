//! What is said where there is nothing to show, or not all of it.

use ratatui::style::Style;
use ratatui::text::Line;

use crate::detect::detectors::DETECTORS;
use crate::diagnosis::{Diagnosis, Ended, Status};
use crate::tui::format::{count, whole};
use crate::tui::state::About;
use crate::tui::theme::Theme;
use crate::tui::widgets::page::Page;
use crate::words;

/// Lines over every view about a connection that is not as it should be; none if all is well.
pub(super) fn banner(diagnosis: &Diagnosis, theme: &Theme, width: u16) -> Vec<Line<'static>> {
    let mut page: Page<()> = Page::new(*theme, usize::from(width));
    if let Some(sentence) = trouble(diagnosis) {
        page.text(&sentence, theme.bad());
    }
    page.finish().lines
}

fn trouble(diagnosis: &Diagnosis) -> Option<String> {
    match (diagnosis.ended(), diagnosis.status()) {
        (Some(Ended::Truncated { reason }), _) => Some(reason.clone()),
        (Some(Ended::Complete), _) => None,
        (None, Status::Lost { reason, .. }) => Some(format!("Not connected. {reason}")),
        (None, Status::Live) if diagnosis.model().quality().paused => Some(
            "The target's feed is paused by one of its clients, so what is shown is old. It goes on when that client resumes it; \
             in tokio-console that is the space bar."
                .to_owned(),
        ),
        _ => None,
    }
}

/// The view of findings while there are none.
pub(super) fn no_findings(page: &mut Page<About>, diagnosis: &Diagnosis) {
    if diagnosis.updates() == 0 {
        return waiting(page, diagnosis);
    }
    let theme = page.theme();
    let model = diagnosis.model();
    let observed = diagnosis.engine().observed();
    page.text("Nothing was found so far.", theme.good());
    page.text(
        &format!(
            "{} and {} have been watched for {}, in {}, by {} detectors.",
            count(whole(model.tasks().len()), "task"),
            count(whole(model.resources().len()), "resource"),
            words::duration(observed),
            count(diagnosis.updates(), "update"),
            DETECTORS.len(),
        ),
        Style::new(),
    );
    let later = diagnosis.not_evaluated();
    if !later.is_empty() {
        let text = format!("These look further back than that, and have not judged yet: {}.", later.join(", "));
        page.text(&text, theme.dim());
    }
}

/// The first screen, before anything is known.
fn waiting(page: &mut Page<About>, diagnosis: &Diagnosis) {
    let theme = page.theme();
    let target = diagnosis.target();
    match (diagnosis.ended(), diagnosis.status()) {
        (Some(Ended::Complete), _) => page.text(&format!("The recording {target} holds no updates."), theme.bad()),
        (Some(Ended::Truncated { reason }), _) => page.text(reason, theme.bad()),
        (None, Status::Resolving) => page.text(&format!("Looking up the address of {target}."), Style::new()),
        (None, Status::Dialing) => page.text(&format!("Connecting to {target}."), Style::new()),
        (None, Status::Live) => page.text(
            &format!(
                "Connected to {target}. Waiting for its first update; it sends one every publish interval, usually 1 s."
            ),
            Style::new(),
        ),
        (None, Status::Lost { reason, .. }) => {
            page.text("Not connected.", theme.bad());
            page.text(reason, Style::new());
            page.text("The next attempt is made by itself; the line at the top counts down to it.", theme.dim());
        }
    }
}
