//! Blame as text for people: a block for each site.

use textwrap::Options;

use crate::report::blame::{BlameRow, BlameView, CauseRow, task_seconds};
use crate::report::sanitize::Charset;
use crate::report::sizing::SizingRow;
use crate::words;

/// Most sites that are shown.
const SITES: usize = 30;
/// Most causes of one site that are shown, and the least share of one.
const CAUSES: usize = 6;
const LEAST_SHARE: f64 = 0.005;

/// The text, in lines of at most this width where words allow it.
pub(super) fn text(target: &str, view: &BlameView, sizings: &[SizingRow], charset: Charset, width: usize) -> String {
    let mut page = Page { charset, width, text: String::new() };
    let all: f64 = view.rows.iter().map(|row| row.lived).sum();
    let sites = words::count(view.rows.len(), "spawn site");
    page.line("", &format!("Blame of {target} over {}", words::duration(view.window)));
    let hidden = if view.hidden > 0 { format!(" ({} of the runtime not shown)", view.hidden) } else { String::new() };
    page.line("", &format!("{} from {sites}{hidden}", task_seconds(all)));
    for row in view.rows.iter().take(SITES) {
        page.site(row);
    }
    if view.rows.len() > SITES {
        let more = words::count(view.rows.len() - SITES, "spawn site");
        page.blank();
        page.line("", &format!("{more} more: `--output ndjson` has them all."));
    }
    for sizing in sizings {
        page.blank();
        page.line("", &format!("Sizing: {} {}.", sizing.title, sizing.need()));
        page.line("  ", &sizing.because());
    }
    page.text
}

/// The text so far.
struct Page {
    charset: Charset,
    width: usize,
    text: String,
}

impl Page {
    fn site(&mut self, row: &BlameRow) {
        self.blank();
        self.line("", &format!("{}: {}", row.title(), task_seconds(row.lived)));
        let is_shown = |(nth, it): &(usize, &CauseRow)| *nth < CAUSES && it.share >= LEAST_SHARE;
        let shown = row.causes.iter().enumerate().take_while(is_shown).count();
        for cause in &row.causes[..shown] {
            self.cause(cause.share, cause.rate, &cause.text);
        }
        let others = &row.causes[shown..];
        let sum = |of: fn(&CauseRow) -> f64| others.iter().map(of).sum::<f64>();
        if sum(|it| it.share) >= LEAST_SHARE {
            self.cause(sum(|it| it.share), sum(|it| it.rate), &words::count(others.len(), "other cause"));
        }
        if let Some(costs) = &row.costs {
            let victims = row.victims.iter().map(|it| format!("{} {}", it.party.label(), words::rate(it.rate)));
            let victims = victims.collect::<Vec<_>>().join(", ");
            let victims = if victims.is_empty() { victims } else { format!(": {victims}") };
            self.line("  ", &format!("{costs}{victims}"));
        }
    }

    fn cause(&mut self, share: f64, rate: f64, text: &str) {
        let (share, rate) = (words::percent(share), words::rate(rate));
        self.line(&format!("  {share:>6} {rate:>6}  "), text);
    }

    fn blank(&mut self) {
        self.text += "\n";
    }

    /// A line behind a margin, which its continuation keeps.
    fn line(&mut self, margin: &str, text: &str) {
        let text = self.charset.line(text);
        let indent = " ".repeat(margin.chars().count().max(2));
        let options = Options::new(self.width).initial_indent(margin).subsequent_indent(&indent).break_words(false);
        for line in textwrap::wrap(&text, options) {
            self.text += &line;
            self.text += "\n";
        }
    }
}
