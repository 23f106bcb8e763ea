//! Words that a shell offers for an argument which takes more than these words.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

use crate::config::output::Format;
use crate::config::word::Word;
use crate::detect::detectors::DETECTORS;

/// Reads what another parser reads, and offers words to begin with.
#[derive(Debug, Clone)]
pub(super) struct Completed<P> {
    parser: P,
    words: fn() -> Vec<String>,
}

impl<P> Completed<P> {
    /// Offers these words.
    pub(super) fn new(parser: P, words: fn() -> Vec<String>) -> Self {
        Self { parser, words }
    }
}

impl<P: TypedValueParser> TypedValueParser for Completed<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        self.parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.words)().into_iter().map(PossibleValue::new)))
    }
}

/// All formats of outputs.
pub(super) fn formats() -> Vec<String> {
    Format::ALL.iter().map(|format| format.word().to_owned()).collect()
}

/// The formats that are lines.
pub(super) fn line_formats() -> Vec<String> {
    Format::ALL.iter().filter(|format| !format.is_document()).map(|format| format.word().to_owned()).collect()
}

/// All detectors.
pub(super) fn detectors() -> Vec<String> {
    DETECTORS.iter().map(|detector| detector.id.to_owned()).collect()
}

/// All settings of detectors, as far as the value: `blocked-worker.critical=`.
pub(super) fn settings() -> Vec<String> {
    let all = DETECTORS.iter().flat_map(|it| it.all_settings().map(|setting| (it.id, setting.key())));
    all.map(|(id, key)| format!("{id}.{key}=")).collect()
}
