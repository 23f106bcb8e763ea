//! A number of both sides of a comparison, side by side.

use crate::compare::{Level, Measurement, Subject};
use crate::words;

/// A number of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasurementRow {
    /// Which number.
    pub what: &'static str,
    /// Of what; empty for all tasks of a target.
    pub of: String,
    /// Its value on the canary.
    pub canary: String,
    /// Its value on stable.
    pub stable: String,
    /// How many times that is, after allowing for the load.
    pub ratio: String,
    /// How the difference is rated; empty if it does not count.
    pub judged: &'static str,
    /// Whether it is a regression.
    pub counts: bool,
}

impl MeasurementRow {
    /// A measurement in words.
    pub(super) fn of(it: &Measurement) -> Self {
        let (what, subject) = (it.metric.what, &it.metric.subject);
        let value = |value: f64| words::measure(value, what.unit());
        let of = match subject {
            Subject::Target => String::new(),
            subject => subject.to_string(),
        };
        let judged = match it.level {
            Level::Higher => "regression",
            Level::Unsure => "may be chance",
            Level::Alike => "",
            Level::OfLoad => "more load",
        };
        // Beside nothing, a ratio would say anything.
        let ratio = if it.stable > 0.0 { times(it.ratio) } else { "-".to_owned() };
        let counts = it.level == Level::Higher;
        Self { what: what.describe(), of, canary: value(it.canary), stable: value(it.stable), ratio, judged, counts }
    }
}

/// A ratio with the digits that tell 1.04 from 1.
fn times(ratio: f64) -> String {
    if ratio < 9.995 { format!("{ratio:.2}") } else { words::decimal(ratio) }
}
