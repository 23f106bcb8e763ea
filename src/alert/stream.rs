//! What a sink writes to: it waits for a reader that is slow, and notices one that has left.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A file, a pipe or a terminal. Nothing is kept back: a line is written when it is handed over.
#[derive(Debug)]
pub(super) struct Stream(File);

impl Stream {
    /// Appends to what is behind this file.
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// Standard output, by a descriptor of our own.
    ///
    /// # Errors
    /// The system has no descriptor for it.
    pub(super) fn standard_output() -> io::Result<Self> {
        Ok(Self(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }

    /// Becomes true when the reader of a pipe or the other end of a terminal has left, also while nothing is written. A file has none.
    ///
    /// # Errors
    /// The system has no descriptor or no thread to watch it with.
    pub(super) fn watch_reader(&self) -> io::Result<Arc<AtomicBool>> {
        let left = Arc::new(AtomicBool::new(false));
        if !self.0.metadata()?.is_file() {
            let (end, theirs) = (OwnedFd::from(self.0.try_clone()?), Arc::clone(&left));
            let wait = move || {
                let is_over = wait_for(&end, PollFlags::empty());
                theirs.store(is_over.is_ok_and(|it| it.intersects(PollFlags::ERR | PollFlags::HUP)), Ordering::SeqCst);
            };
            thread::Builder::new().name("reader".to_owned()).spawn(wait)?;
        }
        Ok(left)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                // Whoever shares the pipe may have made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for(&self.0, PollFlags::OUT)?,
                written => return written,
            };
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Waits until one of these events is there, or the other end has left.
fn wait_for(end: &impl AsFd, events: PollFlags) -> io::Result<PollFlags> {
    loop {
        let mut ends = [PollFd::new(end, events)];
        match poll(&mut ends, None) {
            Ok(_) => return Ok(ends[0].revents()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn stream() -> (io::PipeReader, Stream) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, Stream::new(OwnedFd::from(writer).into()))
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_without_a_line() {
        let (reader, stream) = stream();
        let left = stream.watch_reader().unwrap();
        assert!(!left.load(Ordering::SeqCst));
        drop(reader);
        while !left.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_pipe_that_is_full_and_does_not_block_is_waited_for() {
        let (mut reader, mut stream) = stream();
        rustix::io::ioctl_fionbio(&stream.0, true).unwrap();
        let writing = thread::spawn(move || stream.write_all(&vec![b'x'; 1 << 20]));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(writing.join().unwrap().is_ok() && read.len() == 1 << 20);
    }
}
