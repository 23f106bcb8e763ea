//! What a program prints, handed on to standard error as it comes.

use std::io::{self, PipeReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::run::notes::note;
use crate::words;

/// How long the last of it may take: who left the process group may hold the pipe open for ever, and nobody may read standard error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What console-subscriber 0.2 to 0.5 says when it cannot serve (`Builder::spawn`), and why, within so many bytes.
const FAILED: &[u8] = b"console subscriber server failed";
const IN_USE: &[u8] = b"AddrInUse";
const WITHIN: usize = 300;

/// A thread that copies what a program prints to standard error.
#[derive(Debug)]
pub(super) struct Relay {
    thread: JoinHandle<()>,
    seen: Arc<Seen>,
}

/// What the thread has noticed.
#[derive(Debug, Default)]
struct Seen {
    /// A console said that its port is taken.
    has_clashed: AtomicBool,
    /// Bytes that standard error did not take, as one does not that must not block and is not read fast enough.
    lost: AtomicUsize,
}

impl Relay {
    /// Copies from now on.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(reader: PipeReader) -> io::Result<Self> {
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        let thread =
            thread::Builder::new().name("relay".to_owned()).spawn(move || copy(reader, io::stderr(), &theirs))?;
        Ok(Self { thread, seen })
    }

    /// Whether a console said that its port is taken.
    pub(super) fn has_seen_clash(&self) -> bool {
        self.seen.has_clashed.load(Ordering::Relaxed)
    }

    /// Waits for the last words of a program, but not for long, and says what was lost of its words.
    pub(super) async fn finish(&self, name: &str) {
        let until = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
        let lost = self.seen.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let lost = words::bytes(u64::try_from(lost).unwrap_or(u64::MAX));
            note(&format!("{lost} of what {name} printed are missing here: standard error was not read fast enough."));
        }
    }
}

/// Copies until there is no more. What cannot be written is read all the same, so that the program is not held up.
fn copy(mut reader: impl Read, mut writer: impl Write, seen: &Seen) {
    let (mut buffer, mut recent) = (vec![0; 16 * 1024], Vec::new());
    let mut is_open = true;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let chunk = &buffer[..read];
        if is_open {
            match write(&mut writer, chunk) {
                Ok(lost) => drop(seen.lost.fetch_add(lost, Ordering::Relaxed)),
                // Nobody reads it any more.
                Err(_) => is_open = false,
            }
        }
        recent.extend_from_slice(chunk);
        if says_clash(&recent) {
            seen.has_clashed.store(true, Ordering::Relaxed);
        }
        let old = recent.len().saturating_sub(FAILED.len() + WITHIN);
        recent.drain(..old);
    }
}

/// Writes a chunk, and returns how many bytes of it are lost because the writer is full and must not block: later ones may find room.
fn write(writer: &mut impl Write, chunk: &[u8]) -> io::Result<usize> {
    let mut rest = chunk;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(rest.len()),
            Err(error) => return Err(error),
        }
    }
    writer.flush().map(|()| 0)
}

fn says_clash(text: &[u8]) -> bool {
    let find = |text: &[u8], words: &[u8]| text.windows(words.len()).position(|window| window == words);
    let Some(at) = find(text, FAILED) else { return false };
    let rest = &text[at + FAILED.len()..];
    find(&rest[..rest.len().min(WITHIN)], IN_USE).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is copied of some pieces, and whether a clash was seen in them.
    fn copied(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut written, seen) = (Vec::new(), Seen::default());
        let reader =
            pieces.iter().fold(Box::new(io::empty()) as Box<dyn Read>, |so_far, piece| Box::new(so_far.chain(*piece)));
        copy(reader, &mut written, &seen);
        (written, seen.has_clashed.into_inner())
    }

    #[test]
    fn everything_is_copied_as_it_is() {
        let long = vec![0xff; 100_000];
        assert_eq!(copied(&[b"\x1b[1mbold", &long, b"end"]), ([b"\x1b[1mbold", &long[..], b"end"].concat(), false));
    }

    #[test]
    fn a_console_that_finds_its_port_taken_is_seen_also_in_pieces() {
        let said = b"thread 'console_subscriber' panicked at builder.rs:561:26:\nconsole subscriber server failed: \
                     tonic::transport::Error(Transport, Os { code: 98, kind: AddrInUse, message: \"Address already in use\" })";
        for cut in 0..said.len() {
            assert!(copied(&[&said[..cut], &said[cut..]]).1, "{cut}");
        }
        assert!(!copied(&[b"console subscriber server failed: PermissionDenied"]).1);
        assert!(!copied(&[b"bind: AddrInUse"]).1, "it may be any port");
    }

    #[test]
    fn a_writer_that_is_full_for_a_moment_gets_what_comes_later() {
        /// Takes ten bytes, is full once, and then takes everything.
        struct Full<'a>(&'a mut Vec<u8>, bool);
        impl Write for Full<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0.len() == 10 && !std::mem::replace(&mut self.1, true) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let taken = if self.1 { bytes.len() } else { bytes.len().min(10) };
                self.0.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut written, seen) = (Vec::new(), Seen::default());
        copy((&b"the first piece"[..]).chain(&b" and the second"[..]), Full(&mut written, false), &seen);
        assert_eq!((written.as_slice(), seen.lost.into_inner()), (&b"the first  and the second"[..], 5));
    }

    #[test]
    fn a_writer_that_is_gone_holds_up_nothing() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let long = vec![b'x'; 1_000_000];
        let mut rest = &long[..];
        copy(&mut rest, Gone, &Seen::default());
        assert!(rest.is_empty());
    }
}
