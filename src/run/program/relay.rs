//! What a program prints, handed on to standard error as it comes.

use std::io::{self, PipeReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, sleep};

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
    has_clashed: Arc<AtomicBool>,
}

impl Relay {
    /// Copies from now on.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(reader: PipeReader) -> io::Result<Self> {
        let has_clashed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_clashed);
        let thread =
            thread::Builder::new().name("relay".to_owned()).spawn(move || copy(reader, io::stderr(), &seen))?;
        Ok(Self { thread, has_clashed })
    }

    /// Whether a console said that its port is taken.
    pub(super) fn has_seen_clash(&self) -> bool {
        self.has_clashed.load(Ordering::Relaxed)
    }

    /// Waits for the last words, but not for long.
    pub(super) async fn finish(&self) {
        let until = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Copies until there is no more. What cannot be written any more is read all the same, so that the program is not held up.
fn copy(mut reader: impl Read, mut writer: impl Write, has_clashed: &AtomicBool) {
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
        is_open = is_open && writer.write_all(chunk).and_then(|()| writer.flush()).is_ok();
        recent.extend_from_slice(chunk);
        if says_clash(&recent) {
            has_clashed.store(true, Ordering::Relaxed);
        }
        let old = recent.len().saturating_sub(FAILED.len() + WITHIN);
        recent.drain(..old);
    }
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
        let (mut written, seen) = (Vec::new(), AtomicBool::new(false));
        let reader =
            pieces.iter().fold(Box::new(io::empty()) as Box<dyn Read>, |so_far, piece| Box::new(so_far.chain(*piece)));
        copy(reader, &mut written, &seen);
        (written, seen.into_inner())
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
        copy(&mut rest, Gone, &AtomicBool::new(false));
        assert!(rest.is_empty());
    }
}
