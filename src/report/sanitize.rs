//! Text that comes from a target, made harmless for each output: one place that knows what must not get out.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The characters that an output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// All of them.
    Unicode,
    /// The 95 printable ones of ASCII.
    Ascii,
}

impl Charset {
    /// The characters of the terminal that these environment variables describe. `LC_ALL`, `LC_CTYPE` or `LANG` may name a locale that
    /// is not UTF-8, and `TERM` a terminal that cannot show it. Where no locale is set, as in most containers, the terminal shows
    /// Unicode as terminals do.
    pub fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let is_limited = set("TERM").is_some_and(|term| term == "dumb" || term.starts_with("vt"));
        let is_unicode = locale.is_none_or(|locale| locale.contains("utf-8") || locale.contains("utf8"));
        if is_unicode && !is_limited { Self::Unicode } else { Self::Ascii }
    }

    /// One line of text for a terminal or a log that shows these characters. Where they are those of ASCII, the symbols of our own
    /// sentences get the nearest of them, and others, which are part of names, are escaped: two names never look alike.
    pub fn line(self, text: &str) -> Cow<'_, str> {
        let plain = plain(text);
        match self {
            Self::Ascii if !plain.is_ascii() => Cow::Owned(ascii(&plain)),
            Self::Ascii | Self::Unicode => plain,
        }
    }
}

/// Everything that is not seen, directs what is, or breaks a line: the characters of general category Cc, Cf, Zl or Zp and those with the
/// property `Default_Ignorable_Code_Point` or `Bidi_Control`, of Unicode 16 (`DerivedGeneralCategory.txt`, `DerivedCoreProperties.txt`
/// and `PropList.txt` of the Unicode Character Database). First and last of each range, sorted.
const HIDDEN: [(char, char); 27] = [
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is not seen, directs others, or breaks a line.
pub fn is_hidden(character: char) -> bool {
    let place = HIDDEN.binary_search_by(|(first, last)| {
        if *last < character {
            Ordering::Less
        } else if *first > character {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    });
    place.is_ok()
}

/// The text with escapes for what is hidden. A variation selector stays where it chooses the look of the symbol or ideograph before it.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(2 * text.len());
    let mut before = None;
    for character in text.chars() {
        let varies = is_variation_selector(character) && before.is_some_and(takes_variations);
        if is_hidden(character) && !varies {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        before = Some(character);
    }
    Cow::Owned(shown)
}

/// The text with escapes for what is hidden, in no more bytes than this; one that is longer ends in `…`.
pub fn bounded(text: &str, most: usize) -> String {
    let plain = plain(text);
    if plain.len() <= most {
        return plain.into_owned();
    }
    let end = plain.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", &plain[..end])
}

/// One line of text in the log of a job, of which the runners of GitHub and Azure take `::` at its beginning and `##[` anywhere for a command of
/// theirs.
pub fn logged(text: &str) -> Cow<'_, str> {
    let plain = plain(text);
    let begins = plain.trim_start().starts_with("::");
    if !begins && !plain.contains("##[") {
        return plain;
    }
    let shown = plain.replace("##[", "##\\u{5b}");
    Cow::Owned(if begins { shown.replacen(':', "\\u{3a}", 1) } else { shown })
}

/// A text as a code span of Markdown: nothing in it is read as Markdown or HTML, and no name in it is mentioned or linked. A backtick, which
/// would end it in some dialects however many surround it, becomes an apostrophe. Nothing for an empty text.
pub fn code_span(text: &str) -> String {
    let text = logged(text.trim()).replace('`', "'");
    if text.is_empty() { text } else { format!("`{text}`") }
}

/// One line of text that XML 1.0 can hold: without the characters that it has no way to write.
pub fn xml(text: &str) -> String {
    let is_forbidden = |it: char| matches!(it, '\u{fffe}' | '\u{ffff}');
    let escaped = |it: char| if is_forbidden(it) { it.escape_unicode().to_string() } else { it.to_string() };
    logged(text).chars().map(escaped).collect()
}

/// The message of a command of a GitHub workflow: one line.
pub fn workflow_message(text: &str) -> String {
    logged(text).replace('%', "%25")
}

/// A property of a command of a GitHub workflow: nothing in it ends the property or the properties.
pub fn workflow_property(text: &str) -> String {
    workflow_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// A plain text message of SARIF: brackets in it are no links (3.11.6 of the specification).
pub fn sarif_message(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

/// A frame of a folded stack: nothing in it ends the frame or the line, and none is empty.
pub fn frame(text: &str) -> String {
    let text = plain(text.trim()).replace(';', "\\u{3b}");
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// A text with no more characters than this; one that is longer ends in `…`.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.chars().take(most.saturating_sub(1)).chain(['…']).collect()),
    }
}

fn is_variation_selector(character: char) -> bool {
    matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a variation selector behind this character changes its look. Behind a letter of any other script it is only a way to make two
/// names that look alike.
fn takes_variations(base: char) -> bool {
    let is_ideograph = matches!(base, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    is_ideograph || !(base.is_ascii() || base.is_alphanumeric() || base.is_whitespace() || is_hidden(base))
}

/// The text in ASCII.
fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'µ' => shown.push('u'),
            '·' => shown.push('-'),
            '…' => shown.push('~'),
            _ if character.is_ascii() => shown.push(character),
            _ => shown.extend(character.escape_default()),
        }
    }
    shown
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
    fn a_text_is_bounded_where_a_character_ends() {
        assert_eq!(bounded("a\u{0}b\n", 99), "a\\u{0}b\\n");
        let long = bounded(&"ä".repeat(200), 256);
        assert!(long.len() <= 256 && long.ends_with("ä…"), "{long}");
    }

    #[test]
    fn a_text_stays_within_what_surrounds_it() {
        assert_eq!(code_span("a`b``c\n"), "`a'b''c`");
        assert_eq!(code_span(" "), "");
        assert_eq!(logged("a ##[error]b\n::c"), "a ##\\u{5b}error]b\\n::c");
        assert_eq!(logged(" ::error::a"), " \\u{3a}:error::a");
        assert_eq!(xml("a\u{0}\u{fffe}\u{ffff}"), "a\\u{0}\\u{fffe}\\u{ffff}");
        assert_eq!(workflow_message("50%\r\n::error::x"), "50%25\\r\\n::error::x");
        assert_eq!(workflow_property("a,b:c%"), "a%2Cb%3Ac%25");
        assert_eq!(sarif_message("[a](b)\\"), "\\[a\\](b)\\\\");
        assert_eq!(frame(" a;b\n7;"), "a\\u{3b}b\\n7\\u{3b}");
        assert_eq!(frame("\n"), "unknown");
        assert_eq!(["abcd", "abcde"].map(|it| shortened(it, 4).into_owned()), ["abcd", "abc…"]);
    }

    #[test]
    fn the_table_is_what_unicode_says() {
        let properties = r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]$";
        let hidden = regex::RegexBuilder::new(properties).build().expect("an expression");
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            assert_eq!(is_hidden(character), hidden.is_match(&text), "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn a_variation_selector_is_shown_with_what_it_varies_and_never_alone() {
        for shown in ["\u{26a0}\u{fe0f} alarm", "\u{2764}\u{fe0e}", "\u{845b}\u{e0100}"] {
            assert_eq!(plain(shown), shown);
        }
        for (hostile, shown) in [
            ("\u{fe0f}", "\\u{fe0f}"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
            ("\u{e4}\u{fe0f}", "\u{e4}\\u{fe0f}"),
            (" \u{e0100}", " \\u{e0100}"),
            ("\u{26a0}\u{fe0f}\u{fe0f}", "\u{26a0}\u{fe0f}\\u{fe0f}"),
            ("\u{200b}\u{fe0f}", "\\u{200b}\\u{fe0f}"),
        ] {
            assert_eq!(plain(hostile), shown);
        }
    }

    #[test]
    fn without_unicode_our_own_words_stay_readable() {
        assert_eq!(Charset::Ascii.line("proof · 350 µs\u{1b}"), "proof - 350 us\\u{1b}");
        assert_eq!(Charset::Ascii.line("bänk"), "b\\u{e4}nk");
        assert_eq!(Charset::Unicode.line("proof · 350 µs"), "proof · 350 µs");
    }

    #[test]
    fn the_environment_says_what_a_terminal_can_show() {
        let of = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, it)| (*it).to_owned());
            Charset::of_terminal(value)
        };
        assert_eq!(of(&[]), Charset::Unicode, "a container sets nothing");
        assert_eq!(of(&[("LANG", "")]), Charset::Unicode);
        assert_eq!(of(&[("LANG", "C")]), Charset::Ascii);
        assert_eq!(of(&[("TERM", "dumb")]), Charset::Ascii);
        assert_eq!(of(&[("LANG", "en_US.utf8"), ("TERM", "xterm-256color")]), Charset::Unicode);
        assert_eq!(of(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]), Charset::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")]), Charset::Unicode);
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("TERM", "dumb")]), Charset::Ascii);
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("TERM", "vt220")]), Charset::Ascii);
    }
}
