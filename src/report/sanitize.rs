//! Text that comes from a target, made harmless for each output: one place that knows what must not get out.

use std::borrow::Cow;

/// The characters that an output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// All of them.
    Unicode,
    /// The 95 printable ones of ASCII.
    Ascii,
}

impl Charset {
    /// The characters of the terminal that these environment variables describe: Unicode where the locale in `LC_ALL`, `LC_CTYPE` or
    /// `LANG` is UTF-8, unless `TERM` names a terminal that cannot show it.
    pub fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let is_limited = set("TERM").is_some_and(|term| term == "dumb" || term.starts_with("vt"));
        let is_unicode = locale.contains("utf-8") || locale.contains("utf8");
        if is_unicode && !is_limited { Self::Unicode } else { Self::Ascii }
    }

    /// One line of text for a terminal or a log that shows these characters.
    pub fn line(self, text: &str) -> Cow<'_, str> {
        let plain = plain(text);
        match self {
            Self::Ascii if !plain.is_ascii() => Cow::Owned(plain.chars().map(ascii).collect()),
            Self::Ascii | Self::Unicode => plain,
        }
    }
}

/// The text with everything visible that could move a cursor, break a line or turn the reading direction.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let escaped =
        text.chars().map(|it| if is_dangerous(it) { it.escape_default().to_string() } else { it.to_string() });
    Cow::Owned(escaped.collect())
}

/// The nearest ASCII character of the few others that our own sentences contain; a question mark for any other.
fn ascii(character: char) -> char {
    match character {
        'µ' => 'u',
        '·' => '-',
        '…' => '~',
        _ if character.is_ascii() => character,
        _ => '?',
    }
}

/// Control characters of both blocks, line and paragraph separators, and the marks that change the direction of text or are not seen.
pub fn is_dangerous(character: char) -> bool {
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

    #[test]
    fn without_unicode_our_own_words_stay_readable() {
        assert_eq!(Charset::Ascii.line("proof · 350 µs\u{1b}"), "proof - 350 us\\u{1b}");
        assert_eq!(Charset::Ascii.line("bänk"), "b?nk");
        assert_eq!(Charset::Unicode.line("proof · 350 µs"), "proof · 350 µs");
    }

    #[test]
    fn the_environment_says_what_a_terminal_can_show() {
        let of = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, it)| (*it).to_owned());
            Charset::of_terminal(value)
        };
        assert_eq!(of(&[]), Charset::Ascii);
        assert_eq!(of(&[("LANG", "en_US.utf8"), ("TERM", "xterm-256color")]), Charset::Unicode);
        assert_eq!(of(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]), Charset::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")]), Charset::Unicode);
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("TERM", "dumb")]), Charset::Ascii);
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("TERM", "vt220")]), Charset::Ascii);
    }
}
