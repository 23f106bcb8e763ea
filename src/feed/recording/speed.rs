//! How fast a recording is played.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded; positive and finite.
    Factor(f64),
    /// As fast as its reader takes it.
    Max,
}

/// The text is not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a speed; write a positive factor such as `1x`, `10x` or `0.5x`, or `max`")]
pub struct SpeedError {
    text: String,
}

impl Speed {
    /// As fast as it was recorded.
    pub const RECORDED: Self = Self::Factor(1.0);

    /// How long it takes to play so much of a recording.
    pub(super) fn playing_time(self, recorded: Duration) -> Duration {
        match self {
            Self::Factor(factor) => {
                Duration::try_from_secs_f64(recorded.as_secs_f64() / factor).unwrap_or(Duration::MAX)
            }
            Self::Max => Duration::ZERO,
        }
    }

    /// The part of a recording that is played within `played`; zero at maximum speed, which takes no time.
    pub(super) fn recorded_time(self, played: Duration) -> Duration {
        match self {
            Self::Factor(factor) => Duration::try_from_secs_f64(played.as_secs_f64() * factor).unwrap_or(Duration::MAX),
            Self::Max => Duration::ZERO,
        }
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::RECORDED
    }
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix(['x', 'X']).unwrap_or(text).parse::<f64>();
        match factor {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self::Factor(factor)),
            _ => Err(SpeedError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_factors_or_max() {
        for (text, speed) in [
            ("1x", Speed::RECORDED),
            ("10x", Speed::Factor(10.0)),
            ("0.5X", Speed::Factor(0.5)),
            ("3", Speed::Factor(3.0)),
            ("max", Speed::Max),
            ("MAX", Speed::Max),
        ] {
            assert_eq!(text.parse(), Ok(speed), "{text}");
        }
        assert_eq!(Speed::Factor(0.5).to_string().parse(), Ok(Speed::Factor(0.5)));
        assert_eq!(Speed::Max.to_string().parse(), Ok(Speed::Max));
    }

    #[test]
    fn what_is_no_speed_is_refused_with_examples() {
        for text in ["", "x", "0x", "-1x", "nan", "infx", "1xx", "fast", "1e999x"] {
            let error = text.parse::<Speed>().map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|it| it.contains("10x") && it.contains("max")), "{text}: {error:?}");
        }
    }

    #[test]
    fn playing_time_never_overflows() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Speed::Factor(2.0).playing_time(hour), hour / 2);
        assert_eq!(Speed::Factor(f64::MIN_POSITIVE).playing_time(hour), Duration::MAX);
        assert_eq!(Speed::Max.playing_time(Duration::MAX), Duration::ZERO);
    }
}
