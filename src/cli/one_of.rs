//! Options whose values are a few words.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::config::word::Word;
use crate::detect::settings::Type;

/// Reads one of a few words, and lists them in help, errors and completions.
pub(super) fn one_of<T: Word + Send>() -> impl TypedValueParser<Value = T> {
    let value = |value: &T| PossibleValue::new(value.word()).help(value.meaning());
    PossibleValuesParser::new(T::ALL.iter().map(value)).try_map(|text| T::parse(&text))
}
