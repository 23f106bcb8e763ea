//! No colour carries a meaning alone: whatever is coloured by severity, health or state says it in words as well.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use tokio_canary::feed::{Ended, FeedEvent, Status};
use tokio_canary::report::{Severity, TaskState};
use tokio_canary::tui::state::UiState;
use tokio_canary::tui::theme::Theme;

use super::comparison::Pair;
use super::service::Service;
use super::{Session, diagnosis, fall_ill, lost};

/// The views of a target, by the keys that lead there.
const VIEWS: &[&str] = &["o", "f", "f enter", "f enter x", "t", "T", "T enter", "r", "r enter", "v", "?"];

const SIZES: &[(u16, u16)] = &[(160, 45), (80, 24), (40, 10)];

/// The colours that mean something: how bad, whether good, in which state.
fn meanings(theme: &Theme) -> BTreeMap<String, &'static str> {
    let severities = [(Severity::Critical, "critical"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let styles = severities.map(|(severity, word)| (theme.severity(severity), word)).into_iter();
    let styles = styles.chain([(theme.good(), "good"), (theme.bad(), "warning")]);
    let states = [TaskState::Running, TaskState::Scheduled].map(|state| (theme.state(state), "state"));
    let mut known = BTreeMap::new();
    for (style, word) in styles.chain(states) {
        let color = style.fg.expect("it has a colour");
        known.entry(color.to_string()).or_insert(word);
    }
    known
}

/// A part of a row between gaps of two blank cells or more, with the column where it begins and the colours in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    column: u16,
    text: String,
    colors: BTreeSet<String>,
}

/// The parts of a row. What is selected is not told by colour, but reversed.
fn parts(buffer: &Buffer, row: u16) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut blanks = 2;
    for column in buffer.area.left()..buffer.area.right() {
        let cell = &buffer[(column, row)];
        if cell.symbol().trim().is_empty() {
            blanks += 1;
            continue;
        }
        if blanks >= 2 {
            parts.push(Part { column, text: String::new(), colors: BTreeSet::new() });
        }
        if let Some(part) = parts.last_mut() {
            part.text.push_str(if blanks == 1 { " " } else { "" });
            part.text.push_str(cell.symbol());
            part.colors.insert(cell.fg.to_string());
        }
        blanks = 0;
    }
    parts
}

/// Numbers are no words: `3 findings` in red and `4 findings` in yellow differ in nothing that says why.
fn without_numbers(text: &str) -> String {
    let mut words = String::new();
    for character in text.chars() {
        if !character.is_ascii_digit() {
            words.push(character);
        } else if !words.ends_with('#') {
            words.push('#');
        }
    }
    words
}

/// What is coloured somewhere, in all frames that were looked at.
#[derive(Default)]
struct Lint {
    /// Each text that has a meaning by its colour: the meanings that it had, and where.
    meanings: BTreeMap<String, BTreeMap<&'static str, String>>,
    faults: Vec<String>,
}

impl Lint {
    /// Looks at a frame. Within it, equal texts below each other have equal colours.
    fn look(&mut self, theme: &Theme, buffer: &Buffer, place: &str) {
        let known = meanings(theme);
        let means = |colors: &BTreeSet<String>| colors.iter().any(|color| known.contains_key(color));
        let mut below: BTreeMap<(u16, String), BTreeSet<String>> = BTreeMap::new();
        for row in buffer.area.top()..buffer.area.bottom() {
            for part in parts(buffer, row) {
                let meant: BTreeSet<&'static str> =
                    part.colors.iter().filter_map(|color| known.get(color).copied()).collect();
                for meaning in &meant {
                    let words = without_numbers(&part.text);
                    self.meanings.entry(words).or_default().entry(meaning).or_insert_with(|| place.to_owned());
                }
                let key = (part.column, part.text.clone());
                let first = below.entry(key).or_insert_with(|| part.colors.clone());
                if *first != part.colors && (means(first) || means(&part.colors)) {
                    self.faults.push(format!("{place}: `{}` is both {first:?} and {:?}", part.text, part.colors));
                }
            }
        }
    }

    /// Everything that is told by colour alone.
    fn faults(&self) -> Vec<String> {
        // A curve and its threshold, and bars, have no words; what they mean stands beside them.
        let has_words = |text: &str| text.chars().any(char::is_alphabetic);
        let several = self.meanings.iter().filter(|(text, meanings)| meanings.len() > 1 && has_words(text));
        let several = several.map(|(text, meanings)| format!("`{text}` means several things: {meanings:?}"));
        self.faults.iter().cloned().chain(several).collect()
    }
}

/// Made-up services in all their states, by name.
fn sessions(width: u16, height: u16, theme: Theme) -> Vec<(&'static str, Session)> {
    let session = || Session::with_theme(width, height, theme);
    let sick = || {
        let mut session = session();
        fall_ill(&mut session);
        session
    };
    let mut healthy = session();
    healthy.connect();
    healthy.service.spawn(7, "worker", "src/main.rs", 3);
    healthy.service.mutex(101, "src/main.rs", 2);
    healthy.tick(8);
    let mut gone = sick();
    let status = gone.service.status(lost(20));
    gone.apply(status);
    let mut ended = sick();
    let end = ended.service.event(FeedEvent::Ended(Ended::Complete));
    ended.apply(end);
    let mut frozen = sick();
    frozen.keys("space");
    let mut several = sick();
    // Two tasks that wait for each other beside one that only blocks its thread, one that is well, and two that do not answer.
    let mut blocked = Service::default();
    blocked.spawn(11, "resize", "src/images.rs", 12);
    let (target, silent) = (several.fleet.join(diagnosis("blocked")), several.fleet.join(diagnosis("silent")));
    several.fleet.apply(target, blocked.status(Status::Live));
    for second in 0..12 {
        if second == 4 {
            blocked.poll(11, Some(Duration::from_millis(1_200)));
        }
        several.fleet.apply(target, blocked.tick());
    }
    several.fleet.apply(silent, blocked.status(lost(9)));
    several.fleet.join(diagnosis("waiting"));
    let mut resolved = session();
    fall_ill(&mut resolved);
    resolved.service.end(7);
    resolved.service.end(9);
    resolved.service.end(11);
    resolved.tick(20);
    vec![
        ("waiting", session()),
        ("healthy", healthy),
        ("sick", sick()),
        ("lost", gone),
        ("ended", ended),
        ("frozen", frozen),
        ("several", several),
        ("resolved", resolved),
    ]
}

#[test]
fn nothing_is_told_by_colour_alone() {
    let (theme, mut lint) = (Theme::new(true, true), Lint::default());
    for (width, height) in SIZES {
        for (name, mut session) in sessions(*width, *height, theme) {
            for keys in VIEWS {
                session.keys(keys);
                session.draw();
                let place = format!("{name} {width}x{height} {keys}");
                lint.look(&theme, session.terminal.backend().buffer(), &place);
                session.keys(if keys.ends_with(['x', '?']) { "esc esc o" } else { "esc o" });
            }
        }
        let mut pair = Pair::new(*width, *height, UiState::new(theme));
        for step in ["early", "compared", "worse", "ended"] {
            match step {
                "compared" => pair.run(70),
                "worse" => {
                    pair.deadlock();
                    pair.run(20);
                }
                "ended" => pair.show(true),
                _ => pair.run(5),
            }
            pair.screen();
            lint.look(&theme, pair.buffer(), &format!("comparison {width}x{height} {step}"));
        }
    }
    let seen: BTreeSet<&str> = lint.meanings.values().flat_map(|it| it.keys().copied()).collect();
    assert!(seen.is_superset(&["critical", "warning", "info", "good"].into()), "all colours were seen: {seen:?}");
    assert!(lint.faults().is_empty(), "{}", lint.faults().join("\n"));
}

/// With no colour there is everything that there is with colour.
#[test]
fn without_colours_the_words_are_the_same() {
    for (width, height) in SIZES {
        let plain = Theme::new(false, true);
        let coloured = sessions(*width, *height, Theme::new(true, true));
        for ((name, mut session), (_, mut other)) in coloured.into_iter().zip(sessions(*width, *height, plain)) {
            for keys in VIEWS {
                session.keys(keys);
                other.keys(keys);
                assert_eq!(session.screen(), other.screen(), "{name} {width}x{height} {keys}");
                let uncoloured = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
                assert!(other.terminal.backend().buffer().content.iter().all(uncoloured), "{name} {keys}");
            }
        }
    }
}

/// Each rule must be able to fail.
#[test]
fn what_is_told_by_colour_alone_is_found() {
    let theme = Theme::new(true, true);
    let frame = |rows: &[(&str, Style)]| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 3));
        for (row, (text, style)) in (0..).zip(rows) {
            buffer.set_string(0, row, text, *style);
        }
        buffer
    };
    let (critical, warning) = (theme.severity(Severity::Critical), theme.severity(Severity::Warning));
    for (frames, fault) in [
        (
            vec![frame(&[("3 findings", critical)]), frame(&[("4 findings", warning)])],
            "`# findings` means several things",
        ),
        (vec![frame(&[("transfer", critical), ("transfer", Style::new())])], "`transfer` is both"),
        (vec![frame(&[("critical", critical), ("warning", warning)])], ""),
        (vec![frame(&[("LOST", critical), ("LOST", critical.add_modifier(Modifier::REVERSED))])], ""),
    ] {
        let mut lint = Lint::default();
        frames.iter().for_each(|frame| lint.look(&theme, frame, "here"));
        let faults = lint.faults();
        assert_eq!(faults.is_empty(), fault.is_empty(), "{faults:?}");
        assert!(faults.iter().all(|it| it.contains(fault)), "{faults:?}");
    }
}
