//! Strings of the target, stored once each.

use std::sync::Arc;

use super::collections::SeededSet;

/// A string that came from the target. Hostile until escaped by whoever prints it.
pub type Text = Arc<str>;

/// Longest string kept of anything that a target says, in bytes: names and locations are shorter, an attack is not.
const LONGEST: usize = 512;

/// Fewer strings than this are not worth a sweep.
const FEW: usize = 8_192;

/// Keeps one copy of each string in use.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Interner {
    known: SeededSet<Text>,
    /// How many of them were in use at the last sweep.
    used: usize,
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

    /// Whether as many strings have been added since the last sweep as were in use then: sweeping costs less than adding them did.
    pub(in crate::model) fn is_due(&self) -> bool {
        self.known.len() >= FEW.max(2 * self.used)
    }

    /// Forgets strings that nothing refers to any more, so that names made up per request do not add up over days.
    pub(in crate::model) fn sweep(&mut self) {
        self.known.retain(|text| Arc::strong_count(text) > 1);
        self.used = self.known.len();
        self.known.shrink_to(2 * self.used.max(FEW));
    }
}

/// `text` cut at a character boundary to the longest length that is kept.
pub(in crate::model) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// A word that may be hexadecimal is an identifier from this length on if it goes from digits to letters and back: `3f2a9c1b`, not `deadbeef`,
/// and not `decade10`, a word with a number.
const HEX: usize = 8;
/// A hexadecimal word of this length is one whatever is in it: no word of a language is as long.
const LONG_HEX: usize = 16;
/// Any word of this length is one if it changes often between digits and letters, as ULIDs and other random ids do.
const RANDOM: usize = 20;
/// Number of those changes.
const CHANGES: usize = 5;
/// Lengths of the groups of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// A name with every number replaced by `#`: tasks that are numbered one by one are still of one kind. A number is a run of digits, a UUID, or
/// a whole word that only an identifier looks like.
pub fn without_numbers(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(rest.len()));
        rest = if let Some(after) = after_uuid(rest) {
            pattern.push('#');
            after
        } else if is_identifier(word) {
            pattern.push('#');
            after
        } else {
            push_without_digits(&mut pattern, word);
            after
        };
        let (between, next) = rest.split_at(rest.find(|it: char| it.is_ascii_alphanumeric()).unwrap_or(rest.len()));
        pattern.push_str(between);
        rest = next;
    }
    pattern
}

/// Adds a word with each run of digits replaced.
fn push_without_digits(pattern: &mut String, word: &str) {
    let mut in_number = false;
    for character in word.chars() {
        let digit = character.is_ascii_digit();
        if !digit {
            pattern.push(character);
        } else if !in_number {
            pattern.push('#');
        }
        in_number = digit;
    }
}

/// What follows the UUID that a text begins with, if it does.
fn after_uuid(text: &str) -> Option<&str> {
    let length = UUID.iter().sum::<usize>() + UUID.len() - 1;
    let (uuid, after) = text.split_at_checked(length)?;
    let groups = uuid.split('-').map(|group| is_hex(group).then_some(group.len()));
    (groups.eq(UUID.map(Some)) && !after.starts_with(|it: char| it.is_ascii_alphanumeric())).then_some(after)
}

/// Whether a word is an identifier rather than a name.
fn is_identifier(word: &str) -> bool {
    if let Some(digits) = word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        return is_hex(digits);
    }
    let digits = word.bytes().map(|it| it.is_ascii_digit());
    let changes = digits.clone().zip(digits.skip(1)).filter(|(one, next)| one != next).count();
    match word.len() {
        LONG_HEX.. if is_hex(word) => true,
        HEX.. if is_hex(word) => changes >= 2,
        length => length >= RANDOM && changes >= CHANGES,
    }
}

fn is_hex(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_share_a_pattern() {
        for (name, pattern) in [
            ("", ""),
            ("accept", "accept"),
            ("conn-1024:7", "conn-#:#"),
            ("worker 3 von 7 für ü12", "worker # von # für ü#"),
            ("h2", "h#"),
            // UUIDs, in every usual form.
            ("request-67e55044-10b1-426f-9247-bb680e5fe0c8", "request-#"),
            ("67E55044-10B1-426F-9247-BB680E5FE0C8/upload", "#/upload"),
            ("job {67e55044-10b1-426f-9247-bb680e5fe0c8}", "job {#}"),
            ("67e5504410b1426f9247bb680e5fe0c8", "#"),
            ("deadbeef-dead-beef-dead-beefdeadbeef", "#"),
            ("67e55044-10b1-426f-9247-bb680e5fe0c8x", "#-#b#-#f-#-bb#e#fe#c#x"),
            // Hexadecimal ids and addresses.
            ("req-3f2a9c1b", "req-#"),
            ("trace:4bf92f3577b34da6a3ce929d0e0e4736", "trace:#"),
            ("aabbccddeeffaabb", "#"),
            ("conn@0x7ffd10", "conn@#"),
            // Words and short names are none.
            ("deadbeef", "deadbeef"),
            ("facade", "facade"),
            ("cafe", "cafe"),
            ("decade10", "decade#"),
            ("2decades", "#decades"),
            ("effaced", "effaced"),
            ("shard-a1", "shard-a#"),
            ("shard-b2", "shard-b#"),
            ("e2e", "e#e"),
            ("db-feed-add", "db-feed-add"),
            ("0xygen", "#xygen"),
            // Other random ids.
            ("upload 01ARZ3NDEKTSV4RRFFQ69G5FAV", "upload #"),
            ("session_V1StGXR8Z5jdHi6BmyT9", "session_#"),
            ("internationalisation2", "internationalisation#"),
            ("replication2primary2standby", "replication#primary#standby"),
        ] {
            assert_eq!(without_numbers(name), pattern, "{name}");
            assert_eq!(without_numbers(pattern), pattern, "{name}");
        }
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
