//! Facts about a feed that `doctor` needs and a diagnosis does not keep.

use std::time::{Duration, SystemTime};

use crate::feed::{Arrived, Ended, FeedEvent, Status};

/// What has come over a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Size of the first message, in bytes.
    pub first: Option<usize>,
    /// Size of the largest message, in bytes.
    pub largest: usize,
    /// Operations on locks, channels and timers that were polled.
    pub poll_ops: usize,
    /// When the first event and the last one arrived, by the clock of whoever received it.
    pub span: Option<(SystemTime, SystemTime)>,
    /// When updates were made and when they arrived: of the first and of the last.
    pub updates: Option<(Moment, Moment)>,
    /// Why the target is not connected, or never was.
    pub lost: Option<String>,
    /// Whether nothing comes although it should.
    pub quiet: Option<Duration>,
    /// How a recording ended.
    pub ended: Option<Ended>,
}

/// A moment by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By that of the target.
    pub theirs: SystemTime,
    /// By that of whoever received it.
    pub ours: SystemTime,
}

impl Seen {
    /// Takes in an event.
    pub fn take(&mut self, arrived: &Arrived) {
        let first = self.span.map_or(arrived.at, |(first, _)| first);
        self.span = Some((first, arrived.at));
        match &arrived.event {
            FeedEvent::Update(update) => {
                let bytes = update.wire_bytes();
                self.first.get_or_insert(bytes);
                self.largest = self.largest.max(bytes);
                self.poll_ops += update.message.poll_ops().count();
                self.quiet = None;
                if let Some(theirs) = update.message.now().and_then(moment) {
                    let moment = Moment { theirs, ours: arrived.at };
                    self.updates = Some((self.updates.map_or(moment, |(first, _)| first), moment));
                }
            }
            FeedEvent::Status(Status::Lost { reason, .. } | Status::Stranger { reason, .. }) => {
                self.lost = Some(reason.clone());
            }
            FeedEvent::Status(Status::Live) => self.lost = None,
            FeedEvent::Quiet(silence) => self.quiet = Some(*silence),
            FeedEvent::Ended(ended) => self.ended = Some(ended.clone()),
            FeedEvent::Status(Status::Resolving | Status::Chosen { .. } | Status::Dialing)
            | FeedEvent::Details(_)
            | FeedEvent::Paused(_) => {}
        }
    }
}

fn moment(nanos: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
