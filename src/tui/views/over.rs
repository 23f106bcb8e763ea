//! What lies over the screen until it is closed: the help, or the page of a detector.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{draw_reader, help};
use crate::detect::detectors::DETECTORS;
use crate::explain::{self, Look};
use crate::report::Snapshot;
use crate::tui::state::{Over, OverWhat};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::{Draft, Page};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, over: &mut Over, theme: Theme, shown: Option<&Snapshot<'_>>) {
    let page = match over.what {
        OverWhat::Help => help::page(theme, area.width),
        OverWhat::Detector(id) => explanation(theme, area.width, id, shown),
    };
    over.reader.show(page, usize::from(area.height));
    draw_reader(frame, area, &theme, &over.reader);
}

/// What a finding of a detector means, what to do about it, and when it is wrong, with the settings in force.
fn explanation(theme: Theme, width: u16, id: &str, shown: Option<&Snapshot<'_>>) -> Page<()> {
    let mut draft = Draft::new(theme, usize::from(width));
    let detector = DETECTORS.iter().find(|detector| detector.id == id);
    if let (Some(detector), Some(shown)) = (detector, shown) {
        let look = Look::Text { columns: draft.width().into() };
        for line in explain::page(&explain::markdown(detector, shown.settings()), look).lines() {
            draft.drawn(&ratatui::text::Span::raw(""), line, theme.plain(), None);
        }
    }
    draft.finish()
}
