//! What gives way where there is little room: never the digits of an age or of a line.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use ratatui::buffer::Buffer;

use super::pictures;

/// The rows of a list as text, each cell a character.
fn rows(buffer: &Buffer) -> Vec<Vec<char>> {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol().chars().next().unwrap_or(' ')).collect();
    (0..buffer.area.height).map(row).collect()
}

/// What is in the column with this heading, of every row that has something there.
fn column(buffer: &Buffer, heading: &str) -> Vec<String> {
    let rows = rows(buffer);
    let text = |row: &[char]| row.iter().collect::<String>();
    let headings = rows.iter().position(|row| text(row).contains(heading)).expect("the headings");
    let line = text(&rows[headings]);
    let before = &line[..line.find(heading).expect("the heading")];
    let from = before.chars().count();
    let after = from + heading.chars().count();
    let to = (after..rows[headings].len()).find(|at| rows[headings][*at] != ' ').unwrap_or(rows[headings].len());
    // What begins further to the right is a number of the next column.
    let cells = rows[headings + 1..rows.len() - 1].iter().filter(|row| row[from] != ' ');
    cells.map(|row| text(&row[from..to]).trim().to_owned()).collect()
}

#[test]
fn no_age_and_no_line_is_cut_in_the_columns_of_waits() {
    let whole = regex::Regex::new(
        r"^([A-Z][\w ]* |[a-z][\w ]* )?(\d[\d.]* (ns|µs|ms|s)|\d+[mhd] \d+[smh])( \+\d+)?( \S+:\d+)?(\s|$)",
    );
    let whole = whole.expect("a pattern");
    let mut aged = 0;
    for second in [8, 12, 20] {
        for (keys, heading) in [("T", "waits for"), ("t", "longest wait")] {
            for width in [80, 100, 120, 160] {
                for cell in column(&pictures::draw(second, keys, (width, 45)), heading) {
                    assert!(!cell.contains('…'), "{cell:?} is cut at {width} columns");
                    // Of a timer no age is known.
                    let is_timer = cell.starts_with("Sleep") || cell.starts_with("Interval");
                    assert!(is_timer || whole.is_match(&cell), "{cell:?} is no age and place at {width} columns");
                    aged += usize::from(!is_timer);
                }
            }
        }
    }
    assert!(aged > 100, "only {aged} waits were on the screens");
}

#[test]
fn every_place_keeps_its_line_at_80_columns() {
    let mut places = 0;
    for keys in ["T", "t", "r"] {
        for cell in column(&pictures::draw(20, keys, (80, 24)), "location") {
            assert!(cell.rsplit(':').nth(1).is_some_and(|line| line.parse::<u32>().is_ok()), "{cell:?} has no line");
            places += 1;
        }
    }
    assert!(places > 20, "only {places} places were on the screens");
}

#[test]
fn a_line_that_stands_for_a_name_is_kept() {
    for width in [60, 80, 100] {
        for cell in column(&pictures::draw(20, "T", (width, 45)), "name") {
            let line = cell.rsplit(':').next().unwrap_or_default();
            assert!(line.parse::<u32>().is_ok(), "{cell:?} at {width} columns");
        }
    }
}
