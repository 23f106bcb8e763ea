//! Alertmanager's API v2: alerts that fire are sent again and again, and end by themselves when nobody does so any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::alert::{Alert, time};
use super::attempt::{Attempt, Ending};
use super::client::Client;
use super::ledger::{Ledger, MOST};
use super::receiver::Receiver;
use crate::alert::event::Event;
use crate::config::receiver as config;

/// Where alerts are posted to, below the URL that the user gives.
const PATH: &str = "api/v2/alerts";
/// The most alerts in a request, as Prometheus has it.
const BATCH: usize = 64;
/// After how many intervals without us an alert ends. Prometheus waits for four too.
const INTERVALS: u32 = 4;

/// An Alertmanager.
pub(super) struct Alertmanager {
    client: Client,
    resend: Duration,
    ledger: Ledger,
    /// What it should know, by the fingerprints of the labels.
    standing: BTreeMap<u64, Standing>,
}

/// An alert that fires, or of whose end the Alertmanager does not know yet.
#[derive(Debug)]
struct Standing {
    alert: Alert,
    due: Instant,
    is_sent: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

impl Alertmanager {
    /// Gets ready.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub(super) fn open(config: &config::Alertmanager, ending: Ending) -> Result<Self, String> {
        Ok(Self {
            client: Client::open(&config.endpoint, Some(PATH), ending)?,
            resend: config.resend,
            ledger: Ledger::new(config.labels.clone()),
            standing: BTreeMap::new(),
        })
    }

    /// Lets an alert be sent, and returns whether an older one is lost by it: of those that ended first.
    fn stand(&mut self, alert: Alert) -> bool {
        let fingerprint = alert.fingerprint();
        let is_full = self.standing.len() >= 2 * MOST && !self.standing.contains_key(&fingerprint);
        let older =
            self.standing.iter().find(|(_, it)| it.alert.ends.is_some()).or_else(|| self.standing.iter().next());
        let older = older.map(|(older, _)| *older).filter(|_| is_full);
        older.and_then(|older| self.standing.remove(&older));
        self.standing.insert(fingerprint, Standing { alert, due: Instant::now(), is_sent: false });
        older.is_some()
    }

    /// Notes that alerts were offered, and whether they were delivered. One that was refused may be welcome the next time.
    fn note(&mut self, fingerprints: &[u64], is_delivered: bool) {
        let next = Instant::now() + self.resend;
        for fingerprint in fingerprints {
            if is_delivered && self.standing.get(fingerprint).is_some_and(|it| it.alert.ends.is_some()) {
                self.standing.remove(fingerprint);
            } else if let Some(standing) = self.standing.get_mut(fingerprint) {
                standing.due = next;
                standing.is_sent |= is_delivered;
            }
        }
    }
}

impl Receiver for Alertmanager {
    fn take(&mut self, event: &Event) -> u64 {
        let entry = self.ledger.take(event, SystemTime::now());
        entry.lost + entry.changed.into_iter().map(|alert| u64::from(self.stand(alert))).sum::<u64>()
    }

    fn due(&self) -> Option<Instant> {
        self.standing.values().map(|it| it.due).min()
    }

    fn attempt(&mut self) -> Attempt {
        let (now, lapse) = (Instant::now(), SystemTime::now() + self.resend * INTERVALS);
        let due: Vec<(&u64, &Standing)> = self.standing.iter().filter(|(_, it)| it.due <= now).take(BATCH).collect();
        let posted: Vec<Posted<'_>> = due.iter().map(|(_, it)| posted(&it.alert, lapse)).collect();
        let fingerprints: Vec<u64> = due.iter().map(|(fingerprint, _)| **fingerprint).collect();
        let body = serde_json::to_vec(&posted).unwrap_or_default();
        let attempt = self.client.post(&body, &[], 0);
        if !matches!(attempt, Attempt::Retry { .. }) {
            self.note(&fingerprints, attempt == Attempt::Delivered);
        }
        attempt
    }

    fn undelivered(&self) -> u64 {
        u64::try_from(self.standing.values().filter(|it| !it.is_sent).count()).unwrap_or(u64::MAX)
    }
}

/// An alert as it is posted. Its end never lies before its beginning, also where the clock was set back meanwhile.
fn posted(alert: &Alert, lapse: SystemTime) -> Posted<'_> {
    let ends = alert.ends.unwrap_or(lapse);
    Posted {
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: time(alert.starts.min(ends)),
        ends_at: time(ends),
    }
}
