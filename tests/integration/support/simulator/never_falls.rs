//! What holds after every update of every scenario: no sum over everything that was seen ever falls.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_canary::model::Model;
use tokio_canary::model::history::activity::Activity;

/// The sums after the update before.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    activity: Activity,
    waited: BTreeMap<String, Duration>,
}

impl Sums {
    /// Compares them with those after one more update.
    pub(crate) fn observe(&mut self, model: &Model) {
        let now = *model.totals().activity.total();
        let before = std::mem::replace(&mut self.activity, now);
        let has_fallen = now.polls < before.polls
            || now.busy < before.busy
            || now.wakes < before.wakes
            || now.scheduled < before.scheduled;
        assert!(!has_fallen, "{before:?} has become {now:?}");
        for (place, total) in model.totals().waits.rows() {
            let waited = total.waited(model.now());
            let before = self.waited.insert(format!("{place:?}"), waited).unwrap_or_default();
            assert!(waited >= before, "{before:?} of waits have become {waited:?} at {place:?}");
        }
    }
}
