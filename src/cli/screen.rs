//! What the terminal shows first.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};

use super::complete::{Completed, detectors};
use crate::detect::selector::Selector;

/// What the terminal shows first.
#[derive(Debug, Clone, Default, Args)]
pub struct ScreenArgs {
    /// Time at which to pause a recording: an offset such as 01:30 or 90s, or a time such as 2026-11-27T00:15:30Z.
    #[arg(long, value_name = "TIME")]
    pub at: Option<When>,
    /// Finding whose page to open as soon as it exists: a detector (deadlock), a detector at a place (deadlock@src/bank.rs:41), or the
    /// beginning of a fingerprint (deadlock:3f2a).
    #[arg(long, value_name = "FINDING", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(StringValueParser::new().try_map(|text| text.parse::<Selector>()), detectors))]
    pub open: Option<Selector>,
}

/// A time in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After its begin.
    After(Duration),
    /// A time of the day.
    At(SystemTime),
}

impl When {
    /// The time that it means in a recording with this begin.
    pub fn from(self, begins: SystemTime) -> SystemTime {
        match self {
            Self::After(offset) => begins.checked_add(offset).unwrap_or(begins),
            Self::At(time) => time,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = humantime::parse_rfc3339_weak(text).ok().map(Self::At);
        let offset = || clock(text).or_else(|| humantime::parse_duration(text).ok()).map(Self::After);
        time.or_else(offset).ok_or_else(|| {
            "not a time; write an offset like 01:30 or 90s, or a time like 2026-11-27T00:15:30Z".to_owned()
        })
    }
}

/// An offset such as `01:30` or `1:02:03`.
fn clock(text: &str) -> Option<Duration> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) || parts[1..].iter().any(|part| part.len() != 2) {
        return None;
    }
    let numbers = parts.iter().map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<u32>>>()?;
    if numbers[1..].iter().any(|number| *number >= 60) {
        return None;
    }
    Some(Duration::from_secs(numbers.iter().fold(0, |sum, number| 60 * sum + u64::from(*number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_offset_or_a_time_of_the_day() {
        let seconds = |seconds| Ok(When::After(Duration::from_secs(seconds)));
        assert_eq!("00:07".parse(), seconds(7));
        assert_eq!("1:02:03".parse(), seconds(3_723));
        assert_eq!("90s".parse(), seconds(90));
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!("1970-01-02T00:00:00Z".parse(), Ok(When::At(midnight)));
        assert_eq!(When::After(Duration::from_secs(5)).from(midnight), midnight + Duration::from_secs(5));
        for wrong in ["", "7", "1:2", "00:60", "1:2:3:4", "noon", "-5s"] {
            assert!(wrong.parse::<When>().is_err_and(|error| error.contains("01:30")), "{wrong}");
        }
    }
}
