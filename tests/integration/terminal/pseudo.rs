//! The real binary in a pseudo-terminal: keys go in, and what would be on its screen comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::LIMIT;

/// The mode that is set at first: the cursor shows.
pub(super) const CURSOR: u16 = 25;
/// The mode in which a program draws on a screen of its own.
pub(super) const ALTERNATE: u16 = 1049;

/// A tool in a terminal of its own. Dropping it ends it.
pub(super) struct Terminal {
    child: Child,
    keyboard: File,
    /// The line itself, as a shell would hold it before and after the tool.
    line: File,
    /// What it was like before.
    before: Termios,
    screen: Arc<(Mutex<Screen>, Condvar)>,
}

impl Terminal {
    /// Starts a command in a terminal of this size, which has to be its standard input and output.
    pub(super) fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line = || File::options().read(true).write(true).open(&name).unwrap();
        let shell = line();
        let before = tcgetattr(&shell).unwrap();
        command.stdin(Stdio::from(line())).stdout(Stdio::from(line())).stderr(Stdio::from(line()));
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("NO_COLOR");
        let child = command.spawn().unwrap();
        let screen = Arc::new((Mutex::new(Screen::new(columns, rows)), Condvar::new()));
        let (mut output, shown) = (File::from(master.try_clone().unwrap()), Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.0.lock().unwrap().write(&bytes[..count]);
                shown.1.notify_all();
            }
        });
        Self { child, keyboard: File::from(master), line: shell, before, screen }
    }

    /// Presses keys.
    pub(super) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is so, and returns it.
    pub(super) fn wait_for(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let (screen, changed) = &*self.screen;
        let (begun, mut locked) = (Instant::now(), screen.lock().unwrap());
        loop {
            let text = locked.text();
            if is_so(&text) {
                return text;
            }
            assert!(begun.elapsed() < LIMIT, "the screen never showed {what}:\n{text}");
            locked = changed.wait_timeout(locked, Duration::from_millis(200)).unwrap().0;
        }
    }

    /// The same for some words.
    pub(super) fn hear(&self, words: &str) -> String {
        self.wait_for(words, |screen| screen.contains(words))
    }

    /// Waits until the process has ended.
    pub(super) fn end(mut self) -> ExitStatus {
        self.ended()
    }

    /// The same, while the terminal stays.
    pub(super) fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "it did not end:\n{}", self.screen.0.lock().unwrap().text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the process.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether keys reach the process one by one.
    pub(super) fn is_raw(&self) -> bool {
        !tcgetattr(&self.line).unwrap().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The modes that were set or reset, by their numbers, and whether each is set.
    pub(super) fn modes(&self) -> BTreeMap<u16, bool> {
        self.screen.0.lock().unwrap().modes.clone()
    }

    /// The addresses of hyperlinks that were written.
    pub(super) fn addresses(&self) -> BTreeSet<String> {
        self.screen.0.lock().unwrap().addresses.clone()
    }

    /// What the process has put into the clipboard of the terminal last, as it sent it: in base64.
    pub(super) fn clipboard(&self) -> Option<String> {
        self.screen.0.lock().unwrap().clipboard.clone()
    }

    /// What is on the screen.
    pub(super) fn text(&self) -> String {
        self.screen.0.lock().unwrap().text()
    }

    /// How many bytes the process has written so far.
    pub(super) fn written(&self) -> usize {
        self.screen.0.lock().unwrap().written
    }

    /// Looks that a shell finds the terminal as it left it: settings of the line, screen, cursor, what keys and pasted texts are sent as, and
    /// nothing half written.
    pub(super) fn assert_as_it_was(&self) {
        let (screen, changed) = &*self.screen;
        let (begun, mut locked) = (Instant::now(), screen.lock().unwrap());
        // What the process wrote last may be on its way.
        while !locked.is_as_at_first() {
            let left = (&locked.modes, locked.keyboard, &locked.pending, &locked.address);
            assert!(begun.elapsed() < LIMIT, "modes, keyboard, rest and link: {left:?}");
            locked = changed.wait_timeout(locked, Duration::from_millis(200)).unwrap().0;
        }
        let attributes = |it: &Termios| {
            let modes = (it.input_modes, it.output_modes, it.control_modes, it.local_modes);
            (modes, format!("{:?}", it.special_codes))
        };
        assert_eq!(attributes(&tcgetattr(&self.line).unwrap()), attributes(&self.before));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is on a screen, as far as the tool draws on it: it places the cursor, writes, and clears.
struct Screen {
    cells: Vec<Vec<char>>,
    column: usize,
    row: usize,
    /// What came of a sequence or of a character that is not complete.
    pending: Vec<u8>,
    /// What is on the first screen while the alternate one shows, and where its cursor is.
    first: Option<(Vec<Vec<char>>, usize, usize)>,
    /// The private modes that were set or reset.
    modes: BTreeMap<u16, bool>,
    /// How many ways of reporting keys were put over the first.
    keyboard: i32,
    /// Where what is written leads.
    address: String,
    /// What was put into the clipboard last, in base64.
    clipboard: Option<String>,
    /// How many bytes came.
    written: usize,
    addresses: BTreeSet<String>,
}

impl Screen {
    fn new(columns: u16, rows: u16) -> Self {
        let cells = vec![vec![' '; usize::from(columns)]; usize::from(rows)];
        Self {
            cells,
            column: 0,
            row: 0,
            pending: Vec::new(),
            first: None,
            modes: BTreeMap::new(),
            keyboard: 0,
            address: String::new(),
            clipboard: None,
            written: 0,
            addresses: BTreeSet::new(),
        }
    }

    /// Whether no mode is other than a terminal begins with: all are off, but for the cursor.
    fn is_as_at_first(&self) -> bool {
        let modes = self.modes.iter().all(|(mode, is_set)| *is_set == (*mode == CURSOR));
        modes && self.keyboard == 0 && self.pending.is_empty() && self.address.is_empty()
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.written += bytes.len();
        self.pending.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.pending);
        let mut rest = all.as_slice();
        while let Some(used) = self.take(rest) {
            rest = &rest[used..];
        }
        self.pending = rest.to_vec();
    }

    /// Goes to the next row. Below the last one, everything moves up.
    fn feed(&mut self) {
        if self.row + 1 < self.cells.len() {
            self.row += 1;
        } else {
            self.cells.rotate_left(1);
            self.cells.iter_mut().next_back().into_iter().for_each(|row| row.fill(' '));
        }
    }

    /// Shows the alternate screen, or the first one as it was.
    fn switch(&mut self, is_alternate: bool) {
        if is_alternate && self.first.is_none() {
            let blank = self.cells.iter().map(|row| vec![' '; row.len()]).collect();
            self.first = Some((std::mem::replace(&mut self.cells, blank), self.column, self.row));
        } else if let Some(first) = self.first.take_if(|_| !is_alternate) {
            (self.cells, self.column, self.row) = first;
        }
    }

    /// Takes one character or sequence; nothing if that is not complete.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        match *bytes.first()? {
            0x1b => self.sequence(bytes),
            b'\r' => {
                self.column = 0;
                Some(1)
            }
            b'\n' => {
                self.feed();
                Some(1)
            }
            ..0x20 => Some(1),
            first => {
                let length = [1, 1, 2, 3, 4][(first.leading_ones().min(4)) as usize];
                let character = std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()?;
                if self.column >= self.cells[0].len() {
                    self.column = 0;
                    self.feed();
                }
                if let Some(cell) = self.cells.get_mut(self.row).and_then(|row| row.get_mut(self.column)) {
                    *cell = character;
                }
                self.column += 1;
                Some(length)
            }
        }
    }

    fn sequence(&mut self, bytes: &[u8]) -> Option<usize> {
        match *bytes.get(1)? {
            b'[' => {
                let end = 2 + bytes.get(2..)?.iter().position(|byte| (0x40..0x7f).contains(byte))?;
                let text = String::from_utf8_lossy(&bytes[2..end]).into_owned();
                let numbers: Vec<usize> = text.split(';').map(|it| it.parse().unwrap_or(0)).collect();
                let number = |index: usize| numbers.get(index).copied().unwrap_or(0).max(1) - 1;
                match bytes[end] {
                    end @ (b'h' | b'l') if text.starts_with('?') => {
                        for mode in text[1..].split(';').map(|mode| mode.parse().unwrap()) {
                            self.modes.insert(mode, end == b'h');
                            if mode == ALTERNATE {
                                self.switch(end == b'h');
                            }
                        }
                    }
                    b'u' if text.starts_with('>') => self.keyboard += 1,
                    b'u' if text.starts_with('<') => self.keyboard -= 1,
                    b'H' | b'f' => (self.row, self.column) = (number(0), number(1)),
                    b'J' => self.cells.iter_mut().for_each(|row| row.fill(' ')),
                    _ => {}
                }
                Some(end + 1)
            }
            b']' => {
                let rest = bytes.get(2..)?;
                let at = |end: &[u8]| rest.windows(end.len()).position(|it| it == end).map(|at| (at, end.len()));
                let (length, end) = [at(b"\x07"), at(b"\x1b\\")].into_iter().flatten().min()?;
                let text = String::from_utf8_lossy(&rest[..length]);
                if let Some(address) = text.strip_prefix("8;;") {
                    address.clone_into(&mut self.address);
                    self.addresses.extend((!address.is_empty()).then(|| address.to_owned()));
                } else if let Some(copied) = text.strip_prefix("52;c;") {
                    self.clipboard = Some(copied.to_owned());
                }
                Some(2 + length + end)
            }
            _ => Some(2),
        }
    }
}
