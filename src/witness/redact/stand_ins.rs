//! Stand-ins for names: the same for the same name, told apart by letters, for numbers would be taken for those of siblings.

use std::collections::BTreeMap;

use crate::model::text;

/// Stand-ins of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct StandIns {
    known: BTreeMap<String, String>,
}

impl StandIns {
    /// The stand-in for a text: made by `form` from the letters of a new one.
    pub(super) fn of(&mut self, text: &str, form: impl FnOnce(&str) -> String) -> String {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let new = form(&letters(self.known.len()));
        self.known.insert(text.to_owned(), new.clone());
        new
    }

    /// The stand-in of a text that has one.
    pub(super) fn get(&self, text: &str) -> Option<&str> {
        self.known.get(text).map(String::as_str)
    }
}

/// Stand-ins for names of tasks. Those that differ in numbers alone are of one kind, and stay so.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskNames {
    patterns: StandIns,
    /// Of each pattern, the names that were seen, and their numbers.
    numbered: BTreeMap<String, BTreeMap<String, usize>>,
}

impl TaskNames {
    /// The stand-in for a name: `task-a`, or `task-a-1` for one with numbers.
    pub(super) fn of(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        let pattern = text::without_numbers(name);
        let stand_in = self.patterns.of(&pattern, |letters| format!("task-{letters}"));
        if pattern == name {
            return stand_in;
        }
        let names = self.numbered.entry(pattern).or_default();
        let next = names.len() + 1;
        let number = names.entry(name.to_owned()).or_insert(next);
        format!("{stand_in}-{number}")
    }
}

/// `a` to `z`, then `aa` and so on.
fn letters(mut number: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or_default()));
        match number / 26 {
            0 => break,
            rest => number = rest - 1,
        }
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_stay_siblings() {
        let mut names = TaskNames::default();
        let stand_ins = ["worker", "conn-7", "conn-8", "", "worker", "conn-7", "conn-x"].map(|name| names.of(name));
        assert_eq!(stand_ins, ["task-a", "task-b-1", "task-b-2", "", "task-a", "task-b-1", "task-c"]);
        let pattern = |name: &str| text::without_numbers(name);
        assert_eq!(pattern(&stand_ins[1]), pattern(&stand_ins[2]));
    }

    #[test]
    fn letters_never_repeat() {
        assert_eq!([0, 1, 25, 26, 51, 52, 701, 702].map(letters), ["a", "b", "z", "aa", "az", "ba", "zz", "aaa"]);
    }
}
