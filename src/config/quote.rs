//! Texts as TOML has them, whatever is in them.

use crate::report::sanitize;

/// A text as a basic string of TOML in which everything that could move a cursor or hide is escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            it if sanitize::is_hidden(it) => quoted.push_str(&format!("\\U{:08X}", u32::from(it))),
            it => quoted.push(it),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_so_that_they_neither_end_nor_hide() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted("\u{1b}[2J\n\u{202e}x"), r#""\U0000001B[2J\U0000000A\U0000202Ex""#);
    }
}
