//! How repeated findings are held back, as an option.

use std::time::Duration;

use super::period::Period;
use crate::detect::settings::{Type, Value};

/// For how long findings that come back are held back at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// Every event is delivered at once.
    Off,
    /// For this long, which is above zero.
    From(Duration),
}

/// The word for no limit.
const OFF: &str = "off";

impl RateLimit {
    /// The first time; `None` without a limit.
    pub fn first(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::From(first) => Some(first),
        }
    }
}

impl Type for RateLimit {
    fn parse(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self::Off);
        }
        let Period(first) = Period::parse(text).map_err(|error| format!("{error}, or `{OFF}`"))?;
        Ok(Self::From(first))
    }

    fn written(&self) -> String {
        self.first().map_or_else(|| OFF.to_owned(), |first| first.written())
    }

    fn erase(self) -> Value {
        Value::Duration(self.first().unwrap_or_default())
    }

    fn from_value(value: &Value) -> Option<Self> {
        let first = Duration::from_value(value)?;
        Some(if first.is_zero() { Self::Off } else { Self::From(first) })
    }
}
