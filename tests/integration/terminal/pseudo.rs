//! The real binary in a pseudo-terminal: keys go in, and what would be on its screen comes out.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::LIMIT;

/// A tool in a terminal of its own. Dropping it ends it.
pub(super) struct Terminal {
    child: Child,
    keyboard: File,
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
        Self { child, keyboard: File::from(master), screen }
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
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "it did not end:\n{}", self.screen.0.lock().unwrap().text());
            thread::sleep(Duration::from_millis(5));
        }
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
}

impl Screen {
    fn new(columns: u16, rows: u16) -> Self {
        let cells = vec![vec![' '; usize::from(columns)]; usize::from(rows)];
        Self { cells, column: 0, row: 0, pending: Vec::new() }
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.pending);
        let mut rest = all.as_slice();
        while let Some(used) = self.take(rest) {
            rest = &rest[used..];
        }
        self.pending = rest.to_vec();
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
                self.row += 1;
                Some(1)
            }
            ..0x20 => Some(1),
            first => {
                let length = [1, 1, 2, 3, 4][(first.leading_ones().min(4)) as usize];
                let character = std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()?;
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
                    b'H' | b'f' => (self.row, self.column) = (number(0), number(1)),
                    b'J' => self.cells.iter_mut().for_each(|row| row.fill(' ')),
                    _ => {}
                }
                Some(end + 1)
            }
            b']' => Some(2 + bytes.get(2..)?.iter().position(|byte| *byte == 0x07)? + 1),
            _ => Some(2),
        }
    }
}
