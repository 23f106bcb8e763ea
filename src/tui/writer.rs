//! Writes frames on a thread of its own, so that a terminal that takes nothing holds up nothing but itself.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

/// Where a finished frame is put for the thread to take: there is room for one.
#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Vec<u8>>,
    writing: bool,
    closed: bool,
    /// Whether the terminal is not ours at present, so that frames go nowhere.
    muted: bool,
    failed: Option<io::ErrorKind>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
    free: Notify,
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The near end of the thread.
#[derive(Debug, Clone)]
pub(super) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts a thread that writes to `file`.
    pub(super) fn start(file: File) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("terminal".to_owned()).spawn(move || write_all(&theirs, file))?;
        Ok(Self(shared))
    }

    /// Whether the frame before has been taken, so that there is room for another.
    pub(super) fn is_free(&self) -> bool {
        self.0.slot().waiting.is_none()
    }

    /// Waits for room.
    pub(super) async fn freed(&self) {
        self.0.free.notified().await;
    }

    /// Hands over bytes to be written. They are appended to what waits already.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let mut slot = self.0.slot();
        if let Some(kind) = slot.failed {
            return Err(kind.into());
        }
        if !slot.muted {
            slot.waiting.get_or_insert_default().extend_from_slice(bytes);
        }
        self.0.changed.notify_all();
        Ok(())
    }

    /// Writes these bytes before any frame, and waits until they are out, but no longer than `limit`. Returns whether they are.
    pub(super) fn begin(&self, bytes: &[u8], limit: Duration) -> bool {
        self.write_now(bytes, limit, false)
    }

    /// Writes these bytes as the last ones, instead of a frame that waits, in the same way. Frames go nowhere until it begins again:
    /// whoever draws need not know yet that the terminal is not ours any more.
    pub(super) fn end(&self, bytes: &[u8], limit: Duration) -> bool {
        self.write_now(bytes, limit, true)
    }

    fn write_now(&self, bytes: &[u8], limit: Duration, muted: bool) -> bool {
        let mut slot = self.0.slot();
        slot.muted = muted;
        slot.waiting = Some(bytes.to_vec());
        self.0.changed.notify_all();
        let busy = |slot: &mut Slot| (slot.waiting.is_some() || slot.writing) && slot.failed.is_none();
        let waited = self.0.changed.wait_timeout_while(slot, limit, busy);
        let (slot, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out() && slot.failed.is_none()
    }

    /// Ends the thread when it has written what waits.
    pub(super) fn close(&self) {
        self.0.slot().closed = true;
        self.0.changed.notify_all();
    }
}

fn write_all(shared: &Shared, mut file: File) {
    let mut slot = shared.slot();
    loop {
        while slot.waiting.is_none() && !slot.closed {
            slot = shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(bytes) = slot.waiting.take() else { return };
        slot.writing = true;
        drop(slot);
        shared.free.notify_one();
        let written = file.write_all(&bytes);
        slot = shared.slot();
        slot.writing = false;
        slot.failed = written.err().map(|error| error.kind());
        shared.changed.notify_all();
        if slot.failed.is_some() {
            // Whoever waits for room must learn that there will never be any.
            shared.free.notify_one();
            return;
        }
    }
}

/// Collects a frame and hands it over as one piece when it is complete.
#[derive(Debug)]
pub(super) struct Frames {
    writer: Writer,
    frame: Vec<u8>,
}

impl Frames {
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer, frame: Vec::new() }
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.frame.is_empty() {
            self.writer.put(&self.frame)?;
            self.frame.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    #[test]
    fn frames_arrive_whole_and_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = Writer::start(File::from(OwnedFd::from(writer))).unwrap();
        let mut frames = Frames::new(writer.clone());
        frames.write_all(b"one ").unwrap();
        frames.flush().unwrap();
        assert!(writer.end(b"two", Duration::from_secs(10)));
        frames.write_all(b" three").unwrap();
        frames.flush().unwrap();
        assert!(writer.begin(b" four", Duration::from_secs(10)));
        writer.close();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        // The first frame may have been replaced before the thread came to take it.
        assert!(["one two four", "two four"].contains(&text.as_str()), "{text}");
    }

    #[test]
    fn a_terminal_that_takes_nothing_leaves_room_for_one_frame_and_blocks_nobody() {
        let (_reader, writer) = io::pipe().unwrap();
        let writer = Writer::start(File::from(OwnedFd::from(writer))).unwrap();
        let mut frames = Frames::new(writer.clone());
        let mut put = || {
            frames.write_all(&vec![b'x'; 1 << 20]).unwrap();
            frames.flush().unwrap();
        };
        put();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !writer.is_free() {
            assert!(Instant::now() < deadline, "the thread never took the frame");
            thread::yield_now();
        }
        // The thread is writing now, and will be for ever: there is room for one more.
        put();
        assert!(!writer.is_free());
        assert!(!writer.end(b"end", Duration::from_millis(50)));
    }

    #[test]
    fn a_terminal_that_is_gone_is_noticed() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let writer = Writer::start(File::from(OwnedFd::from(writer))).unwrap();
        assert!(!writer.begin(b"x", Duration::from_secs(10)));
        let mut frames = Frames::new(writer);
        frames.write_all(b"y").unwrap();
        assert_eq!(frames.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
