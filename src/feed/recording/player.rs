//! Plays recorded events at their speed, or as somebody asks.

use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::feed::queue::{Closed, Queue};
use crate::feed::{Arrived, FeedEvent, Wanted};

use super::{Playback, Speed};

/// A gap longer than this on our clock is waited for in parts: clocks cannot count as far as files claim.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// How a recording is played from now on. The newest one replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Control {
    /// How fast.
    pub speed: Speed,
    /// Whether it waits.
    pub is_paused: bool,
    /// Updates that were asked for one by one while it waits, in all.
    pub steps: u64,
    /// What is not later than this comes at once, also while it waits.
    pub until: Option<SystemTime>,
}

/// Sends every event when its time has come, until nobody listens. The first `skip` of them were delivered before.
pub(super) async fn play(
    mut recorded: mpsc::Receiver<Arrived>,
    mut events: Queue,
    control: watch::Receiver<Control>,
    mut skip: u64,
    // Held so that the consumer can go on to say what it wants.
    _wanted: watch::Receiver<Wanted>,
) {
    let closed = events.closed();
    let playing = async {
        let (mut pace, mut playback) = (Pace::new(control), Playback::default());
        while let Some(arrived) = recorded.recv().await {
            for event in playback.unfold(arrived) {
                if skip > 0 {
                    skip -= 1;
                    pace.pass(event.at);
                    continue;
                }
                pace.wait_for(&event).await;
                events.send(event).await?;
            }
        }
        Ok::<_, Closed>(())
    };
    tokio::select! {
        _ = playing => {}
        () = closed => {}
    }
}

/// Recorded times on our clock.
struct Pace {
    control: watch::Receiver<Control>,
    /// Whether somebody may still ask for something else.
    is_controlled: bool,
    /// Where in the recording we were, and when.
    here: Option<(SystemTime, Instant)>,
    /// Updates that came one by one.
    steps: u64,
}

impl Pace {
    fn new(control: watch::Receiver<Control>) -> Self {
        let steps = control.borrow().steps;
        Self { control, is_controlled: true, here: None, steps }
    }

    /// What was recorded at this time is over.
    fn pass(&mut self, at: SystemTime) {
        self.here = Some((at, Instant::now()));
    }

    /// Waits until an event is due.
    async fn wait_for(&mut self, event: &Arrived) {
        loop {
            let control = *self.control.borrow_and_update();
            if let Some(until) = control.until.filter(|until| event.at <= *until) {
                return self.pass(until);
            }
            let (here, since) = *self.here.get_or_insert_with(|| (event.at, Instant::now()));
            if control.is_paused {
                if self.steps < control.steps {
                    self.steps += u64::from(matches!(event.event, FeedEvent::Update(_)));
                    return self.pass(event.at);
                }
                self.changed().await;
                self.pass(here);
                continue;
            }
            self.steps = control.steps;
            // The recorder's clock may have been set back: what was recorded after that comes at once.
            let rest = control.speed.playing_time(event.at.duration_since(here).unwrap_or_default());
            let due = since + rest.min(LONGEST_WAIT);
            tokio::select! {
                biased;
                () = self.changed(), if self.is_controlled => {}
                () = sleep_until(due) => {
                    if rest <= LONGEST_WAIT {
                        self.here = Some((event.at, due));
                        return;
                    }
                }
            }
            let passed = control.speed.recorded_time(since.elapsed());
            self.pass(here.checked_add(passed).unwrap_or(here));
        }
    }

    /// Waits until somebody asks for something else; for ever, once nobody can.
    async fn changed(&mut self) {
        if self.control.changed().await.is_err() {
            self.is_controlled = false;
            std::future::pending::<()>().await;
        }
    }
}
