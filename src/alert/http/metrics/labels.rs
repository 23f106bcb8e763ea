//! Label values: what comes from a target, visible and of bounded length.

use crate::alert::names::Names;
use crate::report::sanitize::bounded;

/// The longest value of a label, in bytes: names and places are shorter.
const LONGEST: usize = 200;

/// A text as the value of a label. Quotes, backslashes and newlines are escaped when it is written.
pub(super) fn label(text: &str) -> String {
    bounded(text, LONGEST)
}

/// The names of targets or outputs as labels, in their order: two that would have the same series are numbered.
pub(super) fn distinct_labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut labels = Names::default();
    names.map(|name| labels.number(&label(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_visible_and_bounded() {
        assert_eq!(label("src/a.rs:1:1"), "src/a.rs:1:1");
        assert_eq!(label("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\n");
        let long = label(&"ü".repeat(1_000));
        assert!(long.len() <= LONGEST && long.ends_with("ü…"), "{long}");
    }

    #[test]
    fn every_target_has_a_label_of_its_own() {
        let long = "x".repeat(500);
        let labels = distinct_labels(["a", "b", "a", &long, &long].into_iter());
        assert_eq!(labels[..3], ["a", "b", "a #2"]);
        assert_ne!(labels[3], labels[4]);
    }
}
