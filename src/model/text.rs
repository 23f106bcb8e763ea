//! Strings of the target, stored once each.

use std::sync::Arc;

use rustc_hash::FxHashSet;

/// A string that came from the target. Hostile until escaped by whoever prints it.
pub type Text = Arc<str>;

/// Longest string kept of anything that a target says, in bytes: names and locations are shorter, an attack is not.
const LONGEST: usize = 512;

/// Keeps one copy of each string in use.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Interner {
    known: FxHashSet<Text>,
}

impl Interner {
    /// The one copy of `text`, cut to a bounded length.
    pub(in crate::model) fn intern(&mut self, text: &str) -> Text {
        let text = cut(text);
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let new: Text = text.into();
        self.known.insert(new.clone());
        new
    }

    /// Forgets strings that nothing refers to any more, so that names made up per request do not add up over days.
    pub(in crate::model) fn sweep(&mut self) {
        self.known.retain(|text| Arc::strong_count(text) > 1);
    }
}

/// `text` cut at a character boundary to the longest length that is kept.
pub(in crate::model) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// A name with every run of digits replaced by `#`: tasks that are numbered one by one are still of one kind.
pub fn without_numbers(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    let mut in_number = false;
    for character in name.chars() {
        let digit = character.is_ascii_digit();
        if !digit {
            pattern.push(character);
        } else if !in_number {
            pattern.push('#');
        }
        in_number = digit;
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_share_a_pattern() {
        assert_eq!(without_numbers("conn-1024:7"), "conn-#:#");
        assert_eq!(without_numbers("accept"), "accept");
    }

    #[test]
    fn strings_nobody_uses_are_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.intern("kept");
        drop(interner.intern("lost"));
        interner.sweep();
        assert_eq!(interner.known.len(), 1);
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept")));
    }

    #[test]
    fn a_huge_string_is_cut_between_characters() {
        let huge = "ü".repeat(1000);
        assert!(Interner::default().intern(&huge).len() <= LONGEST);
    }
}
