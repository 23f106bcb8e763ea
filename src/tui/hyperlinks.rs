//! Places on the screen as hyperlinks (OSC 8) to their line in the repository of the user.
//!
//! A frame is drawn without them; then each place in it becomes one cell that writes the whole place, with the beginning and the end of the
//! link around it, and the cells behind it are skipped. So a link is written whole or not at all, whatever changes between two frames, and
//! nothing of it is left where it was: the skipped cells differ from any text that comes to stand there.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ratatui::buffer::{Buffer, CellDiffOption};
use unicode_width::UnicodeWidthStr;

use crate::report::repository::{Repository, RepositoryPlace};

/// Files of which is remembered whether they exist.
const MOST: usize = 4_096;

/// What stands in the path of an address as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Turns places into hyperlinks.
#[derive(Debug, Clone)]
pub struct Hyperlinks {
    /// Such as `file://{host}{path}`.
    format: String,
    host: String,
    /// The folder of the repository.
    root: PathBuf,
    /// The files that were asked for, and whether they exist.
    files: HashMap<String, bool>,
}

impl Hyperlinks {
    /// Links of this format to the files below a folder of a machine.
    pub fn new(format: &str, host: &str, root: PathBuf) -> Self {
        Self { format: format.to_owned(), host: host.to_owned(), root, files: HashMap::new() }
    }

    /// Makes the places of a finished frame lead to where they are in the repository, those of files that exist.
    pub fn apply(&mut self, buffer: &mut Buffer, repository: &Repository) {
        let area = buffer.area;
        for y in area.top()..area.bottom() {
            let mut x = area.left();
            while x < area.right() {
                let word = word(buffer, x, y);
                if let Some((place, at)) = place(&word, repository)
                    && let Some(address) = self.address(&place)
                {
                    link(buffer, (x + at.0, y), at.1, &address);
                }
                x = x.saturating_add(width(&word).max(1));
            }
        }
    }

    /// Where a place is, if there is such a file.
    fn address(&mut self, place: &RepositoryPlace) -> Option<String> {
        if self.files.len() >= MOST {
            self.files.clear();
        }
        let path = self.root.join(&place.path);
        if !*self.files.entry(place.path.clone()).or_insert_with(|| path.is_file()) {
            return None;
        }
        let path = utf8_percent_encode(path.to_str()?, PATH).to_string();
        let column = place.column.unwrap_or(1).to_string();
        // What stands for a name holds no brace, so that the order does not matter.
        let address = self.format.replace("{host}", &utf8_percent_encode(&self.host, PATH).to_string());
        Some(address.replace("{path}", &path).replace("{line}", &place.line.to_string()).replace("{column}", &column))
    }
}

fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// What stands in a row from a cell to the next blank one. Cells behind a wide character are not blank.
fn word(buffer: &Buffer, mut x: u16, y: u16) -> String {
    let mut word = String::new();
    while x < buffer.area.right() {
        let symbol = buffer[(x, y)].symbol();
        if symbol.trim().is_empty() {
            break;
        }
        word.push_str(symbol);
        x = x.saturating_add(width(symbol).max(1));
    }
    word
}

/// The place in a word, where it begins in it and how long it is. Of one that was cut nobody knows where it is.
fn place(word: &str, repository: &Repository) -> Option<(RepositoryPlace, (u16, u16))> {
    if !word.is_ascii() || !word.contains(".rs:") {
        return None;
    }
    let rest = word.trim_start_matches(['(', '[', '`', '"', '\'']);
    let text = rest.trim_end_matches([')', ']', '`', '"', '\'', '.', ',', ';', ':', '!', '?']);
    let place = repository.place(text).ok()?;
    Some((place, (width(word) - width(rest), width(text))))
}

/// Makes cells of one look a hyperlink.
fn link(buffer: &mut Buffer, (x, y): (u16, u16), cells: u16, address: &str) {
    let (first, rest) = (&buffer[(x, y)], x + 1..x + cells);
    let is_like = |x: u16| {
        let cell = &buffer[(x, y)];
        (cell.fg, cell.bg, cell.modifier) == (first.fg, first.bg, first.modifier)
    };
    let Some(width) = NonZeroU16::new(cells).filter(|_| rest.clone().all(is_like)) else { return };
    let text: String = (x..x + cells).map(|x| buffer[(x, y)].symbol()).collect();
    let symbol = format!("\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\");
    buffer[(x, y)].set_symbol(&symbol).set_diff_option(CellDiffOption::ForcedWidth(width));
    for x in rest {
        buffer[(x, y)].set_diff_option(CellDiffOption::Skip);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    use super::*;

    /// A terminal, as far as links matter: what each cell shows, and where it leads.
    #[derive(Default)]
    struct Shown(HashMap<(u16, u16), (String, String)>);

    impl Shown {
        /// Writes what differs between two frames, as ratatui does.
        fn update(&mut self, before: &Buffer, after: &Buffer) {
            for (mut x, y, cell) in before.diff(after) {
                let mut address = String::new();
                let mut rest = cell.symbol();
                while let Some(first) = rest.chars().next() {
                    if let Some(begun) = rest.strip_prefix("\x1b]8;;") {
                        let (to, after) = begun.split_once("\x1b\\").unwrap();
                        (address, rest) = (to.to_owned(), after);
                        continue;
                    }
                    self.0.insert((x, y), (first.to_string(), address.clone()));
                    let cells = width(first.encode_utf8(&mut [0; 4]));
                    (1..cells).for_each(|more| drop(self.0.insert((x + more, y), (String::new(), address.clone()))));
                    (x, rest) = (x + cells, &rest[first.len_utf8()..]);
                }
                assert_eq!(address, "", "a link is closed where it is opened");
            }
        }

        fn text(&self, y: u16, columns: u16) -> String {
            let cell = |x| self.0.get(&(x, y)).map_or(" ", |(symbol, _)| symbol.as_str());
            (0..columns).map(cell).collect::<String>().trim_end().to_owned()
        }

        /// The text of a row that leads somewhere, and to where.
        fn links(&self, y: u16, columns: u16) -> Vec<(String, String)> {
            let mut links: Vec<(String, String)> = Vec::new();
            let mut before = "";
            for x in 0..columns {
                let (symbol, address) = self.0.get(&(x, y)).map_or(("", ""), |(symbol, to)| (symbol, to));
                match links.last_mut() {
                    Some((text, _)) if address == before && !address.is_empty() => text.push_str(symbol),
                    _ if !address.is_empty() => links.push((symbol.to_owned(), address.to_owned())),
                    _ => {}
                }
                before = address;
            }
            links
        }
    }

    const COLUMNS: u16 = 40;

    fn frame(rows: &[&str], links: &mut Hyperlinks) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, COLUMNS, 4));
        for (y, row) in (0..).zip(rows) {
            buffer.set_string(0, y, row, Style::new());
        }
        links.apply(&mut buffer, &Repository::default());
        buffer
    }

    fn repository() -> (tempfile::TempDir, Hyperlinks) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        for file in ["src/bank.rs", "bank.rs", "src/my file.rs"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let links = Hyperlinks::new("vscode://file{path}:{line}:{column}", "here", folder.path().to_owned());
        (folder, links)
    }

    #[test]
    fn places_of_files_that_exist_lead_there() {
        let (folder, mut links) = repository();
        let root = folder.path().to_str().unwrap();
        for (row, linked) in [
            ("deadlock (src/bank.rs:41:9), and", vec![("src/bank.rs:41:9", "src/bank.rs:41:9")]),
            ("at src/bank.rs:7.", vec![("src/bank.rs:7", "src/bank.rs:7:1")]),
            (
                "src/bank.rs:1:2 bank.rs:3:4",
                vec![("src/bank.rs:1:2", "src/bank.rs:1:2"), ("bank.rs:3:4", "bank.rs:3:4")],
            ),
            ("src/gone.rs:1:2 src/bank.rs ../bank.rs:1", vec![]),
            ("…bank.rs:41:9 src/bank.rs:4…", vec![]),
            ("\u{6f22}xbank.rs:1", vec![]),
            ("\u{6f22}\u{5b57} bank.rs:1", vec![("bank.rs:1", "bank.rs:1:1")]),
            ("\u{2502} src/bank.rs:1:2", vec![("src/bank.rs:1:2", "src/bank.rs:1:2")]),
        ] {
            let mut shown = Shown::default();
            shown.update(&Buffer::empty(Rect::new(0, 0, COLUMNS, 4)), &frame(&[row], &mut links));
            let expected: Vec<_> =
                linked.into_iter().map(|(text, to)| (text.to_owned(), format!("vscode://file{root}/{to}"))).collect();
            assert_eq!(shown.links(0, COLUMNS), expected, "{row}");
            assert_eq!(shown.text(0, COLUMNS), row);
        }
    }

    #[test]
    fn nothing_in_an_address_can_end_it() {
        let (_folder, mut links) = repository();
        links.root = PathBuf::from("/tmp/\u{1b}\\ b{line}");
        links.files.insert("src/bank.rs".to_owned(), true);
        let place = Repository::default().place("src/bank.rs:41:9").unwrap();
        let expected = "vscode://file/tmp/%1B%5C%20b%7Bline%7D/src/bank.rs:41:9";
        assert_eq!(links.address(&place).as_deref(), Some(expected));
    }

    /// Every change from one frame to another leaves what the other would have shown alone: no link is left over, none is cut.
    #[test]
    fn nothing_of_a_link_is_left_over_in_the_next_frames() {
        let (_folder, mut links) = repository();
        let frames = [
            vec!["a src/bank.rs:41:9 b", "src/bank.rs:41:9"],
            vec!["a src/bank.rs:42:9 b", "src/gone.rs:41:9"],
            vec!["  src/bank.rs:42:9", "", "src/bank.rs:41:9"],
            vec!["src/bank.rs:4", "xsrc/bank.rs:41:9"],
            vec!["  rc/bank.rs:41:9 b", "xxsrc/bank.rs:41:9 bank.rs:1"],
            vec!["a src/bank.rs:41:9x", "a"],
            vec![],
        ];
        for one in &frames {
            for other in &frames {
                let empty = Buffer::empty(Rect::new(0, 0, COLUMNS, 4));
                let (before, after) = (frame(one, &mut links), frame(other, &mut links));
                let (mut changed, mut fresh) = (Shown::default(), Shown::default());
                changed.update(&empty, &before);
                changed.update(&before, &after);
                fresh.update(&empty, &after);
                for y in 0..4 {
                    assert_eq!(changed.text(y, COLUMNS), fresh.text(y, COLUMNS), "{one:?} then {other:?}");
                    assert_eq!(changed.links(y, COLUMNS), fresh.links(y, COLUMNS), "{one:?} then {other:?}");
                }
                assert_eq!(after.diff(&after), [], "what does not change is not written again");
            }
        }
    }

    #[test]
    fn a_place_of_two_colours_is_no_link() {
        let (_folder, mut links) = repository();
        let mut buffer = Buffer::empty(Rect::new(0, 0, COLUMNS, 1));
        buffer.set_string(0, 0, "src/bank.rs:41:9", Style::new());
        buffer.set_string(4, 0, "bank", Style::new().fg(Color::Red));
        let before = buffer.clone();
        links.apply(&mut buffer, &Repository::default());
        assert_eq!(buffer, before);
    }
}
