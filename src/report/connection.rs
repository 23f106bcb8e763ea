//! Where the connection to a target stands, in words.

use std::time::{Duration, SystemTime};

use crate::detect::describe::whole_seconds;
use crate::diagnosis::{Diagnosis, Ended, Status};
use crate::fleet::Member;
use crate::playing::Playing;
use crate::words;

/// Where the connection to a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// The address is being looked up.
    Resolving,
    /// Connecting and subscribing.
    Dialing,
    /// Subscribed, and nothing has arrived yet.
    Waiting,
    /// Updates arrive.
    Live,
    /// Subscribed, but updates have stopped arriving.
    Quiet,
    /// A client has paused the feed.
    Paused,
    /// Not connected; it is tried again.
    Lost,
    /// Something answers that is not a console; it is tried again.
    Stranger,
    /// A recording was played to its end.
    Ended,
    /// A recording broke off.
    Truncated,
}

impl ConnectionState {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::Resolving,
        Self::Dialing,
        Self::Waiting,
        Self::Live,
        Self::Quiet,
        Self::Paused,
        Self::Lost,
        Self::Stranger,
        Self::Ended,
        Self::Truncated,
    ];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Dialing => "dialing",
            // The connection is live, whatever arrives over it.
            Self::Waiting | Self::Live | Self::Quiet | Self::Paused => "live",
            Self::Lost | Self::Stranger => "lost",
            Self::Ended => "ended",
            Self::Truncated => "truncated",
        }
    }

    /// Whether it is as it should be.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Live | Self::Ended)
    }
}

/// Where more can be learned about a target that does not show what it should.
pub const DOCTOR: &str = "`tokio-canary doctor TARGET` looks at it step by step.";

/// The connection to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionView {
    /// Where it stands.
    pub state: ConnectionState,
    /// The same in a few words, with the time until the next attempt.
    pub label: String,
    /// The same as a sentence, with what to do about it.
    pub sentence: String,
    /// What was chosen to connect to, where several things stand behind the address: a pod.
    pub place: Option<String>,
    /// The time until the next attempt, where it was lost.
    pub retry_in: Option<Duration>,
    /// Where there was a connection and is none: since when, and after how long, as a sentence.
    pub last: Option<String>,
    /// Whether it is a recording that is played under control.
    pub is_played: bool,
}

impl ConnectionView {
    /// The connection of a diagnosis, as of a time by our clock.
    pub fn of(diagnosis: &Diagnosis, now: SystemTime) -> Self {
        let view = Self::without_place(diagnosis, now);
        let is_apart = matches!(
            view.state,
            ConnectionState::Resolving | ConnectionState::Dialing | ConnectionState::Lost | ConnectionState::Stranger
        );
        let last = last_seen(diagnosis, now).filter(|_| is_apart);
        let retry_in = match (diagnosis.ended(), diagnosis.status()) {
            (None, Status::Lost { retry_at, .. } | Status::Stranger { retry_at, .. }) => {
                Some(retry_at.duration_since(now).unwrap_or_default())
            }
            _ => None,
        };
        Self { place: diagnosis.place().map(str::to_owned), last, retry_in, ..view }
    }

    /// The connection of a target, with what stands between it and us: how a recording is played, or how large the one is that is written.
    pub fn of_member(member: &Member, now: SystemTime) -> Self {
        let view = Self::of(member.diagnosis(), now);
        match (member.playing(), member.recorded()) {
            (Some(playing), _) => view.played(playing, member.diagnosis().arrived()),
            (None, Some(bytes)) => Self { label: format!("{}  REC {}", view.label, words::bytes(bytes)), ..view },
            (None, None) => view,
        }
    }

    fn played(self, playing: &Playing, arrived: Option<SystemTime>) -> Self {
        let cursor = arrived.map_or(Duration::ZERO, |at| playing.since_begin(playing.within(at)));
        let place = format!("{}/{}", clock(cursor), clock(playing.length()));
        let how = match (self.state, playing.is_paused) {
            (ConnectionState::Ended, _) => "END".to_owned(),
            (ConnectionState::Live | ConnectionState::Waiting, true) => "PAUSED".to_owned(),
            (ConnectionState::Live | ConnectionState::Waiting, false) => speed(playing.speed),
            // What the recording says about the connection of its time comes first.
            (_, true) => format!("{}  PAUSED", self.label),
            (_, false) => format!("{}  {}", self.label, speed(playing.speed)),
        };
        let sentence = match self.state {
            ConnectionState::Ended => {
                "The recording has ended: this is its last state. Press < to go back by 10 s, or { to where a finding opened."
                    .to_owned()
            }
            _ => self.sentence,
        };
        Self { label: format!("{how} {place}"), sentence, is_played: true, ..self }
    }

    fn without_place(diagnosis: &Diagnosis, now: SystemTime) -> Self {
        match (diagnosis.ended(), diagnosis.status()) {
            (Some(Ended::Complete), _) => {
                Self::new(ConnectionState::Ended, "end of recording", "The recording has ended.")
            }
            (Some(Ended::Exited), _) => Self::new(ConnectionState::Ended, "program ended", "The program has ended."),
            (Some(Ended::Truncated { reason }), _) => {
                Self::new(ConnectionState::Truncated, "recording cut off", reason.as_str())
            }
            (None, Status::Resolving) => {
                let (label, sentence) = if diagnosis.is_pod() {
                    ("looking up the pod", "Looking up the pod.")
                } else {
                    ("resolving", "Looking up the address.")
                };
                Self::new(ConnectionState::Resolving, label, sentence)
            }
            (None, Status::Chosen { .. } | Status::Dialing) => {
                Self::new(ConnectionState::Dialing, "dialing", format!("Connecting{}.", to(diagnosis)))
            }
            (None, Status::Lost { reason, retry_at }) => {
                Self::new(ConnectionState::Lost, format!("LOST, retry in {} s", left(*retry_at, now)), reason.as_str())
            }
            (None, Status::Stranger { reason, retry_at }) => {
                let label = format!("NOT A CONSOLE, retry in {} s", left(*retry_at, now));
                Self::new(ConnectionState::Stranger, label, reason.as_str())
            }
            (None, Status::Live) => Self::subscribed(diagnosis),
        }
    }

    /// Where more can be learned about a connection over which nothing comes that should.
    pub fn more(&self) -> Option<&'static str> {
        match self.state {
            ConnectionState::Lost | ConnectionState::Stranger | ConnectionState::Quiet => Some(DOCTOR),
            ConnectionState::Resolving
            | ConnectionState::Dialing
            | ConnectionState::Waiting
            | ConnectionState::Live
            | ConnectionState::Paused
            | ConnectionState::Ended
            | ConnectionState::Truncated => None,
        }
    }

    fn subscribed(diagnosis: &Diagnosis) -> Self {
        let quality = diagnosis.model().quality();
        if quality.paused {
            let sentence = "Paused: a client has paused the feed, so nothing new is shown. Resume it in that client; in \
                            tokio-console, press the space bar.";
            return Self::new(ConnectionState::Paused, "PAUSED by a client", sentence);
        }
        if let Some(silence) = quality.quiet.map(words::duration) {
            let sentence = format!("No update has arrived for {silence}.");
            return Self::new(ConnectionState::Quiet, format!("QUIET for {silence}"), sentence);
        }
        if diagnosis.updates() == 0 {
            let place = to(diagnosis);
            let sentence = format!(
                "Connected{place}, waiting for the first update. A service sends one every publish interval, usually 1 s."
            );
            return Self::new(ConnectionState::Waiting, "connected, waiting", sentence);
        }
        Self::new(ConnectionState::Live, "live", format!("Connected{}.", to(diagnosis)))
    }

    fn new(state: ConnectionState, label: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            state,
            label: label.into(),
            sentence: sentence.into(),
            place: None,
            retry_in: None,
            last: None,
            is_played: false,
        }
    }
}

/// When the last update came of a target that was watched for a while.
fn last_seen(diagnosis: &Diagnosis, now: SystemTime) -> Option<String> {
    let ago = words::age(whole_seconds(now.duration_since(diagnosis.updated()?).unwrap_or_default()));
    let watched = words::age(whole_seconds(diagnosis.engine().observed()));
    Some(format!("Its last update came {ago} ago, after {watched}; below is what was known then."))
}

/// A speed in words.
fn speed(factor: Option<f64>) -> String {
    factor.map_or_else(|| "max".to_owned(), |factor| format!("{factor}x"))
}

/// A time in a recording: `00:07`, or `1:02:03` from the first hour on.
pub(super) fn clock(time: Duration) -> String {
    let (seconds, minutes, hours) = (time.as_secs() % 60, time.as_secs() / 60 % 60, time.as_secs() / 3_600);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// What was chosen to connect to, as the end of a sentence.
fn to(diagnosis: &Diagnosis) -> String {
    diagnosis.place().map(|place| format!(" to {place}")).unwrap_or_default()
}

/// Whole seconds until a time.
fn left(until: SystemTime, now: SystemTime) -> f64 {
    until.duration_since(now).unwrap_or_default().as_secs_f64().ceil()
}
