//! A page as it is shown: styled and wrapped in a terminal, plain where it goes to a file or a pipe.

use termimad::MadSkin;
use termimad::crossterm::style::{Attribute, Color};

/// Longer lines are hard to read.
const WIDEST: usize = 100;
/// The width of a page that is not shown in a terminal.
const PLAIN: usize = 80;

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
    /// As text alone.
    Plain,
}

/// A Markdown page as text without Markdown in it.
pub fn page(markdown: &str, look: Look) -> String {
    let (skin, columns) = match look {
        Look::Terminal { columns, colours } => (skin(colours), columns.min(WIDEST)),
        Look::Plain => (MadSkin::no_style(), PLAIN),
    };
    let text = skin.text(&joined(markdown), Some(columns)).to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn skin(colours: bool) -> MadSkin {
    let mut skin = MadSkin::no_style();
    for header in &mut skin.headers {
        header.add_attr(Attribute::Bold);
    }
    skin.bold.add_attr(Attribute::Bold);
    if colours {
        skin.set_headers_fg(Color::Cyan);
        skin.inline_code.set_fg(Color::Yellow);
        skin.code_block.set_fg(Color::Yellow);
    }
    skin
}

/// The page with each paragraph on one line: its lines are broken for those who read the file.
fn joined(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut is_code = false;
    let mut continues = false;
    for line in markdown.lines() {
        let is_fence = line.trim_start().starts_with("```");
        let begins = is_code || is_fence || line.is_empty() || line.starts_with(['#', '|', '-', '*']);
        if continues && !begins {
            text.push(' ');
            text += line.trim_start();
        } else {
            text += if text.is_empty() { "" } else { "\n" };
            text += line;
        }
        is_code ^= is_fence;
        continues = !is_code && !is_fence && !line.is_empty() && !line.starts_with(['#', '|']);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_wrapped_to_the_terminal_and_has_no_markdown_left() {
        let page_text = "# a: b\n\nSome words that are\nbroken `here`.\n\n- an item that\n  is broken\n- another\n\n```rust\nlet x =\n    1;\n```\n\n\
                         | key | value |\n|:--|:--|\n| `a` | 1 s |\n";
        let plain = page(page_text, Look::Plain);
        assert!(plain.contains("Some words that are broken here."), "{plain}");
        assert!(plain.contains("an item that is broken"), "{plain}");
        assert!(plain.contains("let x =\n    1;") || plain.contains("    1;"), "{plain}");
        assert!(!plain.contains(['`', '#', '\u{1b}']), "{plain}");
        let narrow = page(page_text, Look::Terminal { columns: 20, colours: true });
        assert!(narrow.contains("\u{1b}["), "{narrow}");
        let plain = page(page_text, Look::Terminal { columns: 20, colours: false });
        assert!(plain.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 40), "{plain}");
    }
}
