//! Text in lines of a given width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Which end of a text gives way when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The beginning: of a place, the file's name and the line matter most.
    Start,
    /// The end.
    End,
}

/// A length in cells of a terminal.
pub fn cells(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// `text` in at most `width` cells.
pub fn cut(text: &str, width: usize, end: Cut, ellipsis: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(ellipsis.width());
    if room == 0 {
        return ellipsis.chars().take(width).collect();
    }
    match end {
        Cut::End => format!("{}{ellipsis}", head(text, room)),
        Cut::Start => {
            let mut used = 0;
            let from = text.char_indices().rev().take_while(|(_, it)| {
                used += it.width().unwrap_or(0);
                used <= room
            });
            let start = from.last().map_or(text.len(), |(index, _)| index);
            // What has no width of its own belongs to the character that is gone.
            let rest = text[start..].trim_start_matches(|it: char| it.width() == Some(0));
            format!("{ellipsis}{rest}")
        }
    }
}

/// As much of the beginning of `text` as fits.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    let past = text.char_indices().find(|(_, it)| {
        used += it.width().unwrap_or(0);
        used > width
    });
    &text[..past.map_or(text.len(), |(index, _)| index)]
}

/// Units that stay on the line of their number.
const UNITS: [&str; 10] = ["s", "ms", "µs", "us", "%", "B", "kB", "MB", "GB", "MiB"];

/// The words of a text; a number and its unit are one.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    let mut from = 0;
    for word in text.split(' ') {
        let to = from + word.len();
        let is_unit = UNITS.contains(&word.trim_end_matches(['.', ',', ';', ':', ')']));
        match words.last_mut() {
            Some(number) if is_unit && number.ends_with(|it: char| it.is_ascii_digit()) => {
                *number = &text[from - 1 - number.len()..to];
            }
            _ => words.push(&text[from..to]),
        }
        from = to + 1;
    }
    words
}

/// `text` in lines of at most `width` cells, broken between words, or inside a word that is wider than a line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in words(text) {
        if !line.is_empty() && line.width() + 1 + word.width() <= width {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        // Only as much is measured as a line takes: a word may be as long as whoever sent it wished.
        loop {
            let part = match head(word, width) {
                part if part.len() == word.len() => break,
                "" => &word[..word.chars().next().map_or(0, char::len_utf8)],
                part => part,
            };
            lines.push(part.trim_end().to_owned());
            word = word[part.len()..].trim_start();
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_at_the_right_end() {
        assert_eq!(cut("src/bank.rs:41", 14, Cut::Start, "…"), "src/bank.rs:41");
        assert_eq!(cut("src/bank.rs:41", 8, Cut::Start, "…"), "…k.rs:41");
        assert_eq!(cut("transfer", 5, Cut::End, "…"), "tran…");
        assert_eq!(cut("transfer", 0, Cut::End, "…"), "");
        assert_eq!(cut("漢字漢字", 5, Cut::End, "~"), "漢字~");
        assert_eq!(cut("漢字漢字", 4, Cut::Start, "~"), "~字");
        assert_eq!(cut("ab\u{26a0}\u{fe0f}cd", 3, Cut::Start, "~"), "~cd", "no selector is left alone");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("a task waits for itself", 10), ["a task", "waits for", "itself"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("for 10.0 s (36 %), it", 8), ["for", "10.0 s", "(36 %),", "it"]);
        assert_eq!(wrap("10 s", 3), ["10", "s"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
    }
}
