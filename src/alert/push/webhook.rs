//! Webhooks as Alertmanager sends them, version 4, so that what understands those understands ours.
//!
//! Source: `Message` of prometheus/alertmanager, `notify/webhook/webhook.go`, and `Data` of `template/template.go`.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::alert::{Alert, time};
use super::attempt::{Attempt, Ending};
use super::client::Client;
use super::ledger::Ledger;
use super::receiver::{Receiver, Waiting};
use super::signature;
use crate::alert::event::Event;
use crate::config::receiver::{self as config, Secret};

/// The most alerts in a message.
const MOST: usize = 32;

/// What Alertmanager says of an alert that has not ended: the zero time of Go.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// An endpoint that takes webhooks.
pub(super) struct Webhook {
    client: Client,
    secret: Option<Secret>,
    ledger: Ledger,
    waiting: Waiting<Alert>,
    since: Instant,
}

/// A group of alerts of one target.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'static str,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'static str,
    alerts: Vec<Notified<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notified<'a> {
    status: &'static str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'static str,
    fingerprint: String,
}

impl Webhook {
    /// Gets ready.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub(super) fn open(config: &config::Webhook, ending: Ending) -> Result<Self, String> {
        if let Some(secret) = &config.secret {
            secret.read()?;
        }
        Ok(Self {
            client: Client::open(&config.endpoint, None, ending)?,
            secret: config.secret.clone(),
            ledger: Ledger::new(config.labels.clone()),
            waiting: Waiting::default(),
            since: Instant::now(),
        })
    }
}

impl Receiver for Webhook {
    fn take(&mut self, event: &Event) -> u64 {
        let entry = self.ledger.take(event, SystemTime::now());
        let lost: u64 = entry.changed.into_iter().map(|it| self.waiting.push(it.fingerprint().to_string(), it)).sum();
        lost + entry.lost
    }

    fn due(&self) -> Option<Instant> {
        (self.waiting.len() > 0).then_some(self.since)
    }

    fn attempt(&mut self) -> Attempt {
        let alerts = group(self.waiting.next(MOST));
        let count = alerts.len();
        let body = serde_json::to_vec(&message(&alerts)).unwrap_or_default();
        let signature = match self.secret.as_ref().map(Secret::read).transpose() {
            Ok(key) => key.map(|key| signature::headers(&key, &body, SystemTime::now())),
            Err(why) => return Attempt::Retry { why: format!("cannot be called: {why}"), after: None },
        };
        let lost = u64::try_from(count).unwrap_or(u64::MAX);
        let attempt = self.client.post(&body, signature.as_ref().map_or(&[], |it| it.as_slice()), lost);
        if !matches!(attempt, Attempt::Retry { .. }) {
            self.waiting.drop_next(count);
        }
        attempt
    }

    fn undelivered(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }
}

/// The first of these alerts, as long as they are of one target.
fn group(alerts: Vec<&Alert>) -> Vec<&Alert> {
    let instance = alerts.first().and_then(|it| it.labels.get("instance")).cloned();
    alerts.into_iter().take_while(|it| it.labels.get("instance") == instance.as_ref()).collect()
}

fn message<'a>(alerts: &[&'a Alert]) -> Message<'a> {
    let is_firing = alerts.iter().any(|alert| alert.ends.is_none());
    let labels = |alert: &'a Alert| alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let annotations = |alert: &'a Alert| alert.annotations.iter().map(|(name, value)| (*name, value.as_str()));
    let common_labels = common(alerts.iter().map(|alert| labels(alert).collect()));
    let group_labels: BTreeMap<_, _> =
        common_labels.iter().filter(|(name, _)| **name == "instance").map(|(a, b)| (*a, *b)).collect();
    let instance = group_labels.get("instance").copied().unwrap_or_default();
    Message {
        version: "4",
        group_key: format!("{{}}:{{instance={instance:?}}}"),
        truncated_alerts: 0,
        status: if is_firing { "firing" } else { "resolved" },
        receiver: "tokio-canary",
        group_labels,
        common_labels,
        common_annotations: common(alerts.iter().map(|alert| annotations(alert).collect())),
        external_url: "",
        alerts: alerts.iter().map(|alert| notified(alert)).collect(),
    }
}

fn notified(alert: &Alert) -> Notified<'_> {
    let ends = alert.ends.map(|ends| ends.max(alert.starts));
    Notified {
        status: alert.status(),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: time(alert.starts),
        ends_at: ends.map_or_else(|| NEVER.to_owned(), time),
        generator_url: "",
        fingerprint: format!("{:016x}", alert.fingerprint()),
    }
}

/// What all of them have.
fn common<'a>(mut all: impl Iterator<Item = BTreeMap<&'a str, &'a str>>) -> BTreeMap<&'a str, &'a str> {
    let first = all.next().unwrap_or_default();
    all.fold(first, |mut common, other| {
        common.retain(|name, value| other.get(name) == Some(value));
        common
    })
}
