//! The black box over a disk that hangs, and over one that does not.

use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::mpsc as blocking;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::Instant;

use super::file::PATIENCE;
use super::*;
use crate::feed::recording::log::{Form, Log};
use crate::feed::{Arrived, FeedEvent, Status};

const MIB: usize = 1024 * 1024;

/// A black box, and the two ends of the feed that it is behind.
struct Bench {
    black_box: BlackBox,
    source: mpsc::Sender<Arrived>,
    consumer: Feed,
    /// The disk goes on when this is dropped.
    hang: Option<blocking::Sender<()>>,
    begun: Arc<AtomicUsize>,
}

/// A disk that takes nothing as long as somebody holds the other end.
struct Disk(Cursor<Vec<u8>>, Arc<Mutex<blocking::Receiver<()>>>);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nothing is ever sent.
        let _ = self.1.lock().unwrap().recv();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for Disk {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + millis)
}

fn request(name: &str, millis: u64) -> Request {
    Request { path: PathBuf::from(name), at: at(millis), about: Vec::new() }
}

impl Bench {
    /// One that writes to a disk that hangs, which may keep this many bytes of a feed.
    fn new(memory: usize) -> Self {
        let (source, events) = mpsc::channel(1);
        let feed = Feed { events, wanted: watch::channel(BTreeSet::default()).0 };
        let (hang, gate) = blocking::channel();
        let (gate, begun) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&begun);
        let begin = move |request: &Request, window: Vec<Entry>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let disk = Disk(Cursor::default(), Arc::clone(&gate));
            let open = move || {
                let log = Log::begin(Box::new(disk), Box::new(|| Ok(())), "target", at(0), Form::Short);
                let mut log = log.expect("the disk goes on");
                for entry in window {
                    log.record(entry.topic, entry.log_time, &entry.bytes, entry.is_live).expect("the disk goes on");
                }
                Ok(log)
            };
            Recorder::spawn(open, |outcome| outcome, &request.path, PATIENCE)
        };
        let budget = Budget { before: Duration::from_secs(60), after: Duration::from_secs(10), memory };
        let (consumer, black_box) = keep_with(feed, budget, begin);
        Self { black_box, source, consumer, hang: Some(hang), begun }
    }

    /// Passes an event of some size through. What the keeper does before it takes the event is done then.
    async fn pass(&mut self, millis: u64, bytes: usize) {
        let status = Status::Lost { reason: "x".repeat(bytes), retry_at: at(0) };
        self.source.send(Arrived { at: at(millis), event: FeedEvent::Status(status) }).await.unwrap();
        self.consumer.events.recv().await.unwrap();
    }

    fn save(&self, name: &str, millis: u64) -> Option<PathBuf> {
        self.black_box.save(request(name, millis))
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// The next report, however long that takes in real time.
    async fn report(&mut self) -> Report {
        self.black_box.reports.recv().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_holds_the_feed_back_once_and_briefly() {
    let mut bench = Bench::new(256 * MIB);
    bench.pass(0, 1).await;
    let path = bench.save("a", 0);
    assert_eq!(path.as_deref(), Some(Path::new("a")));
    let begun = Instant::now();
    let mut passed = 0;
    let failed = loop {
        bench.pass(1, MIB).await;
        passed += 1;
        if let Some(report) = bench.black_box.report() {
            break report;
        }
    };
    assert!(matches!(failed, Report::Failed(RecordError::TooSlow { .. })), "{failed:?}");
    assert!((60..=66).contains(&passed), "64 MiB wait for the disk, and no more: {passed}");
    assert_eq!(begun.elapsed(), PATIENCE);
    // What was given to the disk is still in memory.
    assert_eq!(bench.save("b", 2), None);
    for _ in 0..100 {
        bench.pass(3, MIB).await;
    }
    assert_eq!((begun.elapsed(), bench.begun()), (PATIENCE, 1), "nothing waits for it any more");
}

#[tokio::test]
async fn a_recording_on_its_way_to_the_disk_is_the_only_one() {
    let mut bench = Bench::new(MIB);
    bench.pass(0, 1).await;
    assert!(bench.save("a", 0).is_some());
    // It is long over by now.
    bench.pass(20_000, 1).await;
    assert_eq!(bench.save("b", 20_000), None);
    bench.pass(20_001, 1).await;
    assert_eq!(bench.begun(), 1);
    drop(bench.hang.take());
    assert!(matches!(bench.report().await, Report::Saved(written) if written.path == Path::new("a")));
    assert!(bench.save("c", 20_001).is_some());
    bench.pass(20_002, 1).await;
    assert_eq!(bench.begun(), 2);
}

#[tokio::test]
async fn a_finding_while_one_is_written_makes_that_go_on_for_longer_but_not_for_ever() {
    let mut bench = Bench::new(MIB);
    drop(bench.hang.take());
    bench.pass(0, 1).await;
    let saved = |bench: &Bench, name: &str, millis| bench.save(name, millis).map(|path| path.display().to_string());
    assert_eq!(saved(&bench, "a", 0).as_deref(), Some("a"));
    // Each is ten seconds before the end of what was asked for before, until 70 s after the first.
    for (name, millis) in
        [("b", 9_000), ("c", 18_000), ("d", 27_000), ("e", 36_000), ("f", 45_000), ("g", 54_000), ("h", 63_000)]
    {
        bench.pass(millis, 1).await;
        assert_eq!(saved(&bench, name, millis).as_deref(), Some("a"), "{name}");
    }
    bench.pass(69_000, 1).await;
    assert_eq!(saved(&bench, "i", 69_000).as_deref(), Some("a"));
    bench.pass(71_000, 1).await;
    assert!(matches!(bench.report().await, Report::Saved(written) if written.path == Path::new("a")));
    assert_eq!(bench.begun(), 1);
    assert_eq!(saved(&bench, "j", 71_000).as_deref(), Some("j"), "the next one is a file of its own");
}

#[tokio::test]
async fn a_finding_that_came_too_late_for_a_recording_begins_none_behind_its_back() {
    let mut bench = Bench::new(MIB);
    bench.pass(0, 1).await;
    assert!(bench.save("a", 0).is_some());
    bench.pass(1, 1).await;
    // The alert says `a`, and before the keeper hears of it, `a` is over.
    bench.source.send(Arrived { at: at(30_000), event: FeedEvent::Paused(false) }).await.unwrap();
    while !matches!(*bench.black_box.shared.stage(), Stage::Waiting) {
        tokio::task::yield_now().await;
    }
    bench.black_box.requests.send(request("b", 1)).await.unwrap();
    bench.consumer.events.recv().await.unwrap();
    bench.pass(30_001, 1).await;
    assert_eq!(bench.begun(), 1);
}
