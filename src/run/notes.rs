//! Notes to a person on standard error, which are not data: written on a thread of their own, so that a reader
//! who does not read holds up nothing.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{Change, Fleet, Step, TargetId};
use crate::report::connection::ConnectionView;
use crate::report::sanitize::Charset;
use crate::report::target::QualityView;
use crate::words;

/// Notes that may wait to be written. A run has a handful a minute.
const WAITING: usize = 1_000;

/// Maximum time for notes to be written before the process ends or something else takes the screen: a reader who does not read must not
/// hold it up.
pub(super) const SAYING: Duration = Duration::from_millis(500);

/// The notes of the process.
static NOTES: OnceLock<Option<Arc<Notes>>> = OnceLock::new();

/// Whether it was said where more can be learned.
static POINTED: AtomicBool = AtomicBool::new(false);

/// The last note about the lag of each target.
static LAGS: Mutex<Lags> = Mutex::new(Lags(BTreeMap::new()));

/// Minimum time between two notes about the lag of one target,
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// unless the lag has grown by this factor.
const MUCH_LONGER: u32 = 2;

/// Says something on standard error, if somebody reads it: what nobody reads is counted, and said when there is room again.
pub(super) fn note(sentence: &str) {
    let line = format!("tokio-canary: {}\n", charset().line(sentence));
    match NOTES.get_or_init(|| Notes::start(Box::new(io::stderr()))) {
        Some(notes) => notes.put(line),
        // Without a thread there is no other way.
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until every note is written, but no longer than `limit`.
pub(super) fn flush(limit: Duration) {
    if let Some(Some(notes)) = NOTES.get() {
        notes.flush(limit);
    }
}

/// Says how the connection to a target does, if that is what a step changed.
pub(super) fn note_connection(step: &Step, fleet: &Fleet) {
    let Step::Arrived { target, at, changes } = step else { return };
    let is_connection = |change: &Change| matches!(change, Change::Connection);
    if let Some(member) = fleet.member(*target).filter(|_| changes.iter().any(is_connection)) {
        let connection = ConnectionView::of(member.diagnosis(), *at);
        note(&format!("{}: {}", member.diagnosis().target(), connection.sentence));
        // What has shown updates is set up rightly, and once is enough.
        if let Some(more) = connection.more().filter(|_| member.diagnosis().updates() == 0)
            && !POINTED.swap(true, Ordering::Relaxed)
        {
            note(more);
        }
    }
}

/// Notes that a target lags, whether it catches up, and what is not judged, if a step changed that; at most once a minute unless the lag
/// doubles.
pub(super) fn note_lag(step: &Step, fleet: &Fleet) {
    let Step::Arrived { target, changes, .. } = step else { return };
    let is_quality = |change: &Change| matches!(change, Change::Quality);
    let Some(member) = fleet.member(*target).filter(|_| changes.iter().any(is_quality)) else { return };
    let quality = QualityView::of(member.diagnosis());
    if let (Some(lag), Some(sentence)) = (quality.lag, quality.lag_sentence())
        && LAGS.lock().unwrap_or_else(PoisonError::into_inner).is_news(*target, Instant::now(), lag)
    {
        note(&format!("{}: {sentence}", member.diagnosis().target()));
    }
}

/// When the lag of each target was last noted, and how long it was.
struct Lags(BTreeMap<TargetId, (Instant, Duration)>);

impl Lags {
    /// Whether a lag is worth a note, which the caller then writes.
    fn is_news(&mut self, target: TargetId, now: Instant, lag: Duration) -> bool {
        let was_said = self
            .0
            .get(&target)
            .is_some_and(|(said, longest)| now.duration_since(*said) < SAY_AGAIN && lag < *longest * MUCH_LONGER);
        if !was_said {
            self.0.insert(target, (now, lag));
        }
        !was_said
    }
}

/// Logs are UTF-8 whatever the terminal is.
fn charset() -> Charset {
    if io::stderr().is_terminal() { Charset::of_terminal(|name| env::var(name).ok()) } else { Charset::Unicode }
}

/// Lines on their way.
#[derive(Default)]
struct Notes {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<String>,
    lost: usize,
    is_writing: bool,
}

impl Notes {
    /// Starts the thread that writes; none if the system has none.
    fn start(output: Box<dyn Write + Send>) -> Option<Arc<Self>> {
        let notes = Arc::new(Self::default());
        let theirs = Arc::clone(&notes);
        let thread = thread::Builder::new().name("notes".to_owned()).spawn(move || theirs.write(output));
        thread.is_ok().then_some(notes)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: String) {
        let mut queue = self.queue();
        if queue.waiting.len() < WAITING {
            queue.waiting.push_back(line);
        } else {
            queue.lost += 1;
        }
        self.changed.notify_all();
    }

    fn flush(&self, limit: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        drop(self.changed.wait_timeout_while(self.queue(), limit, is_busy));
    }

    fn write(&self, mut output: Box<dyn Write + Send>) {
        let mut queue = self.queue();
        loop {
            let Some(line) = queue.waiting.pop_front() else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.is_writing = true;
            drop(queue);
            // Nobody is left to hear that standard error is gone.
            let _ = output.write_all(line.as_bytes());
            queue = self.queue();
            queue.is_writing = false;
            let lost = if queue.waiting.is_empty() { std::mem::take(&mut queue.lost) } else { 0 };
            if lost > 0 {
                let lost = words::count(lost, "message");
                queue
                    .waiting
                    .push_back(format!("tokio-canary: standard error was not read, so {lost} got lost here.\n"));
            }
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::detect::settings::Settings;
    use crate::diagnosis::Diagnosis;
    use crate::model::DEFAULT_RETENTION;

    #[test]
    fn a_lag_is_noted_once_a_minute_unless_it_doubles() {
        let mut fleet = Fleet::default();
        let mut join = || fleet.join(Diagnosis::new(String::new(), Settings::default(), DEFAULT_RETENTION));
        let (target, other) = (join(), join());
        let (mut lags, began) = (Lags(BTreeMap::new()), Instant::now());
        let mut is_news = |target, seconds, millis| {
            lags.is_news(target, began + Duration::from_secs(seconds), Duration::from_millis(millis))
        };
        assert!(is_news(target, 0, 1_200));
        assert!(!is_news(target, 5, 1_500));
        assert!(is_news(other, 5, 1_500));
        assert!(is_news(target, 6, 2_400));
        assert!(!is_news(target, 60, 1_300));
        assert!(is_news(target, 66, 1_300));
    }

    #[test]
    fn what_nobody_reads_is_counted_and_holds_up_nobody() {
        let (mut reader, writer) = io::pipe().unwrap();
        let notes = Notes::start(Box::new(writer)).unwrap();
        let long = format!("{}\n", "x".repeat(1 << 20));
        // More than a pipe holds: from here on the thread waits for a reader.
        notes.put(long.clone());
        while !notes.queue().is_writing {
            thread::yield_now();
        }
        for number in 0..WAITING + 7 {
            notes.put(format!("{number}\n"));
        }
        notes.flush(Duration::from_millis(20));
        let reading = thread::spawn(move || {
            let mut text = vec![0; long.len()];
            reader.read_exact(&mut text).unwrap();
            let (mut rest, mut byte) = (String::new(), [0]);
            while !rest.ends_with("here.\n") {
                reader.read_exact(&mut byte).unwrap();
                rest.push(byte[0].into());
            }
            rest
        });
        let rest = reading.join().unwrap();
        let lines: Vec<&str> = rest.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[WAITING - 1]), (WAITING + 1, "0", "999"));
        assert_eq!(lines[WAITING], "tokio-canary: standard error was not read, so 7 messages got lost here.");
    }
}
