//! How things look: colours and glyphs, in one place, with and without colour and Unicode.

mod palette;

use std::env;

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Span;

use self::palette::Role;
pub use self::palette::{Background, Depth};
use crate::report::sanitize::Charset;
use crate::report::{Severity, TaskState};

/// Colours and glyphs of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    depth: Depth,
    background: Background,
    charset: Charset,
}

/// The glyphs of a diagram of who keeps whom waiting.
#[derive(Debug, Clone, Copy)]
pub struct DiagramArt {
    /// Before the first node of a cycle, to which the last one leads back.
    pub begin: &'static str,
    /// Beside everything between the two.
    pub rail: &'static str,
    /// Before the last line of a cycle.
    pub end: &'static str,
    /// From a node to the next.
    pub down: &'static str,
    /// Before a node that waits beside others,
    pub branch: &'static str,
    /// and before the last of them.
    pub last: &'static str,
}

impl DiagramArt {
    /// What stands beside the further lines of a text whose first line has this rail.
    pub fn beside(&self, rail: &Span<'static>) -> Span<'static> {
        let goes_on = rail.content == self.begin || rail.content == self.rail;
        let text = if goes_on { self.rail.to_owned() } else { " ".repeat(rail.width()) };
        Span::styled(text, rail.style)
    }
}

impl Theme {
    /// A theme for a dark background, with sixteen colours or none, and with or without characters beyond ASCII.
    pub const fn new(color: bool, unicode: bool) -> Self {
        let depth = if color { Depth::Sixteen } else { Depth::None };
        let charset = if unicode { Charset::Unicode } else { Charset::Ascii };
        Self { depth, background: Background::Dark, charset }
    }

    /// The theme that suits the environment: `NO_COLOR`, `TERM`, `COLORTERM`, `COLORFGBG` and the locale.
    pub fn from_env() -> Self {
        Self::choose(|name| env::var(name).ok())
    }

    fn choose(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let depth = match (set("NO_COLOR"), set("TERM").as_deref(), set("COLORTERM")) {
            (Some(_), ..) | (None, Some("dumb"), _) => Depth::None,
            (None, Some(term), _) if term.contains("256color") => Depth::Full,
            (None, _, Some(_)) => Depth::Full,
            (None, ..) => Depth::Sixteen,
        };
        let background = set("COLORFGBG").map_or(Background::Dark, |colors| Background::of_colors(&colors));
        Self { depth, background, charset: Charset::of_terminal(variable) }
    }

    /// The same for another background.
    #[must_use]
    pub const fn on(self, background: Background) -> Self {
        Self { background, ..self }
    }

    /// Text of a target, or of anybody else, fit for the screen: the only way by which it gets there.
    pub fn text(&self, text: &str) -> String {
        self.charset.line(text).into_owned()
    }

    fn is_unicode(&self) -> bool {
        self.charset == Charset::Unicode
    }

    fn colored(&self, role: Role) -> Style {
        palette::color(self.depth, self.background, role).map_or(Style::new(), |color: Color| Style::new().fg(color))
    }

    /// What is neither more nor less than the rest.
    pub fn plain(&self) -> Style {
        Style::new()
    }

    /// What stands out: headings, names.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there but matters less. Terminals draw faint text as faint as they like, so colours are used where there are any.
    pub fn dim(&self) -> Style {
        match self.depth {
            Depth::None => Style::new().add_modifier(Modifier::DIM),
            Depth::Sixteen | Depth::Full => self.colored(Role::Dim),
        }
    }

    /// The heading of a part of a page.
    pub fn heading(&self) -> Style {
        self.colored(Role::Heading).add_modifier(Modifier::BOLD)
    }

    /// The row or view that keys act on.
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Keys in hints.
    pub fn key(&self) -> Style {
        self.colored(Role::Key).add_modifier(Modifier::BOLD)
    }

    /// A curve in a chart.
    pub fn curve(&self) -> Style {
        self.colored(Role::Info)
    }

    /// All is well.
    pub fn good(&self) -> Style {
        self.colored(Role::Good)
    }

    /// Needs attention.
    pub fn bad(&self) -> Style {
        self.colored(Role::Warning).add_modifier(Modifier::BOLD)
    }

    /// A severity.
    pub fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.colored(Role::Critical).add_modifier(Modifier::BOLD),
            Severity::Warning => self.colored(Role::Warning).add_modifier(Modifier::BOLD),
            Severity::Info => self.colored(Role::Info),
        }
    }

    /// The state of a task.
    pub fn state(&self, state: TaskState) -> Style {
        match state {
            TaskState::Running => self.colored(Role::Good),
            TaskState::Scheduled => self.colored(Role::Warning),
            TaskState::Idle => Style::new(),
            TaskState::Done => self.dim(),
        }
    }

    /// The marks of a curve and of its threshold.
    pub fn markers(&self) -> [Marker; 2] {
        if self.is_unicode() { [Marker::Braille, Marker::Dot] } else { [Marker::Custom('*'), Marker::Custom('.')] }
    }

    /// A glyph of a library's drawing, or what stands for it without Unicode.
    pub fn line_drawing<'a>(&self, glyph: &'a str) -> &'a str {
        match glyph {
            _ if self.is_unicode() || glyph.is_ascii() => glyph,
            "│" => "|",
            "─" => "-",
            "└" | "┌" | "├" => "+",
            _ => "?",
        }
    }

    /// The glyphs of a diagram of who keeps whom waiting.
    pub fn diagram(&self) -> DiagramArt {
        if self.is_unicode() {
            DiagramArt {
                begin: "┌▶ ", rail: "│  ", end: "└─ ", down: "↓", branch: "  ├ ", last: "  └ "
            }
        } else {
            DiagramArt { begin: "+> ", rail: "|  ", end: "+- ", down: "v", branch: "  + ", last: "  + " }
        }
    }

    /// A rule between the left and the right part of the screen.
    pub fn vertical_rule(&self) -> &'static str {
        if self.is_unicode() { "│" } else { "|" }
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
        let full = Theme { depth: Depth::Full, ..Theme::new(true, true) };
        assert_eq!(chosen(&[("TERM", "tmux-256color"), ("COLORFGBG", "15;0")]), full);
        assert_eq!(chosen(&[("COLORTERM", "truecolor"), ("COLORFGBG", "0;15")]), full.on(Background::Light));
    }

    #[test]
    fn without_unicode_nothing_but_ascii_is_drawn() {
        let ascii = Theme::new(true, false);
        assert_eq!(ascii.text("bänk\u{1b}"), "b\\u{e4}nk\\u{1b}");
        let glyphs = [ascii.ellipsis(), ascii.rule(), ascii.direction(true), ascii.direction(false)].concat();
        assert!(glyphs.is_ascii() && ascii.bars().iter().all(char::is_ascii));
    }
}
