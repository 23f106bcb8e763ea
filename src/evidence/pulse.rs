//! How a process does as a whole, apart from any fault: how busy its tasks are, and how long woken tasks wait for a worker.

use std::rc::Rc;
use std::time::Duration;

use super::delays::DelayQuantiles;
use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::time::Timestamp;

/// The time over which delays are taken: short enough to show a change at once, long enough for slow publish intervals.
const WINDOW: Duration = Duration::from_secs(10);

impl Evidence<'_> {
    /// How long the polls of the service's tasks have taken so far, those that run included: differences say how busy it was meanwhile. It is less
    /// than before where a poll turned out only to seem to run.
    pub fn busy_so_far(&self) -> Duration {
        let running = self.busy_polls().into_iter().filter(|poll| self.is_of_service(poll.site)).map(|poll| poll.age);
        self.totals().activity.total().busy + running.sum::<Duration>()
    }

    /// How long woken tasks waited for a worker lately; nothing if none was woken.
    pub fn delay_quantiles(&self) -> Option<DelayQuantiles> {
        self.delay_quantiles_since(self.now().minus(WINDOW))
    }

    /// The quantiles of what was reported at `from` or later.
    pub fn delay_quantiles_since(&self, from: Timestamp) -> Option<DelayQuantiles> {
        let lately = self.delays().since(from).filter(|delay| self.is_of_service(delay.site));
        DelayQuantiles::of(lately.map(|delay| delay.mean).collect())
    }

    /// How long woken tasks of a site waited for a worker in a window; nothing if none of them was woken.
    pub fn delay_quantiles_of(&self, site: SiteKey, window: Duration) -> Option<DelayQuantiles> {
        let from = self.now().minus(window);
        let by_site = self.delays_by_site.get(from, || Rc::new(DelayQuantiles::by_site(self.model(), from)));
        by_site.get(&site).copied()
    }

    /// Whether the tasks of a site are not console-subscriber's, which work for whoever watches.
    fn is_of_service(&self, site: SiteKey) -> bool {
        self.site(site).is_none_or(|site| !site.is_of_console)
    }
}
