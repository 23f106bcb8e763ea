//! The pictures of the guide to the terminal: real screens of the demo, as SVG. `BLESS=1 cargo test --test integration -- pictures` draws
//! them anew.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::fmt::Write;
use std::fs;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use tokio_canary::feed::recording::{Events, Playback, extent};
use tokio_canary::fleet::{Fleet, TargetId};
use tokio_canary::playing::Playing;
use tokio_canary::tui::state::UiState;
use tokio_canary::tui::theme::Theme;
use tokio_canary::tui::update::Surroundings;

use super::diagnosis;
use crate::source::in_repository;

/// A picture: its name, which second of the demo it shows, the keys that lead there, and a word that has to be on it.
struct Picture {
    name: &'static str,
    second: u64,
    keys: &'static str,
    shows: &'static str,
}

const PICTURES: &[Picture] = &[
    Picture { name: "overview", second: 20, keys: "", shows: "Vital signs" },
    Picture { name: "finding", second: 20, keys: "\n", shows: "Wait cycle" },
    Picture { name: "sites", second: 20, keys: "t", shows: "blame" },
    Picture { name: "tasks", second: 20, keys: "T", shows: "waits for" },
    Picture { name: "timeline", second: 20, keys: "v", shows: "polls/s" },
];

const SIZE: (u16, u16) = (120, 36);

/// The size of a character, in pixels of the picture.
const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 12.0;
const INK: &str = "#d8dee9";
const PAPER: &str = "#1c2128";
/// The sixteen colours of a terminal, on this paper.
const COLORS: [(Color, &str); 12] = [
    (Color::Red, "#ff7b72"),
    (Color::LightRed, "#ffa198"),
    (Color::Yellow, "#e3b341"),
    (Color::LightYellow, "#f2cc60"),
    (Color::Green, "#56d364"),
    (Color::LightGreen, "#7ee787"),
    (Color::Blue, "#79c0ff"),
    (Color::LightBlue, "#a5d6ff"),
    (Color::Cyan, "#76e3ea"),
    (Color::LightCyan, "#b3f0ff"),
    (Color::Magenta, "#d2a8ff"),
    (Color::DarkGray, "#8b949e"),
];

/// The demo as it is after so many seconds.
pub(super) fn demo(second: u64) -> (Fleet, TargetId, SystemTime) {
    let path = in_repository("assets/demo.mcap");
    let (begins, ends) = extent(&path).expect("the recording of the demo");
    let mut fleet = Fleet::default();
    let target = fleet.join(diagnosis("demo"));
    let until = begins + Duration::from_secs(second);
    let mut playback = Playback::default();
    let events = Events::open(&path).expect("the recording of the demo").flat_map(|event| playback.unfold(event));
    for arrived in events.take_while(|event| event.at <= until) {
        fleet.apply(target, arrived);
    }
    fleet.play(target, Playing { begins, ends, speed: Some(1.0), is_paused: false });
    (fleet, target, until)
}

/// The screen of the demo after so many seconds and these keys.
pub(super) fn draw(second: u64, keys: &str, (width, height): (u16, u16)) -> Buffer {
    let (fleet, _, now) = demo(second);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer is a terminal");
    let mut state = UiState::new(Theme::new(true, true));
    let mut show = |state: &mut UiState| {
        terminal.draw(|frame| tokio_canary::tui::draw(frame, state, &fleet, now)).map(drop).expect("a buffer");
    };
    show(&mut state);
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        state.press(KeyEvent::new(code, KeyModifiers::NONE), Surroundings { fleet: &fleet, width, now });
        show(&mut state);
    }
    terminal.backend().buffer().clone()
}

/// A picture of a screen. Each run of equal cells is a text that is as wide as its cells, whatever font there is.
fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * MARGIN, rows * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for row in 0..buffer.area.height {
        for (first, run) in runs(buffer, row) {
            let look = &buffer[(first, row)];
            let text: String = run.iter().map(|cell| cell.symbol()).collect();
            let (x, y) = (MARGIN + f64::from(first) * CELL.0, MARGIN + f64::from(row) * CELL.1);
            let wide = CELL.0 * f64::from(u16::try_from(run.len()).unwrap_or(u16::MAX));
            let reversed = look.modifier.contains(Modifier::REVERSED);
            let (ink, paper) = if reversed { (PAPER, color(look.fg)) } else { (color(look.fg), PAPER) };
            if reversed {
                let high = CELL.1;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{paper}\"/>"
                );
            }
            if text.trim().is_empty() {
                continue;
            }
            let weight = if look.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let dim = if look.modifier.contains(Modifier::DIM) { " opacity=\"0.65\"" } else { "" };
            let (text, base) = (escape(&text), y + CELL.1 * 0.75);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{base:.1}\" textLength=\"{wide:.1}\" fill=\"{ink}\"{weight}{dim}>{text}</text>"
            );
        }
    }
    svg + "</g>\n</svg>\n"
}

/// The runs of cells of a row that look alike, with the column of the first of each. The blanks at both ends of one that is not reversed
/// are left out.
fn runs(buffer: &Buffer, row: u16) -> Vec<(u16, Vec<&Cell>)> {
    let mut runs: Vec<(u16, Vec<&Cell>)> = Vec::new();
    for column in 0..buffer.area.width {
        let cell = &buffer[(column, row)];
        match runs.last_mut() {
            Some((_, run)) if (run[0].fg, run[0].modifier) == (cell.fg, cell.modifier) => run.push(cell),
            _ => runs.push((column, vec![cell])),
        }
    }
    for (first, run) in &mut runs {
        let blank = |cell: &&Cell| cell.symbol() == " " && !cell.modifier.contains(Modifier::REVERSED);
        while run.len() > 1 && run.last().is_some_and(blank) {
            run.pop();
        }
        while run.len() > 1 && run.first().is_some_and(blank) {
            run.remove(0);
            *first += 1;
        }
    }
    runs
}

fn color(color: Color) -> &'static str {
    COLORS.iter().find(|(known, _)| *known == color).map_or(INK, |(_, hex)| hex)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn the_pictures_of_the_guide_are_those_of_the_screens() {
    let guide = fs::read_to_string(in_repository("docs/guides/terminal.md")).expect("the guide");
    for picture in PICTURES {
        let buffer = draw(picture.second, picture.keys, SIZE);
        let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
        assert!(text.contains(picture.shows), "{} shows no {:?}: {text}", picture.name, picture.shows);
        let (name, path) = (picture.name, in_repository(&format!("docs/pictures/{}.svg", picture.name)));
        let svg = svg(&buffer, &format!("tokio-canary demo: {name}"));
        roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for pictures");
            fs::write(&path, &svg).expect("a picture that can be written");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == svg, "docs/pictures/{name}.svg is not the screen any more; `BLESS=1` draws it anew");
        assert!(guide.contains(&format!("../pictures/{name}.svg")), "the guide does not show {name}.svg");
    }
}
