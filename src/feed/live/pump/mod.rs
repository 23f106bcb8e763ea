//! Makes a target that lags hand over its buffered events faster.
//!
//! A target drains at most 127 events a turn, and a turn happens at each publish tick and at each call that reaches its aggregator. Asking for
//! the details of a task that cannot exist is such a call, and changes nothing. Each turn also walks all that the target keeps, so the
//! fewest turns that hand over everything are the best: full ones, just before the tick, so that the update has what they drained.

mod costs;
mod demand;
mod plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use console_api::Id;
use console_api::instrument::TaskDetailsRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Code;

use self::costs::Costs;
use self::demand::Demand;
pub(super) use self::demand::Observation;
use self::plan::batches;
use crate::feed::live::connect::Channel;
use crate::panics;

/// No `tracing` registry hands out this span id; 0 would be refused before it reaches the aggregator.
const NO_TASK: u64 = u64::MAX;

/// The share of an interval that calls may take, for each turn costs the target CPU.
const BUDGET: f64 = 0.08;

/// The same while the feed is late, unless calls are in vain.
const BUDGET_LATE: f64 = 0.33;

/// Assumed of a target before two of its updates have been seen.
const USUAL_INTERVAL: Duration = Duration::from_secs(1);

/// Longer intervals are not planned ahead.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// Calls by which the part of network and scheduling in the time of a call is measured at first.
const ROUND_TRIPS: usize = 3;

/// Batches between two measurements of it.
const REMEASURED: u32 = 8;

/// How long an answer is waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How much the newest interval counts in the mean of what calls take.
const NEWEST: f64 = 0.2;

/// The pump of one connection. Dropping it stops it.
pub(super) struct Pump {
    observations: watch::Sender<Option<Observation>>,
    /// Nanoseconds, about, that the target has worked on calls since it was last looked at.
    spent: Arc<AtomicU64>,
    /// Since when.
    since: Instant,
    /// The mean of it, in seconds a second.
    share: f64,
    _task: JoinSet<()>,
}

impl Pump {
    /// Starts it on a task of its own: its timing must not wait for a reader.
    pub(super) fn start(client: InstrumentClient<Channel>) -> Self {
        let (observations, receiver) = watch::channel(None);
        let spent = Arc::new(AtomicU64::new(0));
        let mut task = JoinSet::new();
        task.spawn(keep_calling(client, spent.clone(), receiver));
        Self { observations, spent, since: Instant::now(), share: 0.0, _task: task }
    }

    /// Plans the calls until the next update. Returns the approximate share of its time that the target spends on calls.
    pub(super) fn observe(&mut self, observation: Observation) -> f64 {
        let passed = observation.at.saturating_duration_since(std::mem::replace(&mut self.since, observation.at));
        let spent = Duration::from_nanos(self.spent.swap(0, Ordering::Relaxed));
        if !passed.is_zero() {
            self.share += (spent.div_duration_f64(passed) - self.share) * NEWEST;
        }
        self.observations.send_replace(Some(observation));
        self.share
    }
}

/// Calls, and starts over with the next update after a panic while reading an answer.
async fn keep_calling(
    client: InstrumentClient<Channel>,
    spent: Arc<AtomicU64>,
    mut observations: watch::Receiver<Option<Observation>>,
) {
    let calls = || Calls::new(client.clone(), spent.clone());
    while let Err(panicked) = panics::caught(calls().run(observations.clone())).await {
        tracing::warn!(%panicked, "the pump starts over with the next update");
        observations.mark_unchanged();
        if observations.changed().await.is_err() {
            return;
        }
    }
}

/// The calls of one connection.
struct Calls {
    client: InstrumentClient<Channel>,
    costs: Costs,
    /// Shared with [`Pump`].
    spent: Arc<AtomicU64>,
    /// Since the last plan.
    made: usize,
    /// Batches since the round trip was measured.
    batches: u32,
}

impl Calls {
    fn new(client: InstrumentClient<Channel>, spent: Arc<AtomicU64>) -> Self {
        Self { client, costs: Costs::default(), spent, made: 0, batches: 0 }
    }

    async fn run(mut self, mut observations: watch::Receiver<Option<Observation>>) {
        for _ in 0..ROUND_TRIPS {
            self.measure_round_trip().await;
        }
        let mut demand = Demand::default();
        loop {
            let seen = *observations.borrow_and_update();
            let made = std::mem::take(&mut self.made);
            // The next update ends what is left of the plan for this interval.
            tokio::select! {
                goes_on = self.carry_out(seen, &mut demand, made) => {
                    if !goes_on || observations.changed().await.is_err() {
                        return;
                    }
                }
                changed = observations.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Makes the calls that an update demands; `false` if more of them on this connection are pointless.
    async fn carry_out(&mut self, seen: Option<Observation>, demand: &mut Demand, made: usize) -> bool {
        let Some(seen) = seen else { return true };
        let interval = seen.interval.unwrap_or(USUAL_INTERVAL).min(LONGEST_INTERVAL);
        let budget = interval.mul_f64(if seen.is_late() { BUDGET_LATE } else { BUDGET });
        let wanted = demand.next(&seen, made, interval);
        let calls = affordable(wanted, budget, self.costs.of_call());
        tracing::debug!(?seen, made, wanted, calls, cost = ?self.costs.of_call(), "pump");
        let mut spent = Duration::ZERO;
        for batch in batches(seen.at, interval, calls, self.costs.of_call()) {
            sleep_until(batch.at).await;
            self.remeasure_round_trip().await;
            let Some(cost) = self.call(batch.calls).await else { return false };
            spent += cost;
            if spent >= budget {
                break;
            }
        }
        true
    }

    /// Makes a batch of calls, and returns what they cost the target; `None` if it cannot answer them.
    async fn call(&mut self, calls: usize) -> Option<Duration> {
        let began = Instant::now();
        self.made += calls;
        let answers = (0..calls).map(|_| call(self.client.clone(), Some(Id { id: NO_TASK })));
        let answered = futures_util::future::join_all(answers).await;
        let cost = self.costs.account(calls, began.elapsed());
        self.spent.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        answered.into_iter().all(|answered| answered).then_some(cost)
    }

    async fn remeasure_round_trip(&mut self) {
        self.batches += 1;
        if self.batches >= REMEASURED {
            self.batches = 0;
            self.measure_round_trip().await;
        }
    }

    /// Measures the time in which the target answers at all. A request without an id is refused before it reaches the aggregator.
    async fn measure_round_trip(&mut self) {
        let began = Instant::now();
        if call(self.client.clone(), None).await {
            self.costs.note_round_trip(began.elapsed());
        }
    }
}

/// How many of these calls a budget allows, but one always. What cannot be afforded is left out evenly: a budget that is used up early leaves
/// the lag at its largest when the update comes.
fn affordable(calls: usize, budget: Duration, cost: Duration) -> usize {
    let affordable = budget.as_nanos() / cost.as_nanos().max(1);
    calls.min(usize::try_from(affordable).unwrap_or(usize::MAX).max(1))
}

/// One call; `false` if the target cannot answer it.
async fn call(mut client: InstrumentClient<Channel>, id: Option<Id>) -> bool {
    match timeout(CALL_TIMEOUT, client.watch_task_details(TaskDetailsRequest { id })).await {
        Ok(Err(status)) => matches!(status.code(), Code::NotFound | Code::InvalidArgument),
        // That task exists after all, or the target is slow: no reason to stop.
        Ok(Ok(_)) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_fit_the_budget() {
        let (budget, cost) = (Duration::from_millis(80), Duration::from_millis(8));
        assert_eq!(affordable(400, budget, cost), 10);
        assert_eq!(affordable(5, budget, cost), 5);
        assert_eq!(affordable(5, budget, Duration::from_secs(9)), 1, "one call shows whether it has become cheaper");
        assert_eq!(affordable(5, budget, Duration::ZERO), 5);
    }
}
