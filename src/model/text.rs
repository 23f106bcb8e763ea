//! Strings of the target, stored once each, and source locations in a readable form.

use std::sync::Arc;

use rustc_hash::FxHashSet;

/// A string that came from the target. Hostile until escaped by whoever prints it.
pub type Text = Arc<str>;

/// Longest string kept of anything that a target says, in bytes: names and locations are shorter, an attack is not.
const LONGEST: usize = 512;

/// Keeps one copy of each string in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Interner {
    known: FxHashSet<Text>,
}

impl Interner {
    /// The one copy of `text`, cut to a bounded length.
    pub(super) fn intern(&mut self, text: &str) -> Text {
        let text = cut(text);
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let new: Text = text.into();
        self.known.insert(new.clone());
        new
    }

    /// Forgets strings that nothing refers to any more, so that names made up per request do not add up over days.
    pub(super) fn sweep(&mut self) {
        self.known.retain(|text| Arc::strong_count(text) > 1);
    }
}

/// `text` cut at a character boundary to the longest length that is kept.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// A source file as its reader knows it: without the directories above a dependency's or the toolchain's sources, and without the way
/// there of a module that stands elsewhere (`examples/../tests/bank.rs`).
pub(super) fn short_path(mut file: &str) -> &str {
    while let Some((folder, rest)) = file.split_once("/../") {
        if folder.is_empty() || folder == ".." || folder.contains('/') {
            break;
        }
        file = rest;
    }
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        return rest.split_once('/').map_or(rest, |(_index, path)| path);
    }
    if let Some((_, rest)) = file.split_once("/git/checkouts/") {
        return rest;
    }
    if let Some((_, rest)) = file.split_once("/rustc/") {
        return rest.split_once('/').map_or(rest, |(_hash, path)| path);
    }
    file
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
    fn dependencies_are_named_by_crate_and_version() {
        let file = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c/hyper-1.6.0/src/rt.rs";
        assert_eq!(short_path(file), "hyper-1.6.0/src/rt.rs");
        assert_eq!(short_path("/rustc/59807616e/library/std/src/thread.rs"), "library/std/src/thread.rs");
        assert_eq!(short_path("src/bank.rs"), "src/bank.rs");
        assert_eq!(short_path("examples/../tests/../src/bank.rs"), "src/bank.rs");
        for unclear in ["../src/bank.rs", "a/b/../bank.rs", "/../bank.rs", "../../bank.rs", "../a/../bank.rs"] {
            assert_eq!(short_path(unclear), unclear);
        }
    }

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
