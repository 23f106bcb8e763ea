//! How the lag of a feed develops: whether the target catches up, and when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::time::Timestamp;

/// How far back the trend looks: a burst of less than that is none.
const WINDOW: Duration = Duration::from_secs(10);
/// How many measurements tell a trend,
const FEWEST: usize = 3;
/// and over how long.
const SHORTEST: Duration = Duration::from_secs(2);
/// Measurements that are kept at most, however short the publish interval.
const MOST: usize = 64;
/// A lag that falls by less than this in a second is not caught up with in any time worth naming.
const SLOWEST: Duration = Duration::from_millis(50);

/// What becomes of a lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// At its present pace the target has caught up after this long.
    CatchesUp(Duration),
    /// It does not: the lag grows by this much in a second, perhaps by nothing.
    FallsBehind(Duration),
}

/// The last lags that were measured, without a break.
#[derive(Debug, Clone, Default)]
pub struct LagTrend {
    measured: VecDeque<(Timestamp, Duration)>,
}

impl LagTrend {
    /// Takes in the lag in an update at `now`; one that cannot be told, or is none, ends the trend.
    pub fn note(&mut self, now: Timestamp, lag: Option<Duration>) {
        let Some(lag) = lag else {
            self.measured.clear();
            return;
        };
        if self.measured.len() == MOST {
            // The oldest ones stay: a trend over less time than `SHORTEST` is none.
            self.measured.pop_back();
        }
        self.measured.push_back((now, lag));
        while self.measured.len() > FEWEST && self.measured.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.measured.pop_front();
        }
    }

    /// What becomes of the lag; `None` before that can be told.
    pub fn outlook(&self) -> Option<Outlook> {
        let ((began, first), (now, last)) = (self.measured.front()?, self.measured.back()?);
        let length = now.since(*began);
        if self.measured.len() < FEWEST || length < SHORTEST {
            return None;
        }
        let per_second = |change: Duration| change.div_duration_f64(length);
        let falls = per_second(first.saturating_sub(*last));
        if falls >= SLOWEST.as_secs_f64() {
            return Some(Outlook::CatchesUp(last.div_f64(falls)));
        }
        Some(Outlook::FallsBehind(Duration::from_secs_f64(per_second(last.saturating_sub(*first)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outlook after these lags, in milliseconds, at a fixed distance.
    fn outlook(interval: u64, lags: &[u64]) -> Option<Outlook> {
        let mut trend = LagTrend::default();
        for (nth, lag) in (1..).zip(lags) {
            trend.note(Timestamp::from_nanos(nth * interval * 1_000_000), Some(Duration::from_millis(*lag)));
        }
        trend.outlook()
    }

    #[test]
    fn a_lag_that_falls_ends_at_that_pace() {
        let left = Duration::from_secs(6);
        assert_eq!(outlook(1_000, &[6_000, 5_000, 4_000, 3_000]).map(rounded), Some(Outlook::CatchesUp(left / 2)));
        assert_eq!(outlook(1_000, &[4_000, 3_500, 3_000]).map(rounded), Some(Outlook::CatchesUp(left)));
    }

    #[test]
    fn a_lag_that_stays_or_grows_falls_behind() {
        let by = |millis| Some(Outlook::FallsBehind(Duration::from_millis(millis)));
        assert_eq!(outlook(1_000, &[5_000, 5_000, 5_000]), by(0));
        assert_eq!(outlook(1_000, &[5_000, 4_990, 4_980]), by(0));
        assert_eq!(outlook(1_000, &[5_000, 5_900, 6_600]).map(rounded), by(800));
    }

    #[test]
    fn too_little_tells_nothing() {
        assert_eq!(outlook(1_000, &[5_000, 4_000]), None);
        assert_eq!(outlook(10, &[5_000, 4_000, 3_000, 2_000]), None);
        let mut trend = LagTrend::default();
        for second in 1..9 {
            let lag = (second != 7).then_some(Duration::from_secs(5));
            trend.note(Timestamp::from_nanos(second * 1_000_000_000), lag);
        }
        assert_eq!(trend.outlook(), None, "its measurements were interrupted");
    }

    #[test]
    fn any_interval_between_updates_has_a_trend() {
        let falling: Vec<u64> = (0..1_000).map(|nth| 60_000 - 10 * nth).collect();
        assert_eq!(outlook(10, &falling).map(rounded), Some(Outlook::CatchesUp(Duration::from_secs(50))));
        assert!(matches!(outlook(20_000, &[9_000, 8_000, 5_000, 3_000]), Some(Outlook::CatchesUp(_))));
    }

    /// To a tenth of a second: the pace is a fraction.
    fn rounded(outlook: Outlook) -> Outlook {
        let round = |it: Duration| Duration::from_millis(u64::try_from((it.as_millis() + 50) / 100).unwrap() * 100);
        match outlook {
            Outlook::CatchesUp(left) => Outlook::CatchesUp(round(left)),
            Outlook::FallsBehind(by) => Outlook::FallsBehind(round(by)),
        }
    }
}
