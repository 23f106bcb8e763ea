//! How things look: colours and glyphs, in one place, with and without colour and Unicode.

use std::env;

use ratatui::style::{Color, Modifier, Style};

use crate::report::sanitize::Charset;
use crate::report::{Severity, TaskState};

/// Colours and glyphs of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    color: bool,
    charset: Charset,
}

impl Theme {
    /// A theme with or without colours, and with or without characters beyond ASCII.
    pub const fn new(color: bool, unicode: bool) -> Self {
        Self { color, charset: if unicode { Charset::Unicode } else { Charset::Ascii } }
    }

    /// The theme that suits the environment: `NO_COLOR`, `TERM`, and the locale.
    pub fn from_env() -> Self {
        Self::choose(|name| env::var(name).ok())
    }

    fn choose(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let color = set("NO_COLOR").is_none() && set("TERM").as_deref() != Some("dumb");
        Self { color, charset: Charset::of_terminal(variable) }
    }

    /// Text of a target, or of anybody else, fit for the screen: the only way by which it gets there.
    pub fn text(&self, text: &str) -> String {
        self.charset.line(text).into_owned()
    }

    fn is_unicode(&self) -> bool {
        self.charset == Charset::Unicode
    }

    fn colored(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// What stands out: headings, names.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there but matters less.
    pub fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The heading of a part of a page.
    pub fn heading(&self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The row or view that keys act on.
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Keys in hints.
    pub fn key(&self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// All is well.
    pub fn good(&self) -> Style {
        self.colored(Color::Green)
    }

    /// Needs attention.
    pub fn bad(&self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A severity.
    pub fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            Severity::Warning => self.colored(Color::Yellow).add_modifier(Modifier::BOLD),
            Severity::Info => self.colored(Color::Blue),
        }
    }

    /// The state of a task.
    pub fn state(&self, state: TaskState) -> Style {
        match state {
            TaskState::Running => self.colored(Color::Green),
            TaskState::Scheduled => self.colored(Color::Yellow),
            TaskState::Idle => Style::new(),
            TaskState::Done => self.dim(),
        }
    }

    /// Says that a text was cut.
    pub fn ellipsis(&self) -> &'static str {
        if self.is_unicode() { "…" } else { "~" }
    }

    /// A rule between parts of the screen.
    pub fn rule(&self) -> &'static str {
        if self.is_unicode() { "─" } else { "-" }
    }

    /// The direction of a sort.
    pub fn direction(&self, descending: bool) -> &'static str {
        match (self.is_unicode(), descending) {
            (true, true) => "▼",
            (true, false) => "▲",
            (false, true) => "v",
            (false, false) => "^",
        }
    }

    /// Bars of rising height, the first one empty.
    pub fn bars(&self) -> &'static [char] {
        if self.is_unicode() {
            &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &[' ', '.', ':', '-', '=', '+', '*', '#']
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> Theme {
        Theme::choose(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_chooses() {
        assert_eq!(chosen(&[]), Theme::new(true, true));
        assert_eq!(chosen(&[("LANG", "C")]), Theme::new(true, false));
        assert_eq!(chosen(&[("LANG", "en_US.utf8")]), Theme::new(true, true));
        assert_eq!(chosen(&[("LC_CTYPE", "C.UTF-8"), ("NO_COLOR", "1")]), Theme::new(false, true));
        assert_eq!(chosen(&[("NO_COLOR", ""), ("TERM", "dumb")]), Theme::new(false, false));
    }

    #[test]
    fn without_unicode_nothing_but_ascii_is_drawn() {
        let ascii = Theme::new(true, false);
        assert_eq!(ascii.text("bänk\u{1b}"), "b\\u{e4}nk\\u{1b}");
        let glyphs = [ascii.ellipsis(), ascii.rule(), ascii.direction(true), ascii.direction(false)].concat();
        assert!(glyphs.is_ascii() && ascii.bars().iter().all(char::is_ascii));
    }
}
