//! Names and places in one line.

/// A name and the place that belongs to it in one line, as far as they are known: `transfer (src/bank.rs:41:9)`.
pub(super) fn named_place(name: &str, location: &str) -> String {
    match (name, location) {
        (name, "") => name.to_owned(),
        ("", location) => location.to_owned(),
        (name, location) => format!("{name} ({location})"),
    }
}
