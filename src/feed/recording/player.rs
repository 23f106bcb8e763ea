//! Plays recorded events at their speed.

use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::feed::queue::{Closed, Queue};
use crate::feed::{Arrived, Wanted};

use super::{Playback, Speed};

/// A gap longer than this on our clock is waited for in parts: clocks cannot count as far as files claim.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Sends every event when its time has come, until nobody listens. What is not later than `from` comes at once.
pub(super) async fn play(
    mut recorded: mpsc::Receiver<Arrived>,
    mut events: Queue,
    speed: Speed,
    from: Option<SystemTime>,
    // Held so that the consumer can go on to say what it wants.
    _wanted: watch::Receiver<Wanted>,
) {
    let closed = events.closed();
    let playing = async {
        let (mut pace, mut playback) = (Pace::new(speed, from), Playback::default());
        while let Some(arrived) = recorded.recv().await {
            for event in playback.unfold(arrived) {
                pace.wait_for(event.at).await;
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
    speed: Speed,
    from: Option<SystemTime>,
    /// The last event that was played, and when that was due.
    last: Option<(SystemTime, Instant)>,
}

impl Pace {
    fn new(speed: Speed, from: Option<SystemTime>) -> Self {
        Self { speed, from, last: None }
    }

    async fn wait_for(&mut self, at: SystemTime) {
        let at = self.from.map_or(at, |from| from.max(at));
        let (last_at, last_due) = self.last.unwrap_or_else(|| (at, Instant::now()));
        // The recorder's clock may have been set back: what was recorded after that comes at once.
        let mut rest = self.speed.playing_time(at.duration_since(last_at).unwrap_or_default());
        let mut due = last_due;
        while rest > LONGEST_WAIT {
            due += LONGEST_WAIT;
            rest -= LONGEST_WAIT;
            sleep_until(due).await;
        }
        due += rest;
        sleep_until(due).await;
        self.last = Some((at, due));
    }
}
