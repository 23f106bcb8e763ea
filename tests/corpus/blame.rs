//! Of each spawn site the sum of what its tasks spent their time on is the time that they lived: over the whole corpus, after every update.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::Diagnosis;
use tokio_canary::feed::recording::{Speed, open};
use tokio_canary::model::time::Timestamp;
use tokio_canary::model::{DEFAULT_RETENTION, SiteKey, TaskKey};

use crate::simulator::scenario::Scenario;
use crate::simulator::timeline::{Told, play_before};

/// Complaints about one file that are printed.
const PRINTED: usize = 3;

/// What is wrong with the blame of a scenario.
pub(crate) fn of_scenario(path: &Path) -> Vec<String> {
    let mut lives = Lives::default();
    play_before(&Scenario::read(path), Told::Once, &mut |diagnosis| lives.check(diagnosis));
    lives.complaints
}

/// What is wrong with the blame of a recording.
pub(crate) fn of_recording(path: &Path) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut feed = match open(path, Speed::Max) {
            Ok(feed) => feed,
            Err(error) => return vec![error.to_string()],
        };
        let mut diagnosis = Diagnosis::new("recorded".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let mut lives = Lives::default();
        while let Some(arrived) = feed.events.recv().await {
            diagnosis.apply(arrived);
            lives.check(&diagnosis);
        }
        if lives.checked == 0 { vec!["there is nothing to blame anybody for".to_owned()] } else { lives.complaints }
    })
}

/// The lives of all tasks, counted by their births and ends alone.
#[derive(Default)]
struct Lives {
    epoch: u32,
    resets: u64,
    updates: u64,
    tasks: BTreeMap<TaskKey, Life>,
    /// Sites that lost a task to another, when it was introduced late.
    unsure: Vec<SiteKey>,
    checked: usize,
    complaints: Vec<String>,
}

#[derive(Clone, Copy)]
struct Life {
    site: SiteKey,
    born: Timestamp,
    ended: Option<Timestamp>,
}

impl Lives {
    fn check(&mut self, diagnosis: &Diagnosis) {
        if diagnosis.updates() == self.updates || self.complaints.len() >= PRINTED {
            return;
        }
        self.updates = diagnosis.updates();
        let model = diagnosis.model();
        let process = (model.epoch(), model.quality().clock_resets);
        if process != (self.epoch, self.resets) {
            *self = Self {
                epoch: process.0,
                resets: process.1,
                updates: self.updates,
                checked: self.checked,
                complaints: std::mem::take(&mut self.complaints),
                ..Self::default()
            };
        }
        for (key, task) in model.tasks() {
            let life = Life { site: task.site, born: task.stats.created, ended: task.stats.dropped };
            if let Some(before) = self.tasks.insert(key, life).filter(|before| before.site != life.site) {
                self.unsure.extend([before.site, life.site]);
            }
        }
        self.compare(diagnosis);
    }

    fn compare(&mut self, diagnosis: &Diagnosis) {
        let (model, blame) = (diagnosis.model(), diagnosis.evidence().blame());
        let (began, now) = (model.clock().began(), model.now());
        let mut lived: BTreeMap<SiteKey, i128> = BTreeMap::new();
        for life in self.tasks.values() {
            let (born, ended) = (life.born.max(began), life.ended.unwrap_or(now));
            // A task that is born while the update is made lives less than nothing at the time of the update.
            let early = if life.ended.is_none() { nanos(born.since(ended)) } else { 0 };
            *lived.entry(life.site).or_default() += nanos(ended.since(born)) - early;
        }
        let lived: BTreeMap<SiteKey, Duration> = lived.into_iter().map(|(key, nanos)| (key, duration(nanos))).collect();
        for (key, site) in &blame.sites {
            self.checked += 1;
            let sum: Duration = site.shares.iter().map(|share| share.time).sum();
            let expected = lived.get(key).copied().unwrap_or_default();
            let name = model.site(*key).map(|site| site.id.location.to_string()).unwrap_or_default();
            if sum != site.lived {
                self.complaints.push(format!("{name}: the shares are {sum:?} of {:?}", site.lived));
            }
            // Times of births and ends and that of the update are read one after the other.
            let tolerance = Duration::from_millis(1) + expected / 10_000;
            if !self.unsure.contains(key) && site.lived.abs_diff(expected) > tolerance {
                let at = now.since(began);
                self.complaints.push(format!("{name}: lived {:?} after {at:?}, not {expected:?}", site.lived));
            }
        }
        for (key, expected) in lived.iter().filter(|(_, lived)| **lived > Duration::from_millis(1)) {
            if model.site(*key).is_some() && !blame.sites.contains_key(key) && !self.unsure.contains(key) {
                self.complaints.push(format!("a site is left out whose tasks lived {expected:?}"));
            }
        }
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).expect("a short time")
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos.max(0)).expect("a short time"))
}
