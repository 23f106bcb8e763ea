//! What one source of the configuration says.

use super::origin::Sourced;
use super::output::Output;
use super::receiver::Receiver;
use crate::detect::assignment::Assignment;
use crate::detect::settings::{AnySetting, Given, Value};
use crate::detect::suppression::Suppression;
use crate::feed::endpoint::Target;

/// An option with the value that somebody gave it.
#[derive(Debug, Clone)]
pub(super) struct OptionValue {
    /// Which option.
    pub(super) option: &'static dyn AnySetting,
    /// Its value, of the option's own type.
    pub(super) value: Value,
}

impl OptionValue {
    /// Gives a value to an option.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(super) fn new(option: &'static dyn AnySetting, given: &Given) -> Result<Self, String> {
        let value = option.read(given).map_err(|error| format!("{}: {error}", option.key()))?;
        Ok(Self { option, value })
    }
}

/// What one source of the configuration says. Where it says nothing about something, a weaker source does.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Options of the run; the last of one name counts.
    pub(super) options: Vec<Sourced<OptionValue>>,
    /// Settings of detectors; the last of one name counts.
    pub(super) settings: Vec<Sourced<Assignment>>,
    /// What to look at.
    pub(super) targets: Option<Sourced<Vec<Target>>>,
    /// Where to write; nothing is said if there are none.
    pub(super) outputs: Vec<Sourced<Output>>,
    /// Who gets alerts; those of a kind replace all of that kind.
    pub(super) receivers: Vec<Sourced<Receiver>>,
    /// Findings that do not count.
    pub(super) suppressions: Vec<Sourced<Suppression>>,
}

/// Reads the name of a target.
///
/// # Errors
/// Why it is not one.
pub(super) fn target(name: &str) -> Result<Target, String> {
    name.parse::<Target>().map_err(|error| {
        // What a target looks like follows on further lines.
        let message = error.to_string();
        message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
    })
}
