//! Makes a target that lags hand over its buffered events faster.
//!
//! A target drains at most 127 events a turn, and a turn happens at each publish tick and at each call that reaches its aggregator. Asking for
//! the details of a task that cannot exist is such a call, and changes nothing. When to ask matters more than how often: the last calls
//! come just before the expected tick, so that the update has what they drained.

use std::collections::VecDeque;
use std::time::Duration;

use console_api::Id;
use console_api::instrument::TaskDetailsRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Code;
use tonic::transport::Channel;

use crate::feed::lag::News;
use crate::panics;

/// No `tracing` registry hands out this span id; 0 would be refused before it reaches the aggregator.
const NO_TASK: u64 = u64::MAX;

/// Above this the feed is late: the calls are doubled, and may cost more. What needs to have seen everything is judged up to a second.
const TOLERATED_LAG: Duration = Duration::from_millis(400);

/// What one turn drains, with some reserve: the rule for the number of calls counts on less than the 127.
const EVENTS_PER_CALL: usize = 100;

/// Calls beyond what the last update needed, so that a backlog shows itself as more events.
const SPARE_CALLS: usize = 3;

/// Calls in the first interval, before anything is known of the backlog.
const CALLS_ON_ATTACH: usize = 64;

/// Doubling ends here; the time budget usually ends it earlier.
const MAX_CALLS: usize = 4096;

/// The share of an interval that calls may take, for each turn costs the target CPU.
const BUDGET: f64 = 0.08;

/// The same while the feed is late, unless no pumping helps.
const BUDGET_LATE: f64 = 0.33;

/// Above this lag no pumping helps where the lag grows all the same. A target that kept much when it was attached to begins so late, too,
/// but catches up.
const HOPELESS: Duration = Duration::from_secs(20);

/// Assumed of a target before two of its updates have been seen.
const USUAL_INTERVAL: Duration = Duration::from_secs(1);

/// Assumed cost of a call before one was made.
const USUAL_COST: Duration = Duration::from_micros(500);

/// A cost of more than so many times the usual one counts as so many times.
const OUTLIER: u32 = 4;

/// Longer intervals are not planned ahead.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// How long before the expected tick the last calls begin, and end.
const LAST_FROM: Duration = Duration::from_millis(50);
const LAST_UNTIL: Duration = Duration::from_millis(10);

/// How many calls are kept for that moment at least.
const LAST_CALLS: usize = 3;

/// Calls by which the part of network and scheduling in the time of a call is measured at first.
const ROUND_TRIPS: usize = 3;

/// The last ones of these calls that count: a machine may get busy later.
const ROUND_TRIPS_KEPT: usize = 5;

/// How long an answer is waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// What an update says about how far the target is behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    /// When the update came.
    pub(super) at: Instant,
    /// How many came on this connection, this one included.
    pub(super) nth: u32,
    /// From one update to the next, where it is known.
    pub(super) interval: Option<Duration>,
    pub(super) news: News,
    pub(super) lag: Option<Duration>,
}

/// The pump of one connection. Dropping it stops it.
pub(super) struct Pump {
    observations: watch::Sender<Option<Observation>>,
    _task: JoinSet<()>,
}

impl Pump {
    /// Starts it on a task of its own: its timing must not wait for a reader.
    pub(super) fn start(client: InstrumentClient<Channel>) -> Self {
        let (observations, receiver) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(keep_running(client, receiver));
        Self { observations, _task: task }
    }

    /// Plans anew, from the latest update.
    pub(super) fn observe(&self, observation: Observation) {
        self.observations.send_replace(Some(observation));
    }
}

/// Begins anew with the next update where reading an answer has panicked.
async fn keep_running(client: InstrumentClient<Channel>, mut observations: watch::Receiver<Option<Observation>>) {
    while let Err(panicked) = panics::caught(run(client.clone(), observations.clone())).await {
        tracing::warn!(%panicked, "the pump begins anew with the next update");
        observations.mark_unchanged();
        if observations.changed().await.is_err() {
            return;
        }
    }
}

async fn run(mut client: InstrumentClient<Channel>, mut observations: watch::Receiver<Option<Observation>>) {
    let mut costs = Costs::default();
    for _ in 0..ROUND_TRIPS {
        costs.measure_round_trip(&mut client).await;
    }
    let (mut calls, mut last_lag) = (0, None);
    loop {
        let seen = *observations.borrow_and_update();
        let plan = seen.map(|seen| {
            calls = calls_needed(calls, &seen);
            let plan = Plan::new(&seen, last_lag, calls, costs.of_call);
            last_lag = seen.lag.or(last_lag);
            plan
        });
        // The next update ends what is left of the plan for this interval.
        tokio::select! {
            goes_on = carry_out(plan, &mut client, &mut costs) => {
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

/// Makes the planned calls; `false` if more of them on this connection are pointless.
async fn carry_out(plan: Option<Plan>, client: &mut InstrumentClient<Channel>, costs: &mut Costs) -> bool {
    let Some(plan) = plan else { return true };
    let mut spent = Duration::ZERO;
    for (nth, at) in plan.calls.into_iter().enumerate() {
        sleep_until(at).await;
        if nth == 0 {
            costs.measure_round_trip(client).await;
        }
        let began = Instant::now();
        if !call(client, Some(Id { id: NO_TASK })).await {
            return false;
        }
        spent += costs.account(began.elapsed());
        if spent >= plan.budget {
            break;
        }
    }
    true
}

/// One call; `false` if the target cannot answer it.
async fn call(client: &mut InstrumentClient<Channel>, id: Option<Id>) -> bool {
    match timeout(CALL_TIMEOUT, client.watch_task_details(TaskDetailsRequest { id })).await {
        Ok(Err(status)) => matches!(status.code(), Code::NotFound | Code::InvalidArgument),
        // That task exists after all, or the target is slow: no reason to stop.
        Ok(Ok(_)) | Err(_) => true,
    }
}

/// What calls have cost so far.
struct Costs {
    /// Of the last answers that took no work: the part of network and scheduling, not the target's.
    round_trips: VecDeque<Duration>,
    /// Running mean of the rest.
    of_call: Duration,
}

impl Default for Costs {
    fn default() -> Self {
        Self { round_trips: VecDeque::new(), of_call: USUAL_COST }
    }
}

impl Costs {
    /// The target's part of a call that took so long.
    fn account(&mut self, took: Duration) -> Duration {
        let cost = took.saturating_sub(self.round_trip());
        // One call that met a stopped process says nothing about the next: the mean follows it by a bounded step only.
        let usual = cost.min(self.of_call.max(USUAL_COST) * OUTLIER);
        self.of_call = (self.of_call * 7 + usual) / 8;
        cost
    }

    /// Measures the time in which the target answers at all. A request without an id is refused before it reaches the aggregator.
    async fn measure_round_trip(&mut self, client: &mut InstrumentClient<Channel>) {
        let began = Instant::now();
        if call(client, None).await {
            self.note_round_trip(began.elapsed());
        }
    }

    fn note_round_trip(&mut self, took: Duration) {
        if self.round_trips.len() == ROUND_TRIPS_KEPT {
            self.round_trips.pop_front();
        }
        self.round_trips.push_back(took);
    }

    /// The median of the last ones, which one that met a stopped process does not move.
    fn round_trip(&self) -> Duration {
        let mut sorted: Vec<Duration> = self.round_trips.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    }
}

/// How many calls to make until the next update, given how many were planned until this one.
fn calls_needed(before: usize, seen: &Observation) -> usize {
    let needed = seen.news.total() / EVENTS_PER_CALL + SPARE_CALLS;
    let eased = before - before / 4;
    let lags = seen.lag.is_some_and(|lag| lag > TOLERATED_LAG);
    let calls = if seen.nth <= 1 {
        CALLS_ON_ATTACH
    } else if lags {
        needed.max(before.saturating_mul(2))
    } else if seen.news.total() >= EVENTS_PER_CALL || seen.news.dropped > 0 {
        needed.max(eased)
    } else {
        // Less than a turn's worth came: nothing is held back.
        0
    };
    calls.min(MAX_CALLS)
}

/// When to call until the next update.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    calls: Vec<Instant>,
    /// The calls end when they have cost so much.
    budget: Duration,
}

impl Plan {
    /// `last_lag` is the lag that was reported before.
    fn new(seen: &Observation, last_lag: Option<Duration>, calls: usize, cost: Duration) -> Self {
        let interval = seen.interval.unwrap_or(USUAL_INTERVAL).min(LONGEST_INTERVAL);
        let helps = |lag| lag < HOPELESS || last_lag.is_none_or(|last| lag <= last);
        let late = seen.lag.is_some_and(|lag| lag > TOLERATED_LAG && helps(lag));
        let budget = interval.mul_f64(if late { BUDGET_LATE } else { BUDGET });
        // What cannot be afforded is left out evenly: a budget that is used up early leaves the lag at its largest when the update comes.
        let affordable = budget.as_nanos() / cost.as_nanos().max(1);
        let calls = calls.min(usize::try_from(affordable).unwrap_or(usize::MAX).max(1));
        Self { calls: offsets(interval, calls).map(|offset| seen.at + offset).collect(), budget }
    }
}

/// Spreads calls over an interval: most of them evenly, the last ones 50 to 10 ms before its end, or in its last half if it is short.
fn offsets(interval: Duration, calls: usize) -> impl Iterator<Item = Duration> {
    let last = (calls / 8).max(LAST_CALLS).min(calls);
    let first = calls - last;
    let from = interval.saturating_sub(LAST_FROM.min(interval / 2));
    let until = interval.saturating_sub(LAST_UNTIL.min(interval / 10));
    #[expect(clippy::cast_precision_loss, reason = "a few hundred calls at most")]
    let part = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let spread = (0..first).map(move |n| from.mul_f64(part(n + 1, first + 1)));
    let at_end = (0..last).map(move |n| from + until.saturating_sub(from).mul_f64(part(n, last.saturating_sub(1))));
    spread.chain(at_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(nth: u32, events: usize, lag: Option<u64>) -> Observation {
        Observation {
            at: Instant::now(),
            nth,
            interval: Some(Duration::from_secs(1)),
            news: News { births: events, ..News::default() },
            lag: lag.map(Duration::from_millis),
        }
    }

    #[test]
    fn pumps_on_attach_and_stops_when_nothing_is_held_back() {
        let first = calls_needed(0, &seen(1, 5_000, None));
        assert_eq!(first, CALLS_ON_ATTACH);
        assert_eq!(calls_needed(first, &seen(2, 40, None)), 0);
        assert_eq!(calls_needed(0, &seen(3, 99, None)), 0);
    }

    #[test]
    fn a_feed_that_is_late_but_not_hopeless_may_cost_more() {
        let budget = |last: Option<u64>, lag| {
            Plan::new(&seen(5, 5_000, Some(lag)), last.map(Duration::from_millis), 4_096, USUAL_COST).budget
        };
        let usual = budget(None, 300);
        assert!(budget(Some(2_000), 3_000) > usual);
        assert!(budget(None, 60_000) > usual, "it may still catch up");
        assert!(budget(Some(60_000), 59_000) > usual, "it catches up");
        assert!(budget(Some(60_000), 60_000) > usual, "it does not fall back");
        assert_eq!(budget(Some(60_000), 61_000), usual, "no pumping helps");
    }

    #[test]
    fn a_machine_that_got_busy_is_not_charged_to_the_target() {
        let mut costs = Costs::default();
        (0..ROUND_TRIPS).for_each(|_| costs.note_round_trip(Duration::from_micros(300)));
        assert_eq!(costs.account(Duration::from_millis(9)), Duration::from_micros(8_700));
        (0..ROUND_TRIPS_KEPT).for_each(|_| costs.note_round_trip(Duration::from_millis(8)));
        assert_eq!(costs.account(Duration::from_millis(9)), Duration::from_millis(1));
        costs.note_round_trip(CALL_TIMEOUT);
        assert_eq!(costs.round_trip(), Duration::from_millis(8), "one stop does not make a busy machine");
    }

    #[test]
    fn a_lag_doubles_the_calls_up_to_a_limit() {
        let mut calls = 3;
        for _ in 0..5 {
            let next = calls_needed(calls, &seen(5, 127, Some(900)));
            assert_eq!(next, calls * 2);
            calls = next;
        }
        assert_eq!(calls_needed(MAX_CALLS, &seen(5, 127, Some(900))), MAX_CALLS);
        assert_eq!(
            calls_needed(0, &seen(5, 127, Some(900))),
            4,
            "a lag after a rest starts from what the last update needed"
        );
    }

    #[test]
    fn without_a_lag_the_calls_fall_by_a_quarter_to_what_the_volume_needs() {
        assert_eq!(calls_needed(100, &seen(5, 1_900, Some(20))), 75);
        assert_eq!(calls_needed(22, &seen(5, 1_900, Some(20))), 22);
    }

    #[test]
    fn dropped_events_alone_make_it_pump() {
        let mut seen = seen(5, 10, None);
        seen.news.dropped = 1;
        assert_eq!(calls_needed(0, &seen), SPARE_CALLS);
    }

    #[test]
    fn the_last_calls_come_just_before_the_tick() {
        let second = Duration::from_secs(1);
        let all: Vec<_> = offsets(second, 40).collect();
        assert_eq!(all.len(), 40);
        assert!(all.is_sorted());
        let last: Vec<_> = all.iter().filter(|at| **at >= Duration::from_millis(950)).collect();
        assert_eq!(last.len(), 5);
        assert_eq!(last.last(), Some(&&Duration::from_millis(990)));
        let gap = all.windows(2).filter_map(|pair| pair.get(1)?.checked_sub(*pair.first()?)).max();
        assert!(gap < Some(Duration::from_millis(40)), "{gap:?}");
    }

    #[test]
    fn any_interval_and_number_of_calls_has_a_plan_within_the_interval() {
        for interval in [0, 1, 10, 100, 1_000, 10_000].map(Duration::from_millis) {
            for calls in [0, 1, 2, 3, 4, 100, MAX_CALLS] {
                let all: Vec<_> = offsets(interval, calls).collect();
                assert_eq!(all.len(), calls);
                assert!(all.is_sorted() && all.iter().all(|at| *at <= interval), "{interval:?} {calls}");
            }
        }
    }

    #[test]
    fn the_calls_fit_the_budget() {
        let cost = Duration::from_millis(8);
        let plan = Plan::new(&seen(5, 0, None), None, 400, cost);
        assert_eq!(plan.budget, Duration::from_millis(80));
        assert_eq!(plan.calls.len(), 10);
        let endless = Observation { interval: Some(Duration::MAX), ..seen(5, 0, None) };
        assert!(Plan::new(&endless, None, MAX_CALLS, Duration::ZERO).calls.len() == MAX_CALLS);
    }

    #[test]
    fn a_process_that_stood_still_does_not_stop_the_pump() {
        let mut costs = Costs { of_call: Duration::from_millis(1), ..Costs::default() };
        costs.account(CALL_TIMEOUT);
        assert!(Plan::new(&seen(5, 0, None), None, 400, costs.of_call).calls.len() > 50);
    }

    #[test]
    fn the_network_is_not_charged_to_the_target() {
        let mut costs = Costs::default();
        costs.note_round_trip(Duration::from_millis(20));
        assert_eq!(costs.account(Duration::from_millis(21)), Duration::from_millis(1));
        assert_eq!(costs.account(Duration::from_millis(3)), Duration::ZERO);
    }
}
