//! Text that a target sent, made harmless for a terminal or a log line.

use std::borrow::Cow;

/// The text with everything visible that could move a cursor, break a line or turn the reading direction.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let escaped =
        text.chars().map(|it| if is_dangerous(it) { it.escape_default().to_string() } else { it.to_string() });
    Cow::Owned(escaped.collect())
}

/// Control characters of both blocks, line and paragraph separators, and the marks that change the direction of text or are not seen.
pub(crate) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_line_breaks_become_visible() {
        assert_eq!(plain("\u{1b}[2Jboo\r\n"), "\\u{1b}[2Jboo\\r\\n");
        assert_eq!(plain("\u{202e}txt"), "\\u{202e}txt");
        assert!(matches!(plain("src/bänk.rs:4:9"), Cow::Borrowed(_)));
    }
}
