//! The docs page of a detector, with numbers that come from its settings.
//!
//! In the text of a page a number stands as `[1 s][critical]`: a link to the settings at its end, which shows the default, and whose text is
//! replaced where a setting has another value. The value of another detector's setting stands as `[1 s][blocked-worker.critical]`.

use std::fmt::Write;

use crate::detect::detector::Detector;
use crate::detect::detectors;
use crate::detect::settings::{AnySetting, Settings};

/// The heading of the section that ends a page.
const SETTINGS: &str = "\n## Settings\n";

/// The page of a detector as Markdown, with these settings.
pub fn markdown(detector: &Detector, settings: &Settings) -> String {
    let text = prose(detector.explain);
    let mut page = String::with_capacity(detector.explain.len());
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        page += &if is_code { line.to_owned() } else { with_values(detector, settings, line) };
        page.push('\n');
    }
    page + &settings_section(detector, settings)
}

/// A page without the settings at its end.
pub fn prose(page: &str) -> &str {
    page.split_once(SETTINGS).map_or(page, |(prose, _)| prose)
}

/// The links to settings in a line: what they show, and the setting that they name.
pub fn links<'a>(detector: &Detector, line: &'a str) -> Vec<(&'a str, &'a str, &'static dyn AnySetting)> {
    let candidates = line.split('[').collect::<Vec<_>>();
    let pairs = candidates.windows(2).filter_map(|pair| {
        let shown = pair[0].strip_suffix(']')?;
        let key = pair[1].split_once(']')?.0;
        Some((shown, key, find(detector, key)?.1))
    });
    pairs.collect()
}

/// The section that lists the settings of a detector, as Markdown.
pub fn settings_section(detector: &Detector, settings: &Settings) -> String {
    let id = detector.id;
    let mut text = format!(
        "{SETTINGS}\nChange one with `--set {id}.KEY=VALUE`, or in the section `[detectors.{id}]` of a configuration file.\n\n\
         | key | value | what it is |\n|:--|:--|:--|\n"
    );
    for setting in detector.all_settings() {
        let (value, default) = (settings.value(id, setting), setting.default());
        let shown = setting.written(&value);
        let note = if value == default { String::new() } else { format!(" (default `{}`)", setting.written(&default)) };
        let shown = if shown.is_empty() { "none".to_owned() } else { format!("`{shown}`") };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {shown}{note} | {} |", setting.key(), setting.help());
    }
    text
}

/// A line of a page with the values of settings in place of the links to them.
fn with_values(detector: &Detector, settings: &Settings, line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        text += before;
        let parts = link.split_once("][").filter(|(shown, _)| !shown.contains(['[', ']']));
        let value = parts.and_then(|(_, key)| key.split_once(']')).and_then(|(key, after)| {
            let (owner, setting) = find(detector, key)?;
            // A number stays with its unit when lines are broken.
            Some((setting.in_words(&settings.value(owner, setting)).replace(' ', "\u{a0}"), after))
        });
        if let Some((value, after)) = value {
            text += &value;
            rest = after;
        } else {
            text.push('[');
            rest = link;
        }
    }
    text + rest
}

/// The setting that a link names: one of the detector's own, or `detector.key`.
fn find(own: &Detector, key: &str) -> Option<(&'static str, &'static dyn AnySetting)> {
    match key.split_once('.') {
        Some((other, key)) => detectors::detector(other).and_then(|other| Some((other.id, other.setting(key)?))),
        None => own.setting(key).map(|setting| (own.id, setting)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::assignment::Assignment;

    #[test]
    fn numbers_in_the_text_are_those_of_the_settings() {
        let detector = detectors::detector("blocked-worker").expect("a detector");
        let mut settings = Settings::default();
        Assignment::parse("blocked-worker.critical=3s").expect("a setting").apply(&mut settings);
        for (line, shown) in [
            ("from [1 s][critical] on", "from 3\u{a0}s on"),
            ("[1 s][critical]", "3\u{a0}s"),
            ("an [ink](there.md) and [3 s][full-channel.standstill].", "an [ink](there.md) and 3\u{a0}s."),
            ("`bytes[4][critical]`", "`bytes3\u{a0}s`"),
            ("[1 s][nothing] and ][ and [", "[1 s][nothing] and ][ and ["),
        ] {
            assert_eq!(with_values(detector, &settings, line), shown, "{line}");
        }
        assert!(settings_section(detector, &settings).contains("| `critical` | `3s` (default `1s`) |"));
    }
}
