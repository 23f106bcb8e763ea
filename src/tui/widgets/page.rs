//! A page of text about one thing: headings, fields and sentences, some of them links to other things.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::rows::{Column, widths};
use super::table::Cell;
use super::text::{Cut, cells, cut, wrap};
use crate::tui::theme::Theme;
use crate::words;

/// How wide the names of fields are.
const NAME: usize = 16;
/// Longer lines are hard to read.
const WIDEST: usize = 120;

/// The longest bar of a histogram.
const LONGEST_BAR: usize = 40;

/// A page that is being written. All text is made fit for the screen here.
#[derive(Debug)]
pub struct Draft<L> {
    theme: Theme,
    width: usize,
    lines: Vec<Line<'static>>,
    /// The lines of each link: first and one past the last, and where it leads.
    links: Vec<(std::ops::Range<usize>, L)>,
}

impl<L> Draft<L> {
    /// An empty page of a width in cells.
    pub fn new(theme: Theme, width: usize) -> Self {
        Self { theme, width: width.clamp(1, WIDEST), lines: Vec::new(), links: Vec::new() }
    }

    /// How it looks.
    pub fn theme(&self) -> Theme {
        self.theme
    }

    /// The heading of what follows, set apart from what is before it.
    pub fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        let text = cut(&self.theme.text(text), self.width, Cut::End, self.theme.ellipsis());
        self.lines.push(Line::styled(text, self.theme.heading()));
    }

    /// A sentence or more.
    pub fn text(&mut self, text: &str, style: Style) {
        for line in wrap(&self.theme.text(text), self.width) {
            self.lines.push(Line::styled(line, style));
        }
    }

    /// A name and what belongs to it.
    pub fn field(&mut self, name: &str, value: &str) {
        self.styled_field(name, value, Style::new());
    }

    /// The same, which may lead somewhere.
    pub fn linked_field(&mut self, name: &str, value: &str, target: Option<L>) {
        let from = self.lines.len();
        self.field(name, value);
        self.links.extend(target.map(|target| (from..self.lines.len(), target)));
    }

    /// A name and what belongs to it, in a certain style.
    pub fn styled_field(&mut self, name: &str, value: &str, style: Style) {
        let theme = self.theme;
        let name_width = NAME.min(self.width / 3);
        let name = cut(&theme.text(name), name_width, Cut::End, theme.ellipsis());
        let value = theme.text(value);
        for (index, line) in wrap(&value, self.width.saturating_sub(name_width + 1)).into_iter().enumerate() {
            let name = if index == 0 { name.as_str() } else { "" };
            let pad = " ".repeat((name_width + 1).saturating_sub(name.width()));
            let spans = vec![Span::styled(name.to_owned(), theme.dim()), Span::raw(pad), Span::styled(line, style)];
            self.lines.push(Line::from(spans));
        }
    }

    /// A sentence after a marker, such as a dash or a number. It may lead somewhere.
    pub fn item(&mut self, marker: &str, text: &str, target: Option<L>) {
        let from = self.lines.len();
        // On a narrow screen the words need the room more than the margin does.
        let margin = marker.width() + 1;
        let margin = if self.width > 2 * margin { margin } else { 1 };
        for (index, line) in
            wrap(&self.theme.text(text), self.width - margin.min(self.width - 1)).into_iter().enumerate()
        {
            let before = if index == 0 && margin > 1 { format!("{marker} ") } else { " ".repeat(margin) };
            self.lines.push(Line::from(format!("{before}{line}")));
        }
        if let Some(target) = target {
            self.links.push((from..self.lines.len(), target));
        }
    }

    /// How wide it is, in cells.
    pub fn width(&self) -> u16 {
        cells(self.width)
    }

    /// A line that is laid out already and fits. It may lead somewhere.
    pub fn line(&mut self, line: Line<'static>, target: Option<L>) {
        let at = self.lines.len();
        self.lines.push(line);
        self.links.extend(target.map(|target| (at..at + 1, target)));
    }

    /// Counts as bars, each with its label on the left and its count on the right.
    pub fn bars(&mut self, rows: &[(String, u64)]) {
        let theme = self.theme;
        let rows: Vec<(String, u64, String)> =
            rows.iter().map(|(label, count)| (theme.text(label), *count, words::number(*count))).collect();
        let labels = rows.iter().map(|(label, ..)| label.width()).max().unwrap_or_default();
        let counts = rows.iter().map(|(.., count)| count.width()).max().unwrap_or_default();
        let most = rows.iter().map(|(_, count, _)| *count).max().unwrap_or_default().max(1);
        let room = self.width.saturating_sub(labels + counts + 3).min(LONGEST_BAR);
        let full = theme.bars().last().copied().unwrap_or('#').to_string();
        for (label, count, number) in rows {
            // Whatever there is shows.
            let length = u128::from(count) * room as u128 / u128::from(most);
            let length = usize::try_from(length).unwrap_or(room).max(usize::from(count > 0)).min(room);
            let text =
                format!("{label:>labels$} |{}{} {number:>counts$}", full.repeat(length), " ".repeat(room - length));
            self.lines.push(Line::raw(cut(&text, self.width, Cut::End, theme.ellipsis())));
        }
    }

    /// Numbers under headings, as wide as they need to be.
    pub fn grid(&mut self, headings: &[&str], rows: &[Vec<String>])
    where
        L: Clone,
    {
        let columns: Vec<Column<'_>> = headings.iter().map(|heading| Column::text(heading)).collect();
        let cells = |row: &Vec<String>| row.iter().cloned().map(Cell::from).collect();
        self.rows(&columns, &rows.iter().map(|row| (cells(row), None)).collect::<Vec<_>>());
    }

    /// One line of a drawing: a rail, then a text that may lead somewhere. What does not fit goes on below, beside the rail.
    pub fn drawn(&mut self, rail: &Span<'static>, text: &str, style: Style, target: Option<L>) {
        let from = self.lines.len();
        let room = self.width.saturating_sub(rail.width()).max(1);
        for (index, line) in wrap(&self.theme.text(text), room).into_iter().enumerate() {
            let rail = if index == 0 { rail.clone() } else { self.theme.diagram().beside(rail) };
            self.lines.push(Line::from(vec![rail, Span::styled(line, style)]));
        }
        self.links.extend(target.map(|target| (from..self.lines.len(), target)));
    }

    /// Lines that are drawn already, such as those of a chart.
    pub fn drawing(&mut self, lines: Vec<Line<'static>>) {
        self.lines.extend(lines);
    }

    /// Rows under headings, each of which may lead somewhere. Columns are as wide as they need to be; flexible ones give way.
    pub fn rows(&mut self, columns: &[Column<'_>], rows: &[(Vec<Cell>, Option<L>)])
    where
        L: Clone,
    {
        let theme = self.theme;
        let texts: Vec<Vec<String>> =
            rows.iter().map(|(cells, _)| cells.iter().map(|cell| theme.text(&cell.text)).collect()).collect();
        let widths = widths(columns, &texts, self.width);
        let cell = |text: &str, column: &Column<'_>, width: usize, style: Style| {
            let text = cut(text, width, column.cut, theme.ellipsis());
            let pad = " ".repeat(width.saturating_sub(text.width()));
            let text = if column.right { format!("{pad}{text}") } else { format!("{text}{pad}") };
            Span::styled(text, style)
        };
        let line = |cells: Vec<Span<'static>>| {
            let mut spans = Vec::new();
            for span in cells.into_iter().filter(|span| span.width() > 0) {
                if !spans.is_empty() {
                    spans.push(Span::raw("  "));
                }
                spans.push(span);
            }
            Line::from(spans)
        };
        let headings = columns.iter().zip(&widths).map(|(it, width)| {
            // Of a heading the beginning says most.
            cell(it.heading, &Column { cut: Cut::End, ..*it }, *width, theme.dim())
        });
        self.lines.push(line(headings.collect()));
        for ((cells, target), texts) in rows.iter().zip(&texts) {
            let spans = columns.iter().zip(&widths).zip(texts.iter().zip(cells));
            let spans = spans.map(|((column, width), (text, it))| cell(text, column, *width, it.style));
            self.links.extend(target.clone().map(|target| (self.lines.len()..self.lines.len() + 1, target)));
            self.lines.push(line(spans.collect()));
        }
    }

    /// The finished page.
    pub fn finish(self) -> Page<L> {
        Page { lines: self.lines, links: self.links }
    }
}

/// A page to be shown.
#[derive(Debug)]
pub struct Page<L> {
    /// Its lines, as wide as asked for.
    pub lines: Vec<Line<'static>>,
    links: Vec<(std::ops::Range<usize>, L)>,
}

impl<L> Default for Page<L> {
    fn default() -> Self {
        Self { lines: Vec::new(), links: Vec::new() }
    }
}

/// Which part of a page is on the screen, and which of its links is selected.
#[derive(Debug)]
pub struct Reader<L> {
    page: Page<L>,
    offset: usize,
    height: usize,
    selected: Option<usize>,
    /// Whether the user has moved; until then the first link is selected whatever it is.
    chosen: bool,
    has_ended: bool,
}

impl<L> Default for Reader<L> {
    fn default() -> Self {
        Self { page: Page::default(), offset: 0, height: 1, selected: None, chosen: false, has_ended: false }
    }
}

impl<L: Clone + PartialEq> Reader<L> {
    /// Shows a new state of the page. The selection follows its link.
    pub fn show(&mut self, page: Page<L>, height: usize) {
        let target = self.target().filter(|_| self.chosen).cloned();
        self.page = page;
        self.has_ended = false;
        self.fit(height);
        let leads_there = |index: &usize| Some(&self.page.links[*index].1) == target.as_ref();
        let nearest = |index: &usize| index.abs_diff(self.selected.unwrap_or(0));
        self.selected = match self.page.links.len() {
            0 => None,
            _ if !self.chosen => Some(0),
            count => {
                (0..count).filter(leads_there).min_by_key(nearest).or(Some(self.selected.unwrap_or(0).min(count - 1)))
            }
        };
        self.settle();
    }

    /// Shows the same state of the page on a screen of this height.
    pub fn resize(&mut self, height: usize) {
        self.fit(height);
    }

    /// Whether nothing was shown yet.
    pub fn is_empty(&self) -> bool {
        self.page.lines.is_empty()
    }

    /// Keeps the page that was shown, under a heading that says why it does not change any more.
    pub fn end(&mut self, heading: Line<'static>, height: usize) {
        if !self.has_ended {
            self.has_ended = true;
            self.page.lines.insert(0, heading);
            // What it led to may mean something else by now.
            self.page.links.clear();
            self.selected = None;
        }
        self.fit(height);
    }

    /// Where the selected link leads.
    pub fn target(&self) -> Option<&L> {
        self.selected.and_then(|index| self.page.links.get(index)).map(|(_, target)| target)
    }

    /// The lines on the screen, and whether each belongs to the selected link.
    pub fn visible(&self) -> impl Iterator<Item = (&Line<'static>, bool)> {
        let selected = self.selected.and_then(|index| self.page.links.get(index)).map(|(lines, _)| lines.clone());
        let lines = self.page.lines.iter().enumerate().skip(self.offset).take(self.height);
        lines.map(move |(index, line)| (line, selected.as_ref().is_some_and(|lines| lines.contains(&index))))
    }

    /// The same without a selection, for a page that is not read at present.
    #[must_use]
    pub fn unselected(mut self) -> Self {
        self.selected = None;
        self
    }

    /// How many lines there are before and after those on the screen.
    pub fn hidden(&self) -> (usize, usize) {
        (self.offset, self.page.lines.len().saturating_sub(self.offset + self.height))
    }

    /// Goes to the next link, or the one before; if that is not on the screen, moves the page by a line first.
    pub fn step(&mut self, rows: isize) {
        self.chosen = true;
        let next = self.selected.map(|index| index.saturating_add_signed(rows.signum()));
        let next = next.filter(|index| *index < self.page.links.len() && Some(*index) != self.selected);
        match next {
            Some(next) if self.is_visible(next) => self.selected = Some(next),
            _ => {
                self.scroll(rows);
                if let Some(next) = next.filter(|next| self.is_visible(*next)) {
                    self.selected = Some(next);
                }
            }
        }
    }

    /// Moves by a number of screens.
    pub fn page(&mut self, pages: isize) {
        self.chosen = true;
        let height = isize::try_from(self.height).unwrap_or(isize::MAX);
        self.scroll(pages.saturating_mul(height));
        self.select_visible();
    }

    /// Goes to the beginning.
    pub fn first(&mut self) {
        self.chosen = true;
        self.scroll(isize::MIN);
        self.selected = (!self.page.links.is_empty()).then_some(0);
    }

    /// Goes to the end.
    pub fn last(&mut self) {
        self.chosen = true;
        self.scroll(isize::MAX);
        self.selected = self.page.links.len().checked_sub(1);
    }

    fn scroll(&mut self, rows: isize) {
        self.offset = self.offset.saturating_add_signed(rows);
        self.settle();
    }

    /// Takes as many lines as there is room for; the last one says that there is more.
    fn fit(&mut self, height: usize) {
        let room = if self.page.lines.len() > height { height.saturating_sub(1) } else { height };
        self.height = room.max(1);
        self.settle();
    }

    fn settle(&mut self) {
        self.offset = self.offset.min(self.page.lines.len().saturating_sub(self.height));
    }

    fn is_visible(&self, link: usize) -> bool {
        self.page
            .links
            .get(link)
            .is_some_and(|(lines, _)| self.offset <= lines.start && lines.start < self.offset + self.height)
    }

    fn select_visible(&mut self) {
        if !self.selected.is_some_and(|index| self.is_visible(index)) {
            self.selected = (0..self.page.links.len()).find(|index| self.is_visible(*index)).or(self.selected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(links: &[u32], lines: usize) -> Page<u32> {
        let mut page = Draft::new(Theme::new(true, true), 20);
        for line in 0..lines {
            page.text(&format!("line {line}"), Style::new());
        }
        for link in links {
            page.item("-", &format!("link {link}"), Some(*link));
        }
        page.finish()
    }

    #[test]
    fn the_selected_link_is_followed() {
        let mut reader = Reader::default();
        reader.show(page(&[1, 2, 3], 1), 10);
        assert_eq!(reader.target(), Some(&1));
        reader.step(1);
        reader.show(page(&[3, 2, 1], 4), 10);
        assert_eq!(reader.target(), Some(&2));
        reader.show(page(&[7, 8, 9], 0), 10);
        assert_eq!(reader.target(), Some(&8));
        reader.show(page(&[], 3), 10);
        assert_eq!(reader.target(), None);
    }

    #[test]
    fn a_long_page_scrolls_to_its_links_and_no_further_than_its_end() {
        let mut reader = Reader::default();
        reader.show(page(&[1, 2], 6), 3);
        for _ in 0..20 {
            reader.step(1);
        }
        assert_eq!((reader.target(), reader.hidden()), (Some(&2), (6, 0)));
        for _ in 0..20 {
            reader.step(-1);
        }
        assert_eq!((reader.target(), reader.hidden()), (Some(&1), (0, 6)));
        reader.last();
        assert_eq!((reader.target(), reader.hidden()), (Some(&2), (6, 0)));
    }

    #[test]
    fn bars_have_their_counts_beside_them() {
        let mut page: Draft<u32> = Draft::new(Theme::new(true, false), 16);
        page.bars(&[("1 ms".into(), 1), ("10 ms".into(), 1_000), ("20 ms".into(), 0)]);
        let lines: Vec<String> = page.finish().lines.iter().map(ToString::to_string).collect();
        assert_eq!(lines, [" 1 ms |#       1", "10 ms |#### 1000", "20 ms |        0"]);
    }

    #[test]
    fn text_is_made_harmless_and_fits() {
        let mut page: Draft<u32> = Draft::new(Theme::new(true, true), 12);
        page.field("name\u{1b}[2J", "evil\nname that is long");
        page.grid(&["a", "b"], &[vec!["\r".repeat(9), "x".into()]]);
        page.heading("a heading that is long");
        for line in page.finish().lines {
            assert!(line.width() <= 12 && !line.to_string().contains(char::is_control), "{line:?}");
        }
    }
}
