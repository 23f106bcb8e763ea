//! Standard output behind a thread of its own: a reader that is slow, or gone, never holds up the feed.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// Lines that may wait for the reader. A run writes a handful a minute, so that a reader so far behind has stopped reading.
const WAITING: usize = 10_000;

/// A writer of lines.
#[derive(Debug)]
pub struct Stdout {
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
    closed: Arc<AtomicBool>,
    lost: AtomicU64,
}

impl Stdout {
    /// Starts to write to standard output.
    pub fn open() -> Self {
        Self::over(io::stdout())
    }

    /// Starts to write to anything else.
    pub(super) fn over(mut output: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let closed = Arc::new(AtomicBool::new(false));
        let writer = thread::spawn({
            let closed = Arc::clone(&closed);
            move || {
                for mut line in waiting {
                    line.push('\n');
                    if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                        closed.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            }
        });
        Self { lines: Some(lines), writer: Some(writer), closed, lost: AtomicU64::new(0) }
    }

    /// Writes a line, unless the reader is gone or has fallen behind hopelessly.
    pub fn line(&self, line: String) {
        let sent = self.lines.as_ref().map(|lines| lines.try_send(line));
        if let Some(Err(TrySendError::Full(_))) = sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Writes what is left, and returns how many lines were lost because the reader did not take them.
    pub fn finish(mut self) -> u64 {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            // A panic in the writer has nothing to say to the reader any more.
            let _ = writer.join();
        }
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A reader that takes nothing until it is told to.
    struct Stalled(mpsc::Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_but_no_time() {
        let (go, stalled) = mpsc::channel();
        let out = Stdout::over(Stalled(stalled));
        for number in 0..WAITING + 50 {
            out.line(number.to_string());
        }
        drop(go);
        assert!((49..=50).contains(&out.finish()), "one line may be with the writer");
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let (_, gone) = mpsc::channel();
        let out = Stdout::over(Stalled(gone));
        out.line("anybody there?".to_owned());
        while !out.is_closed() {
            thread::yield_now();
        }
        assert_eq!(out.finish(), 0);
    }
}
