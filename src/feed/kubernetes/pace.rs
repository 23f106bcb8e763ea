//! How often API servers are asked things, and time limits that do not count the waits that come of it.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Request;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tower::BoxError;
use tower::filter::AsyncFilterLayer;

tokio::task_local! {
    /// By how much the limit on what runs is extended: the sum of its waits for turns.
    static EXTENDED: watch::Sender<Duration>;
}

/// How often API servers are asked things.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests a second, over time.
    pub qps: f64,
    /// Requests at once.
    pub burst: u32,
}

impl Default for Rate {
    /// What kubectl allows itself.
    fn default() -> Self {
        Self { qps: 50.0, burst: 300 }
    }
}

/// The result of `work`, unless it takes longer than `limit`. Time spent waiting for the rate limit does not count.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let extended = watch::Sender::new(Duration::ZERO);
    let (mut work, begun) = (pin!(EXTENDED.scope(extended.clone(), work)), Instant::now());
    loop {
        let waited = *extended.borrow();
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = sleep_until(begun + limit + waited) => if *extended.borrow() == waited { return None },
        }
    }
}

/// A request that waits for its turn.
type Paced = BoxFuture<'static, Result<Request<Body>, BoxError>>;

/// A token bucket: limits requests to a rate, with bursts.
pub(super) struct Pace {
    rate: Rate,
    /// Turns that are left, and as of when.
    left: Mutex<(f64, Instant)>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, left: Mutex::new((f64::from(rate.burst.max(1)), Instant::now())) }
    }

    /// What lets each request of a service wait for its turn.
    pub(super) fn layer(self: &Arc<Self>) -> AsyncFilterLayer<impl Fn(Request<Body>) -> Paced + Clone + use<>> {
        let pace = Arc::clone(self);
        AsyncFilterLayer::new(move |request| -> Paced {
            let pace = Arc::clone(&pace);
            Box::pin(async move {
                pace.turn().await;
                Ok(request)
            })
        })
    }

    /// Waits for a turn. The wait is ours, and no time limit on what it is for counts it.
    pub(super) async fn turn(&self) {
        while let Some(wait) = self.take() {
            // Outside of a limit there is nothing to extend.
            let _ = EXTENDED.try_with(|extended| extended.send_modify(|sum| *sum += wait));
            sleep(wait).await;
        }
    }

    /// Takes a turn, or says how long until there is one.
    fn take(&self) -> Option<Duration> {
        let mut state = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, as_of) = *state;
        let now = Instant::now();
        let earned = now.duration_since(as_of).as_secs_f64() * self.rate.qps;
        let left = (left + earned).min(f64::from(self.rate.burst.max(1)));
        let is_there = left >= 1.0;
        *state = (if is_there { left - 1.0 } else { left }, now);
        (!is_there).then(|| Duration::from_secs_f64(((1.0 - left) / self.rate.qps.max(0.01)).min(60.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_come_in_bursts_and_then_at_their_rate() {
        let pace = Pace::new(Rate { qps: 10.0, burst: 5 });
        let began = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.turn().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((1.9..2.2).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_turn_is_no_part_of_a_time_limit() {
        let (pace, limit) = (Pace::new(Rate { qps: 0.1, burst: 1 }), Duration::from_secs(2));
        let began = Instant::now();
        let asked = within(limit, async {
            for _ in 0..3 {
                pace.turn().await;
                sleep(Duration::from_millis(500)).await;
            }
        });
        assert_eq!(asked.await, Some(()), "it asks for 1.5 s, and waits for 20 s");
        assert!(began.elapsed() > Duration::from_secs(18), "{:?}", began.elapsed());
        let began = Instant::now();
        let slow = within(limit, async {
            pace.turn().await;
            pending::<()>().await;
        });
        assert_eq!(slow.await, None, "whoever does not answer is given up");
        assert!((11.0..13.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }
}
