//! How well a target can be watched, as numbers: what its feed has shown, how often, how late, and what it keeps.

use std::time::Duration;

use super::attachment::AttachmentView;
use super::snapshot::Snapshot;
use super::target::QualityView;

/// How well a target can be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedView {
    /// How many updates have arrived.
    pub updates: u64,
    /// The usual time between two updates, by the target's clock; nothing before there are two.
    pub interval: Option<Duration>,
    /// How many tasks were ever seen.
    pub tasks: usize,
    /// How many locks, channels and timers were ever seen.
    pub resources: usize,
    /// How many operations on them are known at present.
    pub ops: usize,
    /// How late new tasks and waits are reported, when that could last be told.
    pub lag: Option<Duration>,
    /// Events that the target has dropped.
    pub dropped: u64,
    /// Tasks, resources and operations of which only the counters came.
    pub never_introduced: u64,
    /// Parts of messages that made no sense.
    pub malformed: u64,
    /// Whether a client has paused the feed.
    pub paused: bool,
    /// How late we attached, and what the target remembers.
    pub attachment: AttachmentView,
    /// Whether the target says who holds what, and in which process: tokio-canary-subscriber does, and keeps what ended within bounds.
    pub reports_holders: bool,
    /// How many finished tasks the target keeps, at least.
    pub finished_kept: u64,
    /// What the feed withholds at present.
    pub quality: QualityView,
    /// The share of its time, about, that the target works on calls that drain its events.
    pub pumping: f64,
}

impl Snapshot<'_> {
    /// How well the target can be watched.
    pub fn feed(&self) -> FeedView {
        let (diagnosis, model) = (self.diagnosis(), self.diagnosis().model());
        let quality = model.quality();
        let (tasks, resources) = model.ever_seen();
        FeedView {
            updates: diagnosis.updates(),
            interval: (diagnosis.updates() > 1).then(|| model.clock().interval()),
            tasks,
            resources,
            ops: model.ops().len(),
            lag: quality.lag,
            dropped: quality.dropped(),
            never_introduced: quality.never_introduced,
            malformed: model.malformed_in_all(),
            paused: quality.paused,
            attachment: AttachmentView::of(diagnosis),
            reports_holders: model.process().is_some(),
            finished_kept: model.target_retention().kept(model.now()),
            quality: QualityView::of(diagnosis),
            pumping: diagnosis.pumping(),
        }
    }
}
