//! A page as it is shown: styled and wrapped in a terminal, plain where it goes to a file or a pipe.

use anstyle::{AnsiColor, Style};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use textwrap::core::display_width;

use super::table::Table;
use super::wrap::wrap;

/// Longer lines are hard to read.
const WIDEST: usize = 100;
/// How far the text below a heading is indented.
const BODY: usize = 2;
/// How far code is indented from the text around it.
const CODE: usize = 4;
/// Keeps the words to its left and right on one line.
const NO_BREAK: char = '\u{a0}';

/// How a page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// In a terminal of this many columns, with or without colours.
    Terminal {
        /// Columns.
        columns: usize,
        /// Whether colours are wanted.
        colours: bool,
    },
    /// As text alone, in lines of this many columns.
    Text {
        /// Columns.
        columns: usize,
    },
}

impl Look {
    /// As text alone, for a file or a pipe.
    pub const PLAIN: Self = Self::Text { columns: 80 };
}

/// A Markdown page as text without Markdown in it.
pub fn page(markdown: &str, look: Look) -> String {
    let mut page = Page::new(look);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.add(event);
    }
    page.text.replace(NO_BREAK, " ")
}

/// How the parts of a page differ from its text.
#[derive(Debug, Clone, Copy, Default)]
struct Styles {
    heading: Style,
    strong: Style,
    emphasis: Style,
    code: Style,
    /// Whether nothing but quotes can tell code from the text around it.
    quotes_code: bool,
    /// Whether nothing but capitals can tell a heading from the text below it.
    capital_headings: bool,
}

impl Styles {
    fn of(look: Look) -> Self {
        let Look::Terminal { colours, .. } = look else {
            return Self { quotes_code: true, capital_headings: true, ..Self::default() };
        };
        let bold = Self { heading: Style::new().bold(), strong: Style::new().bold(), ..Self::default() };
        if colours {
            let colour = |colour: AnsiColor| Some(colour.into());
            Self {
                heading: bold.heading.fg_color(colour(AnsiColor::Cyan)),
                emphasis: Style::new().italic(),
                code: Style::new().fg_color(colour(AnsiColor::Yellow)),
                ..bold
            }
        } else {
            Self { quotes_code: true, ..bold }
        }
    }
}

/// A page in the making.
struct Page {
    text: String,
    width: usize,
    styles: Styles,
    /// The text of the block that is being read, with its styles.
    inline: String,
    /// The lists that are open, each with the number of its next item; none for bullets.
    lists: Vec<Option<u64>>,
    /// The bullet or number that the next block begins with.
    marker: Option<String>,
    /// Whether the next block follows the one before it without an empty line.
    joins: bool,
    in_code: bool,
    link: String,
    table: Option<Table>,
}

impl Page {
    fn new(look: Look) -> Self {
        let width = match look {
            Look::Terminal { columns, .. } => columns.min(WIDEST),
            Look::Text { columns } => columns.min(WIDEST),
        };
        Self {
            text: String::new(),
            width,
            styles: Styles::of(look),
            inline: String::new(),
            lists: Vec::new(),
            marker: None,
            joins: true,
            in_code: false,
            link: String::new(),
            table: None,
        }
    }

    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => self.code(&text),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.inline += &text,
            Event::Code(code) => self.inline_code(&code),
            Event::SoftBreak | Event::HardBreak => self.inline.push(' '),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => self.marker = Some(self.next_marker()),
            Tag::CodeBlock(_) => {
                self.flush();
                self.begin_block();
                self.in_code = true;
            }
            Tag::Strong => self.inline += &self.styles.strong.to_string(),
            Tag::Emphasis => self.inline += &self.styles.emphasis.to_string(),
            Tag::Link { dest_url, .. } => self.link = dest_url.into_string(),
            Tag::Table(_) => self.table = Some(Table::default()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.heading(level),
            TagEnd::Paragraph => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.joins = true;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.joins = false;
            }
            TagEnd::CodeBlock => self.in_code = false,
            TagEnd::Strong => self.inline += &format!("{:#}", self.styles.strong),
            TagEnd::Emphasis => self.inline += &format!("{:#}", self.styles.emphasis),
            TagEnd::Link => self.end_link(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                self.table.iter_mut().for_each(|table| table.add_cell(&cell));
            }
            TagEnd::TableHead | TagEnd::TableRow => self.table.iter_mut().for_each(Table::end_row),
            TagEnd::Table => self.end_table(),
            _ => {}
        }
    }

    fn next_marker(&mut self) -> String {
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "• ".to_owned(),
        }
    }

    /// The columns by which the present block is indented.
    fn indent(&self) -> usize {
        BODY + 2 * self.lists.len().saturating_sub(1)
    }

    fn begin_block(&mut self) {
        if !std::mem::take(&mut self.joins) {
            self.text.push('\n');
        }
    }

    fn heading(&mut self, level: HeadingLevel) {
        let mut heading = std::mem::take(&mut self.inline);
        if self.styles.capital_headings && level != HeadingLevel::H1 {
            heading = heading.to_uppercase();
        }
        self.begin_block();
        let style = self.styles.heading;
        for line in wrap(&heading, self.width, "", "").lines() {
            self.text += &format!("{style}{line}{style:#}\n");
        }
        self.joins = level != HeadingLevel::H1;
    }

    /// Ends a paragraph or an item.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.inline);
        if text.is_empty() {
            return;
        }
        self.begin_block();
        let indent = " ".repeat(self.indent());
        let marker = self.marker.take();
        let hanging = if self.lists.is_empty() { 0 } else { marker.as_deref().map_or(2, display_width) };
        let first = indent.clone() + &marker.unwrap_or_else(|| " ".repeat(hanging));
        self.text += &wrap(&text, self.width, &first, &(indent + &" ".repeat(hanging)));
        self.text.push('\n');
    }

    /// Code stays as it is: a line that is too long for the terminal is better than one that is broken somewhere.
    fn code(&mut self, code: &str) {
        let (indent, style) = (" ".repeat(self.indent() + CODE), self.styles.code);
        for line in code.lines() {
            let line = if line.is_empty() { String::new() } else { format!("{indent}{style}{line}{style:#}") };
            self.text += &(line + "\n");
        }
    }

    fn inline_code(&mut self, code: &str) {
        let quote = if self.styles.quotes_code && self.table.is_none() { "`" } else { "" };
        let (style, code) = (self.styles.code, code.replace(' ', &NO_BREAK.to_string()));
        self.inline += &format!("{style}{quote}{code}{quote}{style:#}");
    }

    /// A link shows where it leads: a page of the documentation by its place in the repository.
    fn end_link(&mut self) {
        let link = std::mem::take(&mut self.link);
        let place = link.strip_prefix("../").map_or(link.clone(), |page| format!("docs/{page}"));
        if !self.inline.ends_with(&place) {
            self.inline += &format!(" ({place})");
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else { return };
        self.begin_block();
        self.text += &table.text(self.width, BODY, self.styles.strong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# a: b\n\nSome words that are\nbroken `here`, 1\u{a0}s and [there](../b.md).\n\n## A part\n\n- an item that\n  is \
                        broken\n- another\n\n```rust\nlet x =\n    1;\n\nlet y = \"a line that is longer than a narrow terminal\";\n```\n\n\
                        1. first\n2. second, [elsewhere](https://example.org)\n\n| key | value |\n|:--|:--|\n| `a` | a value of many words |\n";

    #[test]
    fn a_page_for_a_pipe_is_plain_text() {
        let plain = page(PAGE, Look::PLAIN);
        let expected = "a: b\n\n  Some words that are broken `here`, 1 s and there (docs/b.md).\n\nA PART\n  • an item that is broken\n  • another\n\n      \
                        let x =\n          1;\n\n      let y = \"a line that is longer than a narrow terminal\";\n\n  1. first\n  2. second, \
                        elsewhere (https://example.org)\n\n  key  value\n  a    a value of many words\n";
        assert_eq!(plain, expected);
    }

    #[test]
    fn a_page_in_a_terminal_is_wrapped_and_styled() {
        let coloured = page(PAGE, Look::Terminal { columns: 24, colours: true });
        assert!(coloured.contains("\u{1b}[1m\u{1b}[36mA part"), "{coloured}");
        assert!(!coloured.contains(['`', '#']), "{coloured}");
        let without = page(PAGE, Look::Terminal { columns: 24, colours: false });
        assert!(without.contains("\u{1b}[1mA part"), "{without}");
        let too_wide = |line: &&str| display_width(line) > 24 && !line.contains("let y") && !line.contains("://");
        assert_eq!(without.lines().find(too_wide), None, "{without}");
        let narrow = page(PAGE, Look::Terminal { columns: 12, colours: false });
        assert!(narrow.contains("`here`,\n  1 s and\n"), "a number keeps its unit: {narrow}");
    }
}
