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

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use self::alertmanager::Alertmanager;
use self::attempt::Attempt;
use self::command::Command;
use self::receiver::Receiver;
use self::webhook::Webhook;
use super::event::{Event, Summary};
use super::sink::Sink;
use crate::config::receiver::{self as config, Secret};
use crate::report::sanitize::bounded;
use crate::words;

pub(super) use self::alert::alert_name;
pub(super) use self::attempt::Ending;

/// Says something to the user while a run lasts.
pub type Notify = Arc<dyn Fn(String) + Send + Sync>;

/// The longest that a run waits for its receivers once a signal has asked for its end: a request that is on its way, and the rest.
pub const LEAVING: Duration = Duration::from_secs(6);

/// The longest sentence about a receiver, in bytes.
const SENTENCE: usize = 2048;
/// How many sentences about a receiver are not said again until it takes something.
const REMEMBERED: usize = 8;
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
    notify: Notify,
    pauses: Option<ExponentialBackoff>,
    /// The end of our own pause.
    not_before: Option<Instant>,
    /// Until when the receiver has asked to be left alone.
    left_alone: Option<Instant>,
    /// Since when it takes nothing.
    failing: Option<Instant>,
    /// What was said of it since it took something, the newest last.
    said: VecDeque<String>,
    /// Whether it cannot keep up, and that was said.
    is_behind: bool,
    /// How many alerts were given up.
    lost: Arc<AtomicU64>,
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
        notify: Notify,
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
        Ok(Self {
            name,
            receiver,
            notify,
            pauses: None,
            not_before: None,
            left_alone: None,
            failing: None,
            said: VecDeque::new(),
            is_behind: false,
            lost: Arc::default(),
            ending,
        })
    }

    /// The same under another name.
    #[must_use]
    pub(super) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// What the user knows it by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says something. A receiver may be hostile too, or a command print what is.
    fn say(&self, sentence: &str) {
        (self.notify)(bounded(sentence, SENTENCE));
    }

    /// Says something once, until an alert is delivered.
    fn complain(&mut self, sentence: String) {
        if !self.said.contains(&sentence) {
            self.say(&sentence);
            self.said.push_back(sentence);
        }
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
    }

    /// Counts alerts that will never be delivered.
    fn lose(&self, alerts: u64) {
        self.lost.fetch_add(alerts, Ordering::Relaxed);
    }

    fn conclude(&mut self, attempt: Attempt) {
        let name = &self.name;
        match attempt {
            Attempt::Delivered => {
                self.pauses = None;
                (self.not_before, self.left_alone) = (None, None);
                if let Some(since) = self.failing.take() {
                    self.say(&format!("{name} accepts alerts again after {}.", words::age(since.elapsed())));
                }
                self.said.clear();
                // One that is slow delivers between two losses.
                self.is_behind &= self.receiver.undelivered() > 0;
            }
            Attempt::Retry { why, after } => {
                let now = Instant::now();
                let ours = self.pauses.get_or_insert_with(pauses).next().unwrap_or(LONGEST);
                self.not_before = Some(now + ours);
                self.left_alone = after.map(|after| now + after.min(LONGEST_ASKED));
                self.failing.get_or_insert(now);
                let sentence = format!("{name} {why}. Retrying.");
                self.complain(sentence);
            }
            Attempt::Refused { why, lost } => {
                let sentence = format!("{name} {why}.");
                self.lose(lost);
                self.complain(sentence);
            }
        }
    }
}

impl Sink for Push {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        let lost = self.receiver.take(event);
        if lost > 0 {
            self.lose(lost);
            if !std::mem::replace(&mut self.is_behind, true) {
                self.say(&format!("{} cannot keep up; alerts are being dropped.", self.name));
            }
        }
        Ok(())
    }

    fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn due(&self) -> Option<Instant> {
        let due = self.receiver.due()?;
        [self.not_before, self.left_alone].into_iter().flatten().chain([due]).max()
    }

    fn on_due(&mut self) {
        let attempt = self.receiver.attempt();
        self.conclude(attempt);
    }

    /// Tells what is left, as long as there is time. Alerts that still fire are not ended: what is broken stays broken.
    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.ending.begin();
        // Once at least, whatever pause we had in mind.
        self.not_before = None;
        while self.receiver.undelivered() > 0 {
            let Some(due) = self.due() else { break };
            let (pause, left) = (due.saturating_duration_since(Instant::now()), self.ending.within(Duration::MAX));
            if left.is_zero() || pause >= left {
                break;
            }
            thread::sleep(pause);
            self.on_due();
        }
        let lost = self.lost.load(Ordering::Relaxed) + self.receiver.undelivered();
        if lost > 0 {
            let (alerts, were) = (
                words::count(usize::try_from(lost).unwrap_or(usize::MAX), "alert"),
                if lost == 1 { "was" } else { "were" },
            );
            (self.notify)(format!("{alerts} {were} not delivered to {}.", self.name));
        }
        Ok(())
    }
}

/// Pauses that double, for ever, with jitter: many of us do not return at the same moment.
fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST).with_factor(2.0).with_max_delay(LONGEST);
    pauses.without_max_times().with_jitter().build()
}
