//! The help of options, from the rows that describe them.

use crate::detect::settings::{AnySetting, Value};

/// The help of an option that is also in files, with its default.
pub(super) fn help(option: &dyn AnySetting) -> String {
    let help = option.help();
    let (first, rest) = help.split_at(help.chars().next().map_or(0, char::len_utf8));
    let default = match option.default() {
        Value::Unset => String::new(),
        value => format!(" [default: {}]", option.written(&value)),
    };
    format!("{}{rest}{default}", first.to_uppercase())
}
