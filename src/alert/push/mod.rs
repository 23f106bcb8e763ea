//! Push: receivers get an alert when a finding fires and when it is resolved.
//!
//! Each receiver lives on the thread of its sink. What it takes in is bounded, what it tells is tried again with growing pauses, and
//! whatever gets lost is counted and said.

mod alert;
mod alertmanager;
mod attempt;
mod client;
mod command;
mod ledger;
mod receiver;
mod signature;
mod webhook;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use self::alert::bounded;
use self::alertmanager::Alertmanager;
use self::attempt::Attempt;
use self::command::Command;
use self::receiver::Receiver;
use self::webhook::Webhook;
use super::event::{Event, Summary};
use super::sink::Sink;
use crate::config::receiver::{self as config, Secret};
use crate::words;

pub(super) use self::alert::alert_name;
pub(super) use self::attempt::Ending;

/// Says something to the user while a run lasts.
pub type Voice = Arc<dyn Fn(String) + Send + Sync>;

/// The longest that a run waits for its receivers once a signal has asked for its end: a request that is on its way, and the rest.
pub const LEAVING: Duration = Duration::from_secs(6);

/// The longest sentence about a receiver, in bytes.
const SENTENCE: usize = 2048;
/// The first pause, without its jitter.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause that we choose, without its jitter.
const LONGEST: Duration = Duration::from_secs(15);
/// The longest pause that a receiver can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// A receiver as an output.
pub(super) struct Push {
    name: String,
    receiver: Box<dyn Receiver>,
    voice: Voice,
    pauses: Option<ExponentialBackoff>,
    /// The end of our own pause.
    not_before: Option<Instant>,
    /// Until when the receiver has asked to be left alone.
    left_alone: Option<Instant>,
    /// Since when it takes nothing.
    failing: Option<Instant>,
    /// What was said of it last.
    said: Option<String>,
    lost: u64,
    ending: Ending,
}

impl Push {
    /// A receiver as it is configured; `hidden` are the secrets that commands must not get.
    ///
    /// # Errors
    /// A sentence about what it lacks.
    pub(super) fn open(
        config: &config::Receiver,
        hidden: &[&Secret],
        voice: Voice,
        ending: Ending,
    ) -> Result<Self, String> {
        let (name, receiver): (String, Box<dyn Receiver>) = match config {
            config::Receiver::Alertmanager(it) => (
                format!("Alertmanager {}", it.endpoint.address.url()?.host()),
                Box::new(Alertmanager::open(it, ending.clone())?),
            ),
            config::Receiver::Webhook(it) => {
                (format!("webhook {}", it.endpoint.address.url()?.host()), Box::new(Webhook::open(it, ending.clone())?))
            }
            config::Receiver::Command(it) => (
                format!("command {}", it.argv.first().map_or("", String::as_str)),
                Box::new(Command::open(it, hidden, ending.clone())?),
            ),
        };
        let (pauses, not_before, left_alone, failing, said) = (None, None, None, None, None);
        Ok(Self { name, receiver, voice, pauses, not_before, left_alone, failing, said, lost: 0, ending })
    }

    /// What the user knows it by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says something once, until something else is to be said. A receiver may be hostile too, or a command print what is.
    fn say(&mut self, sentence: &str) {
        let sentence = bounded(sentence, SENTENCE);
        if self.said.as_ref() != Some(&sentence) {
            (self.voice)(sentence.clone());
            self.said = Some(sentence);
        }
    }

    fn conclude(&mut self, attempt: Attempt) {
        let name = &self.name;
        match attempt {
            Attempt::Taken => {
                self.pauses = None;
                (self.not_before, self.left_alone) = (None, None);
                if let Some(since) = self.failing.take() {
                    let sentence = format!("{name} takes alerts again, after {}.", words::age(since.elapsed()));
                    self.say(&sentence);
                    self.said = None;
                }
            }
            Attempt::Later { why, after } => {
                let now = Instant::now();
                let ours = self.pauses.get_or_insert_with(pauses).next().unwrap_or(LONGEST);
                self.not_before = Some(now + ours);
                self.left_alone = after.map(|after| now + after.min(LONGEST_ASKED));
                self.failing.get_or_insert(now);
                self.say(&format!("{name} {why}. Retrying until it takes alerts."));
            }
            Attempt::Refused { why, lost } => {
                self.lost += lost;
                self.say(&format!("{name} {why}."));
            }
        }
    }
}

impl Sink for Push {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        let lost = self.receiver.take(event);
        if lost > 0 {
            self.lost += lost;
            self.say(&format!("{} is too far behind, and alerts get lost.", self.name));
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        let due = self.receiver.due()?;
        [self.not_before, self.left_alone].into_iter().flatten().chain([due]).max()
    }

    fn attend(&mut self) {
        let attempt = self.receiver.attempt();
        self.conclude(attempt);
    }

    /// Tells what is left, as long as there is time. Alerts that still fire are not ended: what is broken stays broken.
    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.ending.begin();
        // Once at least, whatever pause we had in mind.
        self.not_before = None;
        while self.receiver.untold() > 0 {
            let Some(due) = self.due() else { break };
            let (pause, left) = (due.saturating_duration_since(Instant::now()), self.ending.within(Duration::MAX));
            if left.is_zero() || pause >= left {
                break;
            }
            thread::sleep(pause);
            self.attend();
        }
        let lost = self.lost + self.receiver.untold();
        if lost > 0 {
            let (alerts, were) = (
                words::count(usize::try_from(lost).unwrap_or(usize::MAX), "alert"),
                if lost == 1 { "was" } else { "were" },
            );
            (self.voice)(format!("{alerts} {were} not delivered to {}.", self.name));
        }
        Ok(())
    }
}

/// Pauses that double, for ever, with jitter: many of us do not return at the same moment.
fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST).with_factor(2.0).with_max_delay(LONGEST);
    pauses.without_max_times().with_jitter().build()
}
