//! What a live feed would have measured about recorded events: how far they lag, and when nothing came.

use crate::feed::lag::LagMeter;
use crate::feed::{Arrived, FeedEvent, Status};
use crate::wire::Survey;

use super::silence::Silence;

/// Turns recorded events into those of a feed.
#[derive(Debug, Default)]
pub struct Playback {
    has_begun: bool,
    lag: LagMeter,
    silence: Silence,
}

impl Playback {
    /// The events that a recorded one stands for: the connection and the silence before it, and itself, with its lag.
    pub fn unfold(&mut self, mut arrived: Arrived) -> Vec<Arrived> {
        let mut events = Vec::new();
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first && !matches!(arrived.event, FeedEvent::Status(_) | FeedEvent::Ended(_)) {
            // It starts in the middle of a connection.
            events.push(Arrived { at: arrived.at, event: FeedEvent::Status(Status::Live) });
            events.iter().for_each(|live| self.silence.observe(live));
        }
        events.extend(self.silence.reports(arrived.at));
        self.silence.observe(&arrived);
        match &mut arrived.event {
            FeedEvent::Update(update) => update.lag = self.lag.observe(&Survey::of(&update.message)),
            FeedEvent::Status(Status::Live) => self.lag = LagMeter::default(),
            _ => {}
        }
        events.push(arrived);
        events
    }
}
