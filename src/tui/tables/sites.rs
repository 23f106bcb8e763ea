//! The list of spawn sites.

use ratatui::style::Style;

use super::{Listing, about};
use crate::report::columns::Value;
use crate::report::order::{Rows, Wanted};
use crate::report::sites::SiteColumn;
use crate::report::{Link, SiteKey, Snapshot};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// All spawn sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Sites;

impl Listing for Sites {
    type Key = SiteKey;
    type Column = SiteColumn;
    type Scope = ();

    const NOUN: &'static str = "site";
    const COLUMNS: &'static [Column<SiteColumn>] = &[
        Column::text(SiteColumn::Name, 10, 2, 0),
        Column::text(SiteColumn::Kind, 8, 1, 10),
        Column::number(SiteColumn::Live, 6, 0),
        Column::number(SiteColumn::Blame, 7, 2),
        Column::number(SiteColumn::Rate, 8, 6),
        Column::number(SiteColumn::Lifetime, 8, 7),
        Column::text(SiteColumn::Poll, 11, 1, 4).largest_first(),
        Column::number(SiteColumn::Scheduled, 8, 9),
        Column::number(SiteColumn::Busy, 7, 5),
        Column::text(SiteColumn::Findings, 10, 1, 1).largest_first(),
        Column::text(SiteColumn::Wait, 12, 2, 3).largest_first(),
        Column::number(SiteColumn::Size, 7, 11),
        Column::text(SiteColumn::Location, 14, 3, 2),
    ];
    const SORTED_BY: SiteColumn = SiteColumn::Blame;

    fn rows(shown: &Snapshot<'_>, (): &(), wanted: &Wanted<'_, SiteColumn>) -> Rows<SiteKey> {
        shown.sites(wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &SiteKey, column: SiteColumn) -> Value<'a> {
        shown.site_value(*key, column)
    }

    fn in_fewer_words(shown: &Snapshot<'_>, key: &SiteKey, column: SiteColumn) -> Vec<String> {
        let waiting = if column == SiteColumn::Wait { shown.longest_waiting_of(*key) } else { None };
        let wait = waiting.and_then(|task| shown.wait(task));
        wait.map(|wait| wait.in_fewer_words()).unwrap_or_default()
    }

    fn is_over(shown: &Snapshot<'_>, key: &SiteKey) -> bool {
        shown.live_tasks_of(*key).is_none_or(|live| live == 0)
    }

    fn link(key: &SiteKey) -> Option<Link> {
        Some(Link::Site(*key))
    }

    fn style(shown: &Snapshot<'_>, key: &SiteKey, column: SiteColumn, theme: &Theme) -> Style {
        match column {
            SiteColumn::Findings => about(theme, shown, &Link::Site(*key)),
            _ => Style::new(),
        }
    }
}
