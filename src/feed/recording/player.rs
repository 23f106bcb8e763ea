//! Plays recorded events at their speed.

use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::feed::{Arrived, FeedEvent, Status, Wanted};

use super::Speed;
use super::silence::Silence;

/// A gap longer than this on our clock is waited for in parts: clocks cannot count as far as files claim.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Sends every event when its time has come, until nobody listens. What is not later than `from` comes at once.
pub(super) async fn play(
    mut recorded: mpsc::Receiver<Arrived>,
    events: mpsc::Sender<Arrived>,
    speed: Speed,
    from: Option<SystemTime>,
    // Held so that the consumer can go on to say what it wants.
    _wanted: watch::Receiver<Wanted>,
) {
    let playing = async {
        let mut player = Player { events: &events, pace: Pace::new(speed, from), silence: Silence::default() };
        let mut is_first = true;
        while let Some(arrived) = recorded.recv().await {
            if std::mem::take(&mut is_first) && !matches!(arrived.event, FeedEvent::Status(_) | FeedEvent::Ended(_)) {
                // It starts in the middle of a connection.
                let live = Arrived { at: arrived.at, event: FeedEvent::Status(Status::Live) };
                player.play(live).await?;
            }
            for report in player.silence.reports(arrived.at) {
                player.play(report).await?;
            }
            player.play(arrived).await?;
        }
        Ok::<_, mpsc::error::SendError<Arrived>>(())
    };
    tokio::select! {
        _ = playing => {}
        () = events.closed() => {}
    }
}

struct Player<'a> {
    events: &'a mpsc::Sender<Arrived>,
    pace: Pace,
    silence: Silence,
}

impl Player<'_> {
    async fn play(&mut self, arrived: Arrived) -> Result<(), mpsc::error::SendError<Arrived>> {
        self.pace.wait_for(arrived.at).await;
        self.silence.observe(&arrived);
        self.events.send(arrived).await
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
