//! Stand-ins for names: the same for the same name, told apart by letters, for numbers would be taken for those of siblings.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use crate::model::text;

/// Letters of a stand-in that is made from a name: a chance of one in a hundred million that two of a thousand names get the same.
const LETTERS: u32 = 10;

/// How stand-ins are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scheme {
    /// By the order in which names are seen: they tell nothing, and are others in every recording.
    #[default]
    InOrder,
    /// By the names: the same in every run, so that findings of several runs can be compared. Whoever guesses a name can check the guess.
    ByName,
}

/// Stand-ins of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct StandIns {
    scheme: Scheme,
    /// Those that were chosen by order.
    known: BTreeMap<String, String>,
}

impl StandIns {
    /// Stand-ins that are chosen like this.
    pub(super) fn new(scheme: Scheme) -> Self {
        Self { scheme, known: BTreeMap::new() }
    }

    /// The stand-in for a text: made by `form` from the letters of a new one.
    pub(super) fn of(&mut self, text: &str, form: impl FnOnce(&str) -> String) -> String {
        if self.scheme == Scheme::ByName {
            return form(&letters_by_name(text));
        }
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let new = form(&letters(self.known.len()));
        self.known.insert(text.to_owned(), new.clone());
        new
    }

    /// The stand-in of a text that has one by order.
    pub(super) fn get(&self, text: &str) -> Option<&str> {
        self.known.get(text).map(String::as_str)
    }
}

/// Stand-ins for names of tasks. Those that differ in numbers alone are of one kind, and stay so.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskNames {
    scheme: Scheme,
    patterns: StandIns,
    /// Of each pattern, the names that were seen, and their numbers.
    numbered: BTreeMap<String, BTreeMap<String, usize>>,
}

impl TaskNames {
    /// Stand-ins that are chosen like this.
    pub(super) fn new(scheme: Scheme) -> Self {
        Self { scheme, patterns: StandIns::new(scheme), numbered: BTreeMap::new() }
    }

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
        if self.scheme == Scheme::ByName {
            return format!("{stand_in}-{}", number_by_name(name));
        }
        let names = self.numbered.entry(pattern).or_default();
        let next = names.len() + 1;
        let number = names.entry(name.to_owned()).or_insert(next);
        format!("{stand_in}-{number}")
    }
}

/// A number that is the same for the same text everywhere.
fn number_by_name(text: &str) -> u32 {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Letters that are the same for the same text everywhere: of a cryptographic hash, so that a name can be guessed and not computed.
fn letters_by_name(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let number = hash.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let letter = |place| char::from(b'a' + u8::try_from(number / 26_u64.pow(place) % 26).unwrap_or_default());
    (0..LETTERS).map(letter).collect()
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
    fn stand_ins_by_name_are_the_same_in_every_run() {
        let stand_ins = || {
            let (mut names, mut files) = (TaskNames::new(Scheme::ByName), StandIns::new(Scheme::ByName));
            let of = ["worker", "conn-7", "conn-8", ""].map(|name| names.of(name));
            (of, files.of("src/bank.rs", |letters| format!("src/{letters}.rs")))
        };
        let (names, file) = stand_ins();
        assert_eq!((names.clone(), file.clone()), stand_ins());
        assert_eq!(file, "src/rxyjborlpi.rs", "and of every version");
        let pattern = |name: &str| text::without_numbers(name);
        assert_eq!(pattern(&names[1]), pattern(&names[2]), "numbered names stay siblings");
        assert!(names[1] != names[2] && pattern(&names[0]) == names[0] && names[3].is_empty(), "{names:?}");
    }

    #[test]
    fn letters_never_repeat() {
        assert_eq!([0, 1, 25, 26, 51, 52, 701, 702].map(letters), ["a", "b", "z", "aa", "az", "ba", "zz", "aaa"]);
    }
}
