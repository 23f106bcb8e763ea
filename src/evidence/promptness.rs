//! Whether woken tasks are polled at once, told by those of all spawn sites but one.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::time::Timestamp;
use crate::model::{Model, SiteKey};

/// Tasks are polled at once where more than half of them are this soon.
const PROMPT: Duration = Duration::from_millis(2);

/// How many delays since a time were sampled, and how many of them were short.
#[derive(Debug, Default)]
pub(super) struct Promptness {
    all: Delayed,
    by_site: FxHashMap<SiteKey, Delayed>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Delayed {
    sampled: usize,
    short: usize,
}

impl Delayed {
    fn note(&mut self, is_short: bool) {
        self.sampled += 1;
        self.short += usize::from(is_short);
    }
}

impl Promptness {
    /// Counts the delays since a time, once for all sites.
    pub(super) fn since(model: &Model, from: Timestamp) -> Self {
        let mut promptness = Self::default();
        for delay in model.delays().since(from) {
            let is_short = delay.mean < PROMPT;
            promptness.all.note(is_short);
            promptness.by_site.entry(delay.site).or_default().note(is_short);
        }
        promptness
    }

    /// Whether the tasks of all sites but one are polled at once. Where no others were woken that is not known, and they are not.
    pub(super) fn is_given_beside(&self, site: SiteKey) -> bool {
        let own = self.by_site.get(&site).copied().unwrap_or_default();
        self.all.short - own.short > (self.all.sampled - own.sampled) / 2
    }
}
