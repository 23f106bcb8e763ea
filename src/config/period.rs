//! A length of time as an option.

use std::time::Duration;

use crate::detect::settings::{Type, Value};

/// A length of time above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Type for Period {
    fn parse(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(duration) if !duration.is_zero() => Ok(Self(duration)),
            _ => Err(format!("`{text}` is not a duration above zero; write it like 500ms, 30s or 2m")),
        }
    }

    fn written(&self) -> String {
        self.0.written()
    }

    fn erase(self) -> Value {
        self.0.erase()
    }

    fn from_value(value: &Value) -> Option<Self> {
        Duration::from_value(value).map(Self)
    }
}
