//! Names of which no two are the same: a repetition gets a number.

use std::collections::BTreeMap;

/// The names that were given so far, and how often each was.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    /// This name, or `name #2` if there is one already.
    pub(super) fn number(&mut self, name: &str) -> String {
        let times = self.0.entry(name.to_owned()).or_default();
        *times += 1;
        if *times == 1 { name.to_owned() } else { format!("{name} #{times}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_gets_a_number() {
        let mut names = Names::default();
        assert_eq!(["a", "b", "a", "a"].map(|name| names.number(name)), ["a", "b", "a #2", "a #3"]);
    }
}
